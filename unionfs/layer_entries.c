#include "unionfs/layer_entries.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "unionfs/whiteout.h"

#define MAJOR_MAX 4095u
#define MINOR_MAX 1048575u

/* Of a name in an error, so that the reason fits behind it. */
#define NAME_SHOWN_MAX 200

void layer_entries_open(int root_fd, bool is_bottom, struct layer_entries *ret_entries)
{
    assert(ret_entries != NULL);

    *ret_entries = (struct layer_entries){ .is_bottom = is_bottom,
                                           .tree = tree_open(root_fd, UNPACK_ENTRIES_MAX) };
}

void layer_entries_clear(struct layer_entries *entries)
{
    tree_free(entries->tree);
    entries->tree = NULL;
}

int layer_entries_begin(struct layer_entries *entries, const char *name,
                        struct layer_path *ret_path, struct error *err)
{
    if (++entries->entries > UNPACK_ENTRIES_MAX)
        return error_set(err, E2BIG, "more than %u entries in the layer", UNPACK_ENTRIES_MAX);
    return layer_path_parse(name, ret_path, err);
}

/* --- what hides ------------------------------------------------------------------------------- */

static int add_whiteout(struct layer_entries *entries, const struct layer_path *path,
                        struct error *err)
{
    if (entries->is_bottom) {
        entries->dropped_whiteout = true;
        return 0;
    }
    return tree_add_whiteout(entries->tree, path, err);
}

static int add_opaque(struct layer_entries *entries, const struct layer_path *path,
                      struct error *err)
{
    if (entries->is_bottom) {
        entries->dropped_whiteout = true;
        return 0;
    }
    return tree_add_opaque(entries->tree, path->parent, err);
}

int layer_entries_hide(struct layer_entries *entries, const struct layer_path *path,
                       struct error *err)
{
    struct layer_path hidden;
    const char *name = NULL;
    int r;

    /* Below the directories in which AUFS kept its own files. */
    if (text_starts(path->parent, ".wh..wh.") || strstr(path->parent, "/.wh..wh.") != NULL)
        return 1;
    if (text_starts(path->parent, ".wh.") || strstr(path->parent, "/.wh.") != NULL)
        return error_set(err, EINVAL, "is below a whiteout");
    r = whiteout_parse(path->base, &name, err);
    if (r < 0)
        return r;
    switch ((enum whiteout)r) {
    case WHITEOUT_NONE:
        return 0;
    case WHITEOUT_IGNORED:
        return 1;
    case WHITEOUT_OPAQUE:
        r = add_opaque(entries, path, err);
        return r < 0 ? r : 1;
    case WHITEOUT_NAME:
        break;
    }
    hidden.parent = path->parent;
    hidden.base = name;
    r = add_whiteout(entries, &hidden, err);
    return r < 0 ? r : 1;
}

/* --- kinds of entries ------------------------------------------------------------------------- */

int layer_entries_add_file(struct layer_entries *entries, const struct layer_path *path,
                           int64_t size, const struct tree_metadata *metadata, int *ret_fd,
                           struct error *err)
{
    if (size < 0 || (uint64_t)size > UNPACK_BYTES_MAX - entries->bytes)
        return error_set(err, EFBIG, "makes the layer larger than %llu bytes",
                         (unsigned long long)UNPACK_BYTES_MAX);
    entries->bytes += (uint64_t)size;
    return tree_add_file(entries->tree, path, metadata, ret_fd, err);
}

int layer_entries_add_node(struct layer_entries *entries, const struct layer_path *path,
                           mode_t type, uint64_t device_major, uint64_t device_minor,
                           const struct tree_metadata *metadata, struct error *err)
{
    int r;

    if (type == S_IFIFO)
        device_major = device_minor = 0;
    if (device_major > MAJOR_MAX || device_minor > MINOR_MAX)
        return error_set(err, EINVAL, "is a device with numbers out of range");
    /* What a raw copy of an overlay's upper directory has in place of a whiteout; on disk it is
     * one in any case. */
    if (type == S_IFCHR && device_major == 0 && device_minor == 0)
        return add_whiteout(entries, path, err);
    r = tree_add_node(entries->tree, path, type,
                      makedev((unsigned)device_major, (unsigned)device_minor), metadata, err);
    if (r != -EPERM || type == S_IFIFO)
        return r;
    /* Containers have a /dev of their own, so what a base image has there is not missed. */
    entries->devices_left_out++;
    return 0;
}

int layer_entries_add_link(struct layer_entries *entries, const struct layer_path *path,
                           const char *target_name, struct error *err)
{
    auto_free struct layer_path *target = xcalloc(1, sizeof(*target));
    int r;

    r = layer_path_parse(target_name, target, err);
    if (r < 0)
        return error_prefix(err, r, "hard link to '%s'", target_name);
    return tree_add_link(entries->tree, path, target, err);
}

int layer_entries_add_symlink(struct layer_entries *entries, const struct layer_path *path,
                              const char *target, const struct tree_metadata *metadata,
                              struct error *err)
{
    if (target == NULL || *target == '\0')
        return error_set(err, EINVAL, "is a symbolic link to nothing");
    return tree_add_symlink(entries->tree, path, target, metadata, err);
}

/* --- the end ---------------------------------------------------------------------------------- */

int layer_entries_finish(struct layer_entries *entries, struct unpack_result *ret_result,
                         struct error *err)
{
    struct unpack_result result = { .bytes = entries->bytes,
                                    .entries = entries->entries,
                                    .devices_left_out = entries->devices_left_out };
    int r;

    assert(ret_result != NULL);

    r = tree_finish(entries->tree, err);
    if (r < 0)
        return r;
    result.hides_all = tree_hides_all(entries->tree);
    tree_list_orphans(entries->tree, &result.orphans);
    tree_list_whiteouts(entries->tree, &result.whiteouts);
    if (result.orphans.count > UNPACK_ORPHANS_MAX) {
        unpack_result_clear(&result);
        return error_set(err, E2BIG, "more than %u directories have no entry of their own",
                         UNPACK_ORPHANS_MAX);
    }
    result.needs_chain = result.hides_all || entries->dropped_whiteout || result.orphans.count > 0;
    *ret_result = result;
    return 0;
}

void unpack_result_clear(struct unpack_result *result)
{
    strings_clear(&result->orphans);
    strings_clear(&result->whiteouts);
    *result = (struct unpack_result){ 0 };
}

int layer_entries_blame(const char *name, int r, struct error *err)
{
    return error_prefix(err, r, "layer entry '%.*s%s'", NAME_SHOWN_MAX, name,
                        strlen(name) > NAME_SHOWN_MAX ? "..." : "");
}
