#ifndef IMAGE_FETCH_H
#define IMAGE_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/event.h"
#include "base/text.h"

/* Requests to registries. The program berth-fetch speaks HTTP and TLS, unprivileged and in a
 * sandbox, as it reads what anyone may send; this is its parent's side, which links neither libcurl
 * nor libssl. Bodies come back through a pipe for each request: berth-fetch never holds a
 * descriptor of the store, and cannot change a byte after its parent has hashed it.
 *
 * Requests run at the same time; fetch_run() calls back until all are done. */

struct fetch;

/**
 * Starts berth-fetch, once for a command.
 *
 * @loop  borrowed, in which its requests run; NULL: one of its own
 */
int fetch_open(struct event_loop *loop, struct fetch **ret_fetch, struct error *err);
void fetch_free(struct fetch *fetch); /* kills it; requests under way end without a call */
DEFINE_AUTO(fetch)

/* A registry's host, and what may be told to it. */
struct fetch_endpoint {
    char *host;       /* "registry-1.docker.io", "localhost:5000", "[::1]:5000" */
    bool allows_http; /* when there is no TLS there */
    bool is_unverified;
    char *username, *password;
    char *identity_token; /* an OAuth2 refresh token, in place of the password */
    char *registry_token; /* sent as it is */
    /* PEM: authorities besides the system's, and a client's certificate with its key. */
    char *authorities, *certificate, *key;
};
void fetch_endpoint_clear(struct fetch_endpoint *endpoint);

/** Makes a host known to berth-fetch. @ret_number: what requests call it. */
int fetch_add_endpoint(struct fetch *fetch, const struct fetch_endpoint *endpoint,
                       uint32_t *ret_number, struct error *err);

enum fetch_kind {
    FETCH_GET,    /* the body comes to data() */
    FETCH_HEAD,   /* only what struct fetch_result says */
    FETCH_PUT,    /* the body of source_fd, in one piece: a manifest */
    FETCH_UPLOAD, /* a blob of source_fd: mounted, or sent by POST, PATCH and PUT */
};

struct fetch_request {
    uint32_t kind;
    uint32_t endpoint;
    char *path;            /* "v2/library/busybox/manifests/latest", with its query */
    struct strings scopes; /* what a token has to permit: "repository:library/busybox:pull" */
    struct strings accept; /* media types */
    char *content_type;    /* of what is sent */
    uint64_t offset;       /* GET: the body's first byte; the answer is continued there */
    uint64_t size;         /* GET: bytes that the whole body has; UINT64_MAX: not known */
    uint64_t max;          /* GET: more than this is an error */
    char *digest;          /* UPLOAD */
    char *mount_from;      /* UPLOAD: another repository that has the blob; NULL */
};
void fetch_request_clear(struct fetch_request *request);

/* What became of a request. All of it was said by the registry, and nothing of it is checked. */
struct fetch_result {
    uint32_t code; /* positive errno value; 0: it worked */
    char *message; /* of a failure */
    uint32_t status;
    uint64_t length;  /* Content-Length of a HEAD */
    char *media_type; /* Content-Type without parameters */
    char *digest;     /* Docker-Content-Digest */
    char *next;       /* path of the next page, from Link */
    char *subject;    /* OCI-Subject: the registry keeps referrers itself */
    bool was_mounted;
};
void fetch_result_clear(struct fetch_result *result);

struct fetch_handlers {
    /** Bytes of the body, in order. Negative: the request is given up, done() gets the error. */
    int (*data)(void *context, const void *bytes, size_t length, struct error *err);
    /** Bytes of an upload that the registry has, may be NULL. */
    void (*sent)(void *context, uint64_t bytes);
    /**
     * The last call of a request.
     *
     * @r, @failure  0, or what went wrong: -ENOENT (404), -EACCES (401, 403), -EOPNOTSUPP (405),
     *               -EBADMSG...
     *
     * Negative ends fetch_run() with this error. It may start further requests.
     */
    int (*done)(void *context, const struct fetch_result *result, int r,
                const struct error *failure, struct error *err);
};

/**
 * Begins a request.
 *
 * @request    borrowed for the call
 * @source_fd  what is sent, read with pread(2); borrowed; -1: none
 * @handlers   borrowed until done() was called
 */
int fetch_start(struct fetch *fetch, const struct fetch_request *request, int source_fd,
                const struct fetch_handlers *handlers, void *context, struct error *err);

/** Runs until every request is done. After an error those under way are given up, without a call.
 */
int fetch_run(struct fetch *fetch, struct error *err);
/** Requests under way. */
size_t fetch_count(const struct fetch *fetch);

/**
 * One GET, as a whole.
 *
 * @ret_bytes   ends with a zero byte that is not counted; the caller frees it
 * @ret_result  may be NULL
 *
 * -ENOENT, -EACCES: the registry's 404, 401 or 403.
 */
int fetch_document(struct fetch *fetch, const struct fetch_request *request, char **ret_bytes,
                   size_t *ret_length, struct fetch_result *ret_result, struct error *err);
/** One request without a body that comes back. */
int fetch_call(struct fetch *fetch, const struct fetch_request *request, int source_fd,
               struct fetch_result *ret_result, struct error *err);

#endif
