#include "image/kernel_private.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Offsets in the setup header (kernel, arch/x86/boot.rst, "The Real-Mode Kernel Header"). */
#define SETUP_SECTS    0x1f1
#define MAGIC          0x202
#define VERSION        0x206
#define KERNEL_VERSION 0x20e
#define PAYLOAD_OFFSET 0x248
#define PAYLOAD_LENGTH 0x24c
#define HEADER_END     0x250
#define SECTOR_BYTES   512
#define RELEASE_MAX    128

static uint32_t number(const void *bytes, size_t offset, size_t size)
{
    uint32_t value = 0;

    memcpy(&value, (const char *)bytes + offset, size);
    return le32toh(value);
}

static int check_header(const void *bytes, size_t length, struct error *err)
{
    if (length < HEADER_END || memcmp((const char *)bytes + MAGIC, "HdrS", 4) != 0)
        return error_set(err, EINVAL, "is no bzImage");
    if (number(bytes, VERSION, 2) < 0x208)
        return error_set(err, EINVAL, "is a bzImage of boot protocol %x, 208 is the oldest known",
                         number(bytes, VERSION, 2));
    return 0;
}

int kernel_image_payload(const void *bytes, size_t length, size_t *ret_offset, size_t *ret_length,
                         struct error *err)
{
    size_t sectors, offset, payload;
    int r;

    r = check_header(bytes, length, err);
    if (r < 0)
        return r;
    sectors = number(bytes, SETUP_SECTS, 1);
    offset = ((sectors == 0 ? 4 : sectors) + 1) * SECTOR_BYTES +
             (size_t)number(bytes, PAYLOAD_OFFSET, 4);
    payload = number(bytes, PAYLOAD_LENGTH, 4);
    if (payload < 4 || offset > length || payload > length - offset)
        return error_set(err, EINVAL, "is a bzImage whose payload is outside of it");
    *ret_offset = offset;
    *ret_length = payload - 4;
    return 0;
}

int kernel_image_release(const void *bytes, size_t length, char **ret_release, struct error *err)
{
    const char *text;
    size_t offset, end;
    int r;

    r = check_header(bytes, length, err);
    if (r < 0)
        return r;
    offset = (size_t)number(bytes, KERNEL_VERSION, 2) + 0x200;
    if (offset >= length)
        return error_set(err, EINVAL, "is a bzImage that does not tell its release");
    text = (const char *)bytes + offset;
    end = strnlen(text, length - offset < RELEASE_MAX ? length - offset : RELEASE_MAX);
    for (size_t i = 0; i < end; i++) {
        if (text[i] == ' ')
            end = i;
        else if (text[i] <= ' ' || text[i] > '~' || text[i] == '/')
            return error_set(err, EINVAL, "is a bzImage whose release has the byte 0x%02x",
                             (unsigned char)text[i]);
    }
    if (end == 0 || end == RELEASE_MAX)
        return error_set(err, EINVAL, "is a bzImage that does not tell its release");
    *ret_release = xstrndup(text, end);
    return 0;
}

int kernel_image_check_elf(const void *bytes, size_t length, struct error *err)
{
    Elf64_Ehdr header;

    if (length < sizeof(header))
        return error_set(err, EINVAL, "holds no vmlinux");
    memcpy(&header, bytes, sizeof(header));
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_machine != EM_X86_64)
        return error_set(err, EINVAL, "holds no vmlinux of x86-64");
    return 0;
}
