#include "base/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/auto.h"

/* A zstd window of 128 MiB, and libraries. */
#define MEMORY_BYTES_MAX (1ull << 30)

static int paths_forbid(struct error *err)
{
    struct sandbox_paths paths;
    int r;

    r = sandbox_paths_begin(&paths, 1, err);
    if (r == 0)
        r = sandbox_paths_enforce(&paths, err);
    sandbox_paths_close(&paths);
    return r;
}

/* A file of no byte: it writes into a pipe. No descriptor but the three it has, and no process. */
static int limits_set(struct error *err)
{
    int r = sandbox_limit(RLIMIT_CORE, "core", 0, err);

    if (r == 0)
        r = sandbox_limit(RLIMIT_FSIZE, "fsize", 0, err);
    if (r == 0)
        r = sandbox_limit(RLIMIT_NPROC, "nproc", 0, err);
    if (r == 0 && !SANDBOX_HAS_SANITIZERS)
        r = sandbox_limit(RLIMIT_NOFILE, "nofile", STDERR_FILENO + 1, err);
    if (r == 0 && !SANDBOX_HAS_SANITIZERS)
        r = sandbox_limit(RLIMIT_AS, "as", MEMORY_BYTES_MAX, err);
    return r;
}

/* Everything else fails with EPERM; nothing here takes a path, or makes a descriptor. */
static const int allowed_calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(writev),
    SCMP_SYS(write),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(futex),
    SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(tgkill),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(restart_syscall),
};

/* A parent that died before the signal at its death was asked for has left a pipe that nobody
 * reads. */
static int check_reader(struct error *err)
{
    struct pollfd reader = { .fd = STDOUT_FILENO };

    return poll(&reader, 1, 0) > 0 && (reader.revents & POLLERR) != 0
               ? error_set(err, EPIPE, "nobody reads what it says")
               : 0;
}

int sandbox_enter_pipe(struct error *err)
{
    int r;

    sandbox_become_nobody();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody reads what it says any more */
    r = sandbox_begin(err);
    if (r == 0)
        r = sandbox_keep_capabilities(0, err);
    if (r == 0)
        r = paths_forbid(err);
    if (r == 0)
        r = limits_set(err);
    if (r == 0)
        r = sandbox_filter(allowed_calls, ARRAY_SIZE(allowed_calls), NULL, err);
    if (r == 0)
        r = check_reader(err);
    return r < 0 ? error_prefix(err, r, "sandbox") : 0;
}
