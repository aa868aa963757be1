#ifndef MICROVM_GUEST_BYTES_H
#define MICROVM_GUEST_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* A run of guest memory in pieces, consumed from its front: the readable or the writable half of a
 * descriptor chain. The pieces were checked already; what stands in them changes at any time. */
struct guest_bytes {
    struct iovec *segments; /* borrowed; changed while the run is consumed */
    size_t count;
    size_t length; /* of all segments together */
};

/** Copies the first @length bytes out and drops them. False, and nothing done, when there are
 * fewer. */
bool guest_bytes_take(struct guest_bytes *run, void *bytes, size_t length);
/** Copies @length bytes in at the front and drops what they overwrote. False, and nothing done,
 * when there is less room. */
bool guest_bytes_put(struct guest_bytes *run, const void *bytes, size_t length);
/** Drops the first @length bytes, at most all. */
void guest_bytes_skip(struct guest_bytes *run, size_t length);
/** Keeps the first @length bytes, or all when there are fewer. */
void guest_bytes_cut(struct guest_bytes *run, size_t length);

#endif
