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

    string_map_set(fields, "MemUsage", both);
    string_map_set(fields, "MemPerc", percent);
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
    string_map_set(fields, "CPUPerc", cpu);
    add_memory(sample, memory_bytes, fields);
    string_map_set(fields, "NetIO", "0B / 0B");
    string_map_set(fields, "BlockIO", io);
    string_map_set(fields, "PIDs", pids);
}
