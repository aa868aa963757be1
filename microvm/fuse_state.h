#ifndef MICROVM_FUSE_STATE_H
#define MICROVM_FUSE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "microvm/machine_state.h"

/* What a server of a directory knows of its guest, for another server, of the same directory or a
 * copy of it, that goes on with the saved guest: each file that the guest can name by its number,
 * with its name in its directory, the files that are open, and the locks that are held.
 *
 * What a name leads to later is taken if it is the same file: a directory; the file with this
 * number and time of birth; one of the same size and time of change, as a copy has that kept its
 * times; or, unless it is open, what is mounted there, as a bound file is. What is not there any
 * more is ESTALE for the guest, which then looks its name up again; unless it is open, in which
 * case the guest cannot go on. The content of the files is not saved.
 *
 * The state comes from a file, so nothing in it is believed: it can only name files beneath the
 * root, by single components without links. */

struct fuse_server;

/**
 * Puts the state of a server to which all is answered. It serves on.
 *
 * -EBUSY: an open file has no name any more. -E2BIG: too many files are known.
 */
int fuse_state_save(struct fuse_server *server, struct state_writer *writer, struct error *err);

/**
 * Takes a state into a server that has served nothing.
 *
 * -EBADMSG: no state of a server. -ESTALE: an open file is not there, or is another one. -EAGAIN:
 * somebody else holds a lock. After an error the server knows nothing.
 */
int fuse_state_restore(struct fuse_server *server, struct state_reader *reader, struct error *err);

/** Answers a request of enum fuse_state_opcode. Returns the length of the answer. */
size_t fuse_state_handle(struct fuse_server *server, const uint8_t *message, size_t length,
                         uint8_t *reply);

#endif
