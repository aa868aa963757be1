#ifndef CGROUPS_CGROUP_H
#define CGROUPS_CGROUP_H

#include "cgroups/cgroup_system.h"

/* The private half of cgroups.h about one cgroup, and access to its files. */

#define CGROUP_PATH_MAX 2048 /* bytes of a cgroup's path */
#define CGROUP_FILE_MAX (CGROUP_PATH_MAX + 257)

struct cgroup {
    struct cgroup_system *system; /* borrowed */
    char *path;                   /* "/berth/x" */
    const char *relative;         /* "berth/x", in path */
    int clone_fd;                 /* -1 until cgroup_clone_fd() */
};

/** "berth/x/memory.max" in @buffer of CGROUP_FILE_MAX bytes, relative to a hierarchy's fd; returns
 * it. */
char *cgroup_file_path(const struct cgroup *cgroup, const char *file, char *buffer);

/** Reads a file of the cgroup, without its last newline. Returns a bare negative errno: no
 * sentence. */
int cgroup_file_read(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                     const char *file, char **ret_text);
/** Writes a file of the cgroup by one write(2). Returns a bare negative errno. */
int cgroup_file_write(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                      const char *file, const char *value);
/** Opens a file of the cgroup. Returns a descriptor or a bare negative errno. */
int cgroup_file_open(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                     const char *file, int flags);

/** The number after @key in lines "key number"; false when there is none. */
bool cgroup_text_u64(const char *text, const char *key, uint64_t *ret_value);

/**
 * Calls @visit for a cgroup and all below it, deepest first.
 *
 * @visit  gets the cgroup as name @name below @parent_fd; a negative result ends the walk
 *
 * Returns 0, also when it is not there, or a bare negative errno (-ELOOP: nested too deeply).
 */
int cgroup_walk(int parent_fd, const char *name,
                int (*visit)(int parent_fd, const char *name, void *data), void *data);

/** Enables v2 controllers ("cpu memory") on the way from the root down to the cgroup, as far as
 * possible. */
void cgroup_enable_controllers(const struct cgroup *cgroup, const char *names);

/** Pauses between two looks; grows. @elapsed_us is where the caller counts. False when
 * CGROUP_WAIT_US passed. */
#define CGROUP_WAIT_US 5000000U
bool cgroup_pause(uint64_t *elapsed_us);

/** Refuses to freeze or kill a cgroup that holds the calling process. */
int cgroup_check_not_own(const struct cgroup *cgroup, struct error *err);

#endif
