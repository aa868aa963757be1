#ifndef IMAGE_REGISTRY_SESSION_H
#define IMAGE_REGISTRY_SESSION_H

#include "image/credentials.h"
#include "image/documents.h"
#include "image/fetch.h"
#include "image/registry_plan.h"

/* A repository at the registries that serve it, and the requests to them that pull, push and
 * inspect share. */

struct registry_session {
    struct fetch *fetch;
    struct registry_plan plan;
    uint32_t *numbers; /* of each endpoint, as struct fetch has it; UINT32_MAX: not told yet */
    size_t current;    /* the endpoint that answered */
    bool is_pushing;   /* its tokens permit more, and mirrors are no place for it */
    const struct credential *credential; /* in place of those that are kept; borrowed; NULL */
    /* Of an image that is there: its documents are not sent again when the registry says that the
     * name still stands for this digest. The store is borrowed; NULL: none. */
    struct image_store *store;
    struct digest known;
};

/** @loop  borrowed, in which its requests run; NULL: one of its own */
int registry_session_open(const struct registries *registries, const struct reference *reference,
                          const struct registry_options *options, bool is_pushing,
                          struct event_loop *loop, struct registry_session *ret_session,
                          struct error *err);
void registry_session_clear(struct registry_session *session);

/** The endpoint in use. */
const struct registry_endpoint *registry_session_endpoint(const struct registry_session *session);

/** Fills what all requests for this repository have; @path: behind "v2/REPOSITORY/". */
int registry_request(struct registry_session *session, enum fetch_kind kind, const char *path,
                     struct fetch_request *ret_request, struct error *err);

/**
 * Fills a GET of one of a layer's `urls`, to whose host neither credentials nor a client's
 * certificate are told.
 *
 * -EINVAL: it is not of the form "https://HOST[:PORT]/PATH".
 */
int registry_request_url(struct registry_session *session, const char *url,
                         struct fetch_request *ret_request, struct error *err);

struct registry_manifest {
    char *json;
    size_t length;
    char *media_type; /* as the registry says; NULL */
    struct digest digest;
};
void registry_manifest_clear(struct registry_manifest *manifest);

/**
 * Gets a manifest or an index from the first endpoint that has it, which is then the one in use.
 * What is in the session's store already is asked for by HEAD, which registries do not count as a
 * pull.
 *
 * @expected  its digest; NULL: any, named by its tag
 *
 * -EBADMSG: other content than its digest says.
 */
int registry_get_manifest(struct registry_session *session, const char *tag,
                          const struct digest *expected, struct registry_manifest *ret_manifest,
                          struct error *err);

/** Reads a document from the session's store; false when it is not there, or is damaged. */
bool registry_read_kept(struct registry_session *session, const struct digest *digest,
                        struct registry_manifest *ret_manifest);

/* --- registry_resolve.c ----------------------------------------------------------------------- */

/* What a name stands for, for one platform. */
#define REGISTRY_INDEX_DEPTH_MAX 4

struct registry_image {
    struct digest digest; /* of the manifest or the index that the name stands for */
    struct registry_manifest
        indexes[REGISTRY_INDEX_DEPTH_MAX]; /* on the way, the first one first */
    size_t index_count;
    struct registry_manifest manifest;
    struct document document; /* the manifest, decoded */
};
void registry_image_clear(struct registry_image *image);

/**
 * Goes down from a name, by way of indexes, to the manifest of one image.
 *
 * @platform  "linux/arm64"; NULL: this machine's
 */
int registry_resolve(struct registry_session *session, const struct reference *reference,
                     const char *platform, struct registry_image *ret_image, struct error *err);

/** Gets a config and verifies it. Caller frees. */
int registry_get_config(struct registry_session *session, const struct image_descriptor *config,
                        char **ret_json, size_t *ret_length, struct error *err);

#endif
