#include "microvm/guest_bytes.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

/* Bytes of the first segment that are part of the first @length bytes. */
static size_t first_piece(const struct guest_bytes *run, size_t length)
{
    return length < run->segments[0].iov_len ? length : run->segments[0].iov_len;
}

static void drop_piece(struct guest_bytes *run, size_t length)
{
    struct iovec *first = &run->segments[0];

    first->iov_base = (uint8_t *)first->iov_base + length;
    first->iov_len -= length;
    run->length -= length;
    if (first->iov_len == 0) {
        run->segments++;
        run->count--;
    }
}

bool guest_bytes_take(struct guest_bytes *run, void *bytes, size_t length)
{
    uint8_t *to = bytes;

    assert(run != NULL);

    if (run->length < length)
        return false;
    while (length > 0) {
        size_t piece = first_piece(run, length);

        memcpy(to, run->segments[0].iov_base, piece);
        drop_piece(run, piece);
        to += piece;
        length -= piece;
    }
    /* The copy is what the caller checks and uses: it may not be read from the guest again. */
    __asm__ volatile("" ::: "memory");
    return true;
}

bool guest_bytes_put(struct guest_bytes *run, const void *bytes, size_t length)
{
    const uint8_t *from = bytes;

    assert(run != NULL);

    if (run->length < length)
        return false;
    while (length > 0) {
        size_t piece = first_piece(run, length);

        memcpy(run->segments[0].iov_base, from, piece);
        drop_piece(run, piece);
        from += piece;
        length -= piece;
    }
    return true;
}

void guest_bytes_skip(struct guest_bytes *run, size_t length)
{
    assert(run != NULL);

    if (length > run->length)
        length = run->length;
    while (length > 0) {
        size_t piece = first_piece(run, length);

        drop_piece(run, piece);
        length -= piece;
    }
}

void guest_bytes_cut(struct guest_bytes *run, size_t length)
{
    size_t kept = 0;

    assert(run != NULL);

    if (length >= run->length)
        return;
    run->length = length;
    for (run->count = 0; kept < length; run->count++) {
        struct iovec *segment = &run->segments[run->count];

        if (segment->iov_len > length - kept)
            segment->iov_len = length - kept;
        kept += segment->iov_len;
    }
}
