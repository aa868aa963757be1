#include "runtime/spec.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* A spec in memory: from and to text, and built piece by piece. */

int spec_decode(const char *json, size_t length, struct spec **ret_spec, struct error *err)
{
    AUTO(spec) struct spec *spec = xcalloc(1, sizeof(*spec));
    int r;

    assert(json != NULL);
    assert(ret_spec != NULL);

    if (length > SPEC_BYTES_MAX)
        return error_set(err, EFBIG, "has %zu bytes, more than the %u that are allowed", length,
                         SPEC_BYTES_MAX);
    r = decode_text(&spec_object, json, length, spec, NULL, err);
    if (r < 0)
        return r;
    r = spec_annotations_apply(spec, err);
    if (r == 0)
        r = spec_check(spec, err);
    if (r < 0)
        return r;
    *ret_spec = take_ptr(&spec);
    return 0;
}

int spec_read_text(int dir_fd, const char *name, struct spec **ret_spec, char **ret_json,
                   struct error *err)
{
    auto_free char *json = NULL;
    size_t length = 0;
    int r;

    r = file_read(dir_fd, name, SPEC_BYTES_MAX, &json, &length, err);
    if (r < 0)
        return r;
    r = spec_decode(json, length, ret_spec, err);
    if (r < 0)
        return error_prefix(err, r, "%s", name);
    *ret_json = take_ptr(&json);
    return 0;
}

int spec_read(int dir_fd, const char *name, struct spec **ret_spec, struct error *err)
{
    auto_free char *json = NULL;

    return spec_read_text(dir_fd, name, ret_spec, &json, err);
}

int spec_read_mounts(const char *path, struct spec **ret_spec, struct error *err)
{
    AUTO(spec) struct spec *spec = xcalloc(1, sizeof(*spec));
    auto_free char *text = NULL;
    auto_free char *json = NULL;
    size_t length = 0;
    int r;

    r = file_read(AT_FDCWD, path, SPEC_BYTES_MAX, &text, &length, err);
    if (r < 0)
        return r;
    if (strlen(text) != length)
        return error_set(err, EINVAL, "'%s' has a zero byte", path);
    json =
        text[strspn(text, " \t\r\n")] == '[' ? xasprintf("{\"mounts\":%s}", text) : xstrdup(text);
    r = decode_text(&spec_mounts_object, json, strlen(json), spec, NULL, err);
    if (r == 0)
        r = spec_mounts_check(&spec->mounts, err);
    if (r < 0)
        return error_prefix(err, r, "'%s'", path);
    *ret_spec = take_ptr(&spec);
    return 0;
}

struct spec *spec_copy(const struct spec *spec)
{
    struct spec *copy = xcalloc(1, sizeof(*copy));

    object_copy(&spec_object, spec, copy);
    return copy;
}

char *spec_encode(const struct spec *spec, enum encode_style style)
{
    assert(spec != NULL);

    return encode_text(&spec_object, spec, style);
}

void spec_free(struct spec *spec)
{
    if (spec == NULL)
        return;
    object_clear(&spec_object, spec);
    free(spec);
}

void spec_process_free(struct spec_process *process)
{
    if (process == NULL)
        return;
    object_clear(&spec_process_object, process);
    free(process);
}

void spec_vm_free(struct spec_vm *vm)
{
    if (vm == NULL)
        return;
    object_clear(&spec_vm_object, vm);
    free(vm);
}

/* The lists of a spec are all { items, count }: room for one more item, zeroed. */
static void *list_grow(void *items, size_t *count, size_t item_size)
{
    char *grown = xrealloc(items, *count + 1, item_size);

    memset(grown + *count * item_size, 0, item_size);
    (*count)++;
    return grown;
}

struct spec_mount *spec_add_mount(struct spec *spec, const char *destination, const char *type,
                                  const char *source, const char *const *options)
{
    struct spec_mounts *mounts = &spec->mounts;
    struct spec_mount *mount = NULL;

    mounts->items = list_grow(mounts->items, &mounts->count, sizeof(*mounts->items));
    mount = &mounts->items[mounts->count - 1];
    mount->destination = xstrdup(destination);
    mount->type = xstrdup(type);
    mount->source = xstrdup(source);
    for (size_t i = 0; options != NULL && options[i] != NULL; i++)
        strings_add(&mount->options, options[i]);
    return mount;
}

ssize_t spec_find_mount(const struct spec *spec, const char *destination)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        if (text_equal(spec->mounts.items[i].destination, destination))
            return (ssize_t)i;
    }
    return -1;
}

void spec_remove_mount(struct spec *spec, size_t index)
{
    struct spec_mounts *mounts = &spec->mounts;

    assert(index < mounts->count);

    object_clear(&spec_mount_object, &mounts->items[index]);
    memmove(&mounts->items[index], &mounts->items[index + 1],
            (mounts->count - index - 1) * sizeof(*mounts->items));
    mounts->count--;
}

struct spec_namespace *spec_add_namespace(struct spec *spec, const char *type, const char *path)
{
    struct spec_namespaces *namespaces = &spec->linux_.namespaces;
    struct spec_namespace *namespace_ = NULL;

    namespaces->items =
        list_grow(namespaces->items, &namespaces->count, sizeof(*namespaces->items));
    namespace_ = &namespaces->items[namespaces->count - 1];
    namespace_->type = xstrdup(type);
    namespace_->path = xstrdup(path);
    return namespace_;
}

const struct spec_namespace *spec_find_namespace(const struct spec *spec, const char *type)
{
    const struct spec_namespaces *namespaces = &spec->linux_.namespaces;

    for (size_t i = 0; i < namespaces->count; i++) {
        if (text_equal(namespaces->items[i].type, type))
            return &namespaces->items[i];
    }
    return NULL;
}

void spec_remove_namespace(struct spec *spec, const char *type)
{
    struct spec_namespaces *list = &spec->linux_.namespaces;

    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].type, type) != 0)
            continue;
        free(list->items[i].type);
        free(list->items[i].path);
        memmove(list->items + i, list->items + i + 1, (list->count - i - 1) * sizeof(*list->items));
        list->count--;
        return;
    }
}

struct spec_device *spec_add_device(struct spec *spec, const char *type, const char *path,
                                    int64_t major, int64_t minor)
{
    struct spec_devices *devices = &spec->linux_.devices;
    struct spec_device *device = NULL;

    devices->items = list_grow(devices->items, &devices->count, sizeof(*devices->items));
    device = &devices->items[devices->count - 1];
    device->type = xstrdup(type);
    device->path = xstrdup(path);
    device->major = major;
    device->minor = minor;
    return device;
}

struct cgroup_device_rule *spec_add_device_rule(struct spec *spec, bool allow, const char *type,
                                                int64_t major, int64_t minor, const char *access)
{
    struct cgroup_device_rules *rules = NULL;
    struct cgroup_device_rule *rule = NULL;

    if (spec->linux_.resources == NULL)
        spec->linux_.resources = xcalloc(1, sizeof(*spec->linux_.resources));
    rules = &spec->linux_.resources->devices;
    rules->items = list_grow(rules->items, &rules->count, sizeof(*rules->items));
    rule = &rules->items[rules->count - 1];
    rule->allow = allow;
    rule->type = xstrdup(type);
    rule->has_major = major >= 0;
    rule->major = major >= 0 ? major : 0;
    rule->has_minor = minor >= 0;
    rule->minor = minor >= 0 ? minor : 0;
    rule->access = xstrdup(access);
    return rule;
}

struct spec_rlimit *spec_add_rlimit(struct spec *spec, const char *type, uint64_t soft,
                                    uint64_t hard)
{
    struct spec_rlimits *rlimits = NULL;
    struct spec_rlimit *rlimit = NULL;

    assert(spec->process != NULL);

    rlimits = &spec->process->rlimits;
    rlimits->items = list_grow(rlimits->items, &rlimits->count, sizeof(*rlimits->items));
    rlimit = &rlimits->items[rlimits->count - 1];
    rlimit->type = xstrdup(type);
    rlimit->soft = soft;
    rlimit->hard = hard;
    return rlimit;
}
