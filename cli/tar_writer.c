#include "cli/tar_writer.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* pax(1), "ustar Interchange Format": numbers are octal digits with a zero byte behind them. */
struct ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], padding[12];
};
_Static_assert(sizeof(struct ustar) == TAR_BLOCK, "a header is one block");

static int put_number(char *field, size_t width, uint64_t value, const char *name,
                      struct error *err)
{
    char digits[32];
    int length =
        snprintf(digits, sizeof(digits), "%0*llo", (int)width - 1, (unsigned long long)value);

    if (length < 0 || (size_t)length >= width)
        return error_set(err, ERANGE, "'%s': a number does not fit in a tar header", name);
    memcpy(field, digits, (size_t)length);
    return 0;
}

static int put_text(char *field, size_t width, const char *text, struct error *err)
{
    size_t length = strlen(text);

    if (length >= width)
        return error_set(err, ENAMETOOLONG, "'%s' is too long for a tar header", text);
    memcpy(field, text, length);
    return 0;
}

static void put_checksum(struct ustar *header)
{
    const unsigned char *bytes = (const unsigned char *)header;
    unsigned sum = 0;
    char digits[16];

    memset(header->checksum, ' ', sizeof(header->checksum));
    for (size_t i = 0; i < sizeof(*header); i++)
        sum += bytes[i];
    (void)snprintf(digits, sizeof(digits), "%06o", sum); /* at most 512 * 255 */
    memcpy(header->checksum, digits, 7);                 /* with its zero byte; a space follows */
}

int tar_entry_format(const struct tar_entry *entry, char block[TAR_BLOCK], struct error *err)
{
    struct ustar header = { .type = entry->type };
    int r;

    assert(entry->name != NULL);

    r = put_text(header.name, sizeof(header.name), entry->name, err);
    if (r == 0)
        r = put_text(header.link, sizeof(header.link), entry->link != NULL ? entry->link : "", err);
    if (r == 0)
        r = put_number(header.mode, sizeof(header.mode), entry->mode, entry->name, err);
    if (r == 0)
        r = put_number(header.uid, sizeof(header.uid), entry->uid, entry->name, err);
    if (r == 0)
        r = put_number(header.gid, sizeof(header.gid), entry->gid, entry->name, err);
    if (r == 0)
        r = put_number(header.size, sizeof(header.size), entry->size, entry->name, err);
    if (r == 0)
        r = put_number(header.mtime, sizeof(header.mtime), (uint64_t)entry->time, entry->name, err);
    if (r < 0)
        return r;
    memcpy(header.magic, "ustar", 6);
    memcpy(header.version, "00", 2);
    put_checksum(&header);
    memcpy(block, &header, sizeof(header));
    return 0;
}
