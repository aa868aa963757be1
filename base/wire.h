#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* Messages between berth's own processes over SOCK_SEQPACKET: a type, a payload of known length,
 * and up to WIRE_FDS_MAX descriptors. Sizes are checked on receipt; a truncated message is an
 * error. */

#define WIRE_PAYLOAD_MAX 32768
#define WIRE_FDS_MAX     8

struct wire_message {
    uint32_t type;
    uint32_t length;       /* bytes of payload */
    int fds[WIRE_FDS_MAX]; /* owned by the receiver; -1 where none */
    size_t fd_count;
    char payload[WIRE_PAYLOAD_MAX + 1]; /* a zero byte follows the payload */
};

/** A connected pair, close-on-exec. */
int wire_pair(int ret_fds[2], struct error *err);

/**
 * Listens on a socket in the directory @dir_fd (AT_FDCWD allowed), however long its path is. A
 * socket of that name is replaced: the caller sees to it that nobody listens on it.
 *
 * @mode  of the socket's file, less the umask
 */
int wire_listen(int dir_fd, const char *name, mode_t mode, int *ret_fd, struct error *err);
/** Connects to it. -ENOENT and -ECONNREFUSED are promised: nobody listens. */
int wire_connect(int dir_fd, const char *name, int *ret_fd, struct error *err);
int wire_accept(int listen_fd, int *ret_fd, struct error *err);

/**
 * Sends one message. On a non-blocking socket -EAGAIN means: not sent, try when writable.
 *
 * @fds  borrowed; NULL with @fd_count 0
 *
 * Returns 0; -EPIPE and -ECONNRESET: the peer is gone. Never raises SIGPIPE.
 */
int wire_send(int fd, uint32_t type, const void *payload, size_t length, const int *fds,
              size_t fd_count, struct error *err);

/**
 * Receives one message.
 *
 * Returns 1 for a message, 0 at end of file (the peer died or closed), -EAGAIN on a non-blocking
 * socket without a message.
 */
int wire_receive(int fd, struct wire_message *message, struct error *err);

/** Closes the descriptors that are still in @message. */
void wire_message_close(struct wire_message *message);

#endif
