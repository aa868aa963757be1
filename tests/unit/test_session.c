#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/text.h"
#include "microvm/session.h"

/* The session with a child in place of the guest, which says what the rows of a table say: an agent
 * that lies ends its machine with a sentence, and nothing else. */

#define FRAMES_MAX 8

struct frame {
    uint32_t type, stream;
    const char *text; /* its payload */
    uint32_t length;  /* when it is not the payload's */
    uint32_t credit;
    uint32_t times; /* 0: once */
};

#define SAY(text_)                                                                                 \
    {                                                                                              \
        .type = CHANNEL_MESSAGE, .text = (text_)                                                   \
    }
#define HELLO   SAY("{\"type\":\"hello\",\"version\":2}")
#define STARTED SAY("{\"type\":\"started\",\"process\":1}")
#define EXITED  SAY("{\"type\":\"exited\",\"process\":1,\"status\":7}")

static const struct row {
    const char *what;
    struct frame frames[FRAMES_MAX];
    int result;
    const char *sentence;
} rows[] = {
    { "an honest agent", { HELLO, STARTED, EXITED }, 7, "" },
    { "a program that is not there",
      { HELLO, SAY("{\"type\":\"failed\",\"process\":1,\"code\":2,\"text\":\"no such program\"}") },
      -ENOENT,
      "no such program" },
    { "a failure without a reason",
      { HELLO, SAY("{\"type\":\"failed\",\"process\":1,\"code\":99999}") },
      -EIO,
      "the agent does not say why" },
    { "hello twice", { HELLO, HELLO }, -EPROTO, "the guest's agent: hello comes twice" },
    { "another version",
      { SAY("{\"type\":\"hello\",\"version\":3}") },
      -EPROTO,
      "the guest's agent: the agent has version 3, not 2" },
    { "a start before hello",
      { STARTED },
      -EPROTO,
      "the guest's agent: process 1 cannot have started" },
    { "a start twice",
      { HELLO, STARTED, STARTED },
      -EPROTO,
      "the guest's agent: process 1 cannot have started" },
    { "a failure after the start",
      { HELLO, STARTED, SAY("{\"type\":\"failed\",\"process\":1}") },
      -EPROTO,
      "the guest's agent: process 1 cannot fail to start" },
    { "the end of what has not started",
      { HELLO, EXITED },
      -EPROTO,
      "the guest's agent: process 1 cannot have ended" },
    { "the end of a process nobody asked for",
      { HELLO, STARTED, SAY("{\"type\":\"exited\",\"process\":2}") },
      -EPROTO,
      "the guest's agent: process 2 cannot have ended" },
    { "a status out of range",
      { HELLO, STARTED, SAY("{\"type\":\"exited\",\"process\":1,\"status\":256}") },
      -EPROTO,
      "the guest's agent: exited: status 256 is out of range" },
    { "a request",
      { HELLO, SAY("{\"type\":\"power-off\"}") },
      -EPROTO,
      "the guest's agent: 'power-off' is not for berth-vmm" },
    { "an unknown word",
      { SAY("{\"type\":\"open\"}") },
      -EPROTO,
      "the guest's agent: message of an unknown type 'open'" },
    { "data before the start",
      { HELLO, { .type = CHANNEL_DATA, .stream = 5, .text = "x" } },
      -EPROTO,
      "the guest's agent: data on stream 5" },
    { "data on standard input",
      { HELLO, STARTED, { .type = CHANNEL_DATA, .stream = 4, .text = "x" } },
      -EPROTO,
      "the guest's agent: data on stream 4" },
    { "data on a stream of nobody",
      { HELLO, STARTED, { .type = CHANNEL_DATA, .stream = 9, .text = "x" } },
      -EPROTO,
      "the guest's agent: stream 9 is not open" },
    { "a frame longer than any",
      { HELLO, { .type = CHANNEL_DATA, .stream = 5, .length = 0xffffffff } },
      -EPROTO,
      "the guest's agent: frame of type 2 with 4294967295 bytes, 32768 are allowed" },
    { "a message longer than any",
      { { .type = CHANNEL_MESSAGE, .length = AGENT_ANSWER_MAX + 1 } },
      -EPROTO,
      "the guest's agent: frame of type 1 with 1048577 bytes, 1048576 are allowed" },
    { "credit for nothing",
      { HELLO, STARTED, { .type = CHANNEL_CREDIT, .stream = 4, .credit = 1 } },
      -EPROTO,
      "the guest's agent: stream 4: credit of 1 upon 131072" },
    { "replies to nobody, many times",
      { HELLO,
        STARTED,
        { .type = CHANNEL_MESSAGE,
          .text = "{\"type\":\"reply\",\"request\":1,\"text\":\"x\"}",
          .times = 20000 },
        EXITED },
      7,
      "" },
};

static void send_frame(int fd, const struct frame *frame)
{
    size_t length = frame->text != NULL ? strlen(frame->text) : 0;
    const uint32_t words[4] = { htole32(frame->length > 0 ? frame->length : (uint32_t)length),
                                htole32(frame->type), htole32(frame->stream),
                                htole32(frame->credit) };

    for (uint32_t i = 0; i <= frame->times; i++) {
        (void)fd_write_all(fd, words, sizeof(words), "frame", NULL);
        (void)fd_write_all(fd, frame->text != NULL ? frame->text : "", length, "frame", NULL);
    }
}

/* --- a machine that is none ----------------------------------------------------------------------
 */

struct fake_machine {
    struct machine machine;
    int end_fd;
};

static int fake_end_fd(const struct machine *machine)
{
    return ((const struct fake_machine *)machine)->end_fd;
}

static enum machine_end fake_end(struct machine *machine, struct error *err)
{
    (void)machine;
    (void)err;
    return MACHINE_PANIC;
}

static const struct machine_class fake_class = { .end_fd = fake_end_fd, .end = fake_end };

/* Runs a session with a child that says @frames, and stays until it is killed, or (@is_short) ends
 * with its machine. */
static int run_session(const struct frame *frames, bool is_short, struct error *err)
{
    struct vm_config config = { .root = { .type = (char *)"erofs" }, .guest = (char *)"{}" };
    struct agent_setup setup = { 0 };
    struct fake_machine machine = { .machine = { &fake_class }, .end_fd = eventfd(0, EFD_CLOEXEC) };
    AUTO(session) struct session *session = NULL;
    auto_close int listen_fd = -1;
    auto_close int never_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct session_options options;
    int fds[2], null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), r;
    pid_t pid;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_true(dup2(null_fd, STDIN_FILENO) == STDIN_FILENO);
    (void)close(null_fd);
    pid = fork();
    if (pid == 0) {
        (void)close(fds[0]);
        for (size_t i = 0; i < FRAMES_MAX && frames[i].type != 0; i++)
            send_frame(fds[1], &frames[i]);
        if (is_short) {
            (void)eventfd_write(machine.end_fd, 1);
            _exit(0);
        }
        for (;;)
            (void)pause();
    }
    (void)close(fds[1]);
    (void)fd_set_nonblocking(fds[0], true, NULL);
    listen_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    options = (struct session_options){ .config = &config,
                                        .setup = &setup,
                                        .agent_fd = fds[0],
                                        .listen_fd = listen_fd,
                                        .signal_fd = never_fd,
                                        .oom_fd = -1 };
    assert_int_equal(session_open(&options, &session, err), 0);
    r = session_run(session, &machine.machine, err);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    (void)close(fds[0]);
    (void)close(machine.end_fd);
    return r;
}

static void an_agent_that_lies_ends_its_machine_with_a_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = { 0 };
        int r = run_session(rows[i].frames, false, &err);

        if (r != rows[i].result || strcmp(err.message, rows[i].sentence) != 0)
            fail_msg("%s: %d, '%s'", rows[i].what, r, err.message);
    }
}

static void a_guest_that_ends_before_its_process_is_an_error(void **state)
{
    static const struct frame frames[FRAMES_MAX] = { HELLO, STARTED };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(run_session(frames, true, &err), -EIO);
    assert_string_equal(err.message, "the guest panicked");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_that_lies_ends_its_machine_with_a_sentence),
        cmocka_unit_test(a_guest_that_ends_before_its_process_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
