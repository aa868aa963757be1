#include "base/sandbox.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/log.h"

#define NOBODY 65534

#ifdef __SANITIZE_ADDRESS__
/* The search for leaks at the end reads /proc, which is out of reach by then. The unit tests of the
 * same code search. What was freed is kept up to 256 MB unless told: more than the cgroup of a
 * microVM grants. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0:quarantine_size_mb=4";
}
#endif

int sandbox_begin(struct error *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(err, "set no_new_privs");
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* only hides it better */
    return 0;
}

void sandbox_become_nobody(void)
{
    if (geteuid() != 0)
        return;
    if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0)
        log_debug("no way to become nobody here: the sandbox goes on without capabilities");
}

int sandbox_limit(__rlimit_resource_t resource, const char *name, rlim_t value, struct error *err)
{
    struct rlimit limit;

    if (getrlimit(resource, &limit) < 0)
        return error_errno(err, "read limit %s", name);
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < value)
        value = limit.rlim_max;
    limit.rlim_cur = limit.rlim_max = value;
    if (setrlimit(resource, &limit) < 0)
        return error_errno(err, "set limit %s", name);
    return 0;
}

int sandbox_keep_capabilities(uint64_t kept, struct error *err)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &header, data) < 0)
        return error_errno(err, "read capabilities");
    if ((data[0].permitted & (1u << CAP_SETPCAP)) != 0) {
        for (int i = 0; i <= CAP_LAST_CAP; i++) {
            /* A number that this kernel does not know cannot be dropped, and need not. */
            if ((kept & (1ull << i)) == 0)
                (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(kept >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) < 0)
        return error_errno(err, "drop capabilities");
    return 0;
}

/* --- Landlock: landlock(7) -------------------------------------------------------------------- */

/* Of the rights that files have. */
#define FILE_RIGHTS                                                                                \
    ((uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |                        \
                LANDLOCK_ACCESS_FS_WRITE_FILE) |                                                   \
     (1ull << 14)) /* LANDLOCK_ACCESS_FS_TRUNCATE */

/* What the versions of Landlock know about files, from version 1 on. */
static uint64_t rights_of_version(long version)
{
    uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

    if (version >= 2)
        rights |= 1ull << 13; /* LANDLOCK_ACCESS_FS_REFER */
    if (version >= 3)
        rights |= 1ull << 14; /* LANDLOCK_ACCESS_FS_TRUNCATE */
    if (version >= 5)
        rights |= 1ull << 15; /* LANDLOCK_ACCESS_FS_IOCTL_DEV */
    return rights;
}

int sandbox_paths_begin(struct sandbox_paths *ret_paths, long version, struct error *err)
{
    long have = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset_attr ruleset = { 0 };

    assert(version >= 1);

    *ret_paths = (struct sandbox_paths){ .ruleset_fd = -1 };
    if (have < version) {
        log_debug("no Landlock of version %ld here: the sandbox goes on without", version);
        return 0;
    }
    ruleset.handled_access_fs = ret_paths->handled = rights_of_version(have);
    ret_paths->ruleset_fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
    return ret_paths->ruleset_fd < 0 ? error_errno(err, "make a Landlock ruleset") : 0;
}

int sandbox_paths_allow(const struct sandbox_paths *paths, int fd, uint64_t access,
                        const char *what, struct error *err)
{
    struct landlock_path_beneath_attr beneath = { .parent_fd = fd,
                                                  .allowed_access = access & paths->handled };
    struct stat status;

    if (paths->ruleset_fd < 0)
        return 0;
    if (fstat(fd, &status) < 0)
        return error_errno(err, "look at '%s'", what);
    if (!S_ISDIR(status.st_mode))
        beneath.allowed_access &= FILE_RIGHTS;
    if (syscall(SYS_landlock_add_rule, paths->ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) <
        0)
        return error_errno(err, "allow '%s'", what);
    return 0;
}

int sandbox_paths_enforce(struct sandbox_paths *paths, struct error *err)
{
    if (paths->ruleset_fd < 0)
        return 0;
    if (syscall(SYS_landlock_restrict_self, paths->ruleset_fd, 0) < 0)
        return error_errno(err, "restrict paths");
    sandbox_paths_close(paths);
    return 0;
}

void sandbox_paths_close(struct sandbox_paths *paths)
{
    auto_close_cleanup(&paths->ruleset_fd);
    paths->ruleset_fd = -1;
}
