/* Any bytes as the kernel and as a module that `berth vm kernel import` is given: what it finds
 * lies within them, and what it unpacks is no longer than it asked for. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/kernel_decode.h"

#define UNPACKED_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void import_image(const char *bytes, size_t size)
{
    auto_free char *release = NULL;
    struct kernel_bytes unpacked = { 0 };
    size_t offset = 0, length = 0;

    if (kernel_image_release(bytes, size, &release, NULL) == 0)
        assert(release[0] != '\0' && strlen(release) < size);
    if (kernel_image_payload(bytes, size, &offset, &length, NULL) < 0)
        return;
    assert(offset <= size && length <= size - offset);
    if (kernel_decode_stream(bytes + offset, length, UNPACKED_MAX, &unpacked, NULL) == 0) {
        assert(unpacked.length <= UNPACKED_MAX);
        (void)kernel_image_check_elf(unpacked.data, unpacked.length, NULL);
    }
    free(unpacked.data);
}

static void import_module(const char *bytes, size_t size)
{
    struct strings depends = { 0 };

    assert(kernel_module_unsigned_length(bytes, size) <= size);
    (void)kernel_module_depends(bytes, size, &depends, NULL);
    strings_clear(&depends);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *bytes = NULL;

    if (size == 0)
        return 0;
    /* Of just this size, so that a read behind the end is found. */
    bytes = xmemdup(data, size);
    import_image(bytes, size);
    import_module(bytes, size);
    return 0;
}
