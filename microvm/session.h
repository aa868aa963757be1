#ifndef MICROVM_SESSION_H
#define MICROVM_SESSION_H

#include <signal.h>

#include "base/auto.h"
#include "microvm/agent_message.h"
#include "microvm/machine.h"
#include "microvm/saved_session.h"
#include "microvm/vm_config.h"
#include "microvm/warm_snapshot.h"

/* berth-vmm's life with its guest: the agent's channel, the streams of the first process, signals,
 * and the clients of control.sock, in one loop. Nothing that the agent says is trusted: it can end
 * its own machine, and decide what its own container's streams and exit statuses are. */

struct session_options {
    const struct vm_config *config;
    const struct agent_setup *setup; /* network, and how shares come; the rest is from the config */
    int agent_fd;                    /* our end of the agent's stream; non-blocking */
    int listen_fd;                   /* control.sock */
    int signal_fd;                   /* of session_open_signals() */
    bool is_loaded;                  /* the machine was saved when its agent had said hello */
    struct warm_snapshot *snapshot;  /* to be made then, and cleared; NULL: none */
    const struct saved_session *saved; /* how it stood when its machine was saved; NULL: anew */
    int oom_fd; /* a byte is written when the container ran out of memory; -1: nobody asks */
};

/** Blocks every signal that can be passed on, before threads exist. */
int session_open_signals(int *ret_fd, struct error *err);

struct session;
/** Opens what the session needs; before the machine starts, which takes the right to open anything.
 * @options are borrowed. */
int session_open(const struct session_options *options, struct session **ret_session,
                 struct error *err);
void session_free(struct session *session);
DEFINE_AUTO(session)

/** Runs until the guest is over. Returns the exit status of the container's first process, or an
 * error. */
int session_run(struct session *session, struct machine *machine, struct error *err);

#endif
