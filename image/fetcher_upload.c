#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/fetcher.h"
#include "image/http_headers.h"

/* Sending: a manifest by one PUT; a blob by POST, which mounts it from another repository or says
 * where to send it, then one PUT, or for a large one PATCH after PATCH, so that what was cut off
 * can be gone on with (GET on the upload says where), and a PUT at the end (distribution-spec,
 * "Push"). */

#define WHOLE_MAX   (8ull << 20)  /* sent by one PUT */
#define PIECE_BYTES (16ull << 20) /* of a PATCH, unless the registry wants more */

int upload_begin(struct job *job, struct error *err)
{
    struct stat status;

    if (job->fd < 0 || fstat(job->fd, &status) < 0)
        return error_set(err, EBADMSG, "there is nothing to send");
    job->source_size = (uint64_t)status.st_size;
    return 0;
}

static size_t read_source(char *buffer, size_t size, size_t count, void *context)
{
    struct job *job = context;
    uint64_t left = job->piece_end - job->read_at;
    size_t room = size * count;
    ssize_t n;

    n = pread(job->fd, buffer, left < room ? (size_t)left : room, (off_t)job->read_at);
    if (n < 0 || (n == 0 && left > 0)) {
        (void)error_set(&job->failure, EIO, "what is sent became shorter, or cannot be read");
        return CURL_READFUNC_ABORT;
    }
    job->read_at += (uint64_t)n;
    return (size_t)n;
}

/* libcurl begins a body again when the connection it had kept turns out to be closed. */
static int seek_source(void *context, curl_off_t offset, int origin)
{
    struct job *job = context;

    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    job->read_at = job->sent + (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static void send_body(struct job *job, uint64_t end)
{
    job->piece_end = end;
    job->read_at = job->sent;
    (void)curl_easy_setopt(job->easy, CURLOPT_UPLOAD, 1L);
    (void)curl_easy_setopt(job->easy, CURLOPT_READFUNCTION, read_source);
    (void)curl_easy_setopt(job->easy, CURLOPT_READDATA, job);
    (void)curl_easy_setopt(job->easy, CURLOPT_SEEKFUNCTION, seek_source);
    (void)curl_easy_setopt(job->easy, CURLOPT_SEEKDATA, job);
    (void)curl_easy_setopt(job->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)(end - job->sent));
}

static void add_line(struct job *job, const char *line)
{
    if (strpbrk(line, "\r\n") == NULL)
        job->headers = curl_slist_append(job->headers, line);
}

/* A query at the end of a URL that may have one. Caller frees. */
static char *with_query(const char *url, const char *name, const char *value)
{
    char *escaped = curl_easy_escape(NULL, value, 0);
    char *result = xasprintf("%s%c%s=%s", url, strchr(url, '?') != NULL ? '&' : '?', name,
                             escaped != NULL ? escaped : "");

    curl_free(escaped);
    return result;
}

static void prepare_start(struct job *job)
{
    (void)curl_easy_setopt(job->easy, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(job->easy, CURLOPT_POSTFIELDS, "");
    if (job->request.mount_from != NULL && job->url == NULL) {
        auto_free char *start =
            xasprintf("%s://%s/%s", job->host->scheme, job->host->endpoint.host, job->request.path);
        auto_free char *mount = with_query(start, "mount", job->request.digest);

        job->url = with_query(mount, "from", job->request.mount_from);
    }
}

static uint64_t piece_end(const struct job *job)
{
    uint64_t bytes = job->chunk_min > PIECE_BYTES ? job->chunk_min : PIECE_BYTES;

    return job->source_size - job->sent > bytes ? job->sent + bytes : job->source_size;
}

static void prepare_piece(struct job *job)
{
    uint64_t end = piece_end(job);
    auto_free char *range = xasprintf("Content-Range: %llu-%llu", (unsigned long long)job->sent,
                                      (unsigned long long)end - 1);

    send_body(job, end);
    (void)curl_easy_setopt(job->easy, CURLOPT_CUSTOMREQUEST, "PATCH");
    add_line(job, "Content-Type: application/octet-stream");
    add_line(job, range);
}

static void prepare_finish(struct job *job)
{
    auto_free char *url = with_query(job->url, "digest", job->request.digest);

    (void)curl_easy_setopt(job->easy, CURLOPT_URL, url);
    send_body(job, job->source_size);
    add_line(job, "Content-Type: application/octet-stream");
}

void upload_prepare(struct job *job)
{
    auto_free char *type = NULL;

    /* A registry that answers "go on" late would cost a second for each piece. */
    add_line(job, "Expect:");
    switch (job->step) {
    case JOB_PUT:
        type = xasprintf("Content-Type: %s", job->request.content_type != NULL
                                                 ? job->request.content_type
                                                 : "application/octet-stream");
        add_line(job, type);
        send_body(job, job->source_size);
        break;
    case JOB_UPLOAD_START:
        prepare_start(job);
        break;
    case JOB_UPLOAD_PIECE:
        prepare_piece(job);
        break;
    case JOB_UPLOAD_FINISH:
        prepare_finish(job);
        break;
    default:
        break; /* JOB_UPLOAD_STATUS: a GET */
    }
}

/* --- answers ---------------------------------------------------------------------------------- */

/* Where the upload goes on: absolute or relative to what was asked, its query kept. */
static int take_location(struct job *job, struct error *err)
{
    const char *from = NULL;
    const char *location = job->answer.location;
    CURLU *url = curl_url();
    char *whole = NULL;
    int r = 0;

    (void)curl_easy_getinfo(job->easy, CURLINFO_EFFECTIVE_URL, &from);
    if (location == NULL || from == NULL || url == NULL ||
        curl_url_set(url, CURLUPART_URL, from, 0) != CURLUE_OK ||
        curl_url_set(url, CURLUPART_URL, location, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_URL, &whole, 0) != CURLUE_OK)
        r = error_set(err, EBADMSG, "%s does not say where to send a blob to",
                      job->host->endpoint.host);
    else
        r = job_move(job, from, whole, err);
    curl_free(whole);
    curl_url_cleanup(url);
    return r;
}

static void tell_sent(struct job *job)
{
    struct fetch_progress_message message = { .id = job->id, .bytes = job->sent };

    fetcher_send(job->fetcher, FETCH_MESSAGE_SENT, &fetch_progress_object, &message);
}

static void finish(struct job *job, bool was_mounted)
{
    job->was_mounted = was_mounted;
    job->sent = job->source_size;
    tell_sent(job);
    job_finish(job, 0, NULL);
}

static void next_step(struct job *job)
{
    /* Small blobs go by one request, when nothing of them is there yet. */
    if (job->sent == job->source_size || (job->sent == 0 && job->source_size <= WHOLE_MAX))
        job->step = JOB_UPLOAD_FINISH;
    else
        job->step = JOB_UPLOAD_PIECE;
    job->denials = 0; /* a token may expire again before a long one ends */
    job_begin(job);
}

static int take_start(struct job *job, struct error *err)
{
    int r;

    if (job->answer.status != 202)
        return job_refusal(job, err);
    job->chunk_min = job->answer.chunk_min;
    r = take_location(job, err);
    if (r == 0)
        next_step(job);
    return r;
}

/* A piece is there; or, after one was cut off, this is how much of it. */
static int take_range(struct job *job, struct error *err)
{
    uint64_t bytes = job->step == JOB_UPLOAD_PIECE ? job->piece_end : 0;
    int r = 0;

    if (job->answer.range != NULL)
        r = http_upload_range_parse(job->answer.range, &bytes, err);
    if (r == 0 && (bytes > job->source_size || bytes < job->sent))
        r = error_set(err, EBADMSG, "%s says it has %llu bytes of %llu, after %llu were sent",
                      job->host->endpoint.host, (unsigned long long)bytes,
                      (unsigned long long)job->source_size, (unsigned long long)job->sent);
    if (r == 0 && job->step == JOB_UPLOAD_PIECE && bytes == job->sent)
        r = error_set(err, EBADMSG, "%s takes a piece of a blob and keeps nothing of it",
                      job->host->endpoint.host);
    if (r < 0)
        return r;
    job->sent = bytes;
    tell_sent(job);
    if (job->answer.location != NULL)
        r = take_location(job, err);
    if (r == 0)
        next_step(job);
    return r;
}

void upload_answered(struct job *job)
{
    struct error failure = { 0 };
    long status = job->answer.status;
    int r = 0;

    if (job->step == JOB_UPLOAD_START && status == 201)
        finish(job, true);
    else if (job->step == JOB_UPLOAD_START)
        r = take_start(job, &failure);
    else if ((job->step == JOB_UPLOAD_PIECE && status >= 200 && status < 300) ||
             (job->step == JOB_UPLOAD_STATUS && status == 204))
        r = take_range(job, &failure);
    else if ((job->step == JOB_UPLOAD_FINISH || job->step == JOB_PUT) && status >= 200 &&
             status < 300)
        finish(job, false);
    else
        r = job_refusal(job, &failure);
    if (r == 0)
        return;
    /* It has another part than we think, or has thrown all of it away. */
    if (job->step == JOB_UPLOAD_STATUS && status == 404) {
        job->step = JOB_UPLOAD_FINISH;
        job->sent = 0;
        job_retry(job, r, &failure);
    } else if (job->step == JOB_UPLOAD_PIECE && status == 416) {
        job_retry(job, r, &failure);
    } else {
        job_finish(job, r, &failure);
    }
}

/* A broken piece is not sent blindly again: the registry says what it has of it. One that was to be
 * sent whole begins anew. */
void upload_restart(struct job *job)
{
    if (job->step == JOB_UPLOAD_PIECE)
        job->step = JOB_UPLOAD_STATUS;
    else if (job->step == JOB_UPLOAD_FINISH && job->sent == 0)
        job->step = JOB_UPLOAD_START;
    if (job->step == JOB_UPLOAD_START) {
        free(job->url);
        job->url = NULL;
        job->is_elsewhere = false;
    }
}
