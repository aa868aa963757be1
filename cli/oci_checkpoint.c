#include "cli/oci_commands.h"

#include <errno.h>
#include <string.h>

/* `checkpoint` and `restore`: an image of a container's processes, and a container from it. */

#define DEFAULT_IMAGE_PATH "checkpoint"

/* Runc always leaves the network to hooks and engines, and so does berth; other namespaces cannot
 * be left empty. */
static int check_empty_ns(const struct arguments *arguments, struct error *err)
{
    const struct strings *types = arguments_list(arguments, "empty-ns");

    for (size_t i = 0; i < types->count; i++) {
        if (strcmp(types->items[i], "network") != 0)
            return error_set(err, EINVAL, "--empty-ns '%s': only network can be left empty",
                             types->items[i]);
    }
    return 0;
}

static int fill_common(const struct arguments *arguments, struct checkpoint_options *options,
                       struct error *err)
{
    const char *image = arguments_text(arguments, "image-path");

    *options = (struct checkpoint_options){
        .image_path = text_is_empty(image) ? DEFAULT_IMAGE_PATH : image,
        .work_path = arguments_text(arguments, "work-path"),
        .cgroups_mode = arguments_text(arguments, "manage-cgroups-mode"),
        .has_tcp_established = arguments_flag(arguments, "tcp-established"),
        .has_external_unix_sockets = arguments_flag(arguments, "ext-unix-sk"),
        .is_shell_job = arguments_flag(arguments, "shell-job"),
        .has_file_locks = arguments_flag(arguments, "file-locks"),
        .has_auto_dedup = arguments_flag(arguments, "auto-dedup"),
        .is_lazy = arguments_flag(arguments, "lazy-pages"),
        .has_link_remap = arguments_flag(arguments, "link-remap"),
        .network_lock = arguments_text(arguments, "network-lock"),
        .status_fd = -1,
    };
    if (text_is_empty(options->work_path))
        options->work_path = NULL;
    if (text_is_empty(options->cgroups_mode))
        options->cgroups_mode = NULL;
    return check_empty_ns(arguments, err);
}

static int fill_checkpoint(const struct arguments *arguments, struct checkpoint_options *options,
                           struct error *err)
{
    const char *status_fd = arguments_text(arguments, "status-fd");
    uint64_t number = 0;
    int r;

    r = fill_common(arguments, options, err);
    if (r < 0)
        return r;
    options->parent_path = arguments_text(arguments, "parent-path");
    options->page_server = arguments_text(arguments, "page-server");
    options->leaves_running = arguments_flag(arguments, "leave-running");
    options->is_pre_dump = arguments_flag(arguments, "pre-dump");
    options->skips_tcp_in_flight = arguments_flag(arguments, "tcp-skip-in-flight");
    if (text_is_empty(options->parent_path))
        options->parent_path = NULL;
    if (text_is_empty(options->page_server))
        options->page_server = NULL;
    if (status_fd == NULL || strcmp(status_fd, "-1") == 0)
        return 0;
    r = text_parse_u64(status_fd, "--status-fd", 65535, &number, err);
    options->status_fd = (int)number;
    return r;
}

int oci_checkpoint(const struct arguments *arguments, void *context)
{
    struct checkpoint_options options;
    struct error err = { 0 };
    AUTO(container) struct container *container = NULL;

    if (fill_checkpoint(arguments, &options, &err) < 0)
        return oci_fail(context, &err, 1);
    container = oci_open_container(arguments, context, &err);
    if (container == NULL || container_checkpoint(container, &options, &err) < 0)
        return oci_fail(context, &err, 1);
    return 0;
}

static int fill_restore(const struct arguments *arguments, struct container_options *container,
                        struct checkpoint_options *options, struct error *err)
{
    const char *bundle = arguments_text(arguments, "bundle");
    bool is_detached = arguments_flag(arguments, "detach");
    int r;

    r = fill_common(arguments, options, err);
    if (r < 0)
        return r;
    options->closes_tcp = arguments_flag(arguments, "tcp-close");
    options->lsm_profile = arguments_text(arguments, "lsm-profile");
    options->lsm_mount_context = arguments_text(arguments, "lsm-mount-context");
    if (arguments_flag(arguments, "no-pivot"))
        return error_set(err, EINVAL, "--no-pivot: CRIU enters a root by pivot_root only");
    if (arguments_has(arguments, "status-fd"))
        return error_set(err, EINVAL,
                         "--status-fd: a restore has nothing to report; give it to checkpoint");
    *container = (struct container_options){
        .id = arguments->words[0],
        .bundle_path = text_is_empty(bundle) ? "." : bundle,
        .bundle_fd = -1,
        .pid_file = arguments_text(arguments, "pid-file"),
        .console_socket = arguments_text(arguments, "console-socket"),
        .stdio = { -1, -1, -1 },
    };
    container->keeps_console = container->console_socket == NULL && !is_detached;
    return 0;
}

static int wait_restored(struct container *container, struct foreground *foreground,
                         struct error *err)
{
    int status = 0, r, deleted;

    foreground->console_fd = container_take_console(container);
    r = foreground_wait(foreground, container_first_pid(container), &status, err);
    deleted = container_delete(container, true, r < 0 ? NULL : err);
    if (r < 0 || deleted < 0)
        return r < 0 ? r : deleted;
    return status;
}

int oci_restore(const struct arguments *arguments, void *context)
{
    bool is_detached = arguments_flag(arguments, "detach");
    AUTO(container) struct container *container = NULL;
    struct foreground foreground = { .signal_fd = -1, .console_fd = -1 };
    struct container_options container_options;
    struct checkpoint_options options;
    struct error err = { 0 };
    struct runtime *runtime;
    int r;

    if (fill_restore(arguments, &container_options, &options, &err) < 0)
        return oci_fail(context, &err, 1);
    runtime = oci_runtime(context, &err);
    if (runtime == NULL)
        return oci_fail(context, &err, 1);
    if (!is_detached && foreground_open(&foreground, &err) < 0)
        return oci_fail(context, &err, 1);
    r = container_restore(runtime, &container_options, &options, &container, &err);
    if (r == 0 && !is_detached)
        r = wait_restored(container, &foreground, &err);
    foreground_close(&foreground);
    return r < 0 ? oci_fail(context, &err, 1) : r;
}
