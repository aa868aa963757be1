#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "image/fetcher.h"
#include "image/http_headers.h"

/* Bodies on their way to the parent. A full pipe pauses the transfer, not the program. */

#define BUFFER_BYTES (128u << 10)

int body_flush(struct job *job)
{
    size_t done = 0;

    while (done < job->buffered) {
        ssize_t n = write(job->fd, job->buffer + done, job->buffered - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return -errno;
        if (n < 0)
            break;
        done += (size_t)n;
    }
    memmove(job->buffer, job->buffer + done, job->buffered - done);
    job->buffered -= done;
    return 0;
}

/* Where the bytes that come now begin. Once for each attempt. */
static int check_begin(struct job *job, struct error *err)
{
    uint64_t wanted = job->request.offset + job->passed;
    uint64_t first, last, size;
    int r;

    job->has_range = true;
    job->skip = 0;
    if (job->answer.status != 206) {
        job->skip = wanted; /* all of it once more */
        return 0;
    }
    if (job->answer.content_range == NULL)
        return error_set(err, EBADMSG, "%s sends a part without saying which",
                         job->host->endpoint.host);
    r = http_content_range_parse(job->answer.content_range, &first, &last, &size, err);
    if (r < 0)
        return r;
    if (first != wanted)
        return error_set(err, EBADMSG, "%s sends bytes from %llu on, not from %llu",
                         job->host->endpoint.host, (unsigned long long)first,
                         (unsigned long long)wanted);
    if (size != UINT64_MAX && job->request.size != UINT64_MAX && size != job->request.size)
        return error_set(err, EBADMSG, "it has %llu bytes at %s, not %llu",
                         (unsigned long long)size, job->host->endpoint.host,
                         (unsigned long long)job->request.size);
    return 0;
}

static int check_end(struct job *job, size_t length, struct error *err)
{
    uint64_t size = job->request.size;
    uint64_t max = size != UINT64_MAX ? size - job->request.offset : job->request.max;

    if (length <= max - job->passed)
        return 0;
    if (size != UINT64_MAX)
        return error_set(err, EBADMSG, "%s sends more than the %llu bytes it should have",
                         job->host->endpoint.host, (unsigned long long)size);
    return error_set(err, EFBIG, "%s sends more than %llu bytes", job->host->endpoint.host,
                     (unsigned long long)max);
}

/* What is no blob: an error's explanation, a token. One without an end is not waited for. */
static size_t keep_text(struct job *job, const char *bytes, size_t length)
{
    if (length > FETCHER_TEXT_MAX - job->text.length) {
        (void)error_set(&job->failure, EFBIG, "%s answers %ld with more than %u bytes",
                        job_address(job), job->answer.status, FETCHER_TEXT_MAX);
        return CURL_WRITEFUNC_ERROR;
    }
    text_add_bytes(&job->text, bytes, length);
    return length;
}

static size_t pass_on(struct job *job, const char *bytes, size_t length)
{
    if (job->buffer == NULL)
        job->buffer = xcalloc(1, BUFFER_BYTES);
    if (job->buffered + length > BUFFER_BYTES) {
        int r = body_flush(job);

        if (r < 0) {
            (void)error_set(&job->failure, EPIPE, "nobody reads what was asked for");
            return CURL_WRITEFUNC_ERROR;
        }
    }
    if (job->buffered + length > BUFFER_BYTES) {
        job->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    memcpy(job->buffer + job->buffered, bytes, length);
    job->buffered += length;
    job->passed += length;
    return length;
}

size_t body_write(char *bytes, size_t size, size_t count, void *context)
{
    struct job *job = context;
    size_t length = size * count;
    size_t left_out;

    if (job->step != JOB_GET || (job->answer.status != 200 && job->answer.status != 206))
        return keep_text(job, bytes, length);
    if (!job->has_range && check_begin(job, &job->failure) < 0)
        return CURL_WRITEFUNC_ERROR;
    left_out = job->skip < length ? (size_t)job->skip : length;
    if (check_end(job, length - left_out, &job->failure) < 0)
        return CURL_WRITEFUNC_ERROR;
    if (length > left_out) {
        size_t r = pass_on(job, bytes + left_out, length - left_out);

        if (r == CURL_WRITEFUNC_PAUSE || r == CURL_WRITEFUNC_ERROR)
            return r; /* paused: the same bytes come again */
    }
    job->skip -= left_out;
    return length;
}
