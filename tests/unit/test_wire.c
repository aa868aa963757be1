#include "base/wire.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "tests/unit/base_test.h"

static void a_message_arrives_as_it_was_sent(void **state)
{
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    int fds[2];

    (void)state;
    assert_int_equal(wire_pair(fds, NULL), 0);
    assert_int_equal(wire_send(fds[0], 7, "hello", 5, NULL, 0, NULL), 0);
    assert_int_equal(wire_send(fds[0], 8, NULL, 0, NULL, 0, NULL), 0);
    assert_int_equal(wire_receive(fds[1], message, NULL), 1);
    assert_int_equal(message->type, 7);
    assert_int_equal(message->length, 5);
    assert_string_equal(message->payload, "hello");
    assert_int_equal(message->fd_count, 0);
    assert_int_equal(message->fds[0], -1);
    assert_int_equal(wire_receive(fds[1], message, NULL), 1);
    assert_int_equal(message->type, 8);
    assert_string_equal(message->payload, "");
    close(fds[0]);
    assert_int_equal(wire_receive(fds[1], message, NULL), 0);
    close(fds[1]);
}

static void descriptors_come_along_close_on_exec(void **state)
{
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    int many[WIRE_FDS_MAX];
    int pipes[2];
    int fds[2];

    (void)state;
    assert_int_equal(wire_pair(fds, NULL), 0);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    for (size_t i = 0; i < WIRE_FDS_MAX; i++)
        many[i] = pipes[1];
    assert_int_equal(wire_send(fds[0], 1, "x", 1, many, WIRE_FDS_MAX, NULL), 0);
    close(pipes[1]);
    assert_int_equal(wire_receive(fds[1], message, NULL), 1);
    assert_int_equal(message->fd_count, WIRE_FDS_MAX);
    assert_int_equal(fcntl(message->fds[7], F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(message->fds[7], "y", 1), 1);
    wire_message_close(message);
    assert_int_equal(message->fds[7], -1);
    /* The last writer is gone: first the byte, then the end. */
    assert_int_equal(read(pipes[0], message->payload, 2), 1);
    assert_int_equal(read(pipes[0], message->payload, 2), 0);
    close(pipes[0]);
    close(fds[0]);
    close(fds[1]);
}

static void sizes_are_limits_on_both_sides(void **state)
{
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    auto_free char *payload = xcalloc(1, WIRE_PAYLOAD_MAX + 8);
    struct error err = { 0 };
    int fds[2];

    (void)state;
    assert_int_equal(wire_pair(fds, NULL), 0);
    assert_int_equal(wire_send(fds[0], 1, payload, WIRE_PAYLOAD_MAX + 1, NULL, 0, &err), -EMSGSIZE);
    assert_string_equal(err.message, "send a message of 32769 bytes: 32768 are the most");
    assert_int_equal(wire_send(fds[0], 1, payload, WIRE_PAYLOAD_MAX, NULL, 0, &err), 0);
    assert_int_equal(wire_receive(fds[1], message, &err), 1);
    assert_int_equal(message->length, WIRE_PAYLOAD_MAX);
    assert_int_equal(send(fds[0], payload, WIRE_PAYLOAD_MAX + 5, 0), WIRE_PAYLOAD_MAX + 5);
    assert_int_equal(wire_receive(fds[1], message, &err), -EBADMSG);
    assert_string_equal(err.message, "receive a message: it is too long");
    assert_int_equal(send(fds[0], payload, 3, 0), 3);
    assert_int_equal(wire_receive(fds[1], message, &err), -EBADMSG);
    assert_string_equal(err.message, "receive a message: it is too short");
    close(fds[0]);
    close(fds[1]);
}

static void a_peer_that_is_gone_is_told(void **state)
{
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    int fds[2];

    (void)state;
    assert_int_equal(wire_pair(fds, NULL), 0);
    assert_int_equal(fd_set_nonblocking(fds[0], true, NULL), 0);
    assert_int_equal(wire_receive(fds[0], message, NULL), -EAGAIN);
    assert_int_equal(wire_send(fds[0], 1, "x", 1, NULL, 0, NULL), 0);
    close(fds[1]);
    assert_int_equal(wire_receive(fds[0], message, NULL), 0); /* with our message unread */
    assert_int_equal(wire_send(fds[0], 1, "x", 1, NULL, 0, NULL), -EPIPE);
    close(fds[0]);
}

static void a_socket_of_any_directory_is_reached(void **state)
{
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    auto_free char *deep = NULL;
    struct test_directory *directory = *state;
    struct error err = { 0 };
    struct stat status;
    int dir_fd = -1;
    int listening;
    int client;
    int server;

    for (int i = 0; i < 30; i++) {
        auto_free char *longer = xasprintf("%s/directory", deep != NULL ? deep : "");

        free(deep);
        deep = take_ptr(&longer);
    }
    assert_int_equal(path_make_directories(directory->fd, deep, 0700, NULL, NULL), 0);
    assert_int_equal(path_open_beneath(directory->fd, deep + 1, O_RDONLY, 0, &dir_fd, NULL), 0);
    assert_int_equal(wire_connect(dir_fd, "sock", &client, &err), -ENOENT);
    assert_int_equal(wire_listen(dir_fd, "sock", 0600, &listening, &err), 0);
    assert_int_equal(fstatat(dir_fd, "sock", &status, 0), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(wire_connect(dir_fd, "sock", &client, &err), 0);
    assert_int_equal(wire_accept(listening, &server, &err), 0);
    assert_int_equal(wire_send(client, 3, "x", 1, NULL, 0, NULL), 0);
    assert_int_equal(wire_receive(server, message, NULL), 1);
    close(listening);
    assert_int_equal(wire_connect(dir_fd, "sock", &listening, &err), -ECONNREFUSED);
    assert_int_equal(wire_listen(dir_fd, "sock", 0600, &listening, &err), 0);
    close(listening);
    close(server);
    close(client);
    close(dir_fd);
}

static void a_name_that_is_taken_or_too_long_is_an_error(void **state)
{
    struct error err = { 0 };
    char name[200];
    int fd;

    put_file(directory_of(state), "sock", "x");
    assert_int_equal(wire_listen(directory_of(state), "sock", 0600, &fd, &err), -EADDRINUSE);
    assert_string_equal(err.message, "bind the socket 'sock': Address already in use");
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(wire_listen(directory_of(state), name, 0600, &fd, &err), -ENAMETOOLONG);
}

static void what_a_peer_said_before_it_died_is_heard_though_it_left_ours_unread(void **state)
{
    struct wire_message message;
    struct error err = { 0 };
    int fds[2];

    (void)state;
    assert_int_equal(wire_pair(fds, &err), 0);
    assert_int_equal(wire_send(fds[0], 7, "last words", 10, NULL, 0, &err), 0);
    assert_int_equal(wire_send(fds[1], 8, "unread", 6, NULL, 0, &err), 0);
    close(fds[0]);
    assert_int_equal(wire_receive(fds[1], &message, &err), 1);
    assert_int_equal(message.type, 7);
    assert_string_equal(message.payload, "last words");
    assert_int_equal(wire_receive(fds[1], &message, &err), 0);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_peer_said_before_it_died_is_heard_though_it_left_ours_unread),
        cmocka_unit_test(a_message_arrives_as_it_was_sent),
        cmocka_unit_test(descriptors_come_along_close_on_exec),
        cmocka_unit_test(sizes_are_limits_on_both_sides),
        cmocka_unit_test(a_peer_that_is_gone_is_told),
        IN_DIRECTORY(a_socket_of_any_directory_is_reached),
        IN_DIRECTORY(a_name_that_is_taken_or_too_long_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
