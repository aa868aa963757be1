#include "microvm/fuse_send.h"

#include <linux/fuse.h>

#include "base/fd.h"

int fuse_send_error(int socket_fd, uint64_t unique, int code)
{
    struct fuse_out_header header = { .len = sizeof(header), .error = code, .unique = unique };

    return fd_write_all(socket_fd, &header, sizeof(header), "the guest's stream", NULL);
}
