#include "microvm/fuse_message.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/limits.h>
#include <string.h>

#include "base/auto.h"

enum names {
    NO_NAME,
    ONE_NAME,       /* of a file */
    TWO_NAMES,      /* of files */
    NAME_AND_TEXT,  /* SYMLINK: a name, and any text */
    ATTRIBUTE_NAME, /* may have slashes */
};

enum {
    NO_REPLY = 1,
    HAS_DATA = 2,
    CHANGES = 4,
};

struct operation {
    uint32_t opcode;
    const char *name;
    size_t size; /* of its arguments */
    enum names names;
    unsigned flags;
};

/* Without IOCTL, POLL and BMAP: for regular files the guest's kernel does without. */
static const struct operation operations[] = {
    { FUSE_LOOKUP, "LOOKUP", 0, ONE_NAME, 0 },
    { FUSE_FORGET, "FORGET", sizeof(struct fuse_forget_in), NO_NAME, NO_REPLY },
    { FUSE_GETATTR, "GETATTR", sizeof(struct fuse_getattr_in), NO_NAME, 0 },
    { FUSE_SETATTR, "SETATTR", sizeof(struct fuse_setattr_in), NO_NAME, CHANGES },
    { FUSE_READLINK, "READLINK", 0, NO_NAME, 0 },
    { FUSE_SYMLINK, "SYMLINK", 0, NAME_AND_TEXT, CHANGES },
    { FUSE_MKNOD, "MKNOD", sizeof(struct fuse_mknod_in), ONE_NAME, CHANGES },
    { FUSE_MKDIR, "MKDIR", sizeof(struct fuse_mkdir_in), ONE_NAME, CHANGES },
    { FUSE_UNLINK, "UNLINK", 0, ONE_NAME, CHANGES },
    { FUSE_RMDIR, "RMDIR", 0, ONE_NAME, CHANGES },
    { FUSE_RENAME, "RENAME", sizeof(struct fuse_rename_in), TWO_NAMES, CHANGES },
    { FUSE_RENAME2, "RENAME2", sizeof(struct fuse_rename2_in), TWO_NAMES, CHANGES },
    { FUSE_LINK, "LINK", sizeof(struct fuse_link_in), ONE_NAME, CHANGES },
    { FUSE_OPEN, "OPEN", sizeof(struct fuse_open_in), NO_NAME, 0 },
    { FUSE_READ, "READ", sizeof(struct fuse_read_in), NO_NAME, 0 },
    { FUSE_WRITE, "WRITE", sizeof(struct fuse_write_in), NO_NAME, HAS_DATA | CHANGES },
    { FUSE_STATFS, "STATFS", 0, NO_NAME, 0 },
    { FUSE_RELEASE, "RELEASE", sizeof(struct fuse_release_in), NO_NAME, 0 },
    { FUSE_FSYNC, "FSYNC", sizeof(struct fuse_fsync_in), NO_NAME, 0 },
    { FUSE_SETXATTR, "SETXATTR", sizeof(struct fuse_setxattr_in), ATTRIBUTE_NAME,
      HAS_DATA | CHANGES },
    { FUSE_GETXATTR, "GETXATTR", sizeof(struct fuse_getxattr_in), ATTRIBUTE_NAME, 0 },
    { FUSE_LISTXATTR, "LISTXATTR", sizeof(struct fuse_getxattr_in), NO_NAME, 0 },
    { FUSE_REMOVEXATTR, "REMOVEXATTR", 0, ATTRIBUTE_NAME, CHANGES },
    { FUSE_FLUSH, "FLUSH", sizeof(struct fuse_flush_in), NO_NAME, 0 },
    { FUSE_INIT, "INIT", sizeof(struct fuse_init_in), NO_NAME, 0 },
    { FUSE_OPENDIR, "OPENDIR", sizeof(struct fuse_open_in), NO_NAME, 0 },
    { FUSE_READDIR, "READDIR", sizeof(struct fuse_read_in), NO_NAME, 0 },
    { FUSE_READDIRPLUS, "READDIRPLUS", sizeof(struct fuse_read_in), NO_NAME, 0 },
    { FUSE_RELEASEDIR, "RELEASEDIR", sizeof(struct fuse_release_in), NO_NAME, 0 },
    { FUSE_FSYNCDIR, "FSYNCDIR", sizeof(struct fuse_fsync_in), NO_NAME, 0 },
    { FUSE_GETLK, "GETLK", sizeof(struct fuse_lk_in), NO_NAME, 0 },
    { FUSE_SETLK, "SETLK", sizeof(struct fuse_lk_in), NO_NAME, 0 },
    { FUSE_SETLKW, "SETLKW", sizeof(struct fuse_lk_in), NO_NAME, 0 },
    { FUSE_ACCESS, "ACCESS", sizeof(struct fuse_access_in), NO_NAME, 0 },
    { FUSE_CREATE, "CREATE", sizeof(struct fuse_create_in), ONE_NAME, CHANGES },
    { FUSE_TMPFILE, "TMPFILE", sizeof(struct fuse_create_in), ONE_NAME, CHANGES },
    { FUSE_INTERRUPT, "INTERRUPT", sizeof(struct fuse_interrupt_in), NO_NAME, NO_REPLY },
    { FUSE_DESTROY, "DESTROY", 0, NO_NAME, 0 },
    { FUSE_BATCH_FORGET, "BATCH_FORGET", sizeof(struct fuse_batch_forget_in), NO_NAME,
      HAS_DATA | NO_REPLY },
    { FUSE_FALLOCATE, "FALLOCATE", sizeof(struct fuse_fallocate_in), NO_NAME, CHANGES },
    { FUSE_LSEEK, "LSEEK", sizeof(struct fuse_lseek_in), NO_NAME, 0 },
    { FUSE_COPY_FILE_RANGE, "COPY_FILE_RANGE", sizeof(struct fuse_copy_file_range_in), NO_NAME,
      CHANGES },
    { FUSE_SYNCFS, "SYNCFS", sizeof(struct fuse_syncfs_in), NO_NAME, 0 },
};

static const struct operation *operation_find(uint32_t opcode)
{
    for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
        if (operations[i].opcode == opcode)
            return &operations[i];
    return NULL;
}

const char *fuse_message_name(uint32_t opcode)
{
    const struct operation *operation = operation_find(opcode);

    return operation == NULL ? NULL : operation->name;
}

int fuse_message_length(const uint8_t *bytes, size_t length)
{
    uint32_t value;

    assert(bytes != NULL);
    if (length < sizeof(value))
        return 0;
    memcpy(&value, bytes, sizeof(value));
    if (value < sizeof(struct fuse_in_header) || value > FUSE_MESSAGE_MAX)
        return -EBADMSG;
    return (int)value;
}

/* --- parts of a message ----------------------------------------------------------------------- */

struct rest {
    const uint8_t *bytes;
    size_t length;
};

/* Some are shorter than in linux/fuse.h, by what was agreed upon. */
static size_t arguments_size(const struct operation *operation, uint64_t init_flags,
                             const struct rest *rest)
{
    /* It has grown, and says nothing of its length. */
    if (operation->opcode == FUSE_INIT && rest->length < operation->size)
        return offsetof(struct fuse_init_in, flags2);
    if (operation->opcode == FUSE_SETXATTR && (init_flags & FUSE_SETXATTR_EXT) == 0)
        return FUSE_COMPAT_SETXATTR_IN_SIZE;
    return operation->size;
}

static int take_arguments(struct rest *rest, void *ret_arguments, size_t size)
{
    if (rest->length < size)
        return -EINVAL;
    memcpy(ret_arguments, rest->bytes, size);
    rest->bytes += size;
    rest->length -= size;
    return 0;
}

static int take_text(struct rest *rest, size_t max, const char **ret_text)
{
    const uint8_t *end = rest->length == 0 ? NULL : memchr(rest->bytes, '\0', rest->length);
    size_t length;

    if (end == NULL || end == rest->bytes)
        return -EINVAL;
    length = (size_t)(end - rest->bytes);
    if (length > max)
        return -ENAMETOOLONG;
    *ret_text = (const char *)rest->bytes;
    rest->bytes += length + 1;
    rest->length -= length + 1;
    return 0;
}

static int take_name(struct rest *rest, const char **ret_name)
{
    const char *name;
    int r = take_text(rest, NAME_MAX, &name);

    if (r < 0)
        return r;
    if (strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EINVAL;
    *ret_name = name;
    return 0;
}

static int take_names(struct rest *rest, enum names names, const char *ret_names[2])
{
    int r = 0;

    switch (names) {
    case NO_NAME:
        break;
    case ONE_NAME:
        r = take_name(rest, &ret_names[0]);
        break;
    case TWO_NAMES:
        r = take_name(rest, &ret_names[0]);
        if (r == 0)
            r = take_name(rest, &ret_names[1]);
        break;
    case NAME_AND_TEXT:
        r = take_name(rest, &ret_names[0]);
        if (r == 0)
            r = take_text(rest, PATH_MAX - 1, &ret_names[1]);
        break;
    case ATTRIBUTE_NAME:
        r = take_text(rest, XATTR_NAME_MAX, &ret_names[0]);
        break;
    }
    return r;
}

/* What the arguments say about the length of what follows. */
static uint64_t data_length(const struct fuse_request *request)
{
    switch (request->header.opcode) {
    case FUSE_WRITE:
        return request->in.write.size;
    case FUSE_SETXATTR:
        return request->in.setxattr.size;
    default:
        return (uint64_t)request->in.batch_forget.count * sizeof(struct fuse_forget_one);
    }
}

int fuse_message_parse(const uint8_t *bytes, size_t length, uint64_t init_flags,
                       struct fuse_request *ret_request)
{
    struct fuse_request *request = ret_request;
    const struct operation *operation;
    struct rest rest = { bytes + sizeof(request->header), length - sizeof(request->header) };
    int r;

    assert(bytes != NULL);
    assert(length >= sizeof(request->header));

    memset(request, 0, sizeof(*request));
    memcpy(&request->header, bytes, sizeof(request->header));
    request->has_reply = true;
    operation = operation_find(request->header.opcode);
    if (operation == NULL)
        return -ENOSYS;
    request->has_reply = (operation->flags & NO_REPLY) == 0;
    request->changes = (operation->flags & CHANGES) != 0;
    /* No extension of requests was agreed upon. */
    if (request->header.len != length || request->header.total_extlen != 0)
        return -EINVAL;
    r = take_arguments(&rest, &request->in, arguments_size(operation, init_flags, &rest));
    if (r < 0)
        return r;
    /* The kernel sends a name with it that means nothing. */
    if (operation->opcode == FUSE_TMPFILE)
        return 0;
    r = take_names(&rest, operation->names, request->names);
    if (r < 0)
        return r;
    /* Bytes that nothing speaks of are no request of any kernel's. */
    if ((operation->flags & HAS_DATA) == 0)
        return rest.length == 0 ? 0 : -EINVAL;
    if (rest.length != data_length(request))
        return -EINVAL;
    request->data = rest.bytes;
    request->data_length = rest.length;
    return 0;
}
