#include "cli/stats_row.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

const struct listing_column stats_columns[] = {
    { "Container", "CONTAINER" },
    { "ID", "CONTAINER ID" },
    { "Name", "NAME" },
    { "CPUPerc", "CPU %" },
    { "MemUsage", "MEM USAGE / LIMIT" },
    { "MemPerc", "MEM %" },
    { "NetIO", "NET I/O" },
    { "BlockIO", "BLOCK I/O" },
    { "PIDs", "PIDS" },
    /* not in docker's table */
    { "CPUUser", "CPU USER" },
    { "CPUSystem", "CPU SYSTEM" },
    { "ThrottledTime", "THROTTLED" },
    { "ThrottledPeriods", "THROTTLED PERIODS" },
    { "MemAnon", "MEM ANON" },
    { "MemFile", "MEM FILE" },
    { "MemKernel", "MEM KERNEL" },
    { "MemPeak", "MEM PEAK" },
    { "MemSwap", "SWAP" },
    { "MemLimitHits", "MEM LIMIT HITS" },
    { "OOMKills", "OOM KILLS" },
    { "PIDsPeak", "PIDS PEAK" },
    { "PIDsLimit", "PIDS LIMIT" },
    { "PressureCPU", "CPU PRESSURE" },
    { "PressureMemory", "MEM PRESSURE" },
    { "PressureIO", "I/O PRESSURE" },
    { 0 },
};

void stats_samples_add(struct stats_samples *samples, const struct stats_sample *sample)
{
    samples->items = xrealloc(samples->items, samples->count + 1, sizeof(*samples->items));
    samples->items[samples->count++] = *sample;
}

const struct stats_sample *stats_samples_find(const struct stats_samples *samples, const char *id)
{
    for (size_t i = 0; i < samples->count; i++) {
        if (strcmp(samples->items[i].id, id) == 0)
            return &samples->items[i];
    }
    return NULL;
}

void stats_samples_clear(struct stats_samples *samples)
{
    for (size_t i = 0; i < samples->count; i++) {
        free(samples->items[i].id);
        free(samples->items[i].name);
    }
    free(samples->items);
    *samples = (struct stats_samples){ 0 };
}

/* Of one CPU, as docker counts: two busy CPUs are 200%. */
static double cpu_percent(const struct stats_sample *before, const struct stats_sample *sample)
{
    if (before == NULL || !before->is_running || !sample->is_running || !sample->usage.has_cpu ||
        sample->taken_ns <= before->taken_ns || sample->usage.cpu_ns < before->usage.cpu_ns)
        return 0;
    return (double)(sample->usage.cpu_ns - before->usage.cpu_ns) * 100.0 /
           (double)(sample->taken_ns - before->taken_ns);
}

/* As docker marks what it could not read: the container runs, but nobody counts that. */
#define UNCOUNTED "--"

static bool is_uncounted(const struct stats_sample *sample, bool has)
{
    return sample->is_running && !has;
}

static void add_memory(const struct stats_sample *sample, uint64_t memory_bytes,
                       struct string_map *fields)
{
    const struct cgroup_usage *usage = &sample->usage;
    bool has_memory = sample->is_running && usage->has_memory;
    /* Pages of files that nobody used lately are given back when somebody needs them. */
    uint64_t used = !has_memory ? 0
                    : usage->memory_bytes > usage->memory_inactive_file_bytes
                        ? usage->memory_bytes - usage->memory_inactive_file_bytes
                        : usage->memory_bytes;
    uint64_t limit = !has_memory                                ? 0
                     : usage->memory_limit_bytes < memory_bytes ? usage->memory_limit_bytes
                                                                : memory_bytes;
    auto_free char *used_text = text_format_size_binary(used);
    auto_free char *limit_text = text_format_size_binary(limit);
    auto_free char *both = xasprintf("%s / %s", used_text, limit_text);
    auto_free char *percent =
        xasprintf("%.2f%%", limit > 0 ? (double)used * 100.0 / (double)limit : 0.0);
    bool is_unknown = is_uncounted(sample, usage->has_memory);

    string_map_set(fields, "MemUsage", is_unknown ? UNCOUNTED " / " UNCOUNTED : both);
    string_map_set(fields, "MemPerc", is_unknown ? UNCOUNTED : percent);
}

static void add_traffic(const struct stats_sample *sample, struct string_map *fields)
{
    auto_free char *received = text_format_size(sample->traffic.received_bytes);
    auto_free char *sent = text_format_size(sample->traffic.sent_bytes);
    auto_free char *both = xasprintf("%s / %s", received, sent);

    string_map_set(fields, "NetIO",
                   is_uncounted(sample, sample->has_traffic) ? UNCOUNTED " / " UNCOUNTED : both);
}

/* --- what docker does not show -----------------------------------------------------------------
 */

#define UNKNOWN "-"

/* Takes the text. */
static void set_known(struct string_map *fields, const char *field, bool is_known, char *text)
{
    string_map_set(fields, field, is_known ? text : UNKNOWN);
    free(text);
}

static char *format_seconds(uint64_t ns)
{
    return xasprintf("%.2fs", (double)ns / 1e9);
}

static char *format_number(uint64_t number)
{
    return xasprintf("%llu", (unsigned long long)number);
}

/* Percent of the time in which some, and all, waited. */
static char *format_pressure(const struct cgroup_pressure *pressure)
{
    return xasprintf("%.2f%% / %.2f%%", pressure->some.avg10, pressure->full.avg10);
}

static void add_details(const struct stats_sample *sample, struct string_map *fields)
{
    const struct cgroup_usage *usage = &sample->usage;
    bool is_running = sample->is_running;
    bool has_cpu = is_running && usage->has_cpu;
    bool has_throttling = is_running && usage->has_throttling;
    bool has_memory = is_running && usage->has_memory;
    bool has_pressure = is_running && sample->has_pressure;

    set_known(fields, "CPUUser", has_cpu, format_seconds(usage->cpu_user_ns));
    set_known(fields, "CPUSystem", has_cpu, format_seconds(usage->cpu_system_ns));
    set_known(fields, "ThrottledTime", has_throttling, format_seconds(usage->throttled_ns));
    set_known(fields, "ThrottledPeriods", has_throttling,
              xasprintf("%llu / %llu", (unsigned long long)usage->throttled_periods,
                        (unsigned long long)usage->periods));
    set_known(fields, "MemAnon", has_memory, text_format_size_binary(usage->memory_anon_bytes));
    set_known(fields, "MemFile", has_memory, text_format_size_binary(usage->memory_file_bytes));
    set_known(fields, "MemKernel", is_running && usage->has_memory_kernel,
              text_format_size_binary(usage->memory_kernel_bytes));
    set_known(fields, "MemPeak", is_running && usage->has_memory_peak,
              text_format_size_binary(usage->memory_peak_bytes));
    set_known(fields, "MemSwap", is_running && usage->has_swap,
              text_format_size_binary(usage->swap_bytes));
    set_known(fields, "MemLimitHits", has_memory, format_number(usage->memory_limit_hits));
    set_known(fields, "OOMKills", has_memory, format_number(usage->oom_kills));
    set_known(fields, "PIDsPeak", is_running && usage->has_pids_peak,
              format_number(usage->pids_peak));
    set_known(fields, "PIDsLimit", is_running && usage->has_pids && usage->pids_limit != UINT64_MAX,
              format_number(usage->pids_limit));
    set_known(fields, "PressureCPU", has_pressure, format_pressure(&sample->cpu_pressure));
    set_known(fields, "PressureMemory", has_pressure, format_pressure(&sample->memory_pressure));
    set_known(fields, "PressureIO", has_pressure, format_pressure(&sample->io_pressure));
}

void stats_row_format(const struct stats_sample *before, const struct stats_sample *sample,
                      uint64_t memory_bytes, bool is_whole, struct string_map *fields)
{
    const struct cgroup_usage *usage = &sample->usage;
    bool has_io = sample->is_running && usage->has_io;
    auto_free char *id = is_whole ? xstrdup(sample->id) : xstrndup(sample->id, 12);
    auto_free char *cpu = xasprintf("%.2f%%", cpu_percent(before, sample));
    auto_free char *read_text = text_format_size(has_io ? usage->io.read_bytes : 0);
    auto_free char *written_text = text_format_size(has_io ? usage->io.write_bytes : 0);
    auto_free char *io = xasprintf("%s / %s", read_text, written_text);
    auto_free char *pids = xasprintf(
        "%llu", (unsigned long long)(sample->is_running && usage->has_pids ? usage->pids : 0));

    string_map_set(fields, "Container", id);
    string_map_set(fields, "ID", id);
    string_map_set(fields, "Name", sample->name);
    string_map_set(fields, "CPUPerc", is_uncounted(sample, usage->has_cpu) ? UNCOUNTED : cpu);
    add_memory(sample, memory_bytes, fields);
    add_traffic(sample, fields);
    string_map_set(fields, "BlockIO",
                   is_uncounted(sample, usage->has_io) ? UNCOUNTED " / " UNCOUNTED : io);
    string_map_set(fields, "PIDs", is_uncounted(sample, usage->has_pids) ? UNCOUNTED : pids);
    add_details(sample, fields);
}
