#ifndef MICROVM_FUSE_MESSAGE_H
#define MICROVM_FUSE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/fuse.h>

/* Requests of a guest's kernel as it writes them (linux/fuse.h), taken apart once: what the
 * handlers get has the right lengths, and names that are single components.
 *
 * The guest is not trusted: all of it may be anything. */

/* The largest piece of a file in one READ or WRITE. */
#define FUSE_MAX_WRITE (1u << 20)
/* A request that writes so much, with its headers. */
#define FUSE_MESSAGE_MAX (FUSE_MAX_WRITE + 4096u)

/* Requests that are none of FUSE: berth-vmm's own, by which a server's state moves to another one.
 * They are a header, for WRITE a piece of the state behind it; the answer of READ is the next
 * piece, empty at the end. An answer with an error has the sentence behind its header. The guest's
 * own requests never have such numbers (virtio_fs.c), and a server that is not told to knows none.
 */
#define FUSE_STATE_FIRST 0xbe000000u
enum fuse_state_opcode {
    FUSE_STATE_SAVE = FUSE_STATE_FIRST,
    FUSE_STATE_READ,
    FUSE_STATE_WRITE,
    FUSE_STATE_RESTORE,
};
#define FUSE_STATE_LAST 0xbe0000ffu
/* More files than any guest but a very large one remembers: 200,000 of them. */
#define FUSE_STATE_MAX (16u << 20)

union fuse_arguments {
    struct fuse_init_in init;
    struct fuse_forget_in forget;
    struct fuse_batch_forget_in batch_forget;
    struct fuse_getattr_in getattr;
    struct fuse_setattr_in setattr;
    struct fuse_mknod_in mknod;
    struct fuse_mkdir_in mkdir;
    struct fuse_rename_in rename;
    struct fuse_rename2_in rename2;
    struct fuse_link_in link;
    struct fuse_open_in open;
    struct fuse_create_in create;
    struct fuse_release_in release;
    struct fuse_flush_in flush;
    struct fuse_read_in read;
    struct fuse_write_in write;
    struct fuse_fsync_in fsync;
    struct fuse_setxattr_in setxattr;
    struct fuse_getxattr_in getxattr;
    struct fuse_lk_in lock;
    struct fuse_access_in access;
    struct fuse_interrupt_in interrupt;
    struct fuse_fallocate_in fallocate;
    struct fuse_lseek_in lseek;
    struct fuse_copy_file_range_in copy_file_range;
};

/** One request. Names and data are borrowed from the message. */
struct fuse_request {
    struct fuse_in_header header;
    bool has_reply;          /* FORGET, BATCH_FORGET and INTERRUPT have none */
    bool changes;            /* writes to the file system, whatever its arguments are */
    union fuse_arguments in; /* the member of the operation; zeroes behind what the guest sent */
    const char *names[2];    /* of files: no "", ".", ".." or slash; of attributes: not "" */
    const uint8_t *data; /* WRITE: bytes; SETXATTR: value; BATCH_FORGET: struct fuse_forget_one */
    size_t data_length;  /* as its operation says: size, or count entries */
};

/**
 * Length of the message that begins at @bytes.
 *
 * Returns 0 when less than its length field is there, the length, or -EBADMSG when no message has
 * such a length: what follows cannot be found then.
 */
int fuse_message_length(const uint8_t *bytes, size_t length);

/**
 * Takes one whole message apart and checks it.
 *
 * @length       what fuse_message_length() returned
 * @init_flags   what was agreed upon by INIT: some arguments have another form by it
 * @ret_request  the header, and has_reply, are always written: for an answer with the error
 *
 * Returns 0; -ENOSYS: no such operation; -EINVAL: lengths or names are wrong; -ENAMETOOLONG.
 */
int fuse_message_parse(const uint8_t *bytes, size_t length, uint64_t init_flags,
                       struct fuse_request *ret_request);

/** "LOOKUP", or NULL for an operation that is not served. */
const char *fuse_message_name(uint32_t opcode);

#endif
