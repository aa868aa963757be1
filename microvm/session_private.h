#ifndef MICROVM_SESSION_PRIVATE_H
#define MICROVM_SESSION_PRIVATE_H

#include "base/event.h"
#include "base/wire.h"
#include "microvm/control.h"
#include "microvm/pump.h"
#include "microvm/session.h"
#include "microvm/terminal_mode.h"

/* What session*.c share. */

#define SESSION_CLIENTS_MAX 1024
#define SESSION_SAVED       3 /* files: state, memory, session */

enum session_state {
    SESSION_BOOTING,  /* no word from the agent yet */
    SESSION_STARTING, /* it has been asked for the container */
    SESSION_RUNNING,
    SESSION_ENDING, /* the first process has ended, or will never start */
};

/* A process in the guest. */
struct session_process {
    struct session_process *next;
    uint32_t number;
    bool is_started; /* the agent said so */
    bool has_exited; /* and that */
    uint32_t status;
    struct pump *input;
    struct pump *outputs[2];
    struct session_client *client; /* NULL: the first process, or the client is gone */
};

/* A connection to control.sock. */
struct session_client {
    struct session_client *next;
    struct session *session;
    int fd;
    struct event_source *source;
    struct session_process *process; /* what it asked for */
    uint32_t request;                /* what it waits for an answer to; 0: nothing */
    struct wire_message *waiting;    /* its request, when it came before the first process ran */
};

struct session {
    const struct session_options *options;
    struct machine *machine;
    struct event_loop *loop;
    struct event_source *agent_source;
    bool waits_for_agent; /* to take more output */
    struct channel *channel;
    enum session_state state;
    struct session_process *processes;
    struct session_client *clients;
    size_t client_count;
    uint32_t next_number, next_request;
    struct session_client *saver; /* asks for the machine to be saved; NULL: nobody */
    int save_fds[SESSION_SAVED];  /* what it is saved into; -1 */
    size_t save_unsent;           /* so much is still sent meanwhile, and no more */
    bool keeps_output;            /* what nobody has read goes along */
    int timer_fd, finish_fd;
    sigset_t early_signals; /* that came before the process was there */
    struct terminal_mode terminal;
    bool has_terminal;
    int result; /* exit status, or a negative code */
    struct error error;
};

uint64_t session_now_ns(void); /* CLOCK_REALTIME */
void session_flush(void *session);
struct session_process *session_find_process(struct session *session, uint32_t number);
/** Opens the streams of a new process; the request that names it is sent next. */
struct session_process *session_add_process(struct session *session);
/** Connects a process with descriptors, which are taken. @fds[0]: -1: its input has ended. */
int session_connect_streams(struct session *session, struct session_process *process, int fds[3],
                            struct error *err);
void session_free_process(struct session *session, struct session_process *process);
/** Ends the process's part when its output is written. */
int session_finish_process(struct session *session, struct session_process *process,
                           struct error *err);

/* --- session_clients.c */
int session_accept(struct event_source *source, uint32_t events, void *session, struct error *err);
void session_free_client(struct session_client *client);
/** Takes the requests that came too early. */
void session_start_waiting(struct session *session);
void session_tell_started(struct session_process *process);
void session_tell_failed(struct session_process *process, const struct agent_message *message);
void session_tell_exit(struct session_process *process);
void session_tell_answer(struct session *session, const struct agent_message *message);

/* --- session_save.c */
/** Begins: the agent is asked for silence. @fds are taken. */
int session_save_start(struct session *session, struct session_client *client,
                       int fds[SESSION_SAVED], bool keeps_output, struct error *err);
/** Whether a reply of the agent's is the one that it waited for: then the machine is saved, and
 * stands until session_save_end(). */
bool session_save_take_reply(struct session *session, const struct agent_message *message);
/** Nobody wants it any more, or it was saved: the machine goes on. */
void session_save_end(struct session *session);
/** The agent does not answer. */
void session_save_give_up(struct session *session);
/** Begins as the session that was saved. */
int session_resume(struct session *session, struct error *err);

/* --- session.c, for these */
int session_connect_first(struct session *session, struct session_process *process, bool has_input,
                          struct error *err);
/** What a restored guest has to be told: time, random numbers, network. @seed: borrowed. */
struct agent_setup session_make_setup(const struct session *session, char *seed);
/** Passes on the signals that came while nothing could be sent. */
void session_send_early_signals(struct session *session);
/** Tells a client an answer to its request. */
void session_tell(struct session_client *client, uint32_t type, const void *payload, size_t length);

#endif
