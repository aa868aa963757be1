#include "engine/fuse_root.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/process.h"
#include "base/sandbox.h"
#include "engine/complaints.h"

#define FUSE_DEVICE    "/dev/fuse"
#define FINISH_WAIT_MS 5000

/* Of files as a container's root has them: owners, devices, attributes "trusted.". */
#define SERVER_CAPABILITIES                                                                        \
    (1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_DAC_READ_SEARCH |                  \
     1ull << CAP_FOWNER | 1ull << CAP_FSETID | 1ull << CAP_MKNOD | 1ull << CAP_SETFCAP |           \
     1ull << CAP_SYS_ADMIN)

/* With version 2 files may be renamed and linked into other directories. */
#define LANDLOCK_VERSION 2
#define PROGRAM_RIGHTS   (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE)
#define LAYER_RIGHTS     (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* All but to execute, and to control devices (LANDLOCK_ACCESS_FS_IOCTL_DEV). */
#define OWN_RIGHTS (~(LANDLOCK_ACCESS_FS_EXECUTE | 1ull << 15))

/* --- what can be used ------------------------------------------------------------------------- */

char *fuse_root_find_obstacle(const char *data_path)
{
    auto_free char *program = process_find_system_program(FUSE_ROOT_PROGRAM);
    auto_close int fd = -1;

    if (program == NULL)
        return xstrdup("fuse-overlayfs is not installed");
    if (strpbrk(data_path, ",:\\") != NULL)
        return xasprintf("fuse-overlayfs takes no path with one of ,:\\ as '%s'", data_path);
    fd = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return xasprintf("fuse-overlayfs needs " FUSE_DEVICE ": %s", strerror(errno));
    return NULL;
}

void fuse_root_plan(const char *program, const struct snapshot *snapshot,
                    struct strings *ret_command)
{
    struct text options = { 0 };

    for (size_t i = 0; i < snapshot->lower.count; i++)
        text_addf(&options, "%s%s", i == 0 ? "lowerdir=" : ":", snapshot->lower.items[i]);
    if (snapshot->upper != NULL)
        text_addf(&options, ",upperdir=%s,workdir=%s", snapshot->upper, snapshot->work);
    text_add(&options, ",writeback=0");
    strings_add(ret_command, program);
    strings_add(ret_command, "-f");
    strings_add(ret_command, "-o");
    strings_add(ret_command, options.data);
    strings_add(ret_command, "/dev/fd/0");
    text_clear(&options);
}

/* --- the mount -------------------------------------------------------------------------------- */

static int make_mount(int device_fd, uint64_t attributes, int *ret_fd, struct error *err)
{
    static const char *const flags[] = { "default_permissions", "allow_other" };
    auto_free char *number = xasprintf("%d", device_fd);
    const char *const values[][2] = {
        { "source", FUSE_ROOT_PROGRAM },
        { "subtype", FUSE_ROOT_PROGRAM },
        { "fd", number },
        { "rootmode", "40000" },
        { "user_id", "0" },
        { "group_id", "0" },
    };
    auto_close int context_fd = fsopen("fuse", FSOPEN_CLOEXEC);

    if (context_fd < 0)
        return error_errno(err, "open file system 'fuse'");
    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        if (fsconfig(context_fd, FSCONFIG_SET_STRING, values[i][0], values[i][1], 0) < 0)
            return error_errno(err, "fuse: set '%s'", values[i][0]);
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (fsconfig(context_fd, FSCONFIG_SET_FLAG, flags[i], NULL, 0) < 0)
            return error_errno(err, "fuse: set '%s'", flags[i]);
    if (fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return error_errno(err, "make a file system of " FUSE_DEVICE);
    *ret_fd = fsmount(context_fd, FSMOUNT_CLOEXEC, (unsigned)attributes);
    return *ret_fd < 0 ? error_errno(err, "mount " FUSE_DEVICE) : 0;
}

/* --- the program ------------------------------------------------------------------------------ */

/* One that is not there needs no rule: what is opened there fails as before. */
static int allow_child(const struct sandbox_paths *paths, const char *path, uint64_t rights,
                       struct error *err)
{
    auto_close int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return 0;
    return fd < 0 ? error_errno(err, "open '%s'", path)
                  : sandbox_paths_allow(paths, fd, rights, path, err);
}

/* It may read the layers, write the container's own files, execute itself, and mount nothing. */
static int restrict_paths_child(const struct snapshot *snapshot, const char *program,
                                struct error *err)
{
    static const struct {
        const char *path;
        uint64_t rights;
    } files[] = {
        { "/usr", PROGRAM_RIGHTS },
        { "/lib", PROGRAM_RIGHTS },
        { "/lib64", PROGRAM_RIGHTS },
        { "/etc/ld.so.cache", LANDLOCK_ACCESS_FS_READ_FILE },
        { "/proc/sys", LANDLOCK_ACCESS_FS_READ_FILE }, /* overflowuid and the like */
        { "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE },
    };
    struct sandbox_paths paths;
    int r = sandbox_paths_begin(&paths, LANDLOCK_VERSION, err);

    if (r == 0)
        r = allow_child(&paths, program, PROGRAM_RIGHTS, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
        r = allow_child(&paths, files[i].path, files[i].rights, err);
    for (size_t i = 0; r == 0 && i < snapshot->lower.count; i++)
        r = allow_child(&paths, snapshot->lower.items[i], LAYER_RIGHTS, err);
    if (r == 0 && snapshot->upper != NULL)
        r = allow_child(&paths, snapshot->upper, OWN_RIGHTS, err);
    if (r == 0 && snapshot->work != NULL)
        r = allow_child(&paths, snapshot->work, OWN_RIGHTS, err);
    if (r == 0)
        r = sandbox_paths_enforce(&paths, err);
    sandbox_paths_close(&paths);
    return r;
}

static void serve_child(const struct snapshot *snapshot, const struct strings *command,
                        pid_t parent, int device_fd, int complaints_fd)
{
    static char *const environment[] = { NULL };
    struct error err = { 0 };
    sigset_t none;

    (void)sigemptyset(&none);
    if (dup2(complaints_fd, 1) < 0 || dup2(complaints_fd, 2) < 0 || dup2(device_fd, 0) < 0 ||
        sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        _exit(125);
    if (sandbox_keep_capabilities(SERVER_CAPABILITIES, &err) < 0) {
        (void)dprintf(2, "%s\n", err.message);
        _exit(125);
    }
    /* The parent may have ended before PDEATHSIG was asked for. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || chdir("/") < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
        _exit(125);
    if (restrict_paths_child(snapshot, command->items[0], &err) < 0) {
        (void)dprintf(2, "%s\n", err.message);
        _exit(125);
    }
    (void)execve(command->items[0], command->items, environment);
    (void)dprintf(2, "execute %s: %s\n", command->items[0], strerror(errno));
    _exit(127);
}

/* What it does with the root tells that the program answers; with its end the device is closed,
 * as nobody else has it, and the answer is an error. */
static int wait_ready(const struct fuse_root *root, struct error *err)
{
    auto_close int fd = openat(root->mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? complaints_error(root->complaints_fd, FUSE_ROOT_PROGRAM, err) : 0;
}

static int serve(const struct snapshot *snapshot, const char *program, uint64_t attributes,
                 struct fuse_root *root, struct error *err)
{
    AUTO_CLEAR(strings) struct strings command = { 0 };
    auto_close int device_fd = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
    pid_t parent = getpid();
    int r;

    if (device_fd < 0)
        return error_errno(err, "open " FUSE_DEVICE);
    r = complaints_open(FUSE_ROOT_PROGRAM, &root->complaints_fd, err);
    if (r == 0)
        r = make_mount(device_fd, attributes, &root->mount_fd, err);
    if (r < 0)
        return r;
    fuse_root_plan(program, snapshot, &command);
    root->pid = fork();
    if (root->pid < 0) {
        root->pid = 0;
        return error_errno(err, "start it");
    }
    if (root->pid == 0)
        serve_child(snapshot, &command, parent, device_fd, root->complaints_fd);
    close(take_fd(&device_fd));
    return wait_ready(root, err);
}

int fuse_root_open(const struct snapshot *snapshot, uint64_t attributes, struct fuse_root *ret_root,
                   struct error *err)
{
    auto_free char *program = process_find_system_program(FUSE_ROOT_PROGRAM);
    struct fuse_root root = FUSE_ROOT_NONE;
    int r;

    assert(snapshot->lower.count > 0);
    assert(ret_root != NULL);

    if (program == NULL)
        return error_set(err, ENOENT,
                         "the container's root is fuse-overlayfs's, which is not installed "
                         "(Debian's package fuse-overlayfs)");
    r = serve(snapshot, program, attributes, &root, err);
    if (r < 0) {
        fuse_root_clear(&root);
        return error_prefix(err, r, FUSE_ROOT_PROGRAM);
    }
    *ret_root = root;
    return 0;
}

int fuse_root_open_image(const struct strings *layers, struct fuse_root *ret_root, int *ret_fd,
                         struct error *err)
{
    const struct snapshot snapshot = { .lower = *layers };
    int r = fuse_root_open(
        &snapshot, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
        ret_root, err);

    if (r == 0)
        *ret_fd = take_fd(&ret_root->mount_fd);
    return r;
}

void fuse_root_drop_mount(struct fuse_root *root)
{
    if (root->mount_fd >= 0)
        close(take_fd(&root->mount_fd));
}

void fuse_root_finish(struct fuse_root *root)
{
    auto_close int pidfd = root->pid == 0 ? -1 : (int)syscall(SYS_pidfd_open, root->pid, 0);

    fuse_root_drop_mount(root);
    if (pidfd >= 0)
        (void)process_wait_end(pidfd, FINISH_WAIT_MS, NULL); /* killed next, if it lives */
    fuse_root_clear(root);
}

void fuse_root_clear(struct fuse_root *root)
{
    fuse_root_drop_mount(root);
    if (root->pid != 0) {
        (void)kill(root->pid, SIGKILL); /* our child until waited for */
        while (waitpid(root->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    auto_close_cleanup(&root->complaints_fd);
    *root = FUSE_ROOT_NONE;
}
