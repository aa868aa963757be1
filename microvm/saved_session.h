#ifndef MICROVM_SAVED_SESSION_H
#define MICROVM_SAVED_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"
#include "microvm/channel.h"
#include "microvm/machine_state.h"

/* What berth-vmm knows of a guest that runs, besides the machine: how the channel to its agent
 * stands, and what of the streams of its first process is still on its way. It is the file
 * "session" beside the machine's "state" and "memory", in the form of machine_state.h. */

#define SAVED_STATE   "state"
#define SAVED_MEMORY  "memory"
#define SAVED_SESSION "session"
#define SAVED_DISK    "disk"

struct saved_session {
    uint32_t agent_version;
    uint32_t next_number, next_request;
    bool has_terminal;
    bool has_input_ended;
    struct channel_stream streams[3]; /* of the first process */
    uint8_t *sent;                    /* that the machine has not taken yet; owned */
    uint32_t sent_length;
    uint8_t *waiting[2]; /* that the process wrote and nobody has read; owned */
    uint32_t waiting_length[2];
};
void saved_session_clear(struct saved_session *saved);

/** @fd  empty and writable */
int saved_session_write(const struct saved_session *saved, int fd, struct error *err);
/**
 * Reads the file and checks it: no value in it is one that a session cannot have.
 *
 * -EBADMSG: damaged. -EXDEV: of another version.
 */
int saved_session_read(int fd, struct saved_session *ret_saved, struct error *err);
/** The same for what stands behind the file's header. Pure. */
int saved_session_parse(struct state_reader *reader, struct saved_session *ret_saved,
                        struct error *err);

#endif
