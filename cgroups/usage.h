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

/** "some avg10=0.12 avg60=0.00 avg300=0.00 total=34\nfull ..."; NULL: it is something else. */
struct cgroup_pressure *usage_parse_pressure(const char *text);
void cgroup_numbers_clear(struct cgroup_numbers *numbers);
void cgroup_u64s_clear(struct cgroup_u64s *list);
/** Lines "name number", in their order. */
void usage_parse_numbers(const char *text, struct cgroup_numbers *ret_numbers);
/** The same as a JSON object. Caller frees. */
char *usage_format_numbers(const struct cgroup_numbers *numbers);
/** "0-2,7" to 0, 1, 2, 7; nothing when it is malformed. */
void usage_parse_list(const char *text, struct cgroup_u64s *ret_list);
/** How many of the members of a list, @ret_count by number, are also in the other. */
size_t usage_lists_common(const char *one, const char *other, size_t *ret_count);
/** "8:0 Read 1" or "8:0 1", by line; lines without a device are left out (v1). */
void usage_parse_devices_v1(const char *text, struct cgroup_io_entries *ret_entries);
/** Two keys of io.stat, as "Read" and "Write" (v2). */
void usage_parse_devices_v2(const char *text, const char *read_key, const char *write_key,
                            struct cgroup_io_entries *ret_entries);
/** What both lists say with "Read" and "Write", one item for each device, in their order. */
void usage_collect_devices(const struct cgroup_io_entries *bytes,
                           const struct cgroup_io_entries *operations,
                           struct cgroup_io_devices *ret_devices);
/** "2048kB" to "2MB", as files of the hugetlb controller are called. Caller frees; NULL. */
char *usage_page_size_name(const char *text);

#endif
