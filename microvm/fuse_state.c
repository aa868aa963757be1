#include "microvm/fuse_state.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "microvm/fuse_calls.h"

/* Of a path in a sentence. */
#define NAMES_MAX 16u

/* As they stand in a file, without gaps. */
struct saved_server {
    uint64_t init_flags;
    uint32_t is_ready;
    uint32_t inode_serial, file_serial;
    uint32_t inode_count, file_count, lock_count;
};

enum { INODE_IS_SUBMOUNT = 1, INODE_IS_LOST = 2 };

/* A directory comes before what is in it. The name follows. */
struct saved_inode {
    uint64_t id;
    uint64_t parent; /* 0: none */
    uint64_t lookups;
    uint64_t number;
    uint64_t size;
    int64_t birth, changed; /* seconds */
    uint32_t birth_ns, changed_ns;
    uint32_t type;
    uint32_t flags;
    uint32_t name_length;
    uint32_t unused;
};

struct saved_file {
    uint64_t id;
    uint64_t inode;
    uint32_t flags;
    uint32_t unused;
};

/* The holder is an open file or an owner: struct fuse_lock. */
struct saved_lock {
    uint64_t inode;
    uint64_t holder;
    int64_t start, length;
    uint32_t type;
    uint32_t is_flock;
};
static_assert(sizeof(struct saved_server) == 32, "there is a gap");
static_assert(sizeof(struct saved_inode) == 80, "there is a gap");
static_assert(sizeof(struct saved_file) == 24, "there is a gap");
static_assert(sizeof(struct saved_lock) == 40, "there is a gap");

static size_t index_of(const struct fuse_inode *inode)
{
    return (uint32_t)inode->id - 1;
}

/* For a sentence. The caller frees it. */
static char *path_of(const struct fuse_inode *inode)
{
    auto_free char *path = xstrdup(inode->name == NULL ? "" : inode->name);

    for (unsigned i = 0; i < NAMES_MAX && inode->parent != NULL && inode->parent->name != NULL;
         i++) {
        char *longer = xasprintf("%s/%s", inode->parent->name, path);

        free(path);
        path = longer;
        inode = inode->parent;
    }
    return take_ptr(&path);
}

/* --- saving ----------------------------------------------------------------------------------- */

struct saving {
    struct fuse_server *server;
    struct state_writer *writer;
    bool *is_put;  /* by index_of() */
    bool *is_lost; /* its name does not lead to it */
    struct fuse_inode **chain;
    struct saved_server counts;
};

static void identify(struct saved_inode *saved, const struct statx *status)
{
    saved->number = status->stx_ino;
    saved->size = status->stx_size;
    saved->changed = status->stx_mtime.tv_sec;
    saved->changed_ns = status->stx_mtime.tv_nsec;
    if ((status->stx_mask & STATX_BTIME) == 0)
        return;
    saved->birth = status->stx_btime.tv_sec;
    saved->birth_ns = status->stx_btime.tv_nsec;
}

static int put_inode(struct saving *saving, struct fuse_inode *inode, struct error *err)
{
    struct saved_inode saved = {
        .id = inode->id,
        .parent = inode->parent == NULL ? 0 : inode->parent->id,
        .lookups = inode->lookups,
        .type = inode->type,
        .flags = inode->is_submount ? INODE_IS_SUBMOUNT : 0,
        .name_length = inode->parent == NULL ? 0 : (uint32_t)strlen(inode->name),
    };
    const bool is_root = inode == saving->server->inodes.root;
    struct statx status;
    int r = 0;

    if (inode->parent != NULL && saving->is_lost[index_of(inode->parent)])
        r = -ESTALE;
    else if (!is_root)
        r = fuse_inodes_check_name(&saving->server->inodes, inode, &status);
    if (r < 0 && r != -ESTALE) {
        auto_free char *path = path_of(inode);

        return error_set(err, -r, "look for file '%s': %s", path, strerror(-r));
    }
    saving->is_lost[index_of(inode)] = r < 0;
    if (r < 0)
        saved.flags |= INODE_IS_LOST;
    else if (!is_root)
        identify(&saved, &status);
    state_put(saving->writer, &saved, sizeof(saved));
    state_put(saving->writer, inode->name, saved.name_length);
    saving->is_put[index_of(inode)] = true;
    saving->counts.inode_count++;
    if (saving->writer->length > FUSE_STATE_MAX)
        return error_set(err, E2BIG,
                         "the guest remembers more files than can be saved (%zu); in it, 'echo 2 > "
                         "/proc/sys/vm/drop_caches' makes it forget what it does not use",
                         saving->server->inodes.count);
    return 0;
}

/* Behind the directories above it. */
static int put_chain(struct saving *saving, struct fuse_inode *inode, struct error *err)
{
    size_t depth = 0;
    int r = 0;

    for (; inode != NULL && !saving->is_put[index_of(inode)]; inode = inode->parent)
        saving->chain[depth++] = inode;
    while (depth > 0 && r == 0)
        r = put_inode(saving, saving->chain[--depth], err);
    return r;
}

static int put_file(struct saving *saving, const struct fuse_file *file, struct error *err)
{
    const struct saved_file saved = { .id = file->id,
                                      .inode = file->inode->id,
                                      .flags = (uint32_t)fuse_file_flags(file) };

    if (saving->is_lost[index_of(file->inode)]) {
        auto_free char *path = path_of(file->inode);

        return error_set(err, EBUSY,
                         "the guest has file '%s' open, which was removed or has another name now",
                         path);
    }
    state_put(saving->writer, &saved, sizeof(saved));
    saving->counts.file_count++;
    return 0;
}

static int put_lock(struct fuse_inode *inode, const struct fuse_lock *lock, void *context,
                    struct error *err)
{
    struct saving *saving = context;
    const struct saved_lock saved = { .inode = inode->id,
                                      .holder = lock->holder,
                                      .start = lock->start,
                                      .length = lock->length,
                                      .type = (uint32_t)lock->type,
                                      .is_flock = lock->is_flock };

    if (saving->writer->length + sizeof(saved) > FUSE_STATE_MAX)
        return error_set(err, E2BIG, "the guest holds more locks than can be saved");
    state_put(saving->writer, &saved, sizeof(saved));
    saving->counts.lock_count++;
    return 0;
}

int fuse_state_save(struct fuse_server *server, struct state_writer *writer, struct error *err)
{
    const size_t room = server->inodes.slots.used;
    auto_free bool *is_put = xcalloc(room, sizeof(*is_put));
    auto_free bool *is_lost = xcalloc(room, sizeof(*is_lost));
    auto_free struct fuse_inode **chain = xcalloc(room, sizeof(struct fuse_inode *));
    struct saving saving = {
        .server = server,
        .writer = writer,
        .is_put = is_put,
        .is_lost = is_lost,
        .chain = chain,
        .counts = { .init_flags = server->init_flags,
                    .is_ready = server->is_ready,
                    .inode_serial = server->inodes.slots.serial,
                    .file_serial = server->files.serial },
    };
    size_t counts_at;
    int r = 0;

    state_put_mark(writer, "fuse");
    counts_at = writer->length;
    state_put(writer, &saving.counts, sizeof(saving.counts));
    for (size_t i = 0; r == 0 && i < room; i++)
        r = put_chain(&saving, fuse_slots_at(&server->inodes.slots, i), err);
    for (size_t i = 0; r == 0 && i < server->files.used; i++) {
        const struct fuse_file *file = fuse_slots_at(&server->files, i);

        if (file != NULL)
            r = put_file(&saving, file, err);
    }
    if (r == 0 && writer->length > FUSE_STATE_MAX)
        r = error_set(err, E2BIG, "the guest has more files open than can be saved (%u)",
                      saving.counts.file_count);
    if (r == 0)
        r = fuse_locks_list(server, put_lock, &saving, err);
    if (r == 0)
        memcpy(writer->bytes + counts_at, &saving.counts, sizeof(saving.counts));
    return r;
}

/* --- restoring -------------------------------------------------------------------------------- */

static int impossible(const char *what, struct error *err)
{
    return error_set(err, EBADMSG, "the saved files of the share have an impossible %s", what);
}

static int take_name(struct state_reader *reader, const struct saved_inode *saved,
                     char ret_name[NAME_MAX + 1], struct error *err)
{
    int r;

    if (saved->name_length > NAME_MAX)
        return impossible("name", err);
    r = state_take(reader, ret_name, saved->name_length, err);
    if (r < 0)
        return r;
    ret_name[saved->name_length] = '\0';
    if ((saved->parent == 0) != (saved->name_length == 0) ||
        strlen(ret_name) != saved->name_length || strchr(ret_name, '/') != NULL ||
        strcmp(ret_name, ".") == 0 || strcmp(ret_name, "..") == 0)
        return impossible("name", err);
    return 0;
}

static int check_inode(const struct saved_inode *saved, const struct fuse_inode *parent,
                       struct error *err)
{
    if ((saved->type & ~(uint32_t)S_IFMT) != 0 || saved->type == 0)
        return impossible("type", err);
    if ((saved->flags & ~(uint32_t)(INODE_IS_SUBMOUNT | INODE_IS_LOST)) != 0)
        return impossible("flag", err);
    if (saved->parent == 0 ? (saved->flags & INODE_IS_LOST) == 0
                           : parent == NULL || !S_ISDIR(parent->type))
        return impossible("directory", err);
    return 0;
}

static bool is_same_kind(const struct saved_inode *saved, const struct fuse_inode *parent,
                         const struct statx *status)
{
    const bool is_submount =
        S_ISDIR(saved->type) &&
        parent->device != makedev(status->stx_dev_major, status->stx_dev_minor);

    return saved->type == (status->stx_mode & (uint32_t)S_IFMT) &&
           ((saved->flags & INODE_IS_SUBMOUNT) != 0) == is_submount;
}

static bool is_same_file(const struct saved_inode *saved, const struct statx *status)
{
    struct saved_inode now = { 0 };

    if (S_ISDIR(saved->type))
        return true;
    identify(&now, status);
    return (saved->number == now.number && saved->birth == now.birth &&
            saved->birth_ns == now.birth_ns) ||
           (saved->size == now.size && saved->changed == now.changed &&
            saved->changed_ns == now.changed_ns);
}

/* Returns an O_PATH descriptor of what is known, -ESTALE when it is not there any more, or another
 * negative errno value. A single file that is bound is what the bundle says now, as in any
 * container: the guest never looks up the name of what it has mounted again. */
static int find_file(struct fuse_server *server, const struct saved_inode *saved,
                     struct fuse_inode *parent, const char *name, struct statx *ret_status,
                     bool *ret_is_replaced)
{
    auto_close int fd = -1;
    int r;

    if ((saved->flags & INODE_IS_LOST) != 0)
        return -ESTALE;
    r = fuse_inodes_descriptor(&server->inodes, parent);
    if (r < 0)
        return r;
    fd = fuse_name_open(r, name);
    if (fd < 0)
        return fd == -ENOENT || fd == -ENOTDIR ? -ESTALE : fd;
    r = fuse_inode_status(fd, ret_status);
    if (r < 0)
        return r;
    *ret_is_replaced = !is_same_file(saved, ret_status);
    /* Two numbers of one file are none of a guest's. */
    if (!is_same_kind(saved, parent, ret_status) ||
        (*ret_is_replaced && (ret_status->stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) ||
        fuse_inodes_find_file(&server->inodes,
                              makedev(ret_status->stx_dev_major, ret_status->stx_dev_minor),
                              ret_status->stx_ino) != NULL)
        return -ESTALE;
    return take_fd(&fd);
}

static int restore_inode(struct fuse_server *server, struct state_reader *reader, struct error *err)
{
    struct fuse_inode *parent;
    char name[NAME_MAX + 1];
    struct saved_inode saved;
    bool is_replaced = false;
    struct statx status;
    int fd;
    int r = state_take(reader, &saved, sizeof(saved), err);

    if (r == 0)
        r = take_name(reader, &saved, name, err);
    if (r < 0)
        return r;
    if (saved.id == server->inodes.root->id && saved.parent == 0)
        return 0;
    parent = fuse_inodes_find(&server->inodes, saved.parent);
    r = check_inode(&saved, parent, err);
    if (r < 0)
        return r;
    fd = find_file(server, &saved, parent, name, &status, &is_replaced);
    if (fd < 0 && fd != -ESTALE)
        return error_set(err, -fd, "look for file '%s': %s", name, strerror(-fd));
    r = fuse_inodes_put(&server->inodes,
                        &(struct fuse_known){ .id = saved.id,
                                              .lookups = saved.lookups,
                                              .type = (mode_t)saved.type,
                                              .is_submount = (saved.flags & INODE_IS_SUBMOUNT) != 0,
                                              .is_replaced = is_replaced,
                                              .parent = parent,
                                              .name = name },
                        fd < 0 ? -1 : fd, &status);
    if (r == -EINVAL)
        return impossible("number", err);
    return r < 0 ? error_set(err, -r, "the guest knows more files than may be open here") : 0;
}

static int restore_file(struct fuse_server *server, struct state_reader *reader, struct error *err)
{
    auto_free char *path = NULL;
    struct saved_file saved;
    struct fuse_inode *inode;
    int r = state_take(reader, &saved, sizeof(saved), err);

    if (r < 0)
        return r;
    inode = fuse_inodes_find(&server->inodes, saved.inode);
    if (inode == NULL || saved.id == 0)
        return impossible("open file", err);
    r = inode->is_replaced ? -ESTALE : fuse_file_restore(server, saved.id, inode, (int)saved.flags);
    if (r == 0)
        return 0;
    path = path_of(inode);
    if (r == -ESTALE)
        return error_set(err, ESTALE,
                         "file '%s', which the saved guest has open, is not there any more, or is "
                         "another one",
                         path);
    return error_set(err, -r, "open file '%s' again for the saved guest: %s", path, strerror(-r));
}

static int restore_lock(struct fuse_server *server, struct state_reader *reader, struct error *err)
{
    auto_free char *path = NULL;
    struct saved_lock saved;
    struct fuse_lock lock;
    struct fuse_inode *inode;
    int r = state_take(reader, &saved, sizeof(saved), err);

    if (r < 0)
        return r;
    inode = fuse_inodes_find(&server->inodes, saved.inode);
    if (inode == NULL || saved.start < 0 || saved.length < 0 ||
        (saved.type != F_RDLCK && saved.type != F_WRLCK))
        return impossible("lock", err);
    lock = (struct fuse_lock){ .is_flock = saved.is_flock != 0,
                               .holder = saved.holder,
                               .type = (short)saved.type,
                               .start = saved.start,
                               .length = saved.length };
    r = fuse_locks_restore(server, inode, &lock);
    if (r == 0)
        return 0;
    path = path_of(inode);
    if (r == -EAGAIN)
        return error_set(err, EAGAIN,
                         "file '%s', which the saved guest has locked, is locked by somebody else",
                         path);
    return error_set(err, -r, "lock file '%s' again for the saved guest: %s", path, strerror(-r));
}

static int restore(struct fuse_server *server, struct state_reader *reader, struct error *err)
{
    struct saved_server saved;
    int r = state_take_mark(reader, "fuse", err);

    if (r == 0)
        r = state_take(reader, &saved, sizeof(saved), err);
    if (r < 0)
        return r;
    /* Whether there are access lists is another file system's answer. */
    if ((saved.init_flags & ~(fuse_server_flags(server) | FUSE_POSIX_ACL)) != 0)
        return error_set(err, EXDEV, "the saved guest uses what is not served here (0x%llx)",
                         (unsigned long long)saved.init_flags);
    for (uint32_t i = 0; r == 0 && i < saved.inode_count; i++)
        r = restore_inode(server, reader, err);
    if (r == 0)
        fuse_slots_resume(&server->inodes.slots, saved.inode_serial);
    for (uint32_t i = 0; r == 0 && i < saved.file_count; i++)
        r = restore_file(server, reader, err);
    if (r == 0)
        fuse_slots_resume(&server->files, saved.file_serial);
    for (uint32_t i = 0; r == 0 && i < saved.lock_count; i++)
        r = restore_lock(server, reader, err);
    if (r == 0 && reader->left != 0)
        r = impossible("length", err);
    if (r < 0)
        return r;
    server->init_flags = saved.init_flags;
    server->is_ready = saved.is_ready != 0;
    return 0;
}

int fuse_state_restore(struct fuse_server *server, struct state_reader *reader, struct error *err)
{
    int r;

    if (server->is_ready || server->inodes.count > 1 || server->files.used > 0)
        return error_set(err, EBUSY, "a server that serves already takes no state of another one");
    r = restore(server, reader, err);
    if (r < 0)
        (void)fuse_server_begin_again(server); /* as at first, of which the guest gets nothing */
    return r;
}

/* --- messages --------------------------------------------------------------------------------- */

static void state_clear(struct fuse_server *server)
{
    state_writer_clear(&server->state);
    server->state_read = 0;
}

static int save_begin(struct fuse_server *server, struct error *err)
{
    state_clear(server);
    return fuse_state_save(server, &server->state, err);
}

/* Returns the length of the next piece. */
static int read_piece(struct fuse_server *server, uint8_t *piece)
{
    size_t length = server->state.length - server->state_read;

    if (length > FUSE_MAX_WRITE)
        length = FUSE_MAX_WRITE;
    if (length > 0)
        memcpy(piece, server->state.bytes + server->state_read, length);
    server->state_read += length;
    if (length == 0)
        state_clear(server);
    return (int)length;
}

static int write_piece(struct fuse_server *server, const uint8_t *piece, size_t length,
                       struct error *err)
{
    if (length > FUSE_STATE_MAX - server->state.length)
        return impossible("length", err);
    state_put(&server->state, piece, length);
    return 0;
}

static int restore_written(struct fuse_server *server, struct error *err)
{
    struct state_reader reader = { server->state.bytes, server->state.length };
    const int r = fuse_state_restore(server, &reader, err);

    state_clear(server);
    return r;
}

static int handle(struct fuse_server *server, uint32_t opcode, const uint8_t *piece, size_t length,
                  uint8_t *reply, struct error *err)
{
    switch (opcode) {
    case FUSE_STATE_SAVE:
        return save_begin(server, err);
    case FUSE_STATE_READ:
        return read_piece(server, reply);
    case FUSE_STATE_WRITE:
        return write_piece(server, piece, length, err);
    case FUSE_STATE_RESTORE:
        return restore_written(server, err);
    default:
        return error_set(err, ENOSYS, "no such request: %x", opcode);
    }
}

size_t fuse_state_handle(struct fuse_server *server, const uint8_t *message, size_t length,
                         uint8_t *reply)
{
    struct fuse_out_header *header = (struct fuse_out_header *)reply;
    uint8_t *body = reply + sizeof(*header);
    struct fuse_in_header request;
    struct error error = { 0 };
    int r;

    assert(length >= sizeof(request));

    memcpy(&request, message, sizeof(request));
    r = handle(server, request.opcode, message + sizeof(request), length - sizeof(request), body,
               &error);
    *header = (struct fuse_out_header){ .error = r < 0 ? r : 0, .unique = request.unique };
    if (r < 0) {
        state_clear(server);
        r = (int)strlen(error.message);
        memcpy(body, error.message, (size_t)r);
    }
    header->len = (uint32_t)sizeof(*header) + (uint32_t)r;
    return header->len;
}
