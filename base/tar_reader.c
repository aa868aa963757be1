#include "base/tar_reader.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/tar_ustar.h"

/* One entry is at most two headers: an extended one with records, and its own. Every number has its
 * digits checked, every text its zero bytes; the checksum is that of the writer. */

#define BUFFER_BYTES 65536

struct tar_reader {
    int fd;
    char *buffer;
    size_t start, end;     /* of what was read and not yet taken */
    uint64_t content_left; /* of the entry */
    size_t padding_left;
    uint64_t offset, part_left; /* where in the file, and how much of what is there in a piece */
    bool has_ended;
    struct text records;
    char name[sizeof((struct tar_ustar){ 0 }.prefix) + sizeof((struct tar_ustar){ 0 }.name) + 2];
    char link[sizeof((struct tar_ustar){ 0 }.link) + 1];
    struct tar_attribute *attributes;
    size_t attribute_count;
    struct tar_part *parts; /* of a file with holes; its content is these */
    size_t part_count, parts_begun;
    uint64_t file_size; /* with them */
    bool has_file_size;
};

struct tar_reader *tar_reader_open(int fd)
{
    struct tar_reader *reader = xcalloc(1, sizeof(*reader));

    reader->fd = fd;
    reader->buffer = xcalloc(1, BUFFER_BYTES);
    return reader;
}

static void clear_entry(struct tar_reader *reader)
{
    for (size_t i = 0; i < reader->attribute_count; i++)
        free((void *)reader->attributes[i].name);
    free(reader->attributes);
    reader->attributes = NULL;
    reader->attribute_count = 0;
    free(take_ptr(&reader->parts));
    reader->part_count = reader->parts_begun = 0;
    reader->has_file_size = false;
    text_clear(&reader->records);
}

void tar_reader_free(struct tar_reader *reader)
{
    if (reader == NULL)
        return;
    clear_entry(reader);
    free(reader->buffer);
    free(reader);
}

static int refuse(const char *why, struct error *err)
{
    return error_set(err, EBADMSG, "not a good tar archive: %s", why);
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* The next bytes, at most @max of them and at least one. */
static int take(struct tar_reader *reader, uint64_t max, const char **ret_bytes, size_t *ret_length,
                struct error *err)
{
    ssize_t length;

    if (reader->start == reader->end) {
        do
            length = read(reader->fd, reader->buffer, BUFFER_BYTES);
        while (length < 0 && errno == EINTR);
        if (length < 0)
            return error_errno(err, "read the archive");
        if (length == 0)
            return refuse("it ends early", err);
        reader->start = 0;
        reader->end = (size_t)length;
    }
    *ret_bytes = reader->buffer + reader->start;
    *ret_length = reader->end - reader->start;
    if (*ret_length > max)
        *ret_length = (size_t)max;
    reader->start += *ret_length;
    return 0;
}

static int take_all(struct tar_reader *reader, void *ret_bytes, size_t length, struct error *err)
{
    for (size_t done = 0; done < length;) {
        const char *bytes;
        size_t part = 0;
        int r = take(reader, length - done, &bytes, &part, err);

        if (r < 0)
            return r;
        memcpy((char *)ret_bytes + done, bytes, part);
        done += part;
    }
    return 0;
}

static int skip(struct tar_reader *reader, uint64_t length, struct error *err)
{
    while (length > 0) {
        const char *bytes;
        size_t part = 0;
        int r = take(reader, length, &bytes, &part, err);

        if (r < 0)
            return r;
        length -= part;
    }
    return 0;
}

/* --- fields of a header ----------------------------------------------------------------------- */

static int parse_octal(const char *field, size_t width, uint64_t *ret_value, struct error *err)
{
    uint64_t value = 0;

    for (size_t i = 0; i + 1 < width; i++) {
        if (field[i] < '0' || field[i] > '7')
            return refuse("a number is none", err);
        value = value * 8 + (uint64_t)(field[i] - '0');
    }
    if (field[width - 1] != '\0')
        return refuse("a number is too long", err);
    *ret_value = value;
    return 0;
}

static int check_header(const struct tar_ustar *header, struct error *err)
{
    struct tar_ustar copy = *header;

    if (memcmp(header->magic, "ustar", 6) != 0 || memcmp(header->version, "00", 2) != 0)
        return refuse("a header is missing", err);
    tar_ustar_set_checksum(&copy);
    if (memcmp(copy.checksum, header->checksum, sizeof(copy.checksum)) != 0)
        return refuse("a header is damaged", err);
    return 0;
}

static void join_name(struct tar_reader *reader, const struct tar_ustar *header)
{
    size_t prefix = strnlen(header->prefix, sizeof(header->prefix));
    size_t length = strnlen(header->name, sizeof(header->name));
    char *at = reader->name;

    memcpy(at, header->prefix, prefix);
    at += prefix;
    if (prefix > 0)
        *at++ = '/';
    memcpy(at, header->name, length);
    at[length] = '\0';
}

static int parse_header(struct tar_reader *reader, const struct tar_ustar *header,
                        struct tar_entry *entry, struct error *err)
{
    bool is_device = header->type == TAR_CHARACTER || header->type == TAR_DEVICE;
    uint64_t mode = 0, uid = 0, gid = 0, time = 0, major = 0, minor = 0;
    const struct {
        const char *field;
        size_t width;
        uint64_t *value;
    } numbers[] = {
        { header->mode, sizeof(header->mode), &mode },
        { header->uid, sizeof(header->uid), &uid },
        { header->gid, sizeof(header->gid), &gid },
        { header->size, sizeof(header->size), &entry->size },
        { header->mtime, sizeof(header->mtime), &time },
        { header->major, sizeof(header->major), &major },
        { header->minor, sizeof(header->minor), &minor },
    };
    size_t count = ARRAY_SIZE(numbers) - (is_device ? 0 : 2);

    for (size_t i = 0; i < count; i++) {
        int r = parse_octal(numbers[i].field, numbers[i].width, numbers[i].value, err);

        if (r < 0)
            return r;
    }
    join_name(reader, header);
    memcpy(reader->link, header->link, sizeof(header->link));
    reader->link[sizeof(header->link)] = '\0';
    entry->name = reader->name;
    entry->link = reader->link;
    entry->type = header->type;
    entry->mode = (uint32_t)mode & 07777;
    entry->uid = (uint32_t)uid; /* seven digits of octal at most */
    entry->gid = (uint32_t)gid;
    entry->time = (int64_t)time;
    entry->device_major = (uint32_t)major;
    entry->device_minor = (uint32_t)minor;
    return 0;
}

/* --- extended records ------------------------------------------------------------------------- */

/* "LENGTH KEY=VALUE\n", taken apart. */
struct record {
    char *key, *value; /* in the reader's records; ended by zero bytes */
    size_t value_length;
};

static int parse_record(char *bytes, size_t left, struct record *ret_record, size_t *ret_length,
                        struct error *err)
{
    size_t digits = 0, length = 0;
    char *equals;

    for (; digits < left && digits < 8 && bytes[digits] >= '0' && bytes[digits] <= '9'; digits++)
        length = length * 10 + (size_t)(bytes[digits] - '0');
    if (digits == 0 || digits == left || bytes[digits] != ' ' || length > left ||
        length < digits + 3 || bytes[length - 1] != '\n')
        return refuse("a record has no length", err);
    bytes[length - 1] = '\0';
    ret_record->key = bytes + digits + 1;
    equals = memchr(ret_record->key, '=', length - digits - 2);
    if (equals == NULL)
        return refuse("a record has no value", err);
    *equals = '\0';
    ret_record->value = equals + 1;
    ret_record->value_length = (size_t)(bytes + length - 1 - ret_record->value);
    if (strlen(ret_record->key) != (size_t)(equals - ret_record->key))
        return refuse("the name of a record has a zero byte", err);
    *ret_length = length;
    return 0;
}

static int take_number(const struct record *record, int64_t min, int64_t max, int64_t *ret_value,
                       struct error *err)
{
    if (strlen(record->value) != record->value_length)
        return refuse("a number has a zero byte", err);
    return text_parse_i64(record->value, record->key, min, max, ret_value, err) < 0
               ? refuse("a number of a record is none", err)
               : 0;
}

/* "5", "5.123456789", "-5.123456789": there the fraction counts downwards. */
static int take_time(const struct record *record, struct tar_entry *entry, struct error *err)
{
    char *point = memchr(record->value, '.', record->value_length);
    struct record whole = *record;
    uint64_t fraction = 0;
    int r;

    if (point != NULL) {
        whole.value_length = (size_t)(point - record->value);
        if (record->value_length - whole.value_length != TAR_TIME_DIGITS + 1 ||
            strlen(point + 1) != TAR_TIME_DIGITS ||
            text_parse_u64(point + 1, record->key, UINT32_MAX, &fraction, NULL) < 0)
            return refuse("a time is none", err);
        *point = '\0';
    }
    r = take_number(&whole, INT64_MIN + (point != NULL), INT64_MAX, &entry->time, err);
    entry->time_ns = (uint32_t)fraction;
    if (r == 0 && fraction > 0 && record->value[0] == '-') {
        entry->time--;
        entry->time_ns = 1000000000 - entry->time_ns;
    }
    return r;
}

/* "offset,length,offset,length", which is checked when the size is known. */
static int take_parts(struct tar_reader *reader, const struct record *record, struct error *err)
{
    size_t count = 1;
    char *at = record->value;

    if (strlen(record->value) != record->value_length)
        return refuse("a number has a zero byte", err);
    for (const char *comma = at; (comma = strchr(comma, ',')) != NULL; comma++)
        count++;
    if (count % 2 != 0 || count > 2 * (size_t)TAR_PARTS_MAX)
        return refuse("a file has no good parts, or too many", err);
    free(reader->parts);
    reader->parts = xcalloc(count / 2, sizeof(*reader->parts));
    reader->part_count = count / 2;
    for (size_t i = 0; i < count; i++) {
        struct tar_part *part = &reader->parts[i / 2];
        char *next = strchrnul(at, ',');

        if (i + 1 < count)
            *next++ = '\0';
        if (text_parse_u64(at, record->key, INT64_MAX, i % 2 == 0 ? &part->offset : &part->length,
                           NULL) < 0)
            return refuse("a number of a record is none", err);
        at = next;
    }
    return 0;
}

static int take_file_size(struct tar_reader *reader, const struct record *record, struct error *err)
{
    int64_t value = 0;
    int r = take_number(record, 0, INT64_MAX, &value, err);

    reader->file_size = (uint64_t)value;
    reader->has_file_size = r == 0;
    return r;
}

static int take_text(const struct record *record, const char **ret_text, struct error *err)
{
    if (strlen(record->value) != record->value_length)
        return refuse("a name has a zero byte", err);
    *ret_text = record->value;
    return 0;
}

static int take_attribute(struct tar_reader *reader, const struct record *record, struct error *err)
{
    const char *name = record->key + strlen(TAR_ATTRIBUTE_PREFIX);

    if (*name == '\0' || reader->attribute_count == TAR_ATTRIBUTES_MAX)
        return refuse("an attribute without a name, or too many of them", err);
    reader->attributes =
        xrealloc(reader->attributes, reader->attribute_count + 1, sizeof(*reader->attributes));
    reader->attributes[reader->attribute_count++] = (struct tar_attribute){
        .name = xstrdup(name), .value = record->value, .length = record->value_length
    };
    return 0;
}

static int take_record(struct tar_reader *reader, const struct record *record,
                       struct tar_entry *entry, struct error *err)
{
    const struct {
        const char *key;
        uint32_t *value;
    } numbers[] = {
        { "uid", &entry->uid },
        { "gid", &entry->gid },
        { "SCHILY.devmajor", &entry->device_major },
        { "SCHILY.devminor", &entry->device_minor },
    };
    int64_t value = 0;
    int r;

    if (text_starts(record->key, TAR_ATTRIBUTE_PREFIX))
        return take_attribute(reader, record, err);
    if (strcmp(record->key, "path") == 0)
        return take_text(record, &entry->name, err);
    if (strcmp(record->key, "linkpath") == 0)
        return take_text(record, &entry->link, err);
    if (strcmp(record->key, "hdrcharset") == 0)
        return 0; /* names are bytes in any case */
    if (strcmp(record->key, "mtime") == 0)
        return take_time(record, entry, err);
    if (strcmp(record->key, TAR_FILE_SIZE) == 0)
        return take_file_size(reader, record, err);
    if (strcmp(record->key, TAR_PARTS_COUNT) == 0)
        return 0; /* they are counted */
    if (strcmp(record->key, TAR_PARTS) == 0)
        return take_parts(reader, record, err);
    if (strcmp(record->key, "size") == 0) {
        r = take_number(record, 0, INT64_MAX, &value, err);
        if (r == 0)
            entry->size = (uint64_t)value;
        return r;
    }
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (strcmp(record->key, numbers[i].key) != 0)
            continue;
        r = take_number(record, 0, UINT32_MAX, &value, err);
        if (r == 0)
            *numbers[i].value = (uint32_t)value;
        return r;
    }
    return refuse("a record is unknown", err);
}

static int take_records(struct tar_reader *reader, struct tar_entry *entry, struct error *err)
{
    size_t length = 0;
    int r = 0;

    for (size_t at = 0; at < reader->records.length && r == 0; at += length) {
        struct record record;

        r = parse_record(reader->records.data + at, reader->records.length - at, &record, &length,
                         err);
        if (r == 0)
            r = take_record(reader, &record, entry, err);
    }
    return r;
}

/* An extended header comes before the one that it extends. */
static int read_records(struct tar_reader *reader, struct tar_ustar *header, struct error *err)
{
    auto_free char *bytes = NULL;
    uint64_t size = 0;
    int r;

    r = parse_octal(header->size, sizeof(header->size), &size, err);
    if (r < 0)
        return r;
    if (size == 0 || size > TAR_RECORDS_MAX)
        return refuse("an extended header is empty or too long", err);
    bytes = xcalloc(1, size);
    r = take_all(reader, bytes, size, err);
    if (r == 0)
        r = skip(reader, tar_padding(size), err);
    if (r == 0)
        r = take_all(reader, header, sizeof(*header), err);
    if (r == 0)
        r = check_header(header, err);
    if (r == 0)
        text_add_bytes(&reader->records, bytes, size);
    return r;
}

/* --- entries ---------------------------------------------------------------------------------- */

static int check_entry(struct tar_entry *entry, struct error *err)
{
    bool is_link = entry->type == TAR_LINK || entry->type == TAR_SYMLINK;

    if (entry->type < TAR_FILE || entry->type > TAR_FIFO)
        return refuse("an entry is of an unknown type", err);
    if (*entry->name == '\0')
        return refuse("an entry has no name", err);
    if (is_link != (*entry->link != '\0'))
        return refuse("a link has no target, or something else has one", err);
    if (entry->type != TAR_FILE && entry->size > 0)
        return refuse("something that is no file has content", err);
    if (!is_link)
        entry->link = NULL;
    return 0;
}

/* Of a file with holes the header has told the size of its content. */
static int check_parts(const struct tar_reader *reader, const struct tar_entry *entry,
                       struct error *err)
{
    uint64_t end = 0, content = 0;

    if (reader->has_file_size != (reader->part_count > 0))
        return refuse("a file has parts without a size, or a size without parts", err);
    for (size_t i = 0; i < reader->part_count; i++) {
        const struct tar_part *part = &reader->parts[i];

        if (part->offset < end || part->offset > reader->file_size ||
            part->length > reader->file_size - part->offset)
            return refuse("the parts of a file are not in order, or not in it", err);
        end = part->offset + part->length;
        content += part->length;
    }
    if (reader->part_count > 0 && (entry->type != TAR_FILE || content != entry->size))
        return refuse("the parts of a file are not its content", err);
    return 0;
}

static bool is_zero(const struct tar_ustar *header)
{
    static const struct tar_ustar zeros;

    return memcmp(header, &zeros, sizeof(zeros)) == 0;
}

static int read_header(struct tar_reader *reader, struct tar_ustar *header, struct error *err)
{
    int r;

    r = skip(reader, reader->content_left, err);
    if (r == 0)
        r = skip(reader, reader->padding_left, err);
    reader->content_left = 0;
    reader->padding_left = 0;
    return r == 0 ? take_all(reader, header, sizeof(*header), err) : r;
}

static int read_end(struct tar_reader *reader, struct error *err)
{
    struct tar_ustar header;
    int r = take_all(reader, &header, sizeof(header), err);

    if (r == 0 && !is_zero(&header))
        r = refuse("something follows its end", err);
    reader->has_ended = r == 0;
    return r;
}

/* Of a file without holes all is one piece. */
static void begin_content(struct tar_reader *reader, uint64_t size)
{
    reader->content_left = size;
    reader->padding_left = tar_padding(size);
    reader->offset = 0;
    reader->part_left = reader->part_count > 0 ? 0 : size;
}

int tar_reader_next(struct tar_reader *reader, struct tar_entry *ret_entry, struct error *err)
{
    struct tar_entry entry = { 0 };
    struct tar_ustar header;
    int r;

    assert(reader != NULL);
    assert(ret_entry != NULL);

    if (reader->has_ended)
        return 0;
    clear_entry(reader);
    r = read_header(reader, &header, err);
    if (r < 0)
        return r;
    if (is_zero(&header))
        return read_end(reader, err);
    r = check_header(&header, err);
    if (r == 0 && header.type == TAR_EXTENDED)
        r = read_records(reader, &header, err);
    if (r == 0)
        r = parse_header(reader, &header, &entry, err);
    if (r == 0)
        r = take_records(reader, &entry, err);
    if (r == 0)
        r = check_entry(&entry, err);
    if (r == 0)
        r = check_parts(reader, &entry, err);
    if (r < 0)
        return r;
    begin_content(reader, entry.size);
    if (reader->part_count > 0)
        entry.size = reader->file_size;
    entry.attributes = reader->attributes;
    entry.attribute_count = reader->attribute_count;
    entry.parts = reader->parts;
    entry.part_count = reader->part_count;
    *ret_entry = entry;
    return 1;
}

int tar_reader_read(struct tar_reader *reader, const void **ret_bytes, size_t *ret_length,
                    uint64_t *ret_offset, struct error *err)
{
    const char *bytes;
    int r;

    if (reader->content_left == 0)
        return 0;
    while (reader->part_left == 0) {
        const struct tar_part *part = &reader->parts[reader->parts_begun];

        assert(reader->parts_begun < reader->part_count); /* check_parts() has added them up */
        reader->parts_begun++;
        reader->offset = part->offset;
        reader->part_left = part->length;
    }
    r = take(reader, reader->part_left, &bytes, ret_length, err);
    if (r < 0)
        return r;
    *ret_offset = reader->offset;
    reader->offset += *ret_length;
    reader->part_left -= *ret_length;
    reader->content_left -= *ret_length;
    *ret_bytes = bytes;
    return 1;
}
