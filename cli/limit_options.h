#ifndef CLI_LIMIT_OPTIONS_H
#define CLI_LIMIT_OPTIONS_H

#include "base/error.h"
#include "cli/options.h"
#include "engine/engine.h"

/* The options that limit: `run` and `create` have them among many others, `update`, `cgroup create`
 * and `cgroup update` alone. Rows of tables, as each table is in order of the alphabet. */

#define LIMIT_BLKIO_WEIGHT                                                                         \
    {                                                                                              \
        "blkio-weight", 0, OPTION_TEXT, "WEIGHT", "Share of block I/O, 10 to 1000; 0: default",    \
            "none"                                                                                 \
    }
#define LIMIT_BLKIO_WEIGHT_DEVICE                                                                  \
    {                                                                                              \
        "blkio-weight-device", 0, OPTION_LIST, "DEVICE:WEIGHT",                                    \
            "Share of one device's I/O, 10 to 1000; 0: as of the others", "file"                   \
    }
#define LIMIT_CGROUP_CONF                                                                          \
    {                                                                                              \
        "cgroup-conf", 0, OPTION_LIST, "FILE=VALUE",                                               \
            "Write a file of the cgroup verbatim, as memory.high=64M", "none"                      \
    }
#define LIMIT_CPU_PERIOD                                                                           \
    {                                                                                              \
        "cpu-period", 0, OPTION_TEXT, "US", "Length of a CPU period in microseconds", "none"       \
    }
#define LIMIT_CPU_QUOTA                                                                            \
    {                                                                                              \
        "cpu-quota", 0, OPTION_TEXT, "US", "CPU time in each period in microseconds", "none"       \
    }
#define LIMIT_CPU_RT_PERIOD                                                                        \
    {                                                                                              \
        "cpu-rt-period", 0, OPTION_TEXT, "US",                                                     \
            "Length of a real-time period in microseconds (cgroup v1)", "none"                     \
    }
#define LIMIT_CPU_RT_RUNTIME                                                                       \
    {                                                                                              \
        "cpu-rt-runtime", 0, OPTION_TEXT, "US",                                                    \
            "Real-time CPU time in each period in microseconds (cgroup v1)", "none"                \
    }
#define LIMIT_CPU_SHARES                                                                           \
    {                                                                                              \
        "cpu-shares", 'c', OPTION_TEXT, "SHARES", "Share of CPU time, relative to 1024", "none"    \
    }
#define LIMIT_CPUS                                                                                 \
    {                                                                                              \
        "cpus", 0, OPTION_TEXT, "NUMBER", "Number of CPUs, as 0.5", "none"                         \
    }
#define LIMIT_CPUSET_CPUS                                                                          \
    {                                                                                              \
        "cpuset-cpus", 0, OPTION_TEXT, "LIST", "CPUs to run on, as 0-2,7", "none"                  \
    }
#define LIMIT_CPUSET_MEMS                                                                          \
    {                                                                                              \
        "cpuset-mems", 0, OPTION_TEXT, "LIST", "Memory nodes to use, as 0-1", "none"               \
    }
#define LIMIT_DEVICE_READ_BPS                                                                      \
    {                                                                                              \
        "device-read-bps", 0, OPTION_LIST, "DEVICE:BYTES",                                         \
            "Limit bytes a second read from a device", "file"                                      \
    }
#define LIMIT_DEVICE_READ_IOPS                                                                     \
    {                                                                                              \
        "device-read-iops", 0, OPTION_LIST, "DEVICE:N", "Limit reads a second from a device",      \
            "file"                                                                                 \
    }
#define LIMIT_DEVICE_WRITE_BPS                                                                     \
    {                                                                                              \
        "device-write-bps", 0, OPTION_LIST, "DEVICE:BYTES",                                        \
            "Limit bytes a second written to a device", "file"                                     \
    }
#define LIMIT_DEVICE_WRITE_IOPS                                                                    \
    {                                                                                              \
        "device-write-iops", 0, OPTION_LIST, "DEVICE:N", "Limit writes a second to a device",      \
            "file"                                                                                 \
    }
#define LIMIT_MEMORY                                                                               \
    {                                                                                              \
        "memory", 'm', OPTION_TEXT, "BYTES", "Limit memory, as 64m or 2g", "none"                  \
    }
#define LIMIT_MEMORY_RESERVATION                                                                   \
    {                                                                                              \
        "memory-reservation", 0, OPTION_TEXT, "BYTES", "Memory to keep when memory is short",      \
            "none"                                                                                 \
    }
#define LIMIT_MEMORY_SWAP                                                                          \
    {                                                                                              \
        "memory-swap", 0, OPTION_TEXT, "BYTES",                                                    \
            "Limit memory and swap together; -1: swap unlimited", "none"                           \
    }
#define LIMIT_MEMORY_SWAPPINESS                                                                    \
    {                                                                                              \
        "memory-swappiness", 0, OPTION_TEXT, "PERCENT", "How readily memory is swapped, 0 to 100", \
            "none"                                                                                 \
    }
#define LIMIT_PIDS_LIMIT                                                                           \
    {                                                                                              \
        "pids-limit", 0, OPTION_TEXT, "NUMBER", "Limit processes and threads; -1: no limit",       \
            "none"                                                                                 \
    }

/** All of these and nothing else: `cgroup create`, `cgroup update`. */
extern const struct option limit_options[];

/**
 * Puts what was given on the command line over @settings; what was not given stays. 0, and -1 where
 * an option knows it, mean no limit.
 */
int limit_options_parse(const struct arguments *arguments, struct settings *settings,
                        struct error *err);

/**
 * Checks a container's limits against this machine: --cpus, where it was given, is at most its
 * CPUs, as with docker. A cgroup may be allowed more, since its limit is only a bound.
 */
int limit_options_check_machine(const struct arguments *arguments, struct settings *settings,
                                struct error *err);

/** -EINVAL: no option was given, so there is nothing to update. */
int limit_options_check_any(const struct arguments *arguments, struct error *err);

#endif
