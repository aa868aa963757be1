#include "cgroups/usage.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Texts of files that tell usage in detail. */

#define LIST_MAX 65536 /* members of a cpuset: more than a kernel has CPUs */

/* The next line as a copy, or NULL at the end; moves @at. */
static char *next_line(const char **at)
{
    const char *end = strchrnul(*at, '\n');
    char *line;

    if (**at == '\0')
        return NULL;
    line = xstrndup(*at, (size_t)(end - *at));
    *at = *end == '\0' ? end : end + 1;
    return line;
}

static bool parse_share(const char *line, const char *word, struct cgroup_pressure_share *ret_share)
{
    size_t length = strlen(word);

    return strncmp(line, word, length) == 0 &&
           sscanf(line + length, " avg10=%lf avg60=%lf avg300=%lf total=%" SCNu64,
                  &ret_share->avg10, &ret_share->avg60, &ret_share->avg300,
                  &ret_share->total_us) == 4;
}

struct cgroup_pressure *usage_parse_pressure(const char *text)
{
    struct cgroup_pressure pressure = { 0 };
    bool is_known = false;

    for (const char *at = text; *at != '\0';) {
        auto_free char *line = next_line(&at);

        if (parse_share(line, "some", &pressure.some) || parse_share(line, "full", &pressure.full))
            is_known = true;
    }
    return is_known ? xmemdup(&pressure, sizeof(pressure)) : NULL;
}

void cgroup_numbers_clear(struct cgroup_numbers *numbers)
{
    for (size_t i = 0; i < numbers->count; i++)
        free(numbers->items[i].name);
    free(numbers->items);
    *numbers = (struct cgroup_numbers){ 0 };
}

void cgroup_u64s_clear(struct cgroup_u64s *list)
{
    free(list->items);
    *list = (struct cgroup_u64s){ 0 };
}

void usage_parse_numbers(const char *text, struct cgroup_numbers *ret_numbers)
{
    *ret_numbers = (struct cgroup_numbers){ 0 };
    for (const char *at = text; *at != '\0';) {
        auto_free char *line = next_line(&at);
        char *space = strchr(line, ' ');
        uint64_t value = 0;

        if (space == NULL || text_parse_u64(space + 1, "", UINT64_MAX, &value, NULL) < 0)
            continue;
        *space = '\0';
        ret_numbers->items =
            xrealloc(ret_numbers->items, ret_numbers->count + 1, sizeof(*ret_numbers->items));
        ret_numbers->items[ret_numbers->count++] =
            (struct cgroup_number){ .name = xstrdup(line), .value = value };
    }
}

char *usage_format_numbers(const struct cgroup_numbers *numbers)
{
    struct text json = { 0 };

    text_add(&json, "{");
    for (size_t i = 0; i < numbers->count; i++) {
        /* The kernel's names need no escapes; what needs some is none of them. */
        if (strpbrk(numbers->items[i].name, "\"\\") == NULL)
            text_addf(&json, "%s\"%s\":%" PRIu64, json.length > 1 ? "," : "",
                      numbers->items[i].name, numbers->items[i].value);
    }
    text_add(&json, "}");
    return text_take(&json);
}

static bool add_range(const char *word, struct cgroup_u64s *list)
{
    auto_free char *first_text = xstrndup(word, strcspn(word, "-"));
    const char *dash = strchr(word, '-');
    uint64_t first = 0, last;

    if (text_parse_u64(first_text, "", LIST_MAX, &first, NULL) < 0)
        return false;
    last = first;
    if (dash != NULL && text_parse_u64(dash + 1, "", LIST_MAX, &last, NULL) < 0)
        return false;
    for (; first <= last && list->count < LIST_MAX; first++) {
        list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
        list->items[list->count++] = first;
    }
    return true;
}

void usage_parse_list(const char *text, struct cgroup_u64s *ret_list)
{
    AUTO_CLEAR(strings) struct strings words = { 0 };

    *ret_list = (struct cgroup_u64s){ 0 };
    if (text[0] == '\0')
        return;
    strings_split(&words, text, ',');
    for (size_t i = 0; i < words.count; i++) {
        if (!add_range(words.items[i], ret_list)) {
            free(ret_list->items);
            *ret_list = (struct cgroup_u64s){ 0 };
            return;
        }
    }
}

static bool list_contains(const struct cgroup_u64s *list, uint64_t value)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == value)
            return true;
    return false;
}

size_t usage_lists_common(const char *one, const char *other, size_t *ret_count)
{
    AUTO_CLEAR(cgroup_u64s) struct cgroup_u64s list = { 0 };
    AUTO_CLEAR(cgroup_u64s) struct cgroup_u64s others = { 0 };
    size_t common = 0;

    usage_parse_list(one, &list);
    usage_parse_list(other, &others);
    for (size_t i = 0; i < list.count; i++)
        common += list_contains(&others, list.items[i]);
    *ret_count = list.count;
    return common;
}

static void add_entry(struct cgroup_io_entries *entries, const struct cgroup_io_entry *entry)
{
    entries->items = xrealloc(entries->items, entries->count + 1, sizeof(*entries->items));
    entries->items[entries->count++] = *entry;
}

void usage_parse_devices_v1(const char *text, struct cgroup_io_entries *ret_entries)
{
    *ret_entries = (struct cgroup_io_entries){ 0 };
    for (const char *at = text; *at != '\0';) {
        auto_free char *line = next_line(&at);
        struct cgroup_io_entry entry = { 0 };
        int words = 0, numbers = 0;
        char operation[16];

        if (sscanf(line, "%" SCNu64 ":%" SCNu64 " %15[A-Za-z] %" SCNu64 "%n", &entry.major,
                   &entry.minor, operation, &entry.value, &words) == 4 &&
            line[words] == '\0')
            entry.operation = xstrdup(operation);
        else if (sscanf(line, "%" SCNu64 ":%" SCNu64 " %" SCNu64 "%n", &entry.major, &entry.minor,
                        &entry.value, &numbers) != 3 ||
                 line[numbers] != '\0')
            continue;
        add_entry(ret_entries, &entry);
    }
}

static void add_key(const char *line, const char *key, const char *operation,
                    struct cgroup_io_entry entry, struct cgroup_io_entries *entries)
{
    auto_free char *word = xasprintf(" %s=", key);
    const char *found = strstr(line, word);

    if (found == NULL)
        return;
    entry.value = strtoull(found + strlen(word), NULL, 10);
    entry.operation = xstrdup(operation);
    add_entry(entries, &entry);
}

void usage_parse_devices_v2(const char *text, const char *read_key, const char *write_key,
                            struct cgroup_io_entries *ret_entries)
{
    *ret_entries = (struct cgroup_io_entries){ 0 };
    for (const char *at = text; *at != '\0';) {
        auto_free char *line = next_line(&at);
        struct cgroup_io_entry entry = { 0 };

        if (sscanf(line, "%" SCNu64 ":%" SCNu64, &entry.major, &entry.minor) != 2)
            continue;
        add_key(line, read_key, "Read", entry, ret_entries);
        add_key(line, write_key, "Write", entry, ret_entries);
    }
}

static struct cgroup_io *device_io(struct cgroup_io_devices *devices,
                                   const struct cgroup_io_entry *entry)
{
    size_t i = 0;

    while (i < devices->count &&
           (devices->items[i].major != entry->major || devices->items[i].minor != entry->minor))
        i++;
    if (i == devices->count) {
        devices->items = xrealloc(devices->items, ++devices->count, sizeof(*devices->items));
        devices->items[i] = (struct cgroup_io_device){ .major = (uint32_t)entry->major,
                                                       .minor = (uint32_t)entry->minor };
    }
    return &devices->items[i].io;
}

void usage_collect_devices(const struct cgroup_io_entries *bytes,
                           const struct cgroup_io_entries *operations,
                           struct cgroup_io_devices *ret_devices)
{
    *ret_devices = (struct cgroup_io_devices){ 0 };
    for (size_t i = 0; i < bytes->count; i++) {
        struct cgroup_io *io = device_io(ret_devices, &bytes->items[i]);

        if (text_equal(bytes->items[i].operation, "Read"))
            io->read_bytes = bytes->items[i].value;
        else if (text_equal(bytes->items[i].operation, "Write"))
            io->write_bytes = bytes->items[i].value;
    }
    for (size_t i = 0; i < operations->count; i++) {
        struct cgroup_io *io = device_io(ret_devices, &operations->items[i]);

        if (text_equal(operations->items[i].operation, "Read"))
            io->read_operations = operations->items[i].value;
        else if (text_equal(operations->items[i].operation, "Write"))
            io->write_operations = operations->items[i].value;
    }
}

char *usage_page_size_name(const char *text)
{
    static const char units[] = "KMG";
    auto_free char *digits = xstrndup(text, strspn(text, "0123456789"));
    uint64_t size = 0;
    size_t unit = 0;

    if (!text_equal(text + strlen(digits), "kB") ||
        text_parse_u64(digits, "", UINT64_MAX, &size, NULL) < 0)
        return NULL;
    for (; size >= 1024 && size % 1024 == 0 && units[unit + 1] != '\0'; unit++)
        size /= 1024;
    return xasprintf("%" PRIu64 "%cB", size, units[unit]);
}
