#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/error.h"

/* How a helper program gives up what it does not need, before it reads the first hostile byte.
 * Landlock and seccomp are left out where the kernel lacks them, with a word to the debug log. */

#ifdef __SANITIZE_ADDRESS__
/* AddressSanitizer maps terabytes and makes calls of its own: no limit of addresses, no filter. */
#define SANDBOX_HAS_SANITIZERS true
#else
#define SANDBOX_HAS_SANITIZERS false
#endif

/** no_new_privs, and neither dumpable nor to be traced by its own user: prctl(2). A change of user
 * makes it dumpable again: call it after that. */
int sandbox_begin(struct error *err);

/** Root becomes nobody, without groups; others stay who they are. Where that is not permitted (a
 * user namespace without that id) the process goes on, with a word to the debug log: what counts is
 * that it loses its capabilities. Takes PR_SET_PDEATHSIG away (prctl(2)): set that afterwards. */
void sandbox_become_nobody(void);

/** Sets soft and hard limit, at most to the hard limit that there is. */
int sandbox_limit(__rlimit_resource_t resource, const char *name, rlim_t value, struct error *err);

/** Keeps the capabilities of the mask @kept (1 << CAP_...), of those that are permitted; all others
 * leave the bounding set, too, where the process may say so. */
int sandbox_keep_capabilities(uint64_t kept, struct error *err);

/** What Landlock is to forbid from sandbox_paths_enforce() on. */
struct sandbox_paths {
    int ruleset_fd; /* -1: this kernel has no Landlock, or an older one than needed */
    uint64_t handled;
};

/**
 * Forbids everything that this kernel's Landlock knows about files and directories.
 *
 * @version  the least version of Landlock that is of use to the caller; 2 lets files be linked and
 *           renamed into other directories that are allowed
 */
int sandbox_paths_begin(struct sandbox_paths *ret_paths, long version, struct error *err);
/** Allows the rights @access (LANDLOCK_ACCESS_FS_*, as far as they are handled) at @fd, which may
 * be O_PATH, and below. Of a file, those that files have. @what names it in errors. */
int sandbox_paths_allow(const struct sandbox_paths *paths, int fd, uint64_t access,
                        const char *what, struct error *err);
/** From here on; closes the ruleset. Needs no_new_privs or CAP_SYS_ADMIN. */
int sandbox_paths_enforce(struct sandbox_paths *paths, struct error *err);
void sandbox_paths_close(struct sandbox_paths *paths);

/* --- sandbox_filter.c ------------------------------------------------------------------------- */

/**
 * Permits the calling thread @calls (SCMP_SYS(); those that the architecture lacks are passed over)
 * and what @add_rules adds (scmp_filter_ctx, returns 0 or a negative errno value; may be NULL); all
 * else fails with EPERM. Does nothing under AddressSanitizer.
 */
int sandbox_filter(const int *calls, size_t count, int (*add_rules)(void *filter),
                   struct error *err);

/* --- sandbox_pipe.c --------------------------------------------------------------------------- */

/**
 * All of it, for a program that only reads what it has open, and writes into a pipe, its standard
 * output: gives up root (it becomes nobody), all capabilities, all paths (Landlock), the right to
 * open or to write any file, most memory, all system calls but reading, writing and those for
 * memory (seccomp). It dies with its parent.
 *
 * A kernel without Landlock or seccomp is not an error: a word to the debug log. In a build with
 * sanitizers memory and system calls stay as they are.
 */
int sandbox_enter_pipe(struct error *err);

#endif
