#include "runtime/overlay_root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "base/wire.h"
#include "runtime/mount_api.h"
#include "runtime/mount_idmap.h"
#include "runtime/runtime.h"

/* An overlay can be described to the kernel in three ways. Since 6.15 directories are given by
 * descriptor: any number of layers, any length and any byte in their names. (6.13 takes no
 * descriptor of O_PATH.) Since 6.7 each is given as a string of up to 255 bytes. Before, all
 * options together are one text of at most a page, so the directories are opened and named by their
 * numbers below /proc/self/fd. This last way needs a mount namespace in which the overlay can be
 * mounted for a moment; it is also the only one for id-mapped layers before 6.15, which takes
 * detached mounts as layers. */

#define CLASSIC_OPTIONS_MAX 4095 /* a page, with the zero (mount(2)) */

struct fd_list {
    int *items;
    size_t count;
};

static void fd_list_clear(struct fd_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        (void)close(list->items[i]);
    free(list->items);
}

struct overlay {
    struct strings lower; /* topmost first */
    const char *upper, *work;
    struct strings words; /* the others */
    bool is_volatile;
    int namespace_fd;      /* of the id map of the layers; -1: none */
    struct fd_list copies; /* id-mapped directories: a detached mount ends with its descriptor */
};

static void overlay_clear(struct overlay *overlay)
{
    strings_clear(&overlay->lower);
    strings_clear(&overlay->words);
    auto_close_cleanup(&overlay->namespace_fd);
    fd_list_clear(&overlay->copies);
}

/* "a:b\:c" names two directories (overlayfs.rst, "Multiple lower layers"). */
static void add_lower_list(struct strings *lower, const char *list)
{
    struct text name = { 0 };

    for (const char *c = list; *c != '\0'; c++) {
        if (*c == ':') {
            strings_take(lower, text_take(&name));
            continue;
        }
        if (*c == '\\' && c[1] != '\0')
            c++;
        text_add_bytes(&name, c, 1);
    }
    strings_take(lower, text_take(&name));
}

static void sort_words(const struct mount_options *options, struct overlay *overlay)
{
    for (size_t i = 0; i < options->data_count; i++) {
        const char *word = options->data[i];

        if (text_starts(word, "lowerdir+="))
            strings_add(&overlay->lower, word + strlen("lowerdir+="));
        else if (text_starts(word, "lowerdir="))
            add_lower_list(&overlay->lower, word + strlen("lowerdir="));
        else if (text_starts(word, "upperdir="))
            overlay->upper = word + strlen("upperdir=");
        else if (text_starts(word, "workdir="))
            overlay->work = word + strlen("workdir=");
        else
            strings_add(&overlay->words, word);
    }
    overlay->is_volatile = mount_options_has(options, "volatile");
}

static int open_directory(const char *path, int *ret_fd, struct error *err)
{
    *ret_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0)
        return error_errno(err, "open '%s'", path);
    return 0;
}

/* An id-mapped copy of the mount of a directory, kept until the overlay is made. Returns its
 * descriptor, which stays the overlay's. */
static int copy_mapped(struct overlay *overlay, const char *path, int *ret_fd, struct error *err)
{
    int fd = -1, r;

    r = mount_clone(AT_FDCWD, path, false, &fd, err);
    if (r < 0)
        return r;
    overlay->copies.items = xrealloc(overlay->copies.items, overlay->copies.count + 1, sizeof(int));
    overlay->copies.items[overlay->copies.count++] = fd;
    r = mount_idmap_set(fd, overlay->namespace_fd, false, err);
    if (r < 0)
        return error_prefix(err, r, "'%s'", path);
    *ret_fd = fd;
    return 0;
}

/* A directory as a layer: itself, or an id-mapped copy of its mount, which is kept. */
static int open_layer(struct overlay *overlay, const char *path, int *ret_fd, struct error *err)
{
    int copy_fd = -1, r;

    /* What is written goes to the upper directory with the ids that processes have. */
    if (overlay->namespace_fd < 0 || path == overlay->upper || path == overlay->work)
        return open_directory(path, ret_fd, err);
    r = copy_mapped(overlay, path, &copy_fd, err);
    if (r < 0)
        return r;
    *ret_fd = fcntl(copy_fd, F_DUPFD_CLOEXEC, 3);
    if (*ret_fd < 0)
        return error_errno(err, "keep '%s'", path);
    return 0;
}

/* The kernel leaves this mark in the work directory and then refuses to mount it again, as the last
 * writes may be missing after a crash of the machine. A container that is started again after its
 * processes ended has lost nothing. */
static int forget_volatile(const char *work_path, struct error *err)
{
    auto_close int work_fd = -1, mark_fd = -1;
    int r;

    r = open_directory(work_path, &work_fd, err);
    if (r < 0)
        return r;
    r = path_open_beneath(work_fd, "work/incompat", O_PATH | O_DIRECTORY, 0, &mark_fd, NULL);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return error_set(err, -r, "open '%s/work/incompat': %s", work_path, strerror(-r));
    return path_remove_tree(mark_fd, "volatile", err);
}

static int set_directory(struct overlay *overlay, int context_fd, const char *key, const char *path,
                         bool by_fd, struct error *err)
{
    auto_close int fd = -1;
    int r;

    if (!by_fd) {
        if (fsconfig(context_fd, FSCONFIG_SET_STRING, key, path, 0) < 0)
            return mount_context_error(context_fd, err, "overlay %s '%s'", key, path);
        return 0;
    }
    r = open_layer(overlay, path, &fd, err);
    if (r < 0)
        return r;
    if (fsconfig(context_fd, FSCONFIG_SET_FD, key, NULL, fd) < 0)
        return mount_context_error(context_fd, err, "overlay %s '%s'", key, path);
    return 0;
}

/* @ret_is_known: the kernel took the first directory, so the way to name them is not the trouble.
 */
static int set_directories(struct overlay *overlay, int context_fd, bool by_fd, bool *ret_is_known,
                           struct error *err)
{
    int r;

    for (size_t i = 0; i < overlay->lower.count; i++) {
        r = set_directory(overlay, context_fd, "lowerdir+", overlay->lower.items[i], by_fd, err);
        if (r < 0)
            return error_prefix(err, r, "layer %zu", i);
        *ret_is_known = true;
    }
    if (overlay->upper != NULL) {
        r = set_directory(overlay, context_fd, "upperdir", overlay->upper, by_fd, err);
        if (r < 0)
            return r;
    }
    if (overlay->work == NULL)
        return 0;
    return set_directory(overlay, context_fd, "workdir", overlay->work, by_fd, err);
}

/* By the mount API. Returns -EOPNOTSUPP when another way should be tried. */
static int create_new(struct overlay *overlay, const struct mount_step *step, bool by_fd,
                      int *ret_mount_fd, struct error *err)
{
    auto_close int context_fd = fsopen("overlay", FSOPEN_CLOEXEC);
    auto_close int mount_fd = -1;
    bool is_known = false;
    int r;

    if (context_fd < 0)
        return error_errno(err, "open file system 'overlay'");
    (void)fsconfig(context_fd, FSCONFIG_SET_STRING, "source", step->source,
                   0); /* a name for people */
    r = set_directories(overlay, context_fd, by_fd, &is_known, err);
    if ((r == -EINVAL || r == -EBADF) && !(by_fd && is_known))
        return -EOPNOTSUPP;
    if (r < 0)
        return r;
    for (size_t i = 0; i < overlay->words.count; i++) {
        r = mount_context_set(context_fd, overlay->words.items[i], err);
        if (r < 0)
            return r;
    }
    if (fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        r = mount_context_error(context_fd, err, "make overlay");
        /* Kernels before 6.15 refuse a detached, and so any id-mapped, layer. */
        return r == -EINVAL && overlay->namespace_fd >= 0 ? -EOPNOTSUPP : r;
    }
    mount_fd = fsmount(context_fd, FSMOUNT_CLOEXEC,
                       (unsigned)(step->options.attr_set | step->options.attr_recursive_set));
    if (mount_fd < 0)
        return mount_context_error(context_fd, err, "mount overlay");
    *ret_mount_fd = take_fd(&mount_fd);
    return 0;
}

/* Kernels before 6.5 take any string, and complain only when the overlay is made, in the machine's
 * log. The others have no such option, or no layer without a name. */
static bool takes_any_string(void)
{
    auto_close int context_fd = fsopen("overlay", FSOPEN_CLOEXEC);

    return context_fd >= 0 && fsconfig(context_fd, FSCONFIG_SET_STRING, "lowerdir+", "", 0) == 0;
}

static int name_by_number(struct overlay *overlay, struct fd_list *fds, const char *path,
                          struct text *options, struct error *err)
{
    int r;

    r = open_layer(overlay, path, &fds->items[fds->count], err);
    if (r < 0)
        return r;
    text_addf(options, "%d", fds->items[fds->count++]);
    return 0;
}

static int classic_options(struct overlay *overlay, struct fd_list *fds, struct text *options,
                           struct error *err)
{
    int r;

    for (size_t i = 0; i < overlay->lower.count; i++) {
        text_add(options, i == 0 ? "lowerdir=" : ":");
        r = name_by_number(overlay, fds, overlay->lower.items[i], options, err);
        if (r < 0)
            return r;
    }
    if (overlay->upper != NULL) {
        text_add(options, ",upperdir=");
        r = name_by_number(overlay, fds, overlay->upper, options, err);
        if (r < 0)
            return r;
    }
    if (overlay->work != NULL) {
        text_add(options, ",workdir=");
        r = name_by_number(overlay, fds, overlay->work, options, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < overlay->words.count; i++)
        text_addf(options, ",%s", overlay->words.items[i]);
    if (options->length > CLASSIC_OPTIONS_MAX)
        return error_set(err, E2BIG, "%zu layers are too many for this kernel",
                         overlay->lower.count);
    return 0;
}

/* An overlay takes layers from mounts of the caller's namespace only: the id-mapped copies pile up
 * where the overlay will be. */
static int attach_copies(const struct overlay *overlay, const char *scratch_path, struct error *err)
{
    for (size_t i = 0; i < overlay->copies.count; i++) {
        int r = mount_attach(overlay->copies.items[i], AT_FDCWD, scratch_path, err);

        if (r < 0)
            return error_prefix(err, r, "an id-mapped layer on '%s'", scratch_path);
    }
    return 0;
}

static int mount_classic(const struct overlay *overlay, const struct mount_step *step,
                         const char *scratch_path, const char *options, int *ret_mount_fd,
                         struct error *err)
{
    int r;

    if (chdir("/proc/self/fd") < 0)
        return error_errno(err, "enter /proc/self/fd");
    if (mount(step->source, scratch_path, "overlay", 0, options) < 0) {
        if (errno == EINVAL && overlay->copies.count > 0)
            return error_set(err, EOPNOTSUPP, "this kernel has no overlay of id-mapped layers");
        return error_errno(err, "mount overlay on '%s'", scratch_path);
    }
    r = mount_clone(AT_FDCWD, scratch_path, false, ret_mount_fd, err);
    (void)umount2(scratch_path, MNT_DETACH); /* else it ends with the namespace */
    return r;
}

/* mount(2), then a copy of the mount, which is what the caller wants; the one at the scratch
 * directory goes again. */
static int create_classic(struct overlay *overlay, const struct mount_step *step,
                          const char *scratch_path, int *ret_mount_fd, struct error *err)
{
    struct fd_list fds __attribute__((cleanup(fd_list_clear))) = {
        .items = xcalloc(overlay->lower.count + 2, sizeof(fds.items[0])),
    };
    struct text options AUTO_CLEAR(text) = { 0 };
    auto_close int mount_fd = -1;
    int r;

    r = classic_options(overlay, &fds, &options, err);
    if (r < 0)
        return r;
    r = attach_copies(overlay, scratch_path, err);
    if (r < 0)
        return r; /* the namespace ends with the container that is not made */
    r = mount_classic(overlay, step, scratch_path, options.data, &mount_fd, err);
    for (size_t i = 0; i < overlay->copies.count; i++)
        (void)umount2(scratch_path, MNT_DETACH); /* the overlay has its own */
    if (r < 0)
        return r;
    r = mount_change(mount_fd, step->options.attr_set | step->options.attr_recursive_set, 0, false,
                     err);
    if (r < 0)
        return r;
    *ret_mount_fd = take_fd(&mount_fd);
    return 0;
}

/* What the child of create_apart() does: it sends the overlay's descriptor, or the error. */
static void create_apart_child(struct overlay *overlay, const struct mount_step *step,
                               const char *scratch_path, int answer_fd)
{
    auto_close int mount_fd = -1;
    struct error error = { 0 };
    int r = 0;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        r = error_errno(&error, "shut mounts off from the host");
    if (r == 0)
        r = create_classic(overlay, step, scratch_path, &mount_fd, &error);
    (void)wire_send(answer_fd, 0, &error, sizeof(error), &mount_fd, r == 0 ? 1 : 0, NULL);
}

static int receive_overlay(int answer_fd, int *ret_mount_fd, struct error *err)
{
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    const struct error *error = (const void *)message->payload;

    if (wire_receive(answer_fd, message, NULL) != 1 || message->length != sizeof(*error))
        return error_set(err, EPROTO, "the process that makes the overlay died");
    if (message->fd_count == 0)
        return error_set(err, error->code, "%s", error->message);
    *ret_mount_fd = message->fds[0];
    return 0;
}

/* The classic way in a process with a mount namespace of its own, for a caller without one. */
static int create_apart(struct overlay *overlay, const struct mount_step *step,
                        const char *scratch_path, int *ret_mount_fd, struct error *err)
{
    struct clone_args arguments = { .flags = CLONE_NEWNS, .exit_signal = SIGCHLD };
    auto_close int here_fd = -1, there_fd = -1;
    int fds[2];
    pid_t pid;
    int r;

    r = wire_pair(fds, err);
    if (r < 0)
        return r;
    here_fd = fds[0];
    there_fd = fds[1];
    pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid < 0)
        return error_errno(err, "make a mount namespace for the overlay");
    if (pid == 0) {
        create_apart_child(overlay, step, scratch_path, there_fd);
        _exit(0);
    }
    (void)close(take_fd(&there_fd));
    r = receive_overlay(here_fd, ret_mount_fd, err);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return r;
}

static int create(struct overlay *overlay, const struct mount_step *step,
                  const struct overlay_scratch *scratch, int *ret_mount_fd, struct error *err)
{
    int r;

    if (overlay->is_volatile && overlay->work != NULL) {
        r = forget_volatile(overlay->work, err);
        if (r < 0)
            return r;
    }
    r = create_new(overlay, step, true, ret_mount_fd, err);
    if (r != -EOPNOTSUPP)
        return r;
    fd_list_clear(&overlay->copies);
    overlay->copies = (struct fd_list){ 0 };
    if (overlay->namespace_fd < 0 && !takes_any_string()) {
        log_debug("overlay: no directories by descriptor in this kernel, trying strings");
        r = create_new(overlay, step, false, ret_mount_fd, err);
        if (r != -EOPNOTSUPP)
            return r;
    }
    log_debug("overlay: the mount API of this kernel does not suffice, trying mount(2)");
    if (scratch->is_in_own_namespace)
        return create_classic(overlay, step, scratch->path, ret_mount_fd, err);
    return create_apart(overlay, step, scratch->path, ret_mount_fd, err);
}

int overlay_create(const struct mount_step *step, const struct overlay_scratch *scratch,
                   int *ret_mount_fd, struct error *err)
{
    struct overlay overlay __attribute__((cleanup(overlay_clear))) = { .namespace_fd = -1 };
    int r;

    sort_words(&step->options, &overlay);
    /* Without it directories made or renamed over a layer's fail with EIO, as the marks that this
     * takes could not be written (overlayfs.rst, "User xattr"). */
    if (scratch->is_in_user_namespace && !mount_options_has(&step->options, "userxattr"))
        strings_add(&overlay.words, "userxattr");
    if (overlay.lower.count == 0)
        return error_set(err, EINVAL, "no 'lowerdir' is given");
    if (step->uid_mappings != NULL) {
        r = mount_idmap_open(step->uid_mappings, step->gid_mappings, &overlay.namespace_fd, err);
        if (r < 0)
            return r;
    }
    return create(&overlay, step, scratch, ret_mount_fd, err);
}

int overlay_open(const struct strings *words, const char *scratch_path, int *ret_mount_fd,
                 struct error *err)
{
    const struct overlay_scratch scratch = { .path = scratch_path };
    struct mount_step step = { .kind = MOUNT_OVERLAY, .source = "overlay", .mount_fd = -1 };
    int r = mount_options_parse(words, &step.options, err);

    if (r == 0)
        r = overlay_create(&step, &scratch, ret_mount_fd, err);
    mount_options_clear(&step.options);
    return r;
}
