/* Any requests of a guest, one after the other, on a directory of their own: the server neither
 * fails, nor answers more than there is room for.
 *
 * Input: records of a length (two bytes) and as many bytes, each a message without its length
 * field. So that mutated inputs get beyond the first check, the length field is put before them,
 * and numbers below 16 stand for what the server gave out so far: in place of a node, and of an
 * open file. */
#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/path.h"
#include "microvm/fuse_message.h"
#include "microvm/fuse_server.h"

#define KNOWN_MAX       16u
#define RECORD_MAX      4096u
#define FILE_BYTES_MAX  (1u << 20)
#define INODES_MAX      64u
#define DESCRIPTORS_MAX 16u

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct known {
    uint64_t ids[KNOWN_MAX];
    size_t count;
};

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    const struct rlimit limit = { FILE_BYTES_MAX, FILE_BYTES_MAX };

    (void)count;
    (void)arguments;
    /* A guest may ask for any size: not of this machine's disk. */
    (void)signal(SIGXFSZ, SIG_IGN);
    return setrlimit(RLIMIT_FSIZE, &limit);
}

static void known_add(struct known *known, uint64_t id)
{
    known->ids[known->count++ % KNOWN_MAX] = id;
}

static void known_put(const struct known *known, uint8_t *bytes)
{
    uint64_t id;

    memcpy(&id, bytes, sizeof(id));
    if (id < KNOWN_MAX && known->ids[id] != 0)
        memcpy(bytes, &known->ids[id], sizeof(id));
}

/* Writes all of the host to disk, or waits for it. */
static bool is_slow(uint32_t opcode)
{
    return opcode == FUSE_SYNCFS || opcode == FUSE_FSYNC || opcode == FUSE_FSYNCDIR;
}

static void learn(const uint8_t *message, const uint8_t *reply, size_t length, struct known *nodes,
                  struct known *files)
{
    const struct fuse_in_header *request = (const struct fuse_in_header *)message;
    const struct fuse_out_header *header = (const struct fuse_out_header *)reply;
    const uint8_t *body = reply + sizeof(*header);

    assert(header->len == length);
    assert(length <= fuse_server_reply_max());
    assert(header->error <= 0 && header->error > -512);
    if (header->error != 0)
        return;
    switch (request->opcode) {
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        known_add(files, ((const struct fuse_open_out *)body)->fh);
        break;
    case FUSE_CREATE:
    case FUSE_TMPFILE:
        known_add(files,
                  ((const struct fuse_open_out *)(body + sizeof(struct fuse_entry_out)))->fh);
        known_add(nodes, ((const struct fuse_entry_out *)body)->nodeid);
        break;
    case FUSE_LOOKUP:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_SYMLINK:
    case FUSE_LINK:
        known_add(nodes, ((const struct fuse_entry_out *)body)->nodeid);
        break;
    default:
        break;
    }
}

static void feed(struct fuse_server *server, const uint8_t *record, size_t length, uint8_t *reply,
                 struct known *nodes, struct known *files)
{
    uint32_t total = (uint32_t)(length + sizeof(total));
    /* Of just this size, so that a read behind the end is found. */
    auto_free uint8_t *message = xcalloc(1, total);
    struct fuse_in_header header;
    size_t answered;

    if (total < sizeof(header))
        return;
    memcpy(message, &total, sizeof(total));
    memcpy(message + sizeof(total), record, length);
    known_put(nodes, message + offsetof(struct fuse_in_header, nodeid));
    if (total >= sizeof(header) + sizeof(uint64_t))
        known_put(files, message + sizeof(header));
    memcpy(&header, message, sizeof(header));
    if (is_slow(header.opcode))
        return;
    answered = fuse_server_handle(server, message, total, reply);
    if (answered > 0)
        learn(message, reply, answered, nodes, files);
}

static void init(struct fuse_server *server, uint8_t *reply, struct known *nodes,
                 struct known *files)
{
    struct {
        uint32_t opcode;
        uint8_t header[sizeof(struct fuse_in_header) - 2 * sizeof(uint32_t)];
        struct fuse_init_in in;
    } __attribute__((packed)) record = {
        .opcode = FUSE_INIT,
        .in = { .major = 7, .minor = 38, .flags = UINT32_MAX },
    };

    feed(server, (const uint8_t *)&record, sizeof(record), reply, nodes, files);
    known_add(nodes, 0);
    known_add(nodes, FUSE_ROOT_ID);
    known_add(files, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[] = "/tmp/fuzz-fuse-server-XXXXXX";
    struct fuse_server_options options = { .socket_fd = -1,
                                           .is_savable = true,
                                           .inodes_max = INODES_MAX,
                                           .descriptors_max = DESCRIPTORS_MAX };
    auto_close int top_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_close int fdinfo_fd = open("/proc/self/fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_close int root_fd = -1;
    auto_free uint8_t *reply = malloc(fuse_server_reply_max());
    struct fuse_server *server = NULL;
    struct known nodes = { 0 };
    struct known files = { 0 };
    struct error err = { 0 };

    if (reply == NULL || mkdtemp(folder) == NULL)
        return 0;
    root_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    options.root_fd = root_fd;
    options.fdinfo_fd = fdinfo_fd;
    if (root_fd >= 0 && fuse_server_open(&options, &server, &err) == 0) {
        init(server, reply, &nodes, &files);
        for (size_t offset = 0; offset + 2 <= size;) {
            size_t length = (size_t)(data[offset] | data[offset + 1] << 8) % RECORD_MAX;

            offset += 2;
            if (length > size - offset)
                length = size - offset;
            feed(server, data + offset, length, reply, &nodes, &files);
            offset += length;
        }
    }
    fuse_server_free(server);
    (void)fchmod(root_fd, 0700); /* the root's mode is the guest's, too */
    (void)path_remove_tree(top_fd, strrchr(folder, '/') + 1, NULL);
    return 0;
}
