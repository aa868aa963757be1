/*
 * How a program of berth runs so that a container cannot overwrite it (CVE-2019-5736).
 *
 * A process in a container can reach the file of a process that entered the container, by
 * /proc/PID/exe, and open it for writing as soon as nobody executes it any more. So berth executes
 * itself from a detached, read-only mount of its file: what is opened through the link is on that
 * mount, and opening for writing fails with EROFS. Nothing can remount it, as it is in no mount
 * namespace. It costs two system calls and an exec, and no copy of the program. Where mounting is
 * not permitted, a sealed memory file (memfd_create(2)) takes its place.
 */
#include "base/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"

/* Tells the executed program that it is one already; the pid says that it is meant for it. */
#define GUARD_VARIABLE "BERTH_PROTECTED_PID"

#define PROGRAM_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* What the link to a memory file begins with; a file of that name has no seals. */
#define MEMORY_FILE_PREFIX "/memfd:"

/* memfd_create(2), since Linux 6.3. */
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static int open_mount(const char *path)
{
    struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };
    auto_close int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
        return -errno;
    return take_fd(&fd);
}

static int create_memory_file(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 all memory files are executable */
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

static int open_sealed_copy(const char *path, int *ret_fd, struct error *err)
{
    auto_close int source = open(path, O_RDONLY | O_CLOEXEC);
    auto_close int fd = -1;
    struct stat status;
    off_t rest;

    if (source < 0 || fstat(source, &status) < 0)
        return error_errno(err, "open '%s'", path);
    fd = create_memory_file("berth");
    if (fd < 0)
        return error_errno(err, "create a memory file for '%s'", path);
    for (rest = status.st_size; rest > 0;) {
        ssize_t n = sendfile(fd, source, NULL, (size_t)rest);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "copy '%s' into memory", path);
        if (n == 0)
            return error_set(err, EIO, "copy '%s' into memory: it became shorter", path);
        rest -= n;
    }
    if (fcntl(fd, F_ADD_SEALS, PROGRAM_SEALS) < 0)
        return error_errno(err, "seal the copy of '%s'", path);
    *ret_fd = take_fd(&fd);
    return 0;
}

int process_open_program(const char *path, int *ret_fd, struct error *err)
{
    int fd;

    assert(path != NULL);
    assert(ret_fd != NULL);

    fd = open_mount(path);
    if (fd == -EPERM || fd == -EACCES || fd == -ENOSYS || fd == -EINVAL)
        return open_sealed_copy(path, ret_fd, err);
    if (fd < 0) {
        errno = -fd;
        return error_errno(err, "open a read-only mount of '%s'", path);
    }
    *ret_fd = fd;
    return 0;
}

/* Whether the running program's file is on a read-only mount: 1 yes, 0 no. */
static int is_on_read_only_mount(struct error *err)
{
    struct statvfs status;

    if (statvfs("/proc/self/exe", &status) < 0)
        return error_errno(err, "look at /proc/self/exe");
    return (status.f_flag & ST_RDONLY) != 0;
}

static int is_sealed(const char *program, struct error *err)
{
    auto_close int fd = -1;
    int seals;

    if (strncmp(program, MEMORY_FILE_PREFIX, strlen(MEMORY_FILE_PREFIX)) != 0)
        return 0;
    fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open /proc/self/exe");
    seals = fcntl(fd, F_GET_SEALS); /* fails for what is no memory file */
    return seals >= 0 && (seals & PROGRAM_SEALS) == PROGRAM_SEALS;
}

/* From the detached mount on, /proc/self/exe does not say where the program lies. The helpers
 * beside it are found by this variable; process_find_helper() ignores it where that matters. */
static void remember_directory(const char *program)
{
    auto_free char *directory = xstrdup(program);
    char *slash = strrchr(directory, '/');

    if (slash == NULL || slash == directory || getauxval(AT_SECURE) != 0)
        return;
    *slash = '\0';
    (void)setenv("BERTH_LIBEXEC", directory, 0); /* what the user set has precedence */
}

int process_protect_program(char **arguments, struct error *err)
{
    const char *guard = getenv(GUARD_VARIABLE);
    char program[PATH_MAX] = "";
    char pid[16];
    auto_close int fd = -1;
    int r;

    r = is_on_read_only_mount(err);
    if (r == 0 && readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
        return error_errno(err, "read /proc/self/exe");
    if (r == 0)
        r = is_sealed(program, err);
    if (r < 0)
        return r;
    if (r > 0) {
        (void)unsetenv(GUARD_VARIABLE); /* cannot fail with this name */
        return 0;
    }
    (void)snprintf(pid, sizeof(pid), "%d", getpid()); /* the same after exec; fits any pid */
    if (guard != NULL && strcmp(guard, pid) == 0)
        return error_set(err, ENOTSUP,
                         "protect the program: it is still writable after it was executed again");
    r = process_open_program("/proc/self/exe", &fd, err);
    if (r < 0)
        return error_prefix(err, r, "protect the program");
    remember_directory(program);
    if (setenv(GUARD_VARIABLE, pid, 1) < 0)
        return error_errno(err, "protect the program");
    (void)execveat(fd, "", arguments, environ, AT_EMPTY_PATH);
    return error_errno(err, "protect the program: execute '%s' again", program);
}
