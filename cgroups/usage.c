#include "cgroups/usage.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroups/cgroup.h"

/* What a cgroup used. Every file may be missing: then its has_ flag stays false. */

/* v1 shows "unlimited" as the largest number of whole pages that fits into 63 bits, in which pages
 * are at most 64 KiB. */
#define V1_UNLIMITED 0x7fffffffffff0000ULL

uint64_t usage_parse_limit(const char *text)
{
    uint64_t limit;

    if (text_equal(text, "max"))
        return UINT64_MAX;
    limit = strtoull(text, NULL, 10);
    return limit >= V1_UNLIMITED ? UINT64_MAX : limit;
}

void usage_parse_io_v2(const char *text, struct cgroup_io *ret_io)
{
    const struct {
        const char *key;
        uint64_t *sum;
    } keys[] = {
        { " rbytes=", &ret_io->read_bytes },
        { " wbytes=", &ret_io->write_bytes },
        { " rios=", &ret_io->read_operations },
        { " wios=", &ret_io->write_operations },
    };

    *ret_io = (struct cgroup_io){ 0 };
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        for (const char *p = strstr(text, keys[i].key); p != NULL; p = strstr(p, keys[i].key)) {
            p += strlen(keys[i].key);
            *keys[i].sum += strtoull(p, NULL, 10);
        }
}

void usage_parse_io_v1(const char *text, uint64_t *ret_read, uint64_t *ret_written)
{
    *ret_read = 0;
    *ret_written = 0;
    for (const char *p = strstr(text, " Read "); p != NULL; p = strstr(p + 1, " Read "))
        *ret_read += strtoull(p + strlen(" Read "), NULL, 10);
    for (const char *p = strstr(text, " Write "); p != NULL; p = strstr(p + 1, " Write "))
        *ret_written += strtoull(p + strlen(" Write "), NULL, 10);
}

struct reader {
    struct cgroup *cgroup;
    const struct cgroup_hierarchy *hierarchy; /* NULL: the controller is not there */
    struct cgroup_usage *usage;
};

static struct reader reader_for(struct cgroup *cgroup, enum cgroup_controller controller,
                                struct cgroup_usage *usage)
{
    return (struct reader){ cgroup, cgroup_system_find(cgroup->system, controller), usage };
}

/* A file's text, which the caller frees; NULL when there is none. */
static char *read_text(const struct reader *reader, const char *file)
{
    char *text = NULL;

    if (reader->hierarchy == NULL)
        return NULL;
    if (cgroup_file_read(reader->cgroup, reader->hierarchy, file, &text) < 0)
        return NULL;
    return text;
}

static bool read_number(const struct reader *reader, const char *file, uint64_t *ret_value)
{
    auto_free char *text = read_text(reader, file);

    if (text == NULL)
        return false;
    *ret_value = usage_parse_limit(text);
    return true;
}

static bool is_v2(const struct reader *reader)
{
    return reader->hierarchy != NULL && reader->hierarchy->is_v2;
}

static void read_cpu(const struct reader *reader)
{
    struct cgroup_usage *usage = reader->usage;
    auto_free char *text = read_text(reader, is_v2(reader) ? "cpu.stat" : "cpuacct.stat");
    uint64_t unit_ns = is_v2(reader) ? 1000 : 1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK);

    if (text == NULL)
        return;
    (void)cgroup_text_u64(text, is_v2(reader) ? "user_usec" : "user", &usage->cpu_user_ns);
    (void)cgroup_text_u64(text, is_v2(reader) ? "system_usec" : "system", &usage->cpu_system_ns);
    usage->cpu_user_ns *= unit_ns;
    usage->cpu_system_ns *= unit_ns;
    if (is_v2(reader)) {
        usage->has_cpu = cgroup_text_u64(text, "usage_usec", &usage->cpu_ns);
        usage->cpu_ns *= unit_ns;
    } else {
        usage->has_cpu = read_number(reader, "cpuacct.usage", &usage->cpu_ns);
    }
}

static void read_throttling(const struct reader *reader)
{
    struct cgroup_usage *usage = reader->usage;
    auto_free char *text = read_text(reader, "cpu.stat");

    if (text == NULL)
        return;
    usage->has_throttling = cgroup_text_u64(text, "nr_periods", &usage->periods);
    (void)cgroup_text_u64(text, "nr_throttled", &usage->throttled_periods);
    if (cgroup_text_u64(text, "throttled_usec", &usage->throttled_ns))
        usage->throttled_ns *= 1000;
    else
        (void)cgroup_text_u64(text, "throttled_time", &usage->throttled_ns);
}

static void read_memory_v1(const struct reader *reader, const char *stat)
{
    struct cgroup_usage *usage = reader->usage;
    uint64_t limit = UINT64_MAX;

    usage->has_memory_kernel =
        read_number(reader, "memory.kmem.usage_in_bytes", &usage->memory_kernel_bytes);
    (void)read_number(reader, "memory.failcnt", &usage->memory_limit_hits); /* absent: none */
    (void)cgroup_oom_kills(reader->cgroup, &usage->oom_kills, NULL);        /* none known: 0 */
    usage->has_swap = cgroup_text_u64(stat, "total_swap", &usage->swap_bytes) &&
                      read_number(reader, "memory.memsw.limit_in_bytes", &limit);
    if (limit != UINT64_MAX && usage->memory_limit_bytes <= limit)
        usage->swap_limit_bytes = limit - usage->memory_limit_bytes;
}

static void read_memory_v2(const struct reader *reader, const char *stat)
{
    struct cgroup_usage *usage = reader->usage;
    auto_free char *events = read_text(reader, "memory.events");

    usage->has_memory_kernel = cgroup_text_u64(stat, "kernel", &usage->memory_kernel_bytes);
    if (events != NULL) {
        (void)cgroup_text_u64(events, "max", &usage->memory_limit_hits); /* absent: none */
        usage->has_past_oom_kills = cgroup_text_u64(events, "oom_kill", &usage->oom_kills);
    }
    usage->has_swap = read_number(reader, "memory.swap.current", &usage->swap_bytes);
    usage->has_swap_peak = read_number(reader, "memory.swap.peak", &usage->swap_peak_bytes);
    (void)read_number(reader, "memory.swap.max", &usage->swap_limit_bytes); /* absent: no limit */
}

static void read_memory(const struct reader *reader)
{
    struct cgroup_usage *usage = reader->usage;
    bool v2 = is_v2(reader);
    auto_free char *stat = NULL;

    usage->memory_limit_bytes = UINT64_MAX;
    usage->swap_limit_bytes = UINT64_MAX;
    usage->has_memory =
        read_number(reader, v2 ? "memory.current" : "memory.usage_in_bytes", &usage->memory_bytes);
    if (!usage->has_memory)
        return;
    usage->has_memory_peak = read_number(reader, v2 ? "memory.peak" : "memory.max_usage_in_bytes",
                                         &usage->memory_peak_bytes);
    (void)read_number(reader, v2 ? "memory.max" : "memory.limit_in_bytes",
                      &usage->memory_limit_bytes);
    stat = read_text(reader, "memory.stat");
    if (stat == NULL)
        stat = xstrdup("");
    /* total_: with the groups below, as v2 always has it */
    (void)cgroup_text_u64(stat, v2 ? "file" : "total_cache", &usage->memory_file_bytes);
    (void)cgroup_text_u64(stat, v2 ? "inactive_file" : "total_inactive_file",
                          &usage->memory_inactive_file_bytes);
    (void)cgroup_text_u64(stat, v2 ? "anon" : "total_rss", &usage->memory_anon_bytes);
    if (v2)
        read_memory_v2(reader, stat);
    else
        read_memory_v1(reader, stat);
}

static void read_pids(const struct reader *reader)
{
    struct cgroup_usage *usage = reader->usage;

    usage->pids_limit = UINT64_MAX;
    usage->has_pids = read_number(reader, "pids.current", &usage->pids);
    usage->has_pids_peak = read_number(reader, "pids.peak", &usage->pids_peak);
    (void)read_number(reader, "pids.max", &usage->pids_limit);
}

static void read_io(const struct reader *reader)
{
    struct cgroup_io *io = &reader->usage->io;
    auto_free char *bytes =
        read_text(reader, is_v2(reader) ? "io.stat" : "blkio.throttle.io_service_bytes_recursive");
    auto_free char *operations = NULL;

    if (bytes == NULL)
        return;
    reader->usage->has_io = true;
    if (is_v2(reader)) {
        usage_parse_io_v2(bytes, io);
        return;
    }
    usage_parse_io_v1(bytes, &io->read_bytes, &io->write_bytes);
    operations = read_text(reader, "blkio.throttle.io_serviced_recursive");
    if (operations != NULL)
        usage_parse_io_v1(operations, &io->read_operations, &io->write_operations);
}

int cgroup_usage(struct cgroup *cgroup, struct cgroup_usage *ret_usage, struct error *err)
{
    const struct cgroup_hierarchy *hierarchy = cgroup_system_main(cgroup->system);
    struct cgroup_usage usage = { 0 };
    const struct {
        enum cgroup_controller controller;
        void (*read)(const struct reader *reader);
    } steps[] = {
        { CGROUP_CPUACCT, read_cpu },   { CGROUP_CPU, read_throttling },
        { CGROUP_MEMORY, read_memory }, { CGROUP_PIDS, read_pids },
        { CGROUP_BLOCK_IO, read_io },
    };

    assert(ret_usage != NULL);

    if (faccessat(hierarchy->fd, cgroup->relative, F_OK, 0) < 0)
        return error_errno(err, "read the usage of cgroup %s", cgroup->path);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        struct reader reader = reader_for(cgroup, steps[i].controller, &usage);

        steps[i].read(&reader);
    }
    *ret_usage = usage;
    return 0;
}
