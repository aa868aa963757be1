#ifndef MICROVM_FUSE_SERVER_H
#define MICROVM_FUSE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Serves one directory of the host to a guest that is not trusted.
 *
 * Files are known to the guest by numbers alone (fuse_inodes.h): it opens a name that is a single
 * component in a directory that it was given, without following links, so there is no way out of
 * the root. The descriptor that comes of it has O_PATH and opens nothing yet; regular files and
 * directories are opened through it, never a device, a FIFO or a socket, which the guest's kernel
 * serves by itself. Device nodes are not made, but for the whiteout of overlayfs.
 *
 * The guest's kernel checks permissions (default_permissions), so what a user of the guest may do
 * is decided there; what its root may do to the directory, the guest may do. */

struct fuse_server;

enum fuse_cache {
    FUSE_CACHE_NONE,   /* names and attributes are asked for each time */
    FUSE_CACHE_AUTO,   /* they are believed for a second; data until the file is opened again */
    FUSE_CACHE_ALWAYS, /* nobody else changes the directory */
};

struct fuse_server_options {
    int root_fd;   /* a readable descriptor of the directory; borrowed */
    int socket_fd; /* a stream; borrowed */
    bool is_read_only;
    enum fuse_cache cache;
    int fdinfo_fd;     /* /proc/self/fdinfo; borrowed, and used if is_savable */
    bool is_savable;   /* obeys requests of enum fuse_state_opcode, which no guest can make then */
    size_t inodes_max; /* files that the guest may remember */
    size_t
        descriptors_max; /* that may be opened here; of RLIMIT_NOFILE, without those for others */
};

int fuse_server_open(const struct fuse_server_options *options, struct fuse_server **ret_server,
                     struct error *err);
void fuse_server_free(struct fuse_server *server);

/** Room that fuse_server_handle() needs for an answer. */
size_t fuse_server_reply_max(void);

/**
 * Does what one whole message asks for (see fuse_message_length()).
 *
 * @reply  takes the answer, aligned for 8 bytes
 *
 * Returns the length of the answer; 0 when there is none, or none yet.
 */
size_t fuse_server_handle(struct fuse_server *server, const uint8_t *message, size_t length,
                          uint8_t *reply);

/** Serves until the end of the stream. Returns 0 then, or an error. */
int fuse_server_run(struct fuse_server *server, struct error *err);

#endif
