#ifndef CGROUPS_USAGE_H
#define CGROUPS_USAGE_H

#include "cgroups/cgroups.h"

/* Texts of cgroup files into numbers; pure. */

/** Sums "8:0 rbytes=1 wbytes=2 rios=3 wios=4 ..." over all devices (v2, io.stat). */
void usage_parse_io_v2(const char *text, struct cgroup_io *ret_io);
/** Sums "8:0 Read 1" and "8:0 Write 2" over all devices (v1, blkio.throttle.*). */
void usage_parse_io_v1(const char *text, uint64_t *ret_read, uint64_t *ret_written);
/** "max", and what v1 shows for it, become UINT64_MAX. */
uint64_t usage_parse_limit(const char *text);

#endif
