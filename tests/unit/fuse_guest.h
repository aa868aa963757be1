#ifndef TESTS_UNIT_FUSE_GUEST_H
#define TESTS_UNIT_FUSE_GUEST_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "base/path.h"
#include "microvm/fuse_message.h"
#include "microvm/fuse_server.h"

/* What a guest's kernel asks a server for, without a guest: requests as bytes, in a directory of
 * its own in /tmp. */

#define ARGUMENTS_MAX 512

struct fixture {
    char folder[64];
    int folder_fd;
    int root_fd;     /* "root" in it; beside it is "outside" */
    bool is_savable; /* of the next server */
    int fdinfo_fd;
    struct fuse_server *server;
    uint8_t *reply;
    size_t reply_length;
    uint64_t unique;
};

static struct fixture *fixture;

/* --- requests --------------------------------------------------------------------------------- */

static inline const struct fuse_out_header *reply_header(void)
{
    return (const struct fuse_out_header *)fixture->reply;
}

static inline const void *reply_body(void)
{
    return fixture->reply + sizeof(struct fuse_out_header);
}

/* Returns what the answer says: 0 or a negative errno value. */
static inline int ask(uint32_t opcode, uint64_t node, const void *arguments, size_t size,
                      const char *more, size_t more_size)
{
    _Alignas(8) uint8_t message[sizeof(struct fuse_in_header) + ARGUMENTS_MAX];
    struct fuse_in_header header = {
        .opcode = opcode,
        .nodeid = node,
        .unique = ++fixture->unique,
        .uid = geteuid(),
        .gid = getegid(),
    };

    assert_true(size + more_size <= ARGUMENTS_MAX);
    header.len = (uint32_t)(sizeof(header) + size + more_size);
    memcpy(message, &header, sizeof(header));
    if (size > 0)
        memcpy(message + sizeof(header), arguments, size);
    if (more_size > 0)
        memcpy(message + sizeof(header) + size, more, more_size);
    fixture->reply_length =
        fuse_server_handle(fixture->server, message, header.len, fixture->reply);
    if (fixture->reply_length == 0)
        return 0;
    assert_int_equal(reply_header()->len, fixture->reply_length);
    assert_int_equal(reply_header()->unique, header.unique);
    return reply_header()->error;
}

static inline int ask_name(uint32_t opcode, uint64_t node, const char *name)
{
    return ask(opcode, node, NULL, 0, name, strlen(name) + 1);
}

static inline int look_up(uint64_t node, const char *name, uint64_t *ret_node)
{
    int r = ask_name(FUSE_LOOKUP, node, name);

    *ret_node = r == 0 ? ((const struct fuse_entry_out *)reply_body())->nodeid : 0;
    return r;
}

static inline int get_attributes(uint64_t node)
{
    struct fuse_getattr_in in = { 0 };

    return ask(FUSE_GETATTR, node, &in, sizeof(in), NULL, 0);
}

static inline int open_node(uint32_t opcode, uint64_t node, uint32_t flags, uint64_t *ret_fh)
{
    struct fuse_open_in in = { .flags = flags };
    int r = ask(opcode, node, &in, sizeof(in), NULL, 0);

    *ret_fh = r == 0 ? ((const struct fuse_open_out *)reply_body())->fh : 0;
    return r;
}

static inline int create(uint64_t node, const char *name, uint32_t flags)
{
    struct fuse_create_in in = { .flags = flags | O_CREAT, .mode = S_IFREG | 0644 };

    return ask(FUSE_CREATE, node, &in, sizeof(in), name, strlen(name) + 1);
}

static inline int read_file(uint64_t node, uint64_t fh, uint64_t offset, uint32_t size)
{
    struct fuse_read_in in = { .fh = fh, .offset = offset, .size = size };

    return ask(FUSE_READ, node, &in, sizeof(in), NULL, 0);
}

static inline int init_minor(uint32_t major, uint32_t minor)
{
    struct fuse_init_in in = { .major = major, .minor = minor, .flags = FUSE_INIT_EXT };

    return ask(FUSE_INIT, 0, &in, sizeof(in), NULL, 0);
}

/* --- the directory ---------------------------------------------------------------------------- */

static inline void put_file(int directory_fd, const char *name, const char *text)
{
    auto_close int fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static inline void server_start(bool is_read_only, size_t inodes_max, size_t descriptors_max)
{
    struct fuse_server_options options = {
        .root_fd = fixture->root_fd,
        .socket_fd = -1,
        .is_read_only = is_read_only,
        .fdinfo_fd = fixture->fdinfo_fd,
        .is_savable = fixture->is_savable,
        .inodes_max = inodes_max,
        .descriptors_max = descriptors_max,
    };
    struct error err = { 0 };

    fuse_server_free(fixture->server);
    fixture->server = NULL;
    if (fuse_server_open(&options, &fixture->server, &err) < 0)
        fail_msg("%s", err.message);
}

static inline int set_up(void **state)
{
    (void)state;
    fixture = xcalloc(1, sizeof(*fixture));
    (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/test-fuse-server-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    fixture->folder_fd = open(fixture->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(fixture->folder_fd, "root", 0755), 0);
    put_file(fixture->folder_fd, "outside", "secret");
    fixture->root_fd =
        openat(fixture->folder_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    assert_true(fixture->root_fd >= 0);
    fixture->fdinfo_fd = open("/proc/self/fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fixture->fdinfo_fd >= 0);
    fixture->reply = xcalloc(1, fuse_server_reply_max());
    server_start(false, 1000, 100);
    assert_int_equal(init_minor(7, 38), 0);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    fuse_server_free(fixture->server);
    (void)close(fixture->root_fd);
    (void)close(fixture->fdinfo_fd);
    (void)close(fixture->folder_fd);
    free(fixture->reply);
    {
        auto_close int top_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_int_equal(path_remove_tree(top_fd, strrchr(fixture->folder, '/') + 1, NULL), 0);
    }
    free(fixture);
    return 0;
}

#endif
