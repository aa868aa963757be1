#ifndef MICROVM_SHARE_STATE_H
#define MICROVM_SHARE_STATE_H

#include <stdint.h>

#include "base/error.h"
#include "microvm/machine_state.h"

/* The state of a share's server (fuse_state.h), asked for and given by the requests of enum
 * fuse_state_opcode. Nothing else may be under way on the socket. The server is not trusted: what
 * it sends has a limit, and so has the time that it takes. */

/**
 * Puts the server's state, at most FUSE_STATE_MAX bytes.
 *
 * @fd  the socket; not read beyond the last answer
 */
int share_state_save(int fd, struct state_writer *writer, struct error *err);
/** Gives a server that has served nothing the state of another one. */
int share_state_restore(int fd, const uint8_t *bytes, uint32_t length, struct error *err);

#endif
