#include "cli/oci_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"

/* The life of a container: create, run, start, kill, pause, resume, delete. */

#define PASSED_FDS_MAX 4096

unsigned oci_listen_fds(void)
{
    const char *pid_text = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
    uint64_t pid = 0, count = 0;

    /* Meant for another process of our caller's, or nonsense: as if it was not there. */
    if (pid_text == NULL || count_text == NULL ||
        text_parse_u64(pid_text, "LISTEN_PID", INT32_MAX, &pid, NULL) < 0 ||
        (pid_t)pid != getpid() ||
        text_parse_u64(count_text, "LISTEN_FDS", PASSED_FDS_MAX, &count, NULL) < 0)
        return 0;
    return (unsigned)count;
}

int oci_parse_preserve_fds(const struct arguments *arguments, unsigned *ret_count,
                           struct error *err)
{
    const char *text = arguments_text(arguments, "preserve-fds");
    uint64_t count = 0;
    int r;

    *ret_count = 0;
    if (text != NULL) {
        r = text_parse_u64(text, "--preserve-fds", PASSED_FDS_MAX, &count, err);
        if (r < 0)
            return r;
    }
    count += oci_listen_fds();
    for (uint64_t i = 0; i < count; i++) {
        int fd = 3 + (int)i;
        int flags = fcntl(fd, F_GETFD);

        /* What came over exec is never close-on-exec: such a one is our own, the log for one. */
        if (flags < 0 || (flags & FD_CLOEXEC) != 0)
            return error_set(err, EBADF, "%s%s: descriptor %d is not open",
                             text != NULL ? "--preserve-fds " : "LISTEN_FDS",
                             text != NULL ? text : "", fd);
        r = fd_set_close_on_exec(fd, false, err);
        if (r < 0)
            return r;
    }
    *ret_count = (unsigned)count;
    return 0;
}

static int fill_options(const struct arguments *arguments, struct container_options *options,
                        struct error *err)
{
    const char *bundle = arguments_text(arguments, "bundle");

    *options = (struct container_options){
        .id = arguments->words[0],
        .bundle_path = bundle != NULL ? bundle : ".",
        .config_name = arguments_text(arguments, "config"),
        .bundle_fd = -1,
        .pid_file = arguments_text(arguments, "pid-file"),
        .console_socket = arguments_text(arguments, "console-socket"),
        .pidfd_socket = arguments_text(arguments, "pidfd-socket"),
        .listen_fds = oci_listen_fds(),
        .has_notify_socket = !text_is_empty(getenv("NOTIFY_SOCKET")),
        .stdio = { -1, -1, -1 },
        .has_no_pivot = arguments_flag(arguments, "no-pivot"),
        .has_no_new_keyring = arguments_flag(arguments, "no-new-keyring"),
    };
    return oci_parse_preserve_fds(arguments, &options->preserve_fds, err);
}

int oci_create(const struct arguments *arguments, void *context)
{
    AUTO(container) struct container *container = NULL;
    struct container_options options;
    struct error err = { 0 };
    struct runtime *runtime;

    if (fill_options(arguments, &options, &err) < 0)
        return oci_fail(context, &err, 1);
    runtime = oci_runtime(context, &err);
    if (runtime == NULL || container_create(runtime, &options, &container, &err) < 0)
        return oci_fail(context, &err, 1);
    return 0;
}

/* For a program that reports by sd_notify(3); a host that cannot be told is no reason not to start
 * it. NULL: nobody asked. */
static struct notify *open_notify(struct container *container)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct notify *notify = NULL;
    struct error err = { 0 };

    if (!text_is_empty(path) && notify_open(container, path, &notify, &err) < 0)
        log_warning("%s, going on without", err.message);
    return notify;
}

static int run_container(struct container *container, struct foreground *foreground,
                         const struct arguments *arguments, struct error *err)
{
    bool is_detached = arguments_flag(arguments, "detach");
    AUTO(notify) struct notify *notify = open_notify(container);
    int status = 0, r, deleted;

    if (!is_detached)
        foreground_take_console(foreground, container_take_console(container));
    r = container_start(container, err);
    if (r == 0 && is_detached) {
        if (notify != NULL)
            notify_wait_ready(notify, container);
        return 0;
    }
    foreground->notify = notify;
    if (r == 0)
        r = foreground_wait(foreground, container_first_pid(container), &status, err);
    if (r == 0 && arguments_flag(arguments, "keep"))
        return status;
    deleted = container_delete(container, true, r < 0 ? NULL : err);
    if (r < 0 || deleted < 0)
        return r < 0 ? r : deleted;
    return status;
}

int oci_run(const struct arguments *arguments, void *context)
{
    AUTO(container) struct container *container = NULL;
    struct foreground foreground = { .signal_fd = -1, .console_fd = -1 };
    struct container_options options;
    struct error err = { 0 };
    struct runtime *runtime;
    int r;

    if (fill_options(arguments, &options, &err) < 0)
        return oci_fail(context, &err, 1);
    options.is_started_here = true;
    options.keeps_console = options.console_socket == NULL && !arguments_flag(arguments, "detach");
    runtime = oci_runtime(context, &err);
    if (runtime == NULL)
        return oci_fail(context, &err, 1);
    if (!arguments_flag(arguments, "detach") && foreground_open(&foreground, &err) < 0)
        return oci_fail(context, &err, 1);
    r = container_create(runtime, &options, &container, &err);
    if (r == 0)
        r = run_container(container, &foreground, arguments, &err);
    foreground_close(&foreground);
    return r < 0 ? oci_fail(context, &err, 1) : r;
}

int oci_start(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    AUTO(container) struct container *container = oci_open_container(arguments, context, &err);
    AUTO(notify) struct notify *notify = NULL;

    if (container == NULL)
        return oci_fail(context, &err, 1);
    notify = open_notify(container);
    if (container_start(container, &err) < 0)
        return oci_fail(context, &err, 1);
    if (notify != NULL)
        notify_wait_ready(notify, container);
    return 0;
}

/* The ids that a command is about: the one that was typed, or with --regex (crun) all that match.
 */
static int find_ids(const struct arguments *arguments, struct runtime *runtime,
                    struct strings *ret_ids, struct error *err)
{
    AUTO_CLEAR(strings) struct strings all = { 0 };
    regex_t pattern;
    int r;

    if (!arguments_flag(arguments, "regex")) {
        strings_add(ret_ids, arguments->words[0]);
        return 0;
    }
    if (regcomp(&pattern, arguments->words[0], REG_EXTENDED | REG_NOSUB) != 0)
        return error_set(err, EINVAL, "--regex '%s': is not a regular expression",
                         arguments->words[0]);
    r = container_list(runtime, &all, err);
    for (size_t i = 0; r == 0 && i < all.count; i++) {
        if (regexec(&pattern, all.items[i], 0, NULL, 0) == 0)
            strings_add(ret_ids, all.items[i]);
    }
    regfree(&pattern);
    return r;
}

/* Does the same to all of them; one that fails is told, and does not keep the others from it. */
static int for_each(const struct arguments *arguments, struct oci_context *context,
                    int (*action)(const struct arguments *arguments, struct runtime *runtime,
                                  const char *id, struct error *err))
{
    AUTO_CLEAR(strings) struct strings ids = { 0 };
    struct error err = { 0 };
    struct runtime *runtime = oci_runtime(context, &err);
    int status = 0;

    if (runtime == NULL || find_ids(arguments, runtime, &ids, &err) < 0)
        return oci_fail(context, &err, 1);
    for (size_t i = 0; i < ids.count; i++) {
        if (action(arguments, runtime, ids.items[i], &err) < 0)
            status = oci_fail(context, &err, 1);
    }
    return status;
}

static int kill_one(const struct arguments *arguments, struct runtime *runtime, const char *id,
                    struct error *err)
{
    AUTO(container) struct container *container = NULL;
    const char *name = arguments->word_count > 1 ? arguments->words[1] : "TERM";
    int signal = 0;
    int r;

    r = container_open(runtime, id, &container, err);
    /* 0 only asks whether it runs, as kill(2). With runc "all" are never too few. */
    if (r == 0 && strcmp(name, "0") == 0) {
        r = container_signal(container, 0, false, err);
        return r == -ESRCH && arguments_flag(arguments, "all") ? 0 : r;
    }
    if (r == 0)
        r = process_parse_signal(name, &signal, err);
    return r < 0 ? r : container_signal(container, signal, arguments_flag(arguments, "all"), err);
}

int oci_kill(const struct arguments *arguments, void *context)
{
    return for_each(arguments, context, kill_one);
}

static int delete_one(const struct arguments *arguments, struct runtime *runtime, const char *id,
                      struct error *err)
{
    AUTO(container) struct container *container = NULL;
    int r;

    if (arguments_flag(arguments, "force"))
        return container_delete_remains(runtime, id, err);
    r = container_open(runtime, id, &container, err);
    return r < 0 ? r : container_delete(container, false, err);
}

int oci_delete(const struct arguments *arguments, void *context)
{
    return for_each(arguments, context, delete_one);
}

int oci_pause(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    AUTO(container) struct container *container = oci_open_container(arguments, context, &err);

    if (container == NULL || container_pause(container, &err) < 0)
        return oci_fail(context, &err, 1);
    return 0;
}

int oci_resume(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    AUTO(container) struct container *container = oci_open_container(arguments, context, &err);

    if (container == NULL || container_resume(container, &err) < 0)
        return oci_fail(context, &err, 1);
    return 0;
}
