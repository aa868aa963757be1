#ifndef IMAGE_FETCHER_H
#define IMAGE_FETCHER_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "image/fetch_wire.h"
#include "image/http_challenge.h"

/* berth-fetch from inside: hosts it may speak to, jobs (one for each request of the parent, and one
 * for each token), and the loop that runs them. Only this program links libcurl. */

struct fetcher;

/* --- hosts ------------------------------------------------------------------------------------ */

struct fetcher_host {
    struct fetch_endpoint endpoint; /* PEM texts are here, too */
    const char *scheme;             /* "https", then "http" where that is allowed */
    bool is_known;                  /* it has answered */
    bool uses_basic;                /* it asked for Basic */
};

/* --- tokens ----------------------------------------------------------------------------------- */

enum token_state { TOKEN_WANTED, TOKEN_READY, TOKEN_FAILED };

struct token {
    struct token *next;
    struct fetcher_host *host; /* whose credentials are used */
    char *realm, *service;
    char *key;             /* the request's scopes, joined: what later requests look for */
    struct strings scopes; /* what is asked for */
    char *value;
    uint64_t expires_ms;
    enum token_state state;
    struct error failure;
};
/** The token for these scopes that is ready; NULL. */
struct token *token_find(struct fetcher *fetcher, const struct fetcher_host *host,
                         const struct strings *scopes);
/** Makes, or asks once more for, the token that a challenge wants. Its state is TOKEN_WANTED then.
 */
int token_want(struct fetcher *fetcher, struct fetcher_host *host,
               const struct http_challenge *challenge, const struct strings *scopes,
               struct token **ret_token, struct error *err);
/** The URL to GET, or to POST with @ret_form. Caller frees. */
char *token_url(const struct token *token, char **ret_form);
/** Takes the token server's answer. */
int token_take(struct token *token, const char *json, size_t length, uint64_t now_ms,
               struct error *err);
void token_free(struct token *token);

/* --- jobs ------------------------------------------------------------------------------------- */

enum job_step {
    JOB_GET,
    JOB_HEAD,
    JOB_PUT,
    JOB_TOKEN,
    JOB_UPLOAD_START,  /* POST: mounted, or a place to upload to */
    JOB_UPLOAD_PIECE,  /* PATCH */
    JOB_UPLOAD_STATUS, /* GET: how much of it is there */
    JOB_UPLOAD_FINISH, /* PUT with the digest */
};

/* What an answer's head said. */
struct job_answer {
    long status;
    char *media_type, *digest, *location, *next, *subject, *retry_after, *range, *content_range;
    uint64_t chunk_min;
    struct http_challenges challenges;
};

struct job {
    struct fetcher *fetcher;
    struct job *next;
    uint32_t id; /* 0: for a token */
    struct fetch_request request;
    struct fetcher_host *host;
    struct token *token;     /* JOB_TOKEN: the one that is asked for */
    struct token *waits_for; /* to be ready */
    struct token *used;      /* in the present attempt */
    enum job_step step;

    char *url;         /* of the present step; NULL: the request's path at its host */
    bool is_elsewhere; /* redirected to another host, which gets no credentials */
    unsigned redirects, failures, denials;
    uint64_t wait_until_ms; /* between two attempts; 0: not waiting */

    CURL *easy;         /* NULL: not running */
    const char *scheme; /* of the present attempt */
    bool wants_bundle;  /* the present attempt fails if the system's authorities cannot be read */
    struct curl_slist *headers;
    char curl_text[CURL_ERROR_SIZE];
    struct job_answer answer;
    size_t head_bytes;    /* of the present attempt's answers */
    struct text text;     /* the body where it is not passed on */
    struct error failure; /* what a callback found; no retry */
    bool used_basic;

    /* A body that is passed on. */
    int fd; /* the pipe, or what is uploaded */
    char *buffer;
    size_t buffered;
    uint64_t passed; /* bytes that came, from request.offset on */
    uint64_t skip;   /* bytes to leave out: the server does not know Range */
    uint64_t mark;   /* passed, at the last failure */
    bool has_range;  /* checked for the present attempt */
    bool is_paused;
    bool is_complete; /* to be told when the buffer is empty */

    /* An upload. */
    uint64_t source_size;
    uint64_t sent;      /* the registry has so many bytes */
    uint64_t piece_end; /* of the present PATCH or PUT */
    uint64_t read_at;
    uint64_t chunk_min; /* OCI-Chunk-Min-Length */
    bool was_mounted;
};

#define FETCHER_TEXT_MAX (256u << 10) /* of a body that is read here: tokens and errors */

/** Begins, or goes on with, what its step says. */
void job_begin(struct job *job);
/** curl is done with it. */
void job_ended(struct job *job, CURLcode code);
/** Ends it: tells the parent, and marks it for removal. */
void job_finish(struct job *job, int r, const struct error *failure);
/** Tries again later, or gives up. @err: what went wrong */
void job_retry(struct job *job, int r, const struct error *failure);
/** Goes on at another URL, which may be another host's: that one gets no credentials. */
int job_move(struct job *job, const char *from, const char *to, struct error *err);
void job_free(struct job *job);
/** Whom it asks, as errors say: the registry, or the token server. */
const char *job_address(const struct job *job);
/** "HOST answers 404: MANIFEST_UNKNOWN: manifest unknown". */
int job_refusal(struct job *job, struct error *err);
bool job_is_finished(const struct job *job);

/* fetcher_body.c */
size_t body_write(char *bytes, size_t size, size_t count, void *context);
/** Empties the buffer into the pipe as far as it takes it. -EPIPE: nobody reads. */
int body_flush(struct job *job);

/* fetcher_upload.c */
int upload_begin(struct job *job, struct error *err);
/** Sets method, headers and body of the present step. */
void upload_prepare(struct job *job);
/** An answer of the present step came that is no redirect, no 401, no 5xx. */
void upload_answered(struct job *job);
/** Chooses the step to go on with after an attempt that broke. */
void upload_restart(struct job *job);

/* --- the loop --------------------------------------------------------------------------------- */

struct fetcher {
    CURLM *multi;
    int fd; /* the parent's socket */
    struct fetcher_host *hosts[FETCH_ENDPOINTS_MAX];
    size_t host_count;
    struct token *tokens;
    struct job *jobs;
    bool is_debug;
    bool lacks_bundle; /* the file of the system's authorities cannot be read, or has none */
};

/** Serves until the parent is gone. */
int fetcher_run(int fd, bool is_debug, struct error *err);
uint64_t fetcher_now_ms(void);
void fetcher_log(struct fetcher *fetcher, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void fetcher_send(struct fetcher *fetcher, uint32_t type, const struct object *object,
                  const void *value);
/** Adds a job to the loop; it is the loop's. */
void fetcher_add(struct fetcher *fetcher, struct job *job);

#endif
