#include "base/tar_writer.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/tar_ustar.h"

/* --- extended records ------------------------------------------------------------------------- */

/* "LENGTH KEY=VALUE\n"; the length counts its own digits. */
static void add_record(struct text *records, const char *prefix, const char *key, const void *value,
                       size_t value_length)
{
    size_t rest = 1 + strlen(prefix) + strlen(key) + 1 + value_length + 1;
    size_t length = rest + 1;

    while ((size_t)snprintf(NULL, 0, "%zu", length) + rest != length)
        length++;
    text_addf(records, "%zu %s%s=", length, prefix, key);
    text_add_bytes(records, value, value_length);
    text_add_bytes(records, "\n", 1);
}

static void add_text_record(struct text *records, const char *key, const char *value)
{
    add_record(records, "", key, value, strlen(value));
}

/* Decimal: before 1970 the fraction counts downwards, too. */
static void add_time_record(struct text *records, int64_t time, uint32_t time_ns)
{
    bool is_before = time < 0;
    int64_t seconds = is_before ? -(time + 1) : time;
    uint32_t fraction = is_before ? 1000000000 - time_ns : time_ns;
    auto_free char *digits = xasprintf("%s%lld.%0*u", is_before ? "-" : "", (long long)seconds,
                                       TAR_TIME_DIGITS, fraction);

    add_text_record(records, "mtime", digits);
}

static void add_part_records(const struct tar_entry *entry, struct text *records)
{
    auto_free char *size = xasprintf("%llu", (unsigned long long)entry->size);
    auto_free char *count = xasprintf("%zu", entry->part_count);
    AUTO_CLEAR(text) struct text parts = { 0 };

    for (size_t i = 0; i < entry->part_count; i++)
        text_addf(&parts, "%s%llu,%llu", i == 0 ? "" : ",",
                  (unsigned long long)entry->parts[i].offset,
                  (unsigned long long)entry->parts[i].length);
    add_text_record(records, TAR_FILE_SIZE, size);
    add_text_record(records, TAR_PARTS_COUNT, count);
    add_text_record(records, TAR_PARTS, parts.data);
}

static bool is_utf8(const char *text)
{
    while (*text != '\0') {
        size_t length = text_utf8_length(text);

        if (length == 0)
            return false;
        text += length;
    }
    return true;
}

/* --- fields of a header ----------------------------------------------------------------------- */

static void put_octal(char *field, size_t width, uint64_t value)
{
    char digits[32];

    (void)snprintf(digits, sizeof(digits), "%0*llo", (int)width - 1, (unsigned long long)value);
    memcpy(field, digits, width - 1);
}

/* A number that does not fit in its field stands in a record. */
static void put_number(char *field, size_t width, int64_t value, const char *key,
                       struct text *records)
{
    bool fits = value >= 0 && (uint64_t)value < 1ull << (3 * (width - 1));

    put_octal(field, width, fits ? (uint64_t)value : 0);
    if (!fits) {
        auto_free char *digits = xasprintf("%lld", (long long)value);

        add_text_record(records, key, digits);
    }
}

static void put_bytes(char *field, size_t width, const char *text, size_t length)
{
    memcpy(field, text, length < width ? length : width);
}

/* A name may be in two parts around a slash, which is in neither. */
static void put_name(struct tar_ustar *header, const char *name, struct text *records)
{
    size_t length = strlen(name);

    if (length > sizeof(header->name)) {
        /* The first slash that leaves a name short enough behind it; not the one at the end. */
        size_t least = length - sizeof(header->name) - 1;
        const char *slash = strchr(name + (least > 0 ? least : 1), '/');

        if (slash != NULL && slash[1] != '\0' && (size_t)(slash - name) <= sizeof(header->prefix)) {
            put_bytes(header->prefix, sizeof(header->prefix), name, (size_t)(slash - name));
            name = slash + 1;
            length = strlen(name);
        } else {
            add_text_record(records, "path", name);
        }
    }
    put_bytes(header->name, sizeof(header->name), name, length);
}

static void put_link(struct tar_ustar *header, const char *link, struct text *records)
{
    if (strlen(link) > sizeof(header->link))
        add_text_record(records, "linkpath", link);
    put_bytes(header->link, sizeof(header->link), link, strlen(link));
}

static void put_time(struct tar_ustar *header, const struct tar_entry *entry, struct text *records)
{
    bool is_whole = entry->time_ns == 0;

    put_number(header->mtime, sizeof(header->mtime), is_whole ? entry->time : 0, "mtime", records);
    if (!is_whole)
        add_time_record(records, entry->time, entry->time_ns);
}

void tar_ustar_set_checksum(struct tar_ustar *header)
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

static void finish(struct tar_ustar *header, struct text *ret_header)
{
    memcpy(header->magic, "ustar", 6);
    memcpy(header->version, "00", 2);
    tar_ustar_set_checksum(header);
    text_add_bytes(ret_header, header, sizeof(*header));
}

/* --- entries ---------------------------------------------------------------------------------- */

static void add_extended_header(const struct tar_entry *entry, const struct text *records,
                                struct text *ret_header)
{
    static const char zeros[TAR_BLOCK];
    struct tar_ustar header = { .type = TAR_EXTENDED };

    put_bytes(header.name, sizeof(header.name), "PaxHeaders/", 11);
    put_bytes(header.name + 11, sizeof(header.name) - 11, entry->name, strlen(entry->name));
    put_octal(header.mode, sizeof(header.mode), 0644);
    put_octal(header.uid, sizeof(header.uid), 0);
    put_octal(header.gid, sizeof(header.gid), 0);
    put_octal(header.size, sizeof(header.size), records->length);
    put_octal(header.mtime, sizeof(header.mtime), 0);
    finish(&header, ret_header);
    text_add_bytes(ret_header, records->data, records->length);
    text_add_bytes(ret_header, zeros, tar_padding(records->length));
}

void tar_entry_format(const struct tar_entry *entry, struct text *ret_header)
{
    struct tar_ustar header = { .type = entry->type };
    AUTO_CLEAR(text) struct text records = { 0 };
    const char *link;

    assert(entry->name != NULL);
    assert(ret_header != NULL);

    link = entry->link == NULL ? "" : entry->link;
    put_name(&header, entry->name, &records);
    put_link(&header, link, &records);
    /* Names in records are UTF-8 unless it says that they are bytes. */
    if (records.length > 0 && (!is_utf8(entry->name) || !is_utf8(link)))
        add_text_record(&records, "hdrcharset", "BINARY");
    put_octal(header.mode, sizeof(header.mode), entry->mode & 07777);
    put_number(header.uid, sizeof(header.uid), entry->uid, "uid", &records);
    put_number(header.gid, sizeof(header.gid), entry->gid, "gid", &records);
    put_number(header.size, sizeof(header.size), (int64_t)tar_content_size(entry), "size",
               &records);
    put_time(&header, entry, &records);
    if (entry->part_count > 0)
        add_part_records(entry, &records);
    if (entry->type == TAR_CHARACTER || entry->type == TAR_DEVICE) {
        put_number(header.major, sizeof(header.major), entry->device_major, "SCHILY.devmajor",
                   &records);
        put_number(header.minor, sizeof(header.minor), entry->device_minor, "SCHILY.devminor",
                   &records);
    }
    for (size_t i = 0; i < entry->attribute_count; i++)
        add_record(&records, TAR_ATTRIBUTE_PREFIX, entry->attributes[i].name,
                   entry->attributes[i].value, entry->attributes[i].length);
    if (records.length > 0)
        add_extended_header(entry, &records, ret_header);
    finish(&header, ret_header);
}

uint64_t tar_content_size(const struct tar_entry *entry)
{
    uint64_t size = 0;

    if (entry->part_count == 0)
        return entry->size;
    for (size_t i = 0; i < entry->part_count; i++)
        size += entry->parts[i].length;
    return size;
}

size_t tar_padding(uint64_t size)
{
    return (size_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}
