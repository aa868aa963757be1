#include "runtime/criu_message.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Protocol Buffers, "Encoding": a message is a row of members, each a key (number of the member and
 * kind of what follows) and a value: a number in groups of seven bits, the lowest first, or a
 * length and so many bytes, which are a text or a message. */

enum kind {
    KIND_NUMBER = 0,
    KIND_FIXED64 = 1,
    KIND_BYTES = 2,
    KIND_FIXED32 = 5,
};

/* --- encoding -------------------------------------------------------------------------------- */

static void put_number(struct text *text, uint64_t number)
{
    unsigned char byte;

    do {
        byte = (unsigned char)((number & 0x7f) | (number > 0x7f ? 0x80 : 0));
        text_add_bytes(text, &byte, 1);
        number >>= 7;
    } while (number != 0);
}

static void put_member(struct text *text, unsigned member, uint64_t number)
{
    put_number(text, member << 3 | KIND_NUMBER);
    put_number(text, number);
}

static void put_bytes(struct text *text, unsigned member, const void *bytes, size_t length)
{
    put_number(text, member << 3 | KIND_BYTES);
    put_number(text, length);
    text_add_bytes(text, bytes, length);
}

static void put_text(struct text *text, unsigned member, const char *value)
{
    put_bytes(text, member, value, strlen(value));
}

static void put_message(struct text *text, unsigned member, struct text *message)
{
    put_bytes(text, member, message->data != NULL ? message->data : "", message->length);
    text_clear(message);
}

enum option_type {
    OPTION_BOOL,   /* written when true */
    OPTION_NUMBER, /* written when not negative */
    OPTION_STRING, /* written when not NULL */
};

/* The numbers that rpc.proto gives them; the order in a message has no meaning. */
static const struct option_member {
    unsigned member;
    enum option_type type;
    size_t offset;
} option_members[] = {
    { 1, OPTION_NUMBER, offsetof(struct criu_options, images_dir_fd) },
    { 2, OPTION_NUMBER, offsetof(struct criu_options, pid) },
    { 3, OPTION_BOOL, offsetof(struct criu_options, leave_running) },
    { 4, OPTION_BOOL, offsetof(struct criu_options, ext_unix_sk) },
    { 5, OPTION_BOOL, offsetof(struct criu_options, tcp_established) },
    { 6, OPTION_BOOL, offsetof(struct criu_options, evasive_devices) },
    { 7, OPTION_BOOL, offsetof(struct criu_options, shell_job) },
    { 8, OPTION_BOOL, offsetof(struct criu_options, file_locks) },
    { 9, OPTION_NUMBER, offsetof(struct criu_options, log_level) },
    { 10, OPTION_STRING, offsetof(struct criu_options, log_file) },
    { 12, OPTION_BOOL, offsetof(struct criu_options, notify_scripts) },
    { 13, OPTION_STRING, offsetof(struct criu_options, root) },
    { 14, OPTION_STRING, offsetof(struct criu_options, parent_img) },
    { 15, OPTION_BOOL, offsetof(struct criu_options, track_mem) },
    { 16, OPTION_BOOL, offsetof(struct criu_options, auto_dedup) },
    { 17, OPTION_NUMBER, offsetof(struct criu_options, work_dir_fd) },
    { 18, OPTION_BOOL, offsetof(struct criu_options, link_remap) },
    { 24, OPTION_BOOL, offsetof(struct criu_options, manage_cgroups) },
    { 26, OPTION_BOOL, offsetof(struct criu_options, rst_sibling) },
    { 30, OPTION_BOOL, offsetof(struct criu_options, ext_masters) },
    { 34, OPTION_NUMBER, offsetof(struct criu_options, manage_cgroups_mode) },
    { 38, OPTION_NUMBER, offsetof(struct criu_options, empty_ns) },
    { 44, OPTION_STRING, offsetof(struct criu_options, freeze_cgroup) },
    { 46, OPTION_BOOL, offsetof(struct criu_options, tcp_skip_in_flight) },
    { 48, OPTION_BOOL, offsetof(struct criu_options, lazy_pages) },
    { 50, OPTION_BOOL, offsetof(struct criu_options, orphan_pts_master) },
    { 51, OPTION_STRING, offsetof(struct criu_options, config_file) },
    { 52, OPTION_BOOL, offsetof(struct criu_options, tcp_close) },
    { 53, OPTION_STRING, offsetof(struct criu_options, lsm_profile) },
    { 63, OPTION_STRING, offsetof(struct criu_options, lsm_mount_context) },
    { 64, OPTION_NUMBER, offsetof(struct criu_options, network_lock) },
};

static void put_option(struct text *text, const struct option_member *member,
                       const struct criu_options *options)
{
    const void *value = (const char *)options + member->offset;

    switch (member->type) {
    case OPTION_BOOL:
        if (*(const bool *)value)
            put_member(text, member->member, 1);
        break;
    case OPTION_NUMBER:
        if (*(const int32_t *)value >= 0)
            put_member(text, member->member, (uint64_t) * (const int32_t *)value);
        break;
    case OPTION_STRING:
        if (*(const char *const *)value != NULL)
            put_text(text, member->member, *(const char *const *)value);
        break;
    }
}

static void put_pairs(struct text *text, unsigned member, const struct string_map *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        struct text message = { 0 };

        put_text(&message, 1, pairs->items[i].key);
        put_text(&message, 2, pairs->items[i].value);
        put_message(text, member, &message);
    }
}

static void put_options(struct text *text, const struct criu_options *options)
{
    struct text message = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(option_members); i++)
        put_option(text, &option_members[i], options);
    if (options->page_server_address != NULL) {
        put_text(&message, 1, options->page_server_address);
        put_member(&message, 2, (uint64_t)options->page_server_port);
        put_message(text, 11, &message);
    }
    put_pairs(text, 23, &options->ext_mnt);
    if (options->cgroup_root != NULL) {
        put_text(&message, 2, options->cgroup_root);
        put_message(text, 25, &message);
    }
    for (size_t i = 0; i < options->inherit_fd.count; i++) {
        put_text(&message, 1, options->inherit_fd.items[i].key);
        put_member(&message, 2, (uint64_t)options->inherit_fd.items[i].fd);
        put_message(text, 27, &message);
    }
    for (size_t i = 0; i < options->external.count; i++)
        put_text(text, 37, options->external.items[i]);
    put_pairs(text, 39, &options->join_ns);
}

void criu_request_encode(const struct criu_request *request, struct text *ret_bytes)
{
    struct text message = { 0 };

    assert(request != NULL);
    assert(ret_bytes != NULL);

    put_member(ret_bytes, 1, request->type);
    if (request->options != NULL) {
        put_options(&message, request->options);
        put_message(ret_bytes, 2, &message);
    }
    if (request->notify_success)
        put_member(ret_bytes, 3, 1);
    if (request->keep_open)
        put_member(ret_bytes, 4, 1);
    if (request->asks_mem_track || request->asks_lazy_pages) {
        if (request->asks_mem_track)
            put_member(&message, 1, 1);
        if (request->asks_lazy_pages)
            put_member(&message, 2, 1);
        put_message(ret_bytes, 5, &message);
    }
}

void criu_options_add_descriptor(struct criu_options *options, const char *key, int fd)
{
    struct criu_descriptors *list = &options->inherit_fd;

    list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = (struct criu_descriptor){ .key = xstrdup(key), .fd = fd };
}

void criu_options_clear(struct criu_options *options)
{
    free(options->page_server_address);
    options->page_server_address = NULL;
    string_map_clear(&options->ext_mnt);
    string_map_clear(&options->join_ns);
    strings_clear(&options->external);
    for (size_t i = 0; i < options->inherit_fd.count; i++)
        free(options->inherit_fd.items[i].key);
    free(options->inherit_fd.items);
    options->inherit_fd = (struct criu_descriptors){ 0 };
}

/* --- decoding -------------------------------------------------------------------------------- */

struct reader {
    const unsigned char *bytes;
    size_t length;
};

struct member {
    uint64_t number; /* of the member */
    enum kind kind;
    uint64_t value;     /* KIND_NUMBER */
    struct reader part; /* KIND_BYTES */
};

static int read_number(struct reader *reader, uint64_t *ret_number)
{
    uint64_t number = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned char byte;

        if (reader->length == 0)
            return -EBADMSG;
        byte = *reader->bytes++;
        reader->length--;
        if (shift == 63 && byte > 1)
            return -EBADMSG; /* more than 64 bits */
        number |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret_number = number;
            return 0;
        }
    }
    return -EBADMSG;
}

static int read_part(struct reader *reader, uint64_t length, struct reader *ret_part)
{
    if (length > reader->length)
        return -EBADMSG;
    *ret_part = (struct reader){ .bytes = reader->bytes, .length = (size_t)length };
    reader->bytes += length;
    reader->length -= (size_t)length;
    return 0;
}

/* Returns 1 for a member, 0 at the end. */
static int read_member(struct reader *reader, struct member *ret_member)
{
    struct member member = { 0 };
    uint64_t key = 0, length = 0;
    int r;

    if (reader->length == 0)
        return 0;
    r = read_number(reader, &key);
    if (r < 0)
        return r;
    member.number = key >> 3;
    member.kind = (enum kind)(key & 7);
    switch (member.kind) {
    case KIND_NUMBER:
        r = read_number(reader, &member.value);
        break;
    case KIND_BYTES:
        r = read_number(reader, &length);
        if (r == 0)
            r = read_part(reader, length, &member.part);
        break;
    case KIND_FIXED64:
        r = read_part(reader, 8, &member.part);
        break;
    case KIND_FIXED32:
        r = read_part(reader, 4, &member.part);
        break;
    default:
        r = -EBADMSG;
    }
    if (r < 0)
        return r;
    *ret_member = member;
    return 1;
}

static void copy_text(const struct reader *part, char *buffer, size_t size)
{
    size_t length = part->length < size ? part->length : size - 1;

    memcpy(buffer, part->bytes, length);
    buffer[length] = '\0';
}

/* The pid of a RESTORE is its member 1, that of a NOTIFY its member 2. */
static int read_restore(struct reader reader, struct criu_response *response)
{
    struct member member;
    int r;

    while ((r = read_member(&reader, &member)) > 0) {
        if (member.number == 1 && member.kind == KIND_NUMBER)
            response->pid = (int64_t)member.value;
    }
    return r;
}

static int read_notify(struct reader reader, struct criu_response *response)
{
    struct member member;
    int r;

    while ((r = read_member(&reader, &member)) > 0) {
        if (member.number == 1 && member.kind == KIND_BYTES &&
            member.part.length < sizeof(response->script))
            copy_text(&member.part, response->script, sizeof(response->script));
        else if (member.number == 2 && member.kind == KIND_NUMBER)
            response->pid = (int64_t)member.value;
    }
    return r;
}

static int read_features(struct reader reader, struct criu_response *response)
{
    struct member member;
    int r;

    while ((r = read_member(&reader, &member)) > 0) {
        if (member.kind != KIND_NUMBER)
            continue;
        if (member.number == 1)
            response->has_mem_track = member.value != 0;
        else if (member.number == 2)
            response->has_lazy_pages = member.value != 0;
    }
    return r;
}

static int read_version(struct reader reader, struct criu_response *response)
{
    uint64_t parts[3] = { 0 }; /* major, minor, sublevel */
    struct member member;
    int r;

    while ((r = read_member(&reader, &member)) > 0) {
        if (member.kind != KIND_NUMBER)
            continue;
        if (member.number == 1 || member.number == 2)
            parts[member.number - 1] = member.value;
        else if (member.number == 4)
            parts[2] = member.value;
    }
    if (r < 0 || parts[0] > 9999 || parts[1] > 99 || parts[2] > 99)
        return -EBADMSG;
    response->version = (uint32_t)(parts[0] * 10000 + parts[1] * 100 + parts[2]);
    return 0;
}

static int read_bytes(const struct member *member, struct criu_response *response)
{
    switch (member->number) {
    case 4:
        return read_restore(member->part, response);
    case 5:
        return read_notify(member->part, response);
    case 8:
        return read_features(member->part, response);
    case 10:
        return read_version(member->part, response);
    default:
        return 0;
    }
}

int criu_response_decode(const void *bytes, size_t length, struct criu_response *ret_response,
                         struct error *err)
{
    struct reader reader = { .bytes = bytes, .length = length };
    struct criu_response response = { 0 };
    bool has_type = false, has_success = false;
    struct member member;
    int r;

    assert(bytes != NULL);
    assert(ret_response != NULL);

    while ((r = read_member(&reader, &member)) > 0) {
        if (member.kind == KIND_BYTES && read_bytes(&member, &response) < 0)
            return error_set(err, EBADMSG, "member %llu of CRIU's answer is damaged",
                             (unsigned long long)member.number);
        if (member.kind != KIND_NUMBER)
            continue;
        if (member.number == 1) {
            response.type = member.value;
            has_type = true;
        } else if (member.number == 2) {
            response.is_success = member.value != 0;
            has_success = true;
        } else if (member.number == 7) {
            response.error_number = (int64_t)member.value;
        }
    }
    if (r < 0)
        return error_set(err, EBADMSG, "CRIU's answer of %zu bytes is cut or damaged", length);
    if (!has_type || !has_success)
        return error_set(err, EBADMSG, "CRIU's answer lacks its type or its result");
    if (!response.is_success)
        response.pid = 0; /* it is -1 */
    if (response.pid < 0 || response.pid > INT32_MAX)
        return error_set(err, EBADMSG, "CRIU's answer has an impossible process id");
    *ret_response = response;
    return 0;
}
