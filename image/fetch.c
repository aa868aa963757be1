#include "image/fetch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "base/wire.h"
#include "image/fetch_wire.h"

/* A body goes through a pipe, not into a file that berth-fetch could write into as well: what was
 * hashed here could else be changed by a berth-fetch that somebody took over, before the blob gets
 * its name. It costs one more copy of each byte, about a fiftieth of the hash. */

#define PIPE_BYTES (1u << 20) /* what an ordinary user may ask for */
#define READ_BYTES (256u << 10)

struct transfer {
    struct fetch *fetch;
    struct transfer *next;
    const struct fetch_handlers *handlers;
    void *context;
    struct event_source *source;
    int pipe_fd; /* -1: nothing comes, or everything came */
    uint32_t id;
    bool has_result;
    struct fetch_result result;
    int r; /* of data() */
    struct error failure;
};

struct fetch {
    struct event_loop *loop;
    struct event_source *source; /* of the socket */
    bool owns_loop;
    struct transfer *transfers;
    char *buffer; /* READ_BYTES */
    pid_t pid;
    int fd;
    uint32_t last_id, endpoints;
    bool is_over; /* berth-fetch is dead */
};

void fetch_endpoint_clear(struct fetch_endpoint *endpoint)
{
    free(endpoint->host);
    free(endpoint->username);
    free(endpoint->password);
    free(endpoint->identity_token);
    free(endpoint->registry_token);
    free(endpoint->authorities);
    free(endpoint->certificate);
    free(endpoint->key);
    *endpoint = (struct fetch_endpoint){ 0 };
}

void fetch_request_clear(struct fetch_request *request)
{
    free(request->path);
    strings_clear(&request->scopes);
    strings_clear(&request->accept);
    free(request->content_type);
    free(request->digest);
    free(request->mount_from);
    *request = (struct fetch_request){ 0 };
}

void fetch_result_clear(struct fetch_result *result)
{
    free(result->message);
    free(result->media_type);
    free(result->digest);
    free(result->next);
    free(result->subject);
    *result = (struct fetch_result){ 0 };
}

/* --- transfers -------------------------------------------------------------------------------- */

static void transfer_close_pipe(struct transfer *transfer)
{
    if (transfer->pipe_fd < 0)
        return;
    event_source_remove(transfer->source);
    transfer->source = NULL;
    (void)close(transfer->pipe_fd); /* only read */
    transfer->pipe_fd = -1;
}

static void transfer_free(struct transfer *transfer)
{
    transfer_close_pipe(transfer);
    fetch_result_clear(&transfer->result);
    free(transfer);
}

/* Of berth-fetch's side, what is written into a closed pipe ends the rest. */
static void drop_transfers(struct fetch *fetch)
{
    while (fetch->transfers != NULL) {
        struct transfer *transfer = fetch->transfers;

        fetch->transfers = transfer->next;
        transfer_free(transfer);
    }
}

static void transfer_unlink(struct transfer *transfer)
{
    for (struct transfer **link = &transfer->fetch->transfers; *link != NULL;
         link = &(*link)->next) {
        if (*link == transfer) {
            *link = transfer->next;
            return;
        }
    }
}

static struct transfer *transfer_find(struct fetch *fetch, uint32_t id)
{
    for (struct transfer *transfer = fetch->transfers; transfer != NULL;
         transfer = transfer->next) {
        if (transfer->id == id)
            return transfer;
    }
    return NULL;
}

/* Ends a request when nothing more can come of it. */
static int transfer_settle(struct transfer *transfer, struct error *err)
{
    struct fetch *fetch = transfer->fetch;
    int r;

    if (!transfer->has_result || transfer->pipe_fd >= 0)
        return 0;
    if (transfer->r == 0 && transfer->result.code != 0)
        transfer->r = error_set(&transfer->failure, (int)transfer->result.code, "%s",
                                transfer->result.message != NULL ? transfer->result.message
                                                                 : "it failed without a reason");
    transfer_unlink(transfer);
    r = transfer->handlers->done(transfer->context, &transfer->result, transfer->r,
                                 &transfer->failure, err);
    transfer_free(transfer);
    if (fetch->transfers == NULL)
        event_loop_stop(fetch->loop, 0);
    return r;
}

static int transfer_cancel(struct transfer *transfer, struct error *err)
{
    struct fetch_progress_message message = { .id = transfer->id };
    auto_free char *json = encode_text(&fetch_progress_object, &message, ENCODE_COMPACT);

    transfer_close_pipe(transfer);
    /* A dead child shows as the end of the socket. */
    (void)wire_send(transfer->fetch->fd, FETCH_MESSAGE_CANCEL, json, strlen(json), NULL, 0, NULL);
    transfer->has_result = true;
    return transfer_settle(transfer, err);
}

static int pipe_handler(struct event_source *source, uint32_t events, void *context,
                        struct error *err)
{
    struct transfer *transfer = context;
    ssize_t n;

    (void)source;
    (void)events; /* a read tells */
    n = read(transfer->pipe_fd, transfer->fetch->buffer, READ_BYTES);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0)
        return error_errno(err, "read from berth-fetch");
    if (n == 0) {
        transfer_close_pipe(transfer);
        return transfer_settle(transfer, err);
    }
    transfer->r = transfer->handlers->data(transfer->context, transfer->fetch->buffer, (size_t)n,
                                           &transfer->failure);
    return transfer->r < 0 ? transfer_cancel(transfer, err) : 0;
}

/* --- messages --------------------------------------------------------------------------------- */

/* A code that errno(3) does not know would be told as such. */
static uint32_t known_code(uint32_t code)
{
    return code > 4095 ? EBADMSG : code;
}

static int take_result(struct fetch *fetch, const struct wire_message *message, struct error *err)
{
    struct fetch_result_message result = { 0 };
    struct transfer *transfer;
    int r;

    r = decode_text(&fetch_result_object, message->payload, message->length, &result,
                    "berth-fetch's result", err);
    if (r < 0)
        return r;
    transfer = transfer_find(fetch, result.id);
    if (transfer == NULL || transfer->has_result) {
        object_clear(&fetch_result_object, &result);
        return 0; /* of a request that was given up */
    }
    transfer->has_result = true;
    transfer->result = result.result;
    transfer->result.code = known_code(result.result.code);
    return transfer_settle(transfer, err);
}

static int take_progress(struct fetch *fetch, const struct wire_message *message, struct error *err)
{
    struct fetch_progress_message progress = { 0 };
    struct transfer *transfer;
    int r;

    r = decode_text(&fetch_progress_object, message->payload, message->length, &progress,
                    "berth-fetch's progress", err);
    if (r < 0)
        return r;
    transfer = transfer_find(fetch, progress.id);
    if (transfer != NULL && transfer->handlers->sent != NULL)
        transfer->handlers->sent(transfer->context, progress.bytes);
    return 0;
}

/* Tells how berth-fetch ended; it is not there any more then. */
static int explain_end(struct fetch *fetch, struct error *err)
{
    int status = 0;

    fetch->is_over = true;
    while (fetch->pid > 0 && waitpid(fetch->pid, &status, 0) < 0 && errno == EINTR)
        ;
    fetch->pid = 0;
    return error_set(err, EPIPE, "berth-fetch ended unexpectedly, with status %d",
                     process_exit_status(status));
}

static int socket_handler(struct event_source *source, uint32_t events, void *context,
                          struct error *err)
{
    struct fetch *fetch = context;
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    int r;

    (void)source;
    (void)events;
    r = wire_receive(fetch->fd, message, err);
    if (r == -EAGAIN)
        return 0;
    if (r < 0)
        return r;
    if (r == 0)
        return explain_end(fetch, err);
    wire_message_close(message); /* it has none to send */
    switch ((enum fetch_message)message->type) {
    case FETCH_MESSAGE_RESULT:
        return take_result(fetch, message, err);
    case FETCH_MESSAGE_SENT:
        return take_progress(fetch, message, err);
    case FETCH_MESSAGE_LOG:
        log_debug("berth-fetch: %s", message->payload);
        return 0;
    case FETCH_MESSAGE_FAILED:
        return error_set(err, EPIPE, "berth-fetch: %s", message->payload);
    default:
        return error_set(err, EBADMSG, "berth-fetch sent message %u", message->type);
    }
}

/* --- the child -------------------------------------------------------------------------------- */

/* What it may see of the environment: the proxies. Their values may hold a password, which curl
 * needs; all else stays here. */
static void list_variables(struct strings *environment)
{
    static const char *const names[] = {
        "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",    "ALL_PROXY",
        "no_proxy",   "NO_PROXY",    "RES_OPTIONS", "ASAN_OPTIONS", "UBSAN_OPTIONS",
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = getenv(names[i]);

        if (value != NULL)
            strings_addf(environment, "%s=%s", names[i], value);
    }
}

static int start_child(struct fetch *fetch, struct error *err)
{
    AUTO_CLEAR(strings) struct strings arguments = { 0 };
    AUTO_CLEAR(strings) struct strings environment = { 0 };
    auto_free char *program = NULL;
    int fds[2];
    int r;

    r = process_find_helper("berth-fetch", &program, err);
    if (r == 0)
        r = wire_pair(fds, err);
    if (r < 0)
        return r;
    fetch->fd = fds[0];
    strings_add(&arguments, program);
    if (log_is_debug())
        strings_add(&arguments, "debug");
    list_variables(&environment);
    /* Its standard error only for the reports of a sanitizer: what it has to say, it sends, and
     * nothing that came from the network reaches a terminal as it is. */
    r = process_spawn_environment(&arguments, &environment,
                                  (const int[]){ fds[1], -1, log_is_debug() ? 2 : -1 }, &fetch->pid,
                                  err);
    (void)close(fds[1]); /* the child's */
    return r;
}

int fetch_open(struct event_loop *loop, struct fetch **ret_fetch, struct error *err)
{
    AUTO(fetch) struct fetch *fetch = xcalloc(1, sizeof(*fetch));
    int r = 0;

    assert(ret_fetch != NULL);

    fetch->fd = -1;
    fetch->buffer = xcalloc(1, READ_BYTES);
    fetch->loop = loop;
    fetch->owns_loop = loop == NULL;
    if (loop == NULL)
        r = event_loop_open(&fetch->loop, err);
    if (r == 0)
        r = start_child(fetch, err);
    if (r == 0)
        r = event_loop_add(fetch->loop, fetch->fd, EPOLLIN, socket_handler, fetch, &fetch->source,
                           err);
    if (r < 0)
        return r;
    *ret_fetch = take_ptr(&fetch);
    return 0;
}

void fetch_free(struct fetch *fetch)
{
    if (fetch == NULL)
        return;
    drop_transfers(fetch);
    event_source_remove(fetch->source);
    if (fetch->fd >= 0)
        (void)close(fetch->fd); /* it ends by that, too */
    if (fetch->pid > 0) {
        (void)kill(fetch->pid, SIGKILL); /* our own child, not waited for yet */
        while (waitpid(fetch->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (fetch->owns_loop)
        event_loop_free(fetch->loop);
    free(fetch->buffer);
    free(fetch);
}

/* --- what is asked ---------------------------------------------------------------------------- */

static int pem_descriptor(const char *text, int *ret_fd, struct error *err)
{
    auto_close int fd = -1;
    int r;

    if (strlen(text) > FETCH_PEM_MAX)
        return error_set(err, EFBIG, "a certificate file has more than %u bytes", FETCH_PEM_MAX);
    fd = memfd_create("pem", MFD_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "make a memory file");
    r = fd_write_all(fd, text, strlen(text), "a memory file", err);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&fd);
    return 0;
}

int fetch_add_endpoint(struct fetch *fetch, const struct fetch_endpoint *endpoint,
                       uint32_t *ret_number, struct error *err)
{
    const char *const texts[] = { endpoint->authorities, endpoint->certificate, endpoint->key };
    struct fetch_endpoint_message message = { .number = fetch->endpoints,
                                              .endpoint = *endpoint,
                                              .has_authorities = endpoint->authorities != NULL,
                                              .has_certificate = endpoint->certificate != NULL,
                                              .has_key = endpoint->key != NULL };
    auto_free char *json = encode_text(&fetch_endpoint_object, &message, ENCODE_COMPACT);
    int fds[ARRAY_SIZE(texts)];
    size_t count = 0;
    int r = 0;

    assert(ret_number != NULL);

    if (fetch->endpoints == FETCH_ENDPOINTS_MAX)
        return error_set(err, E2BIG, "more than %d registries at once", FETCH_ENDPOINTS_MAX);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++) {
        if (texts[i] != NULL)
            r = pem_descriptor(texts[i], &fds[count], err);
        if (texts[i] != NULL && r == 0)
            count++;
    }
    if (r == 0)
        r = wire_send(fetch->fd, FETCH_MESSAGE_ENDPOINT, json, strlen(json), fds, count, err);
    for (size_t i = 0; i < count; i++)
        (void)close(fds[i]); /* written, and sent */
    if (r < 0)
        return error_prefix(err, r, "tell berth-fetch about %s", endpoint->host);
    *ret_number = fetch->endpoints++;
    return 0;
}

static int send_request(struct transfer *transfer, const struct fetch_request *request, int fd,
                        struct error *err)
{
    struct fetch_request_message message = { .id = transfer->id, .request = *request };
    auto_free char *json = encode_text(&fetch_request_object, &message, ENCODE_COMPACT);

    return wire_send(transfer->fetch->fd, FETCH_MESSAGE_REQUEST, json, strlen(json), &fd,
                     fd >= 0 ? 1 : 0, err);
}

/* A pipe that neither end waits on. */
static int open_pipe(struct transfer *transfer, int *ret_write_fd, struct error *err)
{
    int fds[2];
    int r;

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return error_errno(err, "make a pipe");
    (void)fcntl(fds[0], F_SETPIPE_SZ, PIPE_BYTES); /* a small one only takes more turns */
    r = event_loop_add(transfer->fetch->loop, fds[0], EPOLLIN, pipe_handler, transfer,
                       &transfer->source, err);
    if (r < 0) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        return r;
    }
    transfer->pipe_fd = fds[0];
    *ret_write_fd = fds[1];
    return 0;
}

int fetch_start(struct fetch *fetch, const struct fetch_request *request, int source_fd,
                const struct fetch_handlers *handlers, void *context, struct error *err)
{
    struct transfer *transfer = xcalloc(1, sizeof(*transfer));
    auto_close int write_fd = -1;
    int r = 0;

    assert(handlers->done != NULL);
    assert(request->kind != FETCH_GET || handlers->data != NULL);

    transfer->fetch = fetch;
    transfer->handlers = handlers;
    transfer->context = context;
    transfer->pipe_fd = -1;
    transfer->id = ++fetch->last_id;
    if (fetch->is_over)
        r = error_set(err, EPIPE, "berth-fetch has ended");
    if (r == 0 && request->kind == FETCH_GET)
        r = open_pipe(transfer, &write_fd, err);
    if (r == 0)
        r = send_request(transfer, request, write_fd >= 0 ? write_fd : source_fd, err);
    if (r < 0) {
        transfer_free(transfer);
        return error_prefix(err, r, "ask berth-fetch");
    }
    transfer->next = fetch->transfers;
    fetch->transfers = transfer;
    return 0;
}

size_t fetch_count(const struct fetch *fetch)
{
    size_t count = 0;

    for (const struct transfer *transfer = fetch->transfers; transfer != NULL;
         transfer = transfer->next)
        count++;
    return count;
}

int fetch_run(struct fetch *fetch, struct error *err)
{
    int r = fetch->transfers == NULL ? 0 : event_loop_run(fetch->loop, err);

    if (r < 0)
        drop_transfers(fetch);
    return r;
}

/* --- one request ------------------------------------------------------------------------------ */

struct call {
    struct text body;
    uint64_t max;
    struct fetch_result *result; /* NULL */
    int r;
    struct error failure;
};

static int call_data(void *context, const void *bytes, size_t length, struct error *err)
{
    struct call *call = context;

    if (length > call->max - call->body.length)
        return error_set(err, EFBIG, "it has more than %llu bytes", (unsigned long long)call->max);
    text_add_bytes(&call->body, bytes, length);
    return 0;
}

static int call_done(void *context, const struct fetch_result *result, int r,
                     const struct error *failure, struct error *err)
{
    struct call *call = context;

    (void)err;
    call->r = r;
    if (r < 0)
        call->failure = *failure;
    if (call->result != NULL) {
        *call->result = *result;
        call->result->message = xstrdup(result->message);
        call->result->media_type = xstrdup(result->media_type);
        call->result->digest = xstrdup(result->digest);
        call->result->next = xstrdup(result->next);
        call->result->subject = xstrdup(result->subject);
    }
    return 0;
}

static int run_call(struct fetch *fetch, const struct fetch_request *request, int source_fd,
                    struct call *call, struct error *err)
{
    static const struct fetch_handlers handlers = { .data = call_data, .done = call_done };
    int r;

    call->max = request->max;
    r = fetch_start(fetch, request, source_fd, &handlers, call, err);
    if (r == 0)
        r = fetch_run(fetch, err);
    if (r == 0 && call->r < 0)
        r = error_set(err, -call->r, "%s", call->failure.message);
    if (r < 0) {
        text_clear(&call->body);
        if (call->result != NULL)
            fetch_result_clear(call->result);
    }
    return r;
}

int fetch_document(struct fetch *fetch, const struct fetch_request *request, char **ret_bytes,
                   size_t *ret_length, struct fetch_result *ret_result, struct error *err)
{
    struct call call = { .result = ret_result };
    int r;

    assert(ret_bytes != NULL);
    assert(ret_length != NULL);

    r = run_call(fetch, request, -1, &call, err);
    if (r < 0)
        return r;
    *ret_length = call.body.length;
    *ret_bytes = text_take(&call.body);
    return 0;
}

int fetch_call(struct fetch *fetch, const struct fetch_request *request, int source_fd,
               struct fetch_result *ret_result, struct error *err)
{
    struct call call = { .result = ret_result };
    int r;

    assert(request->kind != FETCH_GET);

    r = run_call(fetch, request, source_fd, &call, err);
    text_clear(&call.body); /* nothing came */
    return r;
}
