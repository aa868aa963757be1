#ifndef IMAGE_FETCH_WIRE_H
#define IMAGE_FETCH_WIRE_H

#include <stdint.h>

#include "base/decode.h"
#include "image/fetch.h"

/* What berth-fetch and its parent say to each other: wire messages (base/wire.h) over the
 * SOCK_SEQPACKET that berth-fetch gets as its standard input. Payloads are JSON by these tables.
 *
 *   ENDPOINT  parent to child; the descriptors that its count says: PEM files (memfd)
 *   REQUEST   parent to child; one descriptor: the pipe for the body, or what is sent
 *   CANCEL    parent to child
 *   SENT      child to parent: how far an upload is
 *   RESULT    child to parent, after the last byte went into the pipe
 *   LOG       child to parent, a line for --debug
 *   FAILED    child to parent, the last: why it ends; the payload is the sentence */

enum fetch_message {
    FETCH_MESSAGE_ENDPOINT = 1,
    FETCH_MESSAGE_REQUEST,
    FETCH_MESSAGE_CANCEL,
    FETCH_MESSAGE_SENT,
    FETCH_MESSAGE_RESULT,
    FETCH_MESSAGE_LOG,
    FETCH_MESSAGE_FAILED,
};

#define FETCH_ENDPOINTS_MAX 256
#define FETCH_TEXT_MAX      2048 /* of a header's value that is passed on */
#define FETCH_PEM_MAX       (1u << 20)

struct fetch_endpoint_message {
    uint32_t number;
    struct fetch_endpoint endpoint; /* without the PEM texts */
    bool has_authorities, has_certificate, has_key;
};
struct fetch_request_message {
    uint32_t id;
    struct fetch_request request;
};
struct fetch_result_message {
    uint32_t id;
    struct fetch_result result;
};
struct fetch_progress_message {
    uint32_t id;
    uint64_t bytes;
};

extern const struct object fetch_endpoint_object, fetch_request_object, fetch_result_object,
    fetch_progress_object;

#endif
