#include "cli/oci_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

/* `exec`: a further program in a container. */

#define EXIT_EXEC_SETUP 255 /* what callers of runc expect when `exec` fails before the program */

static int parse_user(const char *text, struct spec_user *user, struct error *err)
{
    const char *colon = strchr(text, ':');
    auto_free char *uid_text =
        colon == NULL ? xstrdup(text) : xstrndup(text, (size_t)(colon - text));
    uint64_t uid = 0, gid = 0;
    int r;

    r = text_parse_u64(uid_text, "--user", UINT32_MAX - 1, &uid, err);
    if (r == 0 && colon != NULL)
        r = text_parse_u64(colon + 1, "--user, group", UINT32_MAX - 1, &gid, err);
    if (r < 0)
        return r;
    user->uid = (uint32_t)uid;
    if (colon != NULL)
        user->gid = (uint32_t)gid;
    return 0;
}

static int add_gids(const struct strings *list, struct spec_user *user, struct error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        uint64_t gid = 0;
        int r = text_parse_u64(list->items[i], "--additional-gids", UINT32_MAX - 1, &gid, err);

        if (r < 0)
            return r;
        user->additional_gids.items = xrealloc(user->additional_gids.items,
                                               user->additional_gids.count + 1, sizeof(uint32_t));
        user->additional_gids.items[user->additional_gids.count++] = (uint32_t)gid;
    }
    return 0;
}

/* As runc: a capability given to exec is added to all sets but the inheritable one; to the ambient
 * one only where something is inheritable, without which it could hold nothing. */
static void add_capabilities(const struct strings *names, struct spec_process *process)
{
    if (names->count == 0)
        return;
    if (process->capabilities == NULL)
        process->capabilities = xcalloc(1, sizeof(*process->capabilities));
    strings_add_all(&process->capabilities->bounding, names);
    strings_add_all(&process->capabilities->effective, names);
    strings_add_all(&process->capabilities->permitted, names);
    if (process->capabilities->inheritable.count > 0)
        strings_add_all(&process->capabilities->ambient, names);
}

static void set_text(const struct arguments *arguments, const char *option, char **text)
{
    if (!arguments_has(arguments, option))
        return;
    free(*text);
    *text = xstrdup(arguments_text(arguments, option));
}

static int change_process(const struct arguments *arguments, struct spec_process *process,
                          struct error *err)
{
    const struct strings *env = arguments_list(arguments, "env");
    const char *user = arguments_text(arguments, "user");
    int r = 0;

    strings_clear(&process->args);
    for (size_t i = 1; i < arguments->word_count; i++)
        strings_add(&process->args, arguments->words[i]);
    for (size_t i = 0; i < env->count; i++) {
        const char *equals = strchr(env->items[i], '=');
        auto_free char *name =
            equals == NULL ? NULL : xstrndup(env->items[i], (size_t)(equals - env->items[i]));

        if (equals == NULL || equals == env->items[i])
            return error_set(err, EINVAL, "--env '%s': is not NAME=VALUE", env->items[i]);
        strings_set_variable(&process->env, name, equals + 1);
    }
    set_text(arguments, "cwd", &process->cwd);
    set_text(arguments, "apparmor", &process->apparmor_profile);
    set_text(arguments, "process-label", &process->selinux_label);
    if (user != NULL)
        r = parse_user(user, &process->user, err);
    if (r == 0)
        r = add_gids(arguments_list(arguments, "additional-gids"), &process->user, err);
    if (r < 0)
        return r;
    add_capabilities(arguments_list(arguments, "cap"), process);
    if (arguments_has(arguments, "no-new-privs"))
        process->no_new_privileges = arguments_flag(arguments, "no-new-privs");
    process->terminal = arguments_flag(arguments, "tty");
    if (process->args.count == 0)
        return error_set(err, EINVAL, "process args cannot be empty");
    return spec_process_check(process, err);
}

/* As runc: what a process description leaves out is what the container has. */
static void take_missing(struct spec_process *process, struct spec_process *from)
{
    if (process->capabilities == NULL)
        process->capabilities = take_ptr(&from->capabilities);
    if (process->apparmor_profile == NULL)
        process->apparmor_profile = take_ptr(&from->apparmor_profile);
    if (process->selinux_label == NULL)
        process->selinux_label = take_ptr(&from->selinux_label);
    if (process->scheduler == NULL)
        process->scheduler = take_ptr(&from->scheduler);
    if (process->io_priority == NULL)
        process->io_priority = take_ptr(&from->io_priority);
    if (process->exec_cpu_affinity == NULL)
        process->exec_cpu_affinity = take_ptr(&from->exec_cpu_affinity);
    if (process->rlimits.count == 0) {
        process->rlimits = from->rlimits;
        from->rlimits = (struct spec_rlimits){ 0 };
    }
    if (!process->has_oom_score_adj) {
        process->has_oom_score_adj = from->has_oom_score_adj;
        process->oom_score_adj = from->oom_score_adj;
    }
}

static int read_process(const char *path, struct spec_process *container_process,
                        struct spec_process **ret_process, struct error *err)
{
    AUTO(spec_process) struct spec_process *process = NULL;
    auto_free char *json = NULL;
    auto_close int fd = -1;
    size_t length = 0;
    int r;

    /* Also a pipe: the caller's own word, so it may make us wait. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_errno(err, "--process: open '%s'", path);
    r = fd_read_all(fd, SPEC_BYTES_MAX, path, &json, &length, err);
    if (r < 0)
        return error_prefix(err, r, "--process");
    process = xcalloc(1, sizeof(*process));
    r = decode_text(&spec_process_object, json, length, process, path, err);
    if (r == 0)
        r = spec_process_check(process, err);
    if (r < 0)
        return r;
    take_missing(process, container_process);
    *ret_process = take_ptr(&process);
    return 0;
}

/* What to run: the container's own process, changed by options, or a description in a file. */
static int plan_process(struct container *container, const struct arguments *arguments,
                        struct spec_process **ret_process, struct error *err)
{
    const char *file = arguments_text(arguments, "process");
    AUTO(spec_process) struct spec_process *process = NULL;
    int r;

    r = container_exec_process(container, &process, err);
    if (r < 0)
        return r;
    if (file != NULL)
        return read_process(file, process, ret_process, err);
    r = change_process(arguments, process, err);
    if (r < 0)
        return r;
    *ret_process = take_ptr(&process);
    return 0;
}

static int run_exec(struct container *container, const struct arguments *arguments,
                    struct error *err)
{
    bool is_detached = arguments_flag(arguments, "detach");
    AUTO(spec_process) struct spec_process *process = NULL;
    struct foreground foreground = { .signal_fd = -1, .console_fd = -1 };
    struct container_exec_options options = {
        .pid_file = arguments_text(arguments, "pid-file"),
        .console_socket = arguments_text(arguments, "console-socket"),
        .pidfd_socket = arguments_text(arguments, "pidfd-socket"),
        .stdio = { -1, -1, -1 },
        .ignores_paused = arguments_flag(arguments, "ignore-paused"),
        .cgroups = arguments_list(arguments, "cgroup"),
        .listen_fds = oci_listen_fds(),
    };
    int console_fd = -1, status = 0, r;
    pid_t pid = 0;

    r = oci_parse_preserve_fds(arguments, &options.preserve_fds, err);
    if (r < 0)
        return r;
    r = plan_process(container, arguments, &process, err);
    if (r < 0)
        return r;
    options.process = process;
    options.keeps_console = options.console_socket == NULL && !is_detached && process->terminal;
    options.has_plain_newlines = options.keeps_console;
    if (!is_detached) {
        r = foreground_open(&foreground, err);
        if (r < 0)
            return r;
    }
    r = container_exec(container, &options, &pid, &console_fd, err);
    foreground_take_console(&foreground, console_fd);
    if (r == 0 && !is_detached)
        r = foreground_wait(&foreground, pid, &status, err);
    foreground_close(&foreground);
    return r < 0 ? r : status;
}

int oci_exec(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    AUTO(container) struct container *container = oci_open_container(arguments, context, &err);
    int r;

    if (container == NULL)
        return oci_fail(context, &err, EXIT_EXEC_SETUP);
    r = run_exec(container, arguments, &err);
    if (r < 0) /* as runc begins its sentence, which callers look for */
        (void)error_prefix(&err, r, "exec failed");
    return r < 0 ? oci_fail(context, &err, EXIT_EXEC_SETUP) : r;
}
