#include "microvm/session_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

/* A guest is saved while its container runs, and goes on in another process.
 *
 *    client                       session                              agent
 *      │  SAVE, files  ────────────► │  freeze  ────────────────────────► │  says what it has to
 *      │                             │  ◄────────────────────────  reply  │  and is silent
 *      │                             │ pauses the machine, saves it       ┆
 *      │  ◄────────────────  ANSWER  │                                    ┆
 *      │ copies the disk             ┆                                    ┆
 *      │ closes  ──────────────────► │ lets it go on; thaw  ────────────► │
 *
 * From freeze to thaw the session sends nothing either: then no byte is between the two, and how
 * the channel stands is known on both sides. What would be sent waits in the channel. */

/* For an agent to say its last word; an emulated one under load needs some seconds. */
#define FREEZE_TIMEOUT_MS 60000

static void close_files(struct session *session)
{
    for (size_t i = 0; i < SESSION_SAVED; i++) {
        auto_close_cleanup(&session->save_fds[i]);
        session->save_fds[i] = -1;
    }
}

static int check(const struct session *session, struct error *err)
{
    const struct session_process *first = session->processes;

    if (session->state != SESSION_RUNNING)
        return error_set(err, ESRCH, "container not running");
    if (session->saver != NULL)
        return error_set(err, EALREADY, "the microVM is being saved already");
    /* Whoever started the others waits for them, and would not be there in another process. */
    if (first != NULL && first->next != NULL)
        return error_set(err, EBUSY,
                         "an exec, or work on files, is going on in the microVM: try again when "
                         "it has ended");
    /* Their servers would have to be asked by the guest, which passes all that they are sent. */
    if (session->options->setup->is_emulated && session->options->config->shares.count > 0)
        return error_set(err, EOPNOTSUPP,
                         "the microVM uses directories of this machine (%zu), whose open files "
                         "cannot be saved with it where it is emulated",
                         session->options->config->shares.count);
    return 0;
}

int session_save_start(struct session *session, struct session_client *client,
                       int fds[SESSION_SAVED], bool keeps_output, struct error *err)
{
    struct agent_message message = { .type = (char *)"freeze" };
    const void *bytes = NULL;
    int r = check(session, err);

    if (r == 0)
        r = event_set_timer(session->timer_fd, FREEZE_TIMEOUT_MS, 0, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < SESSION_SAVED; i++)
        session->save_fds[i] = take_fd(&fds[i]);
    session->keeps_output = keeps_output;
    client->request = message.request = session->next_request++;
    agent_message_send(session->channel, &message);
    session->saver = client;
    session->save_unsent = channel_output(session->channel, &bytes);
    session_flush(session);
    return 0;
}

/* --- what is saved ---------------------------------------------------------------------------- */

static void take_output(const struct session *session, const struct session_process *process,
                        struct saved_session *saved)
{
    for (size_t i = 0; i < ARRAY_SIZE(saved->waiting); i++) {
        const void *bytes = NULL;
        const size_t length = pump_waiting(process->outputs[i], &bytes);

        /* What this process will write the other need not. */
        if (!session->keeps_output) {
            saved->streams[i + 1].consumed += (uint32_t)length;
            continue;
        }
        saved->waiting[i] = length > 0 ? xmemdup(bytes, length) : NULL;
        saved->waiting_length[i] = (uint32_t)length;
    }
}

static void look(const struct session *session, const struct session_process *process,
                 struct saved_session *ret_saved)
{
    const void *sent = NULL;
    const size_t length = channel_output(session->channel, &sent);

    *ret_saved = (struct saved_session){
        .agent_version = AGENT_VERSION,
        .next_number = session->next_number,
        .next_request = session->next_request,
        .has_terminal = session->has_terminal,
        .has_input_ended = process->input == NULL || pump_has_ended(process->input),
        .sent = length > 0 ? xmemdup(sent, length) : NULL,
        .sent_length = (uint32_t)length,
    };
    for (int i = 0; i < 3; i++)
        ret_saved->streams[i] = channel_stream_look(session->channel, agent_stream(AGENT_FIRST, i));
    take_output(session, process, ret_saved);
}

static int save(struct session *session, struct error *err)
{
    AUTO_CLEAR(saved_session) struct saved_session saved = { 0 };
    const struct session_process *process = session_find_process(session, AGENT_FIRST);
    int r;

    if (process == NULL || process->has_exited)
        return error_set(err, ESRCH, "container not running");
    r = machine_pause(session->machine, err);
    if (r == 0)
        r = machine_save(session->machine, session->save_fds[0], session->save_fds[1], err);
    if (r < 0)
        return r;
    look(session, process, &saved);
    return saved_session_write(&saved, session->save_fds[2], err);
}

/* --- the end ---------------------------------------------------------------------------------- */

void session_save_end(struct session *session)
{
    const struct agent_message thaw = { .type = (char *)"thaw" };

    session->saver = NULL;
    close_files(session);
    if (session->state != SESSION_RUNNING)
        return;
    (void)event_set_timer(session->timer_fd, 0, 0, NULL); /* stops it: cannot fail */
    if (machine_resume(session->machine, &session->error) < 0) {
        session->result = -session->error.code;
        event_loop_stop(session->loop, 0);
        return;
    }
    agent_message_send(session->channel, &thaw);
    session_flush(session);
    session_send_early_signals(session);
    session_start_waiting(session);
}

static void fail(struct session *session, const struct error *error)
{
    struct session_client *client = session->saver;

    client->request = 0;
    session_tell(client, CONTROL_FAILED, error, sizeof(*error));
    session_save_end(session);
}

void session_save_give_up(struct session *session)
{
    struct error error = { 0 };

    (void)error_set(&error, ETIMEDOUT, "the guest's agent does not answer");
    fail(session, &error);
}

bool session_save_take_reply(struct session *session, const struct agent_message *message)
{
    struct session_client *client = session->saver;
    struct error error = { 0 };

    if (client == NULL || client->request == 0 || client->request != message->request)
        return false;
    client->request = 0;
    (void)event_set_timer(session->timer_fd, 0, 0, NULL); /* stops it: cannot fail */
    if (save(session, &error) < 0) {
        fail(session, &error);
        return true;
    }
    close_files(session);
    session_tell(client, CONTROL_ANSWER, "", 0);
    return true;
}

/* --- going on --------------------------------------------------------------------------------- */

static int resume_streams(struct session *session, struct session_process *process,
                          struct error *err)
{
    const struct saved_session *saved = session->options->saved;
    int r = session_connect_first(session, process, !saved->has_input_ended, err);

    for (size_t i = 0; i < 2 && r == 0; i++) {
        const uint32_t stream = agent_stream(AGENT_FIRST, (int)i + 1);

        if (saved->waiting_length[i] > 0)
            r = pump_write(process->outputs[i], saved->waiting[i], saved->waiting_length[i], err);
        if (r == 0 && saved->streams[i + 1].has_ended)
            r = pump_finish(process->outputs[i], err);
        /* What was read before may be enough to be told now. */
        channel_stream_consumed(session->channel, stream, 0);
    }
    return r;
}

int session_resume(struct session *session, struct error *err)
{
    const struct saved_session *saved = session->options->saved;
    auto_free char *seed = text_random_hex(AGENT_SEED_BYTES * 2);
    struct agent_setup setup = session_make_setup(session, seed);
    const struct agent_message thaw = { .type = (char *)"thaw", .setup = &setup };
    struct session_process *process = xcalloc(1, sizeof(*process));

    process->number = AGENT_FIRST;
    process->is_started = true;
    session->processes = process;
    session->next_number = saved->next_number;
    session->next_request = saved->next_request;
    session->state = SESSION_RUNNING;
    channel_resume_output(session->channel, saved->sent, saved->sent_length);
    for (size_t i = 0; i < ARRAY_SIZE(saved->streams); i++)
        channel_stream_resume(session->channel, &saved->streams[i]);
    agent_message_send(session->channel, &thaw);
    session_flush(session);
    return resume_streams(session, process, err);
}
