#include "cgroups/usage.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/cgroup.h"

/* Everything that the kernel counts for a cgroup, for `events`. Every file may be missing. */

#define HUGEPAGES_PATH "/sys/kernel/mm/hugepages"

struct reader {
    struct cgroup *cgroup;
    const struct cgroup_hierarchy *hierarchy; /* NULL: the controller is not there */
    struct cgroup_details *details;
};

/* A file's text, which the caller frees; "" when there is none. */
static char *read_text(const struct reader *reader, const char *file)
{
    char *text = NULL;

    if (reader->hierarchy == NULL ||
        cgroup_file_read(reader->cgroup, reader->hierarchy, file, &text) < 0)
        return xstrdup("");
    return text;
}

/* As the kernel says it; "max" is the largest number. */
static uint64_t read_number(const struct reader *reader, const char *file)
{
    auto_free char *text = read_text(reader, file);

    return text_equal(text, "max") ? UINT64_MAX : strtoull(text, NULL, 10);
}

static bool is_v2(const struct reader *reader)
{
    return reader->hierarchy != NULL && reader->hierarchy->is_v2;
}

static void add_u64(struct cgroup_u64s *list, uint64_t value)
{
    list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = value;
}

/* cpuacct.usage_all: "cpu user system\n0 1 2\n1 3 4" */
static void read_per_cpu(const struct reader *reader)
{
    struct cgroup_details *details = reader->details;
    auto_free char *text = read_text(reader, "cpuacct.usage_percpu");
    auto_free char *all = read_text(reader, "cpuacct.usage_all");
    char *rest = text;
    const char *line = strchr(all, '\n');

    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        if (word[0] != '\0')
            add_u64(&details->per_cpu_ns, strtoull(word, NULL, 10));
    }
    for (; line != NULL; line = strchr(line + 1, '\n')) {
        uint64_t user = 0, system = 0;

        if (sscanf(line + 1, "%*u %" SCNu64 " %" SCNu64, &user, &system) != 2)
            break;
        add_u64(&details->per_cpu_user_ns, user);
        add_u64(&details->per_cpu_system_ns, system);
    }
}

/* The kernel has these files in every v2 hierarchy, also without controllers. */
static void read_pressure(const struct reader *reader)
{
    const struct {
        const char *file;
        struct cgroup_pressure **ret_pressure;
    } files[] = {
        { "cpu.pressure", &reader->details->cpu_pressure },
        { "memory.pressure", &reader->details->memory_pressure },
        { "io.pressure", &reader->details->io_pressure },
        { "irq.pressure", &reader->details->irq_pressure },
    };
    const struct reader v2 = { reader->cgroup, cgroup_system_v2(reader->cgroup->system),
                               reader->details };

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        auto_free char *text = read_text(&v2, files[i].file);

        *files[i].ret_pressure = usage_parse_pressure(text);
    }
}

static void read_cpuset(const struct reader *reader)
{
    struct cgroup_cpuset *cpuset = &reader->details->cpuset;
    auto_free char *cpus =
        read_text(reader, is_v2(reader) ? "cpuset.cpus.effective" : "cpuset.cpus");
    auto_free char *mems =
        read_text(reader, is_v2(reader) ? "cpuset.mems.effective" : "cpuset.mems");
    auto_free char *level = NULL;
    const struct {
        const char *file;
        uint64_t *ret_value;
    } files[] = {
        { "cpuset.cpu_exclusive", &cpuset->cpu_exclusive },
        { "cpuset.mem_hardwall", &cpuset->mem_hardwall },
        { "cpuset.mem_exclusive", &cpuset->mem_exclusive },
        { "cpuset.memory_migrate", &cpuset->memory_migrate },
        { "cpuset.memory_spread_page", &cpuset->memory_spread_page },
        { "cpuset.memory_spread_slab", &cpuset->memory_spread_slab },
        { "cpuset.memory_pressure", &cpuset->memory_pressure },
        { "cpuset.sched_load_balance", &cpuset->sched_load_balance },
    };

    usage_parse_list(cpus, &cpuset->cpus);
    usage_parse_list(mems, &cpuset->mems);
    if (is_v2(reader))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        *files[i].ret_value = read_number(reader, files[i].file);
    level = read_text(reader, "cpuset.sched_relax_domain_level");
    cpuset->sched_relax_domain_level = strtoll(level, NULL, 10);
}

static void read_counter_v1(const struct reader *reader, const char *prefix,
                            struct cgroup_memory_counter *ret_counter)
{
    const struct {
        const char *suffix;
        uint64_t *ret_value;
    } files[] = {
        { "limit_in_bytes", &ret_counter->limit_bytes },
        { "usage_in_bytes", &ret_counter->used_bytes },
        { "max_usage_in_bytes", &ret_counter->peak_bytes },
        { "failcnt", &ret_counter->failures },
    };

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        auto_free char *file = xasprintf("%s.%s", prefix, files[i].suffix);

        *files[i].ret_value = read_number(reader, file);
    }
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Swap with memory, as v1 counts it and callers of runc expect. */
static void read_memory_v2(const struct reader *reader)
{
    struct cgroup_details *details = reader->details;
    struct cgroup_memory_events *events = &details->memory_events;
    auto_free char *text = read_text(reader, "memory.events");
    auto_free char *swap_text = read_text(reader, "memory.swap.max");
    const struct {
        const char *key;
        uint64_t *ret_value;
    } keys[] = {
        { "low", &events->low },           { "high", &events->high },
        { "max", &events->max },           { "oom", &events->oom },
        { "oom_kill", &events->oom_kill }, { "oom_group_kill", &events->oom_group_kill },
    };

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        (void)cgroup_text_u64(text, keys[i].key, keys[i].ret_value); /* absent: none */
    details->memory = (struct cgroup_memory_counter){
        .limit_bytes = read_number(reader, "memory.max"),
        .used_bytes = read_number(reader, "memory.current"),
        .peak_bytes = read_number(reader, "memory.peak"),
        .failures = events->max,
    };
    if (swap_text[0] != '\0')
        details->swap = (struct cgroup_memory_counter){
            .limit_bytes =
                add_saturated(details->memory.limit_bytes, read_number(reader, "memory.swap.max")),
            .used_bytes = add_saturated(details->memory.used_bytes,
                                        read_number(reader, "memory.swap.current")),
            .peak_bytes = read_number(reader, "memory.swap.peak"),
        };
}

static void read_memory(const struct reader *reader)
{
    struct cgroup_details *details = reader->details;
    auto_free char *stat = read_text(reader, "memory.stat");

    if (is_v2(reader)) {
        read_memory_v2(reader);
    } else {
        read_counter_v1(reader, "memory", &details->memory);
        read_counter_v1(reader, "memory.memsw", &details->swap);
        read_counter_v1(reader, "memory.kmem", &details->kernel);
        read_counter_v1(reader, "memory.kmem.tcp", &details->kernel_tcp);
        details->memory_events.oom_kill = details->usage.oom_kills;
    }
    usage_parse_numbers(stat, &details->memory_stat);
    if (details->memory_stat.count > 0)
        details->memory_raw = usage_format_numbers(&details->memory_stat);
    (void)cgroup_text_u64(stat, is_v2(reader) ? "file" : "cache", &details->cache_bytes);
    if (is_v2(reader))
        (void)cgroup_text_u64(stat, "kernel", &details->kernel.used_bytes); /* since 5.18 */
}

/* The first file that knows of a device: of the scheduler BFQ, of CFQ (before 5.0), of the limits.
 */
static void read_devices_v1(const struct reader *reader, const char *name, const char *limits_name,
                            struct cgroup_io_entries *ret_entries)
{
    auto_free char *bfq = xasprintf("blkio.bfq.%s_recursive", name);
    auto_free char *cfq = xasprintf("blkio.%s_recursive", name);
    const char *const files[] = { bfq, cfq, limits_name };

    for (size_t i = 0; i < ARRAY_SIZE(files) && ret_entries->count == 0; i++) {
        auto_free char *text = files[i] != NULL ? read_text(reader, files[i]) : xstrdup("");

        usage_parse_devices_v1(text, ret_entries);
    }
}

static void read_io(const struct reader *reader)
{
    struct cgroup_details *details = reader->details;
    const struct {
        const char *name, *limits_name;
        struct cgroup_io_entries *ret_entries;
    } files[] = {
        { "io_service_bytes", "blkio.throttle.io_service_bytes_recursive", &details->io_bytes },
        { "io_serviced", "blkio.throttle.io_serviced_recursive", &details->io_operations },
        { "io_queued", NULL, &details->io_queued },
        { "io_service_time", NULL, &details->io_service_time },
        { "io_wait_time", NULL, &details->io_wait_time },
        { "io_merged", NULL, &details->io_merged },
        { "time", NULL, &details->io_time },
        { "sectors", NULL, &details->io_sectors },
    };
    auto_free char *text = NULL;

    if (is_v2(reader)) {
        text = read_text(reader, "io.stat");
        usage_parse_devices_v2(text, "rbytes", "wbytes", &details->io_bytes);
        usage_parse_devices_v2(text, "rios", "wios", &details->io_operations);
    } else {
        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
            read_devices_v1(reader, files[i].name, files[i].limits_name, files[i].ret_entries);
    }
    usage_collect_devices(&details->io_bytes, &details->io_operations, &details->io_devices);
}

static void read_hugepage(const struct reader *reader, const char *size)
{
    struct cgroup_hugepage_usages *list = &reader->details->hugepages;
    auto_free char *used =
        xasprintf("hugetlb.%s.%s", size, is_v2(reader) ? "current" : "usage_in_bytes");
    auto_free char *peak = xasprintf("hugetlb.%s.max_usage_in_bytes", size);
    auto_free char *failures =
        xasprintf("hugetlb.%s.%s", size, is_v2(reader) ? "events" : "failcnt");
    auto_free char *text = read_text(reader, used);
    auto_free char *failures_text = read_text(reader, failures);
    struct cgroup_hugepage_usage usage = { 0 };

    if (text[0] == '\0')
        return;
    usage.key = xstrdup(size);
    usage.used_bytes = strtoull(text, NULL, 10);
    usage.peak_bytes = read_number(reader, peak);
    if (!cgroup_text_u64(failures_text, "max", &usage.failures))
        usage.failures = strtoull(failures_text, NULL, 10);
    list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = usage;
}

static void read_hugepages(const struct reader *reader)
{
    DIR *directory;
    const struct dirent *entry;

    if (reader->hierarchy == NULL)
        return;
    directory = opendir(HUGEPAGES_PATH);
    if (directory == NULL)
        return;
    while ((entry = readdir(directory)) != NULL) {
        auto_free char *size = NULL;

        if (!text_starts(entry->d_name, "hugepages-"))
            continue;
        size = usage_page_size_name(entry->d_name + strlen("hugepages-"));
        if (size != NULL)
            read_hugepage(reader, size);
    }
    (void)closedir(directory);
}

int cgroup_details(struct cgroup *cgroup, struct cgroup_details *ret_details, struct error *err)
{
    struct cgroup_details details = { 0 };
    const struct {
        enum cgroup_controller controller;
        void (*read)(const struct reader *reader);
    } steps[] = {
        { CGROUP_CPUACCT, read_per_cpu }, { CGROUP_CPU, read_pressure },
        { CGROUP_CPUSET, read_cpuset },   { CGROUP_MEMORY, read_memory },
        { CGROUP_BLOCK_IO, read_io },     { CGROUP_HUGETLB, read_hugepages },
    };
    int r;

    assert(cgroup != NULL);
    assert(ret_details != NULL);

    r = cgroup_usage(cgroup, &details.usage, err);
    if (r < 0)
        return r;
    details.pids_limit = details.usage.pids_limit == UINT64_MAX ? 0 : details.usage.pids_limit;
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        const struct reader reader = { cgroup,
                                       cgroup_system_find(cgroup->system, steps[i].controller),
                                       &details };

        steps[i].read(&reader);
    }
    *ret_details = details;
    return 0;
}

static void clear_entries(struct cgroup_io_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        free(entries->items[i].operation);
    free(entries->items);
}

void cgroup_details_clear(struct cgroup_details *details)
{
    struct cgroup_io_entries *const entries[] = {
        &details->io_bytes,        &details->io_operations, &details->io_queued,
        &details->io_service_time, &details->io_wait_time,  &details->io_merged,
        &details->io_time,         &details->io_sectors,
    };

    for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
        clear_entries(entries[i]);
    for (size_t i = 0; i < details->hugepages.count; i++)
        free(details->hugepages.items[i].key);
    cgroup_numbers_clear(&details->memory_stat);
    free(details->hugepages.items);
    free(details->per_cpu_ns.items);
    free(details->per_cpu_system_ns.items);
    free(details->per_cpu_user_ns.items);
    free(details->cpuset.cpus.items);
    free(details->cpuset.mems.items);
    free(details->cpu_pressure);
    free(details->memory_pressure);
    free(details->io_pressure);
    free(details->irq_pressure);
    free(details->io_devices.items);
    free(details->memory_raw);
    *details = (struct cgroup_details){ 0 };
}
