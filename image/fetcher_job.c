#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "image/fetcher.h"
#include "image/http_headers.h"
#include "image/registry_answers.h"

/* One request of the parent: attempts, redirects, credentials, retries. Redirects are followed
 * here, not by libcurl, so that it is seen in one place what goes to which host: credentials, a
 * client's certificate and the answer's challenges belong to the registry alone. */

#define REDIRECTS_MAX     8
#define FAILURES_MAX      6 /* in a row, without a byte in between */
#define DENIALS_MAX       2
#define DELAY_FIRST_MS    500
#define RETRY_AFTER_MAX_S 120
#define CONNECT_S         30
#define IDLE_S            30
#define IDLE_UPLOAD_S     180 /* a registry may move a large blob about before it answers */
#define RECEIVE_BYTES     (256l << 10)
#define HEAD_BYTES_MAX    (256u << 10) /* with the heads that only say that it goes on */

static void answer_clear(struct job_answer *answer)
{
    free(answer->media_type);
    free(answer->digest);
    free(answer->location);
    free(answer->next);
    free(answer->subject);
    free(answer->retry_after);
    free(answer->range);
    free(answer->content_range);
    http_challenges_clear(&answer->challenges);
    *answer = (struct job_answer){ 0 };
}

static void job_stop(struct job *job)
{
    if (job->easy == NULL)
        return;
    (void)curl_multi_remove_handle(job->fetcher->multi, job->easy); /* it is ours to free */
    curl_easy_cleanup(job->easy);
    curl_slist_free_all(job->headers);
    job->easy = NULL;
    job->headers = NULL;
    job->is_paused = false;
}

void job_free(struct job *job)
{
    job_stop(job);
    answer_clear(&job->answer);
    fetch_request_clear(&job->request);
    text_clear(&job->text);
    free(job->url);
    free(job->buffer);
    if (job->fd >= 0)
        (void)close(job->fd); /* a pipe, or only read */
    free(job);
}

const char *job_address(const struct job *job)
{
    return job->step == JOB_TOKEN ? job->token->realm : job->host->endpoint.host;
}

/* --- an attempt ------------------------------------------------------------------------------- */

struct header {
    const char *name;
    size_t offset;
};
static const struct header headers[] = {
    { "docker-content-digest", offsetof(struct job_answer, digest) },
    { "location", offsetof(struct job_answer, location) },
    { "oci-subject", offsetof(struct job_answer, subject) },
    { "retry-after", offsetof(struct job_answer, retry_after) },
    { "range", offsetof(struct job_answer, range) },
    { "content-range", offsetof(struct job_answer, content_range) },
};

static void take_header(struct job_answer *answer, const char *name, const char *value)
{
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        if (strcasecmp(name, headers[i].name) == 0) {
            char **member = (char **)(void *)((char *)answer + headers[i].offset);

            free(*member);
            *member = xstrdup(value);
            return;
        }
    }
    if (strcasecmp(name, "www-authenticate") == 0) {
        http_challenges_parse(value, &answer->challenges);
    } else if (strcasecmp(name, "content-type") == 0) {
        free(answer->media_type);
        answer->media_type = http_media_type(value);
    } else if (strcasecmp(name, "link") == 0 && answer->next == NULL) {
        answer->next = http_link_next(value);
    } else if (strcasecmp(name, "oci-chunk-min-length") == 0) {
        (void)text_parse_u64(value, "length", UINT32_MAX, &answer->chunk_min, NULL); /* else 0 */
    }
}

/* A field's value has none (RFC 9110, "Field Values"), and in JSON each would be six bytes. */
static bool has_controls(const char *text)
{
    for (; *text != '\0'; text++) {
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return true;
    }
    return false;
}

static size_t header_line(char *bytes, size_t size, size_t count, void *context)
{
    struct job *job = context;
    size_t length = size * count;
    auto_free char *line = xstrndup(bytes, length);
    char *value;

    job->head_bytes += length;
    if (job->head_bytes > HEAD_BYTES_MAX) {
        (void)error_set(&job->failure, EBADMSG, "%s answers with a head of more than %u bytes",
                        job_address(job), HEAD_BYTES_MAX);
        return 0;
    }
    line[strcspn(line, "\r\n")] = '\0';
    if (strncmp(line, "HTTP/", 5) == 0) { /* of the last of several heads: 100, then 200 */
        answer_clear(&job->answer);
        (void)curl_easy_getinfo(job->easy, CURLINFO_RESPONSE_CODE, &job->answer.status);
        return length;
    }
    value = strchr(line, ':');
    if (value == NULL || strlen(line) > FETCH_TEXT_MAX + 64 || has_controls(line))
        return length;
    *value++ = '\0';
    value += strspn(value, " \t");
    for (size_t end = strlen(value); end > 0 && strchr(" \t", value[end - 1]) != NULL; end--)
        value[end - 1] = '\0';
    take_header(&job->answer, line, value);
    return length;
}

static void add_header(struct job *job, const char *name, const char *value)
{
    auto_free char *line = xasprintf("%s: %s", name, value);

    if (strpbrk(line, "\r\n") == NULL)
        job->headers = curl_slist_append(job->headers, line);
}

static void authorize(struct job *job)
{
    const struct fetch_endpoint *endpoint = &job->host->endpoint;
    auto_free char *value = NULL;

    job->used = NULL;
    job->used_basic = false;
    if (job->is_elsewhere)
        return;
    if (job->step == JOB_TOKEN) {
        job->used_basic = endpoint->username != NULL && endpoint->identity_token == NULL;
    } else if (endpoint->registry_token != NULL) {
        value = xasprintf("Bearer %s", endpoint->registry_token);
    } else {
        job->used = token_find(job->fetcher, job->host, &job->request.scopes);
        if (job->used != NULL)
            value = xasprintf("Bearer %s", job->used->value);
        else
            job->used_basic = job->host->uses_basic;
    }
    if (value != NULL)
        add_header(job, "Authorization", value);
    if (job->used_basic) {
        (void)curl_easy_setopt(job->easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        (void)curl_easy_setopt(job->easy, CURLOPT_USERNAME, endpoint->username);
        (void)curl_easy_setopt(job->easy, CURLOPT_PASSWORD,
                               endpoint->password != NULL ? endpoint->password : "");
    }
}

static void set_blob(CURL *easy, CURLoption option, const char *text)
{
    struct curl_blob blob = { .data = (void *)text, .len = strlen(text), .flags = CURL_BLOB_COPY };

    (void)curl_easy_setopt(easy, option, &blob);
}

/* A token goes to a server that the registry names: there the certificate is always looked at. */
static void secure(struct job *job)
{
    const struct fetch_endpoint *endpoint = &job->host->endpoint;
    bool is_foreign = job->is_elsewhere || job->step == JOB_TOKEN;

    if (endpoint->is_unverified && job->step != JOB_TOKEN) {
        (void)curl_easy_setopt(job->easy, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(job->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    job->wants_bundle = endpoint->authorities == NULL && !job->fetcher->lacks_bundle;
    if (job->fetcher->lacks_bundle)
        (void)curl_easy_setopt(job->easy, CURLOPT_CAINFO, NULL);
    if (endpoint->authorities != NULL)
        set_blob(job->easy, CURLOPT_CAINFO_BLOB, endpoint->authorities);
    if (!is_foreign && endpoint->certificate != NULL && endpoint->key != NULL) {
        set_blob(job->easy, CURLOPT_SSLCERT_BLOB, endpoint->certificate);
        set_blob(job->easy, CURLOPT_SSLKEY_BLOB, endpoint->key);
    }
}

static void prepare_get(struct job *job)
{
    uint64_t first = job->request.offset + job->passed;
    auto_free char *accept = strings_join(&job->request.accept, ", ");

    job->has_range = false;
    if (accept[0] != '\0')
        add_header(job, "Accept", accept);
    if (first > 0) {
        auto_free char *range = xasprintf("bytes=%llu-", (unsigned long long)first);

        add_header(job, "Range", range);
    }
    if (job->step == JOB_HEAD)
        (void)curl_easy_setopt(job->easy, CURLOPT_NOBODY, 1L);
}

static void prepare_token(struct job *job)
{
    auto_free char *form = NULL;
    auto_free char *url = token_url(job->token, &form);

    if (job->redirects == 0) {
        free(job->url);
        job->url = take_ptr(&url);
    }
    if (form != NULL)
        (void)curl_easy_setopt(job->easy, CURLOPT_COPYPOSTFIELDS, form);
}

static void prepare_step(struct job *job)
{
    if (job->step == JOB_TOKEN)
        prepare_token(job);
    else if (job->step == JOB_GET || job->step == JOB_HEAD)
        prepare_get(job);
    else
        upload_prepare(job);
}

void job_begin(struct job *job)
{
    bool is_upload = job->step >= JOB_UPLOAD_START || job->step == JOB_PUT;
    auto_free char *own_url = NULL;

    job_stop(job);
    answer_clear(&job->answer);
    text_clear(&job->text);
    job->head_bytes = 0;
    job->curl_text[0] = '\0';
    job->wait_until_ms = 0;
    job->easy = curl_easy_init();
    if (job->easy == NULL) {
        (void)error_set(&job->failure, ENOMEM, "libcurl gives no handle");
        job_finish(job, -ENOMEM, &job->failure);
        return;
    }
    (void)curl_easy_setopt(job->easy, CURLOPT_PRIVATE, job);
    (void)curl_easy_setopt(job->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(job->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(job->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    (void)curl_easy_setopt(job->easy, CURLOPT_PIPEWAIT, 1L);
    (void)curl_easy_setopt(job->easy, CURLOPT_USERAGENT, "berth/" BERTH_VERSION);
    (void)curl_easy_setopt(job->easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    (void)curl_easy_setopt(job->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(job->easy, CURLOPT_LOW_SPEED_TIME,
                           is_upload ? (long)IDLE_UPLOAD_S : (long)IDLE_S);
    (void)curl_easy_setopt(job->easy, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
    (void)curl_easy_setopt(job->easy, CURLOPT_ERRORBUFFER, job->curl_text);
    (void)curl_easy_setopt(job->easy, CURLOPT_HEADERFUNCTION, header_line);
    (void)curl_easy_setopt(job->easy, CURLOPT_HEADERDATA, job);
    (void)curl_easy_setopt(job->easy, CURLOPT_WRITEFUNCTION, body_write);
    (void)curl_easy_setopt(job->easy, CURLOPT_WRITEDATA, job);
    /* A body that a proxy compressed would have another digest. */
    add_header(job, "Accept-Encoding", "identity");
    secure(job);
    authorize(job);
    prepare_step(job);
    job->scheme = job->host->scheme;
    own_url = xasprintf("%s://%s/%s", job->scheme, job->host->endpoint.host,
                        job->request.path != NULL ? job->request.path : "");
    if (job->step != JOB_UPLOAD_FINISH)
        (void)curl_easy_setopt(job->easy, CURLOPT_URL, job->url != NULL ? job->url : own_url);
    (void)curl_easy_setopt(job->easy, CURLOPT_HTTPHEADER, job->headers);
    fetcher_log(job->fetcher, "%u: %s", job->id, job->url != NULL ? job->url : own_url);
    (void)curl_multi_add_handle(job->fetcher->multi, job->easy);
}

/* --- the end of a job ------------------------------------------------------------------------- */

bool job_is_finished(const struct job *job)
{
    return job->id == 0 && job->token == NULL;
}

/* The next page's path at the same host; a link may be a whole URL, or begin with a slash. */
static char *next_path(const struct job *job)
{
    const char *next = job->answer.next;

    if (next == NULL)
        return NULL;
    if (strstr(next, "://") != NULL) {
        next = strchr(strstr(next, "://") + 3, '/');
        if (next == NULL)
            return NULL;
    }
    return xstrdup(next + (*next == '/'));
}

static void tell_parent(struct job *job, int r, const struct error *failure)
{
    struct fetch_result_message message = { .id = job->id };
    auto_free char *next = next_path(job);
    auto_free char *text = r < 0 ? xstrdup(failure->message) : NULL;
    curl_off_t length = 0;

    if (job->step == JOB_HEAD && job->easy != NULL)
        (void)curl_easy_getinfo(job->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    message.result = (struct fetch_result){
        .code = r < 0 ? (uint32_t)-r : 0,
        .message = text,
        .status = (uint32_t)job->answer.status,
        .length = length > 0 ? (uint64_t)length : 0,
        .media_type = job->answer.media_type,
        .digest = job->answer.digest,
        .next = next,
        .subject = job->answer.subject,
        .was_mounted = job->was_mounted,
    };
    fetcher_send(job->fetcher, FETCH_MESSAGE_RESULT, &fetch_result_object, &message);
}

static void finish_token(struct job *job, int r, const struct error *failure)
{
    struct token *token = job->token;

    job->token = NULL;
    token->state = r < 0 ? TOKEN_FAILED : TOKEN_READY;
    if (r < 0)
        token->failure = *failure;
    for (struct job *other = job->fetcher->jobs; other != NULL; other = other->next) {
        if (other->waits_for != token)
            continue;
        other->waits_for = NULL;
        if (r < 0)
            job_finish(other, r, failure);
        else
            job_begin(other);
    }
}

void job_finish(struct job *job, int r, const struct error *failure)
{
    if (job->step == JOB_TOKEN) {
        job_stop(job);
        finish_token(job, r, failure);
        return;
    }
    tell_parent(job, r, failure);
    job_stop(job);
    job->id = 0;
    job->is_complete = false;
    auto_close_cleanup(&job->fd); /* the end, for the parent */
    job->fd = -1;
}

/* --- what to do with an answer ---------------------------------------------------------------- */

int job_refusal(struct job *job, struct error *err)
{
    auto_free char *reason =
        job->text.data != NULL ? registry_error_text(job->text.data, job->text.length) : NULL;
    long status = job->answer.status;
    int code = EIO;

    if (status == 404)
        code = ENOENT;
    else if (status == 401 || status == 403)
        code = EACCES;
    else if (status == 405)
        code = EOPNOTSUPP;
    else if (status == 429)
        code = EBUSY;
    if (reason != NULL && strlen(reason) > 300)
        reason[300] = '\0';
    return error_set(err, code, "%s answers %ld%s%s", job_address(job), status,
                     reason != NULL ? ": " : "", reason != NULL ? reason : "");
}

void job_retry(struct job *job, int r, const struct error *failure)
{
    uint64_t delay_ms = DELAY_FIRST_MS;
    uint64_t seconds;

    if (job->passed > job->mark || job->sent > job->mark)
        job->failures = job->denials = 0; /* it went on meanwhile */
    job->mark = job->passed > job->sent ? job->passed : job->sent;
    if (++job->failures >= FAILURES_MAX) {
        job_finish(job, r, failure);
        return;
    }
    delay_ms <<= job->failures - 1;
    if (job->answer.retry_after != NULL &&
        http_retry_after_parse(job->answer.retry_after, time(NULL), &seconds, NULL) == 0) {
        if (seconds > RETRY_AFTER_MAX_S) {
            struct error later = { 0 };

            r = error_set(&later, EBUSY, "%s; it wants to be asked again in %llu seconds",
                          failure->message, (unsigned long long)seconds);
            job_finish(job, r, &later);
            return;
        }
        delay_ms = seconds * 1000 > delay_ms ? seconds * 1000 : delay_ms;
    }
    fetcher_log(job->fetcher, "%u: %s; again in %llu ms", job->id, failure->message,
                (unsigned long long)delay_ms);
    job_stop(job);
    if (job->is_elsewhere &&
        job->step <= JOB_HEAD) { /* links to a store of blobs expire: ask the registry again */
        free(job->url);
        job->url = NULL;
        job->is_elsewhere = false;
    }
    upload_restart(job);
    job->redirects = 0;
    job->wait_until_ms = fetcher_now_ms() + delay_ms;
}

/* Whether another attempt may end better. What never worked with this host is told at once: a
 * mistyped name, a port where nobody listens. */
static bool is_passing(const struct job *job, CURLcode code)
{
    if (strstr(job->curl_text, "alert") != NULL) /* TLS: it does not want to speak to us */
        return false;
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
        return job->host->is_known;
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WEIRD_SERVER_REPLY:
        return true;
    default:
        return false;
    }
}

/* A registry without TLS answers a client's hello with an error, or not at all. Another job may
 * have found that out meanwhile. */
static bool may_be_plain(const struct job *job, CURLcode code)
{
    const struct fetcher_host *host = job->host;

    return host->endpoint.allows_http && !job->is_elsewhere && job->step != JOB_TOKEN &&
           strcmp(job->scheme, "https") == 0 && strstr(job->curl_text, "alert") == NULL &&
           (!host->is_known || strcmp(host->scheme, "http") == 0) &&
           (code == CURLE_SSL_CONNECT_ERROR || code == CURLE_COULDNT_CONNECT ||
            code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING);
}

/* Whether the attempt failed only for what the next one does without. */
static bool goes_otherwise(struct job *job, CURLcode code)
{
    /* libcurl reads the bundle before it says hello, also to a registry that turns out to have no
     * TLS. Without it a certificate is still looked at, and trusted by none. */
    if (code == CURLE_SSL_CACERT_BADFILE && job->wants_bundle) {
        fetcher_log(job->fetcher, "no authorities of the system: %s", job->curl_text);
        job->fetcher->lacks_bundle = true;
        return true;
    }
    if (!may_be_plain(job, code))
        return false;
    job->host->scheme = "http";
    return true;
}

static int distrust(const struct job *job, const char *text, struct error *err)
{
    const char *host = job->host->endpoint.host;
    const char *bundle = curl_version_info(CURLVERSION_NOW)->cainfo;

    if (job->fetcher->lacks_bundle)
        return error_set(err, EACCES,
                         "the certificate of %s cannot be checked: this machine has no certificate "
                         "authorities (%s); install the package ca-certificates, put the "
                         "registry's authority into /etc/docker/certs.d/%s/ca.crt, or allow it "
                         "with --tls-verify=false",
                         job_address(job), bundle != NULL ? bundle : text, host);
    return error_set(err, EACCES,
                     "the certificate of %s is not trusted (%s); put its authority into "
                     "/etc/docker/certs.d/%s/ca.crt, or allow it with --tls-verify=false",
                     job_address(job), text, host);
}

static void transport_failed(struct job *job, CURLcode code)
{
    struct error failure = { 0 };
    const char *text = job->curl_text[0] != '\0' ? job->curl_text : curl_easy_strerror(code);
    int r;

    if (goes_otherwise(job, code)) {
        upload_restart(job);
        job_begin(job);
        return;
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        r = distrust(job, text, &failure);
    else
        r = error_set(&failure, EIO, "%s: %s", job_address(job), text);
    if (is_passing(job, code))
        job_retry(job, r, &failure);
    else
        job_finish(job, r, &failure);
}

/* Whether two URLs have the same scheme, host and port; *ret_downgrade: from TLS to plain. */
static bool is_same_host(const char *one, const char *other, bool *ret_downgrade)
{
    static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };
    CURLU *urls[2] = { curl_url(), curl_url() };
    bool is_same = urls[0] != NULL && urls[1] != NULL &&
                   curl_url_set(urls[0], CURLUPART_URL, one, 0) == CURLUE_OK &&
                   curl_url_set(urls[1], CURLUPART_URL, other, 0) == CURLUE_OK;

    *ret_downgrade = strncasecmp(one, "https:", 6) == 0 && strncasecmp(other, "https:", 6) != 0;
    for (size_t i = 0; is_same && i < ARRAY_SIZE(parts); i++) {
        char *values[2] = { NULL, NULL };

        is_same = curl_url_get(urls[0], parts[i], &values[0], CURLU_DEFAULT_PORT) == CURLUE_OK &&
                  curl_url_get(urls[1], parts[i], &values[1], CURLU_DEFAULT_PORT) == CURLUE_OK &&
                  strcasecmp(values[0], values[1]) == 0;
        curl_free(values[0]);
        curl_free(values[1]);
    }
    curl_url_cleanup(urls[0]);
    curl_url_cleanup(urls[1]);
    return is_same;
}

int job_move(struct job *job, const char *from, const char *to, struct error *err)
{
    bool is_downgrade;
    char *url;

    if (!is_same_host(from, to, &is_downgrade))
        job->is_elsewhere = true; /* and stays so: what comes later was not asked of us */
    if (is_downgrade)
        return error_set(err, EACCES, "%s redirects to a host without TLS", job_address(job));
    url = xstrdup(to);
    free(job->url);
    job->url = url;
    return 0;
}

/* Authorization is left out for another host, but this token is in the body. */
static int check_token_move(const struct job *job, struct error *err)
{
    if (job->step != JOB_TOKEN || !job->is_elsewhere || job->host->endpoint.identity_token == NULL)
        return 0;
    return error_set(err, EACCES,
                     "%s redirects to another host, which is not given the login's token",
                     job_address(job));
}

static void follow(struct job *job)
{
    struct error failure = { 0 };
    const char *from = NULL;
    const char *to = NULL;
    int r;

    (void)curl_easy_getinfo(job->easy, CURLINFO_EFFECTIVE_URL, &from);
    (void)curl_easy_getinfo(job->easy, CURLINFO_REDIRECT_URL, &to);
    if (from == NULL || to == NULL)
        r = job_refusal(job, &failure);
    else if (++job->redirects > REDIRECTS_MAX)
        r = error_set(&failure, ELOOP, "%s redirects more than %d times", job_address(job),
                      REDIRECTS_MAX);
    else
        r = job_move(job, from, to, &failure);
    if (r == 0)
        r = check_token_move(job, &failure);
    if (r < 0)
        job_finish(job, r, &failure);
    else
        job_begin(job);
}

static int refuse(struct job *job, struct error *err)
{
    const struct fetch_endpoint *endpoint = &job->host->endpoint;
    bool has_login = endpoint->username != NULL || endpoint->identity_token != NULL ||
                     endpoint->registry_token != NULL;
    auto_free char *reason =
        job->text.data != NULL ? registry_error_text(job->text.data, job->text.length) : NULL;

    if (reason != NULL && strlen(reason) > 300)
        reason[300] = '\0';
    if (has_login)
        return error_set(err, EACCES, "%s does not let '%s' do that%s%s", endpoint->host,
                         endpoint->username != NULL ? endpoint->username : "this login",
                         reason != NULL ? ": " : "", reason != NULL ? reason : "");
    return error_set(err, EACCES, "%s wants a login, or there is no such thing there%s%s",
                     endpoint->host, reason != NULL ? ": " : "", reason != NULL ? reason : "");
}

static void answer_challenge(struct job *job)
{
    const struct http_challenge *bearer = http_challenges_find(&job->answer.challenges, "bearer");
    const struct http_challenge *basic = http_challenges_find(&job->answer.challenges, "basic");
    struct token *token = NULL;
    struct error failure = { 0 };
    int r;

    if (job->denials++ >= DENIALS_MAX) {
        r = refuse(job, &failure);
    } else if (bearer != NULL && string_map_get(&bearer->parameters, "realm") != NULL) {
        r = token_want(job->fetcher, job->host, bearer, &job->request.scopes, &token, &failure);
    } else if (basic != NULL && job->host->endpoint.username != NULL && !job->used_basic) {
        job->host->uses_basic = true;
        job_begin(job);
        return;
    } else {
        r = refuse(job, &failure);
    }
    if (r < 0) {
        job_finish(job, r, &failure);
        return;
    }
    job_stop(job);
    job->waits_for = token;
}

static void get_answered(struct job *job)
{
    struct error failure = { 0 };
    uint64_t wanted = job->request.size - job->request.offset;
    int r;

    if (job->answer.status != 200 && job->answer.status != 206) {
        r = job_refusal(job, &failure);
        job_finish(job, r, &failure);
        return;
    }
    if (job->step == JOB_GET && job->request.size != UINT64_MAX && job->passed < wanted) {
        r = error_set(&failure, EBADMSG, "%s ends after %llu of %llu bytes",
                      job->host->endpoint.host,
                      (unsigned long long)(job->request.offset + job->passed),
                      (unsigned long long)job->request.size);
        job_retry(job, r, &failure);
        return;
    }
    if (job->buffered > 0) {
        job->is_complete = true;
        return;
    }
    job_finish(job, 0, NULL);
}

static void token_answered(struct job *job)
{
    struct error failure = { 0 };
    int r;

    if (job->answer.status != 200)
        r = job_refusal(job, &failure);
    else
        r = token_take(job->token, job->text.data != NULL ? job->text.data : "", job->text.length,
                       fetcher_now_ms(), &failure);
    job_finish(job, r, &failure);
}

static bool is_passing_status(long status)
{
    return status == 408 || status == 429 || status >= 500;
}

void job_ended(struct job *job, CURLcode code)
{
    struct error failure = { 0 };
    long status;

    if (job->failure.code != 0) {
        failure = job->failure;
        job_finish(job, -failure.code, &failure);
        return;
    }
    if (code != CURLE_OK) {
        transport_failed(job, code);
        return;
    }
    if (!job->is_elsewhere && job->step != JOB_TOKEN)
        job->host->is_known = true;
    status = job->answer.status;
    fetcher_log(job->fetcher, "%u: answered %ld", job->id, status);
    if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) {
        follow(job);
    } else if (status == 401 && job->step != JOB_TOKEN && !job->is_elsewhere) {
        answer_challenge(job);
    } else if (is_passing_status(status)) {
        int r = job_refusal(job, &failure);

        job_retry(job, r, &failure);
    } else if (job->step == JOB_GET || job->step == JOB_HEAD) {
        get_answered(job);
    } else if (job->step == JOB_TOKEN) {
        token_answered(job);
    } else {
        upload_answered(job);
    }
}
