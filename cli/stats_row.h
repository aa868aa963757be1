#ifndef CLI_STATS_ROW_H
#define CLI_STATS_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "cgroups/cgroups.h"
#include "cli/listing.h"
#include "engine/engine.h"

/* One row of `stats` from two looks at a container; pure. */

#define STATS_TABLE                                                                                \
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t"    \
    "{{.PIDs}}"

extern const struct listing_column stats_columns[];

struct stats_sample {
    char *id, *name;
    bool is_running;
    uint64_t taken_ns;
    struct cgroup_usage usage;
    bool has_traffic;
    struct traffic traffic;
    /* of 10 seconds; looked at only for formats that may show it, and where the kernel counts it */
    bool has_pressure;
    struct cgroup_pressure cpu_pressure, memory_pressure, io_pressure;
};
struct stats_samples {
    struct stats_sample *items;
    size_t count;
};

void stats_samples_add(struct stats_samples *samples,
                       const struct stats_sample *sample); /* takes its texts */
const struct stats_sample *stats_samples_find(const struct stats_samples *samples, const char *id);
void stats_samples_clear(struct stats_samples *samples);

/**
 * @before        the earlier look; NULL: there is none, CPU use is 0
 * @memory_bytes  of the machine: the limit of a container that has none
 */
void stats_row_format(const struct stats_sample *before, const struct stats_sample *sample,
                      uint64_t memory_bytes, bool is_whole, struct string_map *fields);

#endif
