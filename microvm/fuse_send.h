#ifndef MICROVM_FUSE_SEND_H
#define MICROVM_FUSE_SEND_H

#include <stdint.h>

/** Sends an answer that is a code alone: 0 or a negative errno value. Returns 0 or such a value. */
int fuse_send_error(int socket_fd, uint64_t unique, int code);

#endif
