#include <errno.h>
#include <stdlib.h>

#include "runtime/container.h"
#include "runtime/spec.h"

/* The specification wants unknown annotations passed over. These are known, as they are crun's:
 * some say what a member says since, and are put there; others ask for what is not done here. A
 * container without it would be another than was asked for, less confined perhaps, and nobody would
 * see it. */

#define ANNOTATION_TIME_OFFSET   "run.oci.timens_offset"
#define ANNOTATION_UNKNOWN_CALLS "run.oci.seccomp_fail_unknown_syscall"

static const struct {
    const char *name, *instead;
} refused[] = {
    { "run.oci.delegate-cgroup",
      "mount /sys/fs/cgroup without 'ro', and the container's own cgroup is given to it" },
    { "run.oci.handler", "only programs for this machine are run" },
    { "run.oci.seccomp.plugins", "use linux.seccomp.listenerPath" },
    { "run.oci.systemd.force_cgroup_v1", "the container sees the cgroups that the host has" },
};

/* NULL where it is not given, or given as "0". */
static const char *find(const struct spec *spec, const char *name)
{
    const char *value = string_map_get(&spec->annotations, name);

    return text_equal(value, "0") ? NULL : value;
}

static int refuse_unsupported(const struct spec *spec, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        if (find(spec, refused[i].name) != NULL)
            return error_set(err, EINVAL, "annotation %s: is not supported: %s", refused[i].name,
                             refused[i].instead);
    }
    return 0;
}

/* --- time ------------------------------------------------------------------------------------- */

/* A clock by its name or its number (clock_gettime(2)), as the kernel's file takes them. */
static const char *clock_name(const char *word)
{
    static const char *const names[] = { "monotonic", "1", "boottime", "7" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (text_equal(names[i], word))
            return names[i / 2 * 2];
    }
    return NULL;
}

/* "ID SECONDS NANOSECONDS" */
static int parse_time_offset(const char *text, struct spec_time_offset *ret_offset,
                             struct error *err)
{
    AUTO_CLEAR(strings) struct strings words = { 0 };
    const char *name = NULL;
    uint64_t nanosecs = 0;
    int64_t secs = 0;
    int r;

    strings_split(&words, text, ' ');
    if (words.count == 3)
        name = clock_name(words.items[0]);
    if (name == NULL)
        return error_set(err, EINVAL,
                         "'%s' is not a clock (monotonic, boottime), seconds and nanoseconds",
                         text);
    r = text_parse_i64(words.items[1], "seconds", INT64_MIN, INT64_MAX, &secs, err);
    if (r == 0)
        r = text_parse_u64(words.items[2], "nanoseconds", 999999999, &nanosecs, err);
    if (r < 0)
        return r;
    *ret_offset = (struct spec_time_offset){ xstrdup(name), secs, (uint32_t)nanosecs };
    return 0;
}

static int add_time_offset(struct spec_time_offsets *offsets, struct spec_time_offset *offset,
                           struct error *err)
{
    for (size_t i = 0; i < offsets->count; i++) {
        const struct spec_time_offset *there = &offsets->items[i];

        if (!text_equal(there->key, offset->key))
            continue;
        if (there->secs == offset->secs && there->nanosecs == offset->nanosecs)
            return 0;
        return error_set(err, EINVAL, "linux.timeOffsets.%s is something else", offset->key);
    }
    offsets->items = xrealloc(offsets->items, offsets->count + 1, sizeof(offsets->items[0]));
    offsets->items[offsets->count++] = *offset;
    offset->key = NULL;
    return 0;
}

static int apply_time_offset(struct spec *spec, struct error *err)
{
    const char *value = string_map_get(&spec->annotations, ANNOTATION_TIME_OFFSET);
    struct spec_time_offset offset = { 0 };
    int r;

    if (value == NULL)
        return 0;
    r = parse_time_offset(value, &offset, err);
    if (r == 0)
        r = add_time_offset(&spec->linux_.time_offsets, &offset, err);
    free(offset.key);
    return r < 0 ? error_prefix(err, r, "annotation %s", ANNOTATION_TIME_OFFSET) : 0;
}

/* --- seccomp ---------------------------------------------------------------------------------- */

/* As with crun, a program stands even where there is no profile, and the profile's own agent goes
 * before. */
static void apply_seccomp(struct spec *spec)
{
    const char *raw = string_map_get(&spec->annotations, ANNOTATION_SECCOMP_RAW);
    const char *agent = string_map_get(&spec->annotations, ANNOTATION_SECCOMP_AGENT);
    struct spec_seccomp *profile = spec->linux_.seccomp;

    if (profile == NULL && raw != NULL) {
        profile = spec->linux_.seccomp = xcalloc(1, sizeof(*profile));
        profile->default_action = xstrdup("SCMP_ACT_ALLOW");
    }
    if (profile == NULL)
        return;
    profile->raw_filter = raw;
    profile->refuses_unknown_names = find(spec, ANNOTATION_UNKNOWN_CALLS) != NULL;
    if (agent != NULL && text_is_empty(profile->listener_path)) {
        free(profile->listener_path);
        profile->listener_path = xstrdup(agent);
    }
}

int spec_annotations_apply(struct spec *spec, struct error *err)
{
    int r;

    if (spec->annotations.count == 0)
        return 0;
    r = refuse_unsupported(spec, err);
    if (r < 0)
        return r;
    apply_seccomp(spec);
    return apply_time_offset(spec, err);
}
