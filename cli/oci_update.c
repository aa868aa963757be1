#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/oci_commands.h"

/* update: limits from options or from JSON, for container_update(). */

#define RESOURCES_BYTES_MAX (1u << 20)

/* "512m"; "-1": no limit */
static int parse_bytes(const char *text, const char *what, void *ret_bytes, struct error *err)
{
    uint64_t bytes = 0;
    int r;

    if (strcmp(text, "-1") == 0) {
        *(int64_t *)ret_bytes = -1;
        return 0;
    }
    r = text_parse_bytes(text, what, &bytes, err);
    if (r < 0)
        return r;
    if (bytes > INT64_MAX)
        return error_set(err, EINVAL, "%s: '%s' is too large", what, text);
    *(int64_t *)ret_bytes = (int64_t)bytes;
    return 0;
}

static int parse_signed(const char *text, const char *what, void *ret_value, struct error *err)
{
    return text_parse_i64(text, what, -1, INT64_MAX, ret_value, err);
}

static int parse_unsigned(const char *text, const char *what, void *ret_value, struct error *err)
{
    return text_parse_u64(text, what, UINT64_MAX, ret_value, err);
}

static int parse_weight(const char *text, const char *what, void *ret_weight, struct error *err)
{
    uint64_t weight = 0;
    int r = text_parse_u64(text, what, UINT16_MAX, &weight, err);

    if (r == 0)
        *(uint16_t *)ret_weight = (uint16_t)weight;
    return r;
}

static int read_numbers(const struct arguments *arguments, struct cgroup_resources *resources,
                        struct error *err)
{
    struct cgroup_memory *memory = &resources->memory;
    struct cgroup_cpu *cpu = &resources->cpu;
    const struct {
        const char *name;
        int (*parse)(const char *text, const char *what, void *ret_value, struct error *err);
        bool *has;
        void *value; /* as @parse writes it */
    } options[] = {
        { "memory", parse_bytes, &memory->has_limit, &memory->limit },
        { "memory-swap", parse_bytes, &memory->has_swap, &memory->swap },
        { "memory-reservation", parse_bytes, &memory->has_reservation, &memory->reservation },
        { "cpu-quota", parse_signed, &cpu->has_quota, &cpu->quota },
        { "cpu-rt-runtime", parse_signed, &cpu->has_realtime_runtime, &cpu->realtime_runtime },
        { "cpu-idle", parse_signed, &cpu->has_idle, &cpu->idle },
        { "pids-limit", parse_signed, &resources->pids.has_limit, &resources->pids.limit },
        { "cpu-period", parse_unsigned, &cpu->has_period, &cpu->period },
        { "cpu-burst", parse_unsigned, &cpu->has_burst, &cpu->burst },
        { "cpu-share", parse_unsigned, &cpu->has_shares, &cpu->shares },
        { "cpu-rt-period", parse_unsigned, &cpu->has_realtime_period, &cpu->realtime_period },
        { "blkio-weight", parse_weight, &resources->block_io.has_weight,
          &resources->block_io.weight },
    };

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        const char *text = arguments_text(arguments, options[i].name);
        auto_free char *what = xasprintf("invalid value for %s", options[i].name);
        int r;

        if (text_is_empty(text))
            continue;
        r = options[i].parse(text, what, options[i].value, err);
        if (r < 0)
            return r;
        *options[i].has = true;
    }
    return 0;
}

static int read_options(const struct arguments *arguments, struct cgroup_resources *resources,
                        struct error *err)
{
    static const char *const ignored[] = { "kernel-memory", "kernel-memory-tcp" };

    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
        if (!text_is_empty(arguments_text(arguments, ignored[i])))
            log_warning("--%s is ignored: the kernel has no such limit any more", ignored[i]);
    }
    resources->cpu.cpus = xstrdup(arguments_text(arguments, "cpuset-cpus"));
    resources->cpu.mems = xstrdup(arguments_text(arguments, "cpuset-mems"));
    return read_numbers(arguments, resources, err);
}

static int read_json(const char *name, struct cgroup_resources *resources, struct error *err)
{
    auto_free char *json = NULL;
    size_t length = 0;
    int r;

    if (strcmp(name, "-") == 0)
        r = fd_read_all(STDIN_FILENO, RESOURCES_BYTES_MAX, "standard input", &json, &length, err);
    else
        r = file_read(AT_FDCWD, name, RESOURCES_BYTES_MAX, &json, &length, err);
    if (r < 0)
        return error_prefix(err, r, "--resources");
    return decode_text(&cgroup_resources_object, json, length, resources, "--resources", err);
}

/* Before the limits: a schema that is wrong then leaves these as they were. Not the other way
 * round: what a class had before is known to nobody, so a schema stays when a limit is refused. */
static int update_schemas(struct container *container, const struct arguments *arguments,
                          struct error *err)
{
    const char *l3_cache = arguments_text(arguments, "l3-cache-schema");
    const char *memory_bandwidth = arguments_text(arguments, "mem-bw-schema");

    if (text_is_empty(l3_cache) && text_is_empty(memory_bandwidth))
        return 0;
    return container_update_schemas(container, text_is_empty(l3_cache) ? NULL : l3_cache,
                                    text_is_empty(memory_bandwidth) ? NULL : memory_bandwidth, err);
}

static void resources_clear(struct cgroup_resources *resources)
{
    object_clear(&cgroup_resources_object, resources);
}

int oci_update(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    AUTO_CLEAR(resources) struct cgroup_resources resources = { 0 };
    const char *file = arguments_text(arguments, "resources");
    AUTO(container) struct container *container = oci_open_container(arguments, context, &err);
    int r;

    if (container == NULL)
        return oci_fail(context, &err, 1);
    r = text_is_empty(file) ? read_options(arguments, &resources, &err)
                            : read_json(file, &resources, &err);
    if (r == 0)
        r = update_schemas(container, arguments, &err);
    if (r == 0)
        r = container_update(container, &resources, &err);
    return r < 0 ? oci_fail(context, &err, 1) : 0;
}
