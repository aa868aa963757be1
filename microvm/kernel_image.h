#ifndef MICROVM_KERNEL_IMAGE_H
#define MICROVM_KERNEL_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The kernel's file: what of it goes where, and how it is entered. Pure; the bytes are foreign. */

#define KERNEL_IMAGE_SEGMENTS_MAX 16
#define KERNEL_IMAGE_SETUP_MAX    0x200 /* of a bzImage's setup header, which begins at 0x1f1 */

enum kernel_entry {
    KERNEL_ENTRY_LINUX64, /* long mode, RSI: zero page (x86/boot.rst, "64-bit Boot Protocol") */
    KERNEL_ENTRY_PVH,     /* 32 bits, EBX: hvm_start_info (Xen, docs/misc/pvh.pandoc) */
};

struct kernel_segment {
    uint64_t file_offset;
    uint64_t file_size;
    uint64_t address;
    uint64_t memory_size; /* what is beyond file_size is zero */
};

struct kernel_image {
    enum kernel_entry entry;
    uint64_t entry_address;
    struct kernel_segment segments[KERNEL_IMAGE_SEGMENTS_MAX];
    size_t segment_count;
    uint64_t start;      /* of all segments */
    uint64_t end;        /* of what the kernel needs before it can look at the memory map */
    uint64_t initrd_max; /* last address that the initrd may have */
    uint32_t cmdline_max;
    uint8_t setup[KERNEL_IMAGE_SETUP_MAX]; /* a bzImage's header from 0x1f1 on; else none */
    size_t setup_length;
};

/**
 * Looks at a vmlinux, another ELF kernel with a PVH note, or a bzImage.
 *
 * @bytes  the file; only headers and notes are looked at
 *
 * Returns 0, or -EINVAL with what is wrong with it.
 */
int kernel_image_plan(const uint8_t *bytes, size_t length, struct kernel_image *ret_image,
                      struct error *err);

#endif
