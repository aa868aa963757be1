/* The operations on open directories. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "microvm/fuse_calls.h"

/* Of the kernel's getdents64(2), which no header has. */
struct linux_entry {
    uint64_t number;
    int64_t next; /* where the one behind it begins */
    uint16_t length;
    uint8_t type;
    char name[];
};

/* The kernel's entries of what fits into one answer are shorter than the guest's. */
#define ENTRIES_BYTES (32u << 10)

int fuse_call_opendir(struct fuse_server *server, const struct fuse_request *request,
                      struct fuse_inode *inode, uint8_t *reply)
{
    struct fuse_file *file;
    int r;

    (void)request;
    if (!S_ISDIR(inode->type))
        return -ENOTDIR;
    r = fuse_file_open(server, inode, O_RDONLY, &file);
    if (r < 0)
        return r;
    *(struct fuse_open_out *)reply = (struct fuse_open_out){ .fh = file->id };
    if (server->options.cache == FUSE_CACHE_ALWAYS)
        ((struct fuse_open_out *)reply)->open_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
    return sizeof(struct fuse_open_out);
}

/* --- one entry -------------------------------------------------------------------------------- */

struct answer {
    uint8_t *bytes;
    size_t length;
    size_t size; /* that the guest has room for */
};

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void dirent_write(const struct linux_entry *entry, size_t name_length, uint8_t *bytes)
{
    struct fuse_dirent *out = (struct fuse_dirent *)bytes;

    *out = (struct fuse_dirent){
        .ino = entry->number,
        .off = (uint64_t)entry->next,
        .namelen = (uint32_t)name_length,
        .type = entry->type,
    };
    memcpy(out->name, entry->name, name_length);
    /* The answer's memory was another answer's. */
    memset(out->name + name_length, 0,
           FUSE_DIRENT_SIZE(out) - offsetof(struct fuse_dirent, name) - name_length);
}

/* Returns 1 when it was added, 0 when there is no room. */
static int entry_add(const struct linux_entry *entry, struct answer *answer)
{
    size_t name_length = strlen(entry->name);
    size_t length = FUSE_DIRENT_ALIGN(offsetof(struct fuse_dirent, name) + name_length);

    if (length > answer->size - answer->length)
        return 0;
    dirent_write(entry, name_length, answer->bytes + answer->length);
    answer->length += length;
    return 1;
}

/* With a lookup. What cannot be looked up has no number: the guest will ask for it by name. */
static int entry_plus_add(struct fuse_server *server, const struct fuse_file *file,
                          const struct linux_entry *entry, struct answer *answer)
{
    size_t name_length = strlen(entry->name);
    size_t length = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + name_length);
    struct fuse_direntplus *out = (struct fuse_direntplus *)(answer->bytes + answer->length);
    int fd;
    int r;

    if (length > answer->size - answer->length)
        return 0;
    memset(&out->entry_out, 0, sizeof(out->entry_out));
    if (!is_dot(entry->name)) {
        fd = fuse_name_open(file->fd, entry->name);
        r = fd < 0 ? fd
                   : fuse_entry_add(server, fd, file->inode, entry->name, &out->entry_out, NULL);
        /* Removed meanwhile. */
        if (r == -ENOENT)
            return 1;
    }
    dirent_write(entry, name_length, (uint8_t *)&out->dirent);
    answer->length += length;
    return 1;
}

/* --- many ------------------------------------------------------------------------------------- */

static int entries_add(struct fuse_server *server, const struct fuse_file *file, bool is_plus,
                       const uint8_t *entries, size_t length, struct answer *answer)
{
    for (size_t offset = 0; offset < length;) {
        struct linux_entry *entry = (struct linux_entry *)(entries + offset);
        int r;

        /* What is above the root is none of the guest's business. */
        if (file->inode == server->inodes.root && strcmp(entry->name, "..") == 0)
            entry->number = file->inode->number;
        r = is_plus ? entry_plus_add(server, file, entry, answer) : entry_add(entry, answer);
        if (r == 0)
            return 0;
        offset += entry->length;
    }
    return 1;
}

/* Leaves the descriptor where it read last: the guest says each time where it goes on. */
static int read_directory(struct fuse_server *server, const struct fuse_request *request,
                          struct fuse_inode *inode, bool is_plus, uint8_t *reply)
{
    _Alignas(struct linux_entry) uint8_t entries[ENTRIES_BYTES];
    const struct fuse_read_in *in = &request->in.read;
    struct fuse_file *file = fuse_file_find(server, in->fh, inode);
    size_t room = in->size < FUSE_MAX_WRITE ? in->size : FUSE_MAX_WRITE;
    struct answer answer = { reply, 0, room };

    if (file == NULL || !S_ISDIR(inode->type))
        return -EBADF;
    if (lseek(file->fd, (off_t)in->offset, SEEK_SET) < 0)
        return -errno;
    for (;;) {
        size_t left = answer.size - answer.length;
        long length;
        int r;

        /* Not more than can be used, but enough for one with the longest name. */
        if (left > sizeof(entries))
            left = sizeof(entries);
        if (left < 512)
            left = 512;
        length = syscall(SYS_getdents64, file->fd, entries, left);
        if (length < 0)
            return answer.length > 0 ? (int)answer.length : -errno;
        if (length == 0)
            return (int)answer.length;
        r = entries_add(server, file, is_plus, entries, (size_t)length, &answer);
        if (r == 0)
            return (int)answer.length;
    }
}

int fuse_call_readdir(struct fuse_server *server, const struct fuse_request *request,
                      struct fuse_inode *inode, uint8_t *reply)
{
    return read_directory(server, request, inode, false, reply);
}

int fuse_call_readdirplus(struct fuse_server *server, const struct fuse_request *request,
                          struct fuse_inode *inode, uint8_t *reply)
{
    return read_directory(server, request, inode, true, reply);
}
