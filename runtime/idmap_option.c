#include "runtime/idmap_option.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX 4294967294u

static void add(struct spec_id_mappings *mappings, const struct spec_id_mapping *mapping)
{
    mappings->items = xrealloc(mappings->items, mappings->count + 1, sizeof(mappings->items[0]));
    mappings->items[mappings->count++] = *mapping;
}

/* What the container's id is on the host; the whole range has to be mapped in one piece. */
static int find_host_id(const struct spec_id_mappings *known, struct spec_id_mapping *mapping,
                        struct error *err)
{
    uint32_t id = mapping->host_id;

    for (size_t i = 0; i < known->count; i++) {
        const struct spec_id_mapping *item = &known->items[i];

        if (id >= item->container_id && id - item->container_id < item->size &&
            mapping->size <= item->size - (id - item->container_id)) {
            mapping->host_id = item->host_id + (id - item->container_id);
            return 0;
        }
    }
    return error_set(err, EINVAL, "no mapping of the user namespace has the ids %u to %u", id,
                     id + mapping->size - 1);
}

static int parse_triple(const char *text, struct spec_id_mapping *ret_mapping, struct error *err)
{
    struct strings parts = { 0 };
    uint64_t numbers[3] = { 0 };
    int r = 0;

    strings_split(&parts, text, '-');
    if (parts.count != ARRAY_SIZE(numbers))
        r = error_set(err, EINVAL, "is not three numbers with '-' between");
    for (size_t i = 0; i < ARRAY_SIZE(numbers) && r == 0; i++)
        r = text_parse_u64(parts.items[i], "id", ID_MAX, &numbers[i], err);
    strings_clear(&parts);
    if (r < 0)
        return r;
    if (numbers[2] == 0 || numbers[0] + numbers[2] > (uint64_t)ID_MAX + 1 ||
        numbers[1] + numbers[2] > (uint64_t)ID_MAX + 1)
        return error_set(err, EINVAL, "its size is 0 or too large");
    *ret_mapping = (struct spec_id_mapping){ .container_id = (uint32_t)numbers[0],
                                             .host_id = (uint32_t)numbers[1],
                                             .size = (uint32_t)numbers[2] };
    return 0;
}

static int parse_list(const char *text, const struct spec_id_mappings *known,
                      struct spec_id_mappings *mappings, struct error *err)
{
    struct strings triples = { 0 };
    int r = 0;

    strings_split(&triples, text, '#');
    for (size_t i = 0; i < triples.count && r == 0; i++) {
        const char *triple = triples.items[i];
        bool is_relative = triple[0] == '@';
        struct spec_id_mapping mapping;

        r = parse_triple(triple + is_relative, &mapping, err);
        if (r == 0 && is_relative)
            r = find_host_id(known, &mapping, err);
        if (r == 0)
            add(mappings, &mapping);
        else
            (void)error_prefix(err, r, "mapping '%s'", triple);
    }
    strings_clear(&triples);
    return r;
}

/* An option that says nothing of one kind of ids means the container's. */
static void add_all(struct spec_id_mappings *mappings, const struct spec_id_mappings *known)
{
    if (mappings->count > 0)
        return;
    for (size_t i = 0; i < known->count; i++)
        add(mappings, &known->items[i]);
}

int idmap_option_parse(const char *text, const struct spec_linux *linux_,
                       struct spec_id_mappings *ret_uids, struct spec_id_mappings *ret_gids,
                       struct error *err)
{
    struct spec_id_mappings uids = { 0 }, gids = { 0 };
    struct strings parts = { 0 };
    int r = 0;

    assert(text != NULL);

    strings_split(&parts, text, ';');
    for (size_t i = 0; i < parts.count && r == 0; i++) {
        const char *part = parts.items[i];

        if (text_starts(part, "uids="))
            r = parse_list(part + strlen("uids="), &linux_->uid_mappings, &uids, err);
        else if (text_starts(part, "gids="))
            r = parse_list(part + strlen("gids="), &linux_->gid_mappings, &gids, err);
        else
            r = error_set(err, EINVAL, "'%s' is neither uids= nor gids=", part);
    }
    strings_clear(&parts);
    if (r < 0) {
        free(uids.items);
        free(gids.items);
        return r;
    }
    add_all(&uids, &linux_->uid_mappings);
    add_all(&gids, &linux_->gid_mappings);
    *ret_uids = uids;
    *ret_gids = gids;
    return 0;
}
