#include "image/fetcher.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/wire.h"

#define AUTHORITIES     "/etc/ssl/certs/ca-certificates.crt"
#define AUTHORITIES_MAX (4u << 20)
#define JOBS_MAX        64
#define WAIT_MAX_MS     60000

uint64_t fetcher_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- messages to the parent ------------------------------------------------------------------- */

/* The parent always reads, so a full socket is soon empty; when it is gone, so are we. */
static void send_message(struct fetcher *fetcher, uint32_t type, const char *payload)
{
    size_t length = strlen(payload);

    /* What comes from a registry is cut, or left out, before: an answer that is not sent would be
     * waited for without end. */
    assert(length <= WIRE_PAYLOAD_MAX);
    while (wire_send(fetcher->fd, type, payload, length, NULL, 0, NULL) == -EAGAIN) {
        struct pollfd wait = { .fd = fetcher->fd, .events = POLLOUT };

        (void)poll(&wait, 1, -1); /* interrupted, it only tries again */
    }
}

void fetcher_send(struct fetcher *fetcher, uint32_t type, const struct object *object,
                  const void *value)
{
    auto_free char *json = encode_text(object, value, ENCODE_COMPACT);

    send_message(fetcher, type, json);
}

/* No secrets: neither tokens nor queries, which signed links carry. */
void fetcher_log(struct fetcher *fetcher, const char *format, ...)
{
    auto_free char *line = NULL;
    va_list arguments;

    if (!fetcher->is_debug)
        return;
    va_start(arguments, format);
    line = xvasprintf(format, arguments);
    va_end(arguments);
    line[strcspn(line, "?")] = '\0';
    if (strlen(line) > FETCH_TEXT_MAX)
        line[FETCH_TEXT_MAX] = '\0';
    send_message(fetcher, FETCH_MESSAGE_LOG, line);
}

/* --- messages from the parent ----------------------------------------------------------------- */

static int take_pem(struct wire_message *message, size_t *index, char **ret_text, struct error *err)
{
    int fd = *index < message->fd_count ? message->fds[*index] : -1;

    *index += 1;
    if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return error_set(err, EBADMSG, "a certificate is missing");
    return fd_read_all(fd, FETCH_PEM_MAX, "a certificate", ret_text, NULL, err);
}

/* Authorities of a registry are trusted besides the system's, not in their place. */
static char *all_authorities(const char *more)
{
    auto_free char *system = NULL;

    if (file_read(AT_FDCWD, AUTHORITIES, AUTHORITIES_MAX, &system, NULL, NULL) < 0)
        return xstrdup(more); /* a machine without any */
    return xasprintf("%s\n%s", system, more);
}

static int take_host(struct fetcher *fetcher, struct wire_message *message, struct error *err)
{
    struct fetch_endpoint_message text = { 0 };
    struct fetcher_host *host;
    size_t index = 0;
    int r;

    r = decode_text(&fetch_endpoint_object, message->payload, message->length, &text, NULL, err);
    if (r < 0)
        return r;
    if (text.number != fetcher->host_count || fetcher->host_count == FETCH_ENDPOINTS_MAX)
        return error_set(err, EBADMSG, "endpoint %u out of turn", text.number);
    host = xcalloc(1, sizeof(*host));
    fetcher->hosts[fetcher->host_count++] = host;
    host->endpoint = text.endpoint;
    host->scheme = "https";
    if (text.has_authorities) {
        auto_free char *more = NULL;

        r = take_pem(message, &index, &more, err);
        if (r == 0)
            host->endpoint.authorities = all_authorities(more);
    }
    if (r == 0 && text.has_certificate)
        r = take_pem(message, &index, &host->endpoint.certificate, err);
    if (r == 0 && text.has_key)
        r = take_pem(message, &index, &host->endpoint.key, err);
    return r;
}

static int first_step(const struct fetch_request *request, enum job_step *ret_step,
                      struct error *err)
{
    static const enum job_step steps[] = {
        [FETCH_GET] = JOB_GET,
        [FETCH_HEAD] = JOB_HEAD,
        [FETCH_PUT] = JOB_PUT,
        [FETCH_UPLOAD] = JOB_UPLOAD_START,
    };

    if (request->kind >= ARRAY_SIZE(steps))
        return error_set(err, EBADMSG, "request of kind %u", request->kind);
    *ret_step = steps[request->kind];
    return 0;
}

void fetcher_add(struct fetcher *fetcher, struct job *job)
{
    job->next = fetcher->jobs;
    fetcher->jobs = job;
}

static int take_request(struct fetcher *fetcher, struct wire_message *message, struct error *err)
{
    struct fetch_request_message text = { 0 };
    struct job *job;
    enum job_step step = JOB_GET;
    int r;

    r = decode_text(&fetch_request_object, message->payload, message->length, &text, NULL, err);
    if (r < 0)
        return r;
    r = first_step(&text.request, &step, err);
    if (r == 0 && (text.id == 0 || text.request.endpoint >= fetcher->host_count))
        r = error_set(err, EBADMSG, "request %u to endpoint %u", text.id, text.request.endpoint);
    if (r < 0) {
        object_clear(&fetch_request_object, &text);
        return r;
    }
    job = xcalloc(1, sizeof(*job));
    job->fetcher = fetcher;
    job->id = text.id;
    job->request = text.request;
    job->host = fetcher->hosts[text.request.endpoint];
    job->step = step;
    job->fd = message->fd_count > 0 ? take_fd(&message->fds[0]) : -1;
    fetcher_add(fetcher, job);
    if (job->step == JOB_PUT || job->step >= JOB_UPLOAD_START)
        r = upload_begin(job, &job->failure);
    if (r < 0)
        job_finish(job, r, &job->failure);
    else
        job_begin(job);
    return 0;
}

static int take_cancel(struct fetcher *fetcher, struct wire_message *message, struct error *err)
{
    struct fetch_progress_message text = { 0 };
    int r;

    r = decode_text(&fetch_progress_object, message->payload, message->length, &text, NULL, err);
    for (struct job *job = fetcher->jobs; r == 0 && job != NULL; job = job->next) {
        if (job->id == text.id && text.id != 0)
            job->id = 0; /* the loop removes it */
    }
    return r;
}

/* 1: a message was taken, 0: the parent is gone, -EAGAIN: none is there. */
static int take_message(struct fetcher *fetcher, struct wire_message *message, struct error *err)
{
    int r = wire_receive(fetcher->fd, message, err);

    if (r <= 0)
        return r;
    if (message->type == FETCH_MESSAGE_ENDPOINT)
        r = take_host(fetcher, message, err);
    else if (message->type == FETCH_MESSAGE_REQUEST)
        r = take_request(fetcher, message, err);
    else if (message->type == FETCH_MESSAGE_CANCEL)
        r = take_cancel(fetcher, message, err);
    else
        r = error_set(err, EBADMSG, "message %u is not known", message->type);
    wire_message_close(message);
    return r < 0 ? r : 1;
}

/* --- the loop --------------------------------------------------------------------------------- */

static void remove_finished(struct fetcher *fetcher)
{
    struct job **link = &fetcher->jobs;

    while (*link != NULL) {
        struct job *job = *link;

        if (job_is_finished(job)) {
            *link = job->next;
            job_free(job);
        } else {
            link = &job->next;
        }
    }
}

static void take_ended(struct fetcher *fetcher)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(fetcher->multi, &left)) != NULL) {
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;
        struct job *job = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&job);
        job_ended(job, code);
    }
}

/* Passes on what is in the buffers; a transfer that waited for room goes on. */
static void pass_bodies(struct fetcher *fetcher)
{
    for (struct job *job = fetcher->jobs; job != NULL; job = job->next) {
        if (job->id == 0 || (job->buffered == 0 && !job->is_paused))
            continue;
        if (body_flush(job) < 0) { /* the parent wants no more of it */
            job->id = 0;
            continue;
        }
        if (job->buffered > 0)
            continue;
        if (job->is_paused) {
            job->is_paused = false;
            (void)curl_easy_pause(job->easy, CURLPAUSE_CONT); /* an error shows as its end */
        } else if (job->is_complete) {
            job_finish(job, 0, NULL);
        }
    }
}

/* Begins again what has waited long enough; returns how long the next one has to wait. */
static int start_waiting(struct fetcher *fetcher)
{
    uint64_t now = fetcher_now_ms();
    uint64_t next = WAIT_MAX_MS;

    for (struct job *job = fetcher->jobs; job != NULL; job = job->next) {
        if (job->wait_until_ms == 0)
            continue;
        if (job->wait_until_ms <= now)
            job_begin(job);
        else if (job->wait_until_ms - now < next)
            next = job->wait_until_ms - now;
    }
    return (int)next;
}

static int wait_for_events(struct fetcher *fetcher, int timeout_ms, struct error *err)
{
    struct curl_waitfd waits[1 + JOBS_MAX] = { { .fd = fetcher->fd, .events = CURL_WAIT_POLLIN } };
    unsigned count = 1;
    CURLMcode code;

    for (struct job *job = fetcher->jobs; job != NULL && count < ARRAY_SIZE(waits);
         job = job->next) {
        if (job->buffered > 0)
            waits[count++] = (struct curl_waitfd){ .fd = job->fd, .events = CURL_WAIT_POLLOUT };
    }
    code = curl_multi_poll(fetcher->multi, waits, count, timeout_ms, NULL);
    return code == CURLM_OK ? 0 : error_set(err, EIO, "libcurl: %s", curl_multi_strerror(code));
}

static int serve(struct fetcher *fetcher, struct wire_message *message, struct error *err)
{
    int r;

    for (;;) {
        int running, timeout_ms;

        do
            r = take_message(fetcher, message, err);
        while (r > 0);
        if (r != -EAGAIN)
            return r;
        (void)curl_multi_perform(fetcher->multi, &running); /* errors show at each transfer */
        take_ended(fetcher);
        pass_bodies(fetcher);
        timeout_ms = start_waiting(fetcher); /* last, as an end may be the reason to wait */
        remove_finished(fetcher);
        r = wait_for_events(fetcher, timeout_ms, err);
        if (r < 0)
            return r;
    }
}

int fetcher_run(int fd, bool is_debug, struct error *err)
{
    struct fetcher fetcher = { .fd = fd, .is_debug = is_debug };
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    int r;

    r = fd_set_nonblocking(fd, true, err);
    if (r < 0)
        return r;
    fetcher.multi = curl_multi_init();
    if (fetcher.multi == NULL)
        return error_set(err, ENOMEM, "libcurl gives no handle");
    r = serve(&fetcher, message, err);
    while (fetcher.jobs != NULL) {
        struct job *job = fetcher.jobs;

        fetcher.jobs = job->next;
        job_free(job);
    }
    while (fetcher.tokens != NULL) {
        struct token *token = fetcher.tokens;

        fetcher.tokens = token->next;
        token_free(token);
    }
    for (size_t i = 0; i < fetcher.host_count; i++) {
        fetch_endpoint_clear(&fetcher.hosts[i]->endpoint);
        free(fetcher.hosts[i]);
    }
    (void)curl_multi_cleanup(fetcher.multi); /* the process ends */
    return r;
}
