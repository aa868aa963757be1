#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "microvm/boot.h"
#include "microvm/kernel_image.h"
#include "microvm/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A kernel that is taken lies within its file, and within the memory that the plan wants. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct kernel_image image;
    struct boot_plan plan;

    if (kernel_image_plan(bytes, size, &image, NULL) < 0 ||
        boot_plan(&image, 256 << 20, "quiet", 1 << 20, &plan, NULL) < 0)
        return 0;
    for (size_t i = 0; i < image.segment_count; i++) {
        const struct kernel_segment *segment = &image.segments[i];

        assert(segment->file_offset <= size);
        assert(segment->file_size <= size - segment->file_offset);
        assert(segment->file_size <= segment->memory_size);
        assert(segment->address >= LAYOUT_HIGH_START);
        assert(segment->address + segment->memory_size <= plan.initrd_address);
    }
    return 0;
}
