#ifndef IMAGE_KERNEL_DECODE_H
#define IMAGE_KERNEL_DECODE_H

#include "image/archive_input.h"
#include "image/kernel_private.h"

/* The work of berth-archive for kernels: libarchive reads what anyone may have written. Nothing
 * here opens anything. -EINVAL, -EFBIG, -ENOMEM: a sentence for the user. */

/** Parses a Debian package, and sends its /boot/vmlinuz-* and *.ko, *.ko.xz, *.ko.zst, unpacked and
 * without that suffix, or of them what the input says is wanted. */
int kernel_decode_package(struct archive_input *input, struct archive_sender *sender,
                          struct error *err);

#define KERNEL_STREAM "stream" /* name of what was in one */

/** What kernel_decode_streams() reads, with the bytes of a stream behind it. */
struct kernel_request {
    uint64_t length; /* bytes of the stream, at most KERNEL_IMAGE_MAX */
    uint64_t max;    /* of what is in it */
};
/** Unpacks one stream after the other, and sends each as a file of the name KERNEL_STREAM, until
 * there is none any more. Reads a whole request before it sends. */
int kernel_decode_streams(struct archive_input *input, struct archive_sender *sender,
                          struct error *err);

/** Unpacks a stream of a compression that kernels and packages use. */
int kernel_decode_stream(const void *bytes, size_t length, size_t max,
                         struct kernel_bytes *ret_bytes, struct error *err);

#endif
