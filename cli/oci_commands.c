#include "cli/oci_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"

#define EXIT_EXEC_SETUP 255 /* what callers of runc expect when `exec` fails before the program */

int oci_fail(const struct oci_context *context, const struct error *err, int status)
{
    log_error("%s", err->message);
    if (context->logs_to_file)
        (void)dprintf(STDERR_FILENO, "berth-oci: %s\n", err->message);
    return status;
}

struct runtime *oci_runtime(struct oci_context *context, struct error *err)
{
    if (context->runtime == NULL)
        (void)runtime_open(context->root, &context->runtime, err);
    return context->runtime;
}

/* The container that the first word names; NULL with the error told. */
static struct container *open_container(const struct arguments *arguments, void *context,
                                        struct error *err)
{
    struct container *container = NULL;
    struct runtime *runtime = oci_runtime(context, err);

    if (runtime == NULL || container_open(runtime, arguments->words[0], &container, err) < 0)
        return NULL;
    return container;
}

/* --- create and run ----------------------------------------------------------------------------
 */

int oci_parse_preserve_fds(const struct arguments *arguments, unsigned *ret_count,
                           struct error *err)
{
    const char *text = arguments_text(arguments, "preserve-fds");
    uint64_t count = 0;
    int r;

    *ret_count = 0;
    if (text == NULL)
        return 0;
    r = text_parse_u64(text, "--preserve-fds", 4096, &count, err);
    if (r < 0)
        return r;
    for (uint64_t i = 0; i < count; i++) {
        int fd = 3 + (int)i;
        int flags = fcntl(fd, F_GETFD);

        /* What came over exec is never close-on-exec: such a one is our own, the log for one. */
        if (flags < 0 || (flags & FD_CLOEXEC) != 0)
            return error_set(err, EBADF, "--preserve-fds %s: descriptor %d is not open", text, fd);
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
        .bundle_fd = -1,
        .pid_file = arguments_text(arguments, "pid-file"),
        .console_socket = arguments_text(arguments, "console-socket"),
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

static int run_container(struct container *container, struct foreground *foreground,
                         const struct arguments *arguments, struct error *err)
{
    bool is_detached = arguments_flag(arguments, "detach");
    int status = 0, r, deleted;

    r = container_start(container, err);
    if (r == 0 && is_detached)
        return 0;
    if (r == 0) {
        foreground->console_fd = container_take_console(container);
        r = foreground_wait(foreground, container_first_pid(container), &status, err);
    }
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
    AUTO(container) struct container *container = open_container(arguments, context, &err);

    if (container == NULL || container_start(container, &err) < 0)
        return oci_fail(context, &err, 1);
    return 0;
}

/* --- looking and changing
 * ------------------------------------------------------------------------- */

int oci_state(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    AUTO(container) struct container *container = open_container(arguments, context, &err);
    auto_free char *json = NULL;

    if (container == NULL || container_state_json(container, &json, &err) < 0)
        return oci_fail(context, &err, 1);
    (void)printf("%s\n", json);
    return 0;
}

int oci_kill(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    int signal = SIGTERM;
    AUTO(container) struct container *container = open_container(arguments, context, &err);

    if (container == NULL)
        return oci_fail(context, &err, 1);
    if (arguments->word_count > 1 && process_parse_signal(arguments->words[1], &signal, &err) < 0)
        return oci_fail(context, &err, 1);
    if (container_signal(container, signal, arguments_flag(arguments, "all"), &err) < 0)
        return oci_fail(context, &err, 1);
    return 0;
}

int oci_delete(const struct arguments *arguments, void *context)
{
    bool is_forced = arguments_flag(arguments, "force");
    struct runtime *runtime;
    struct error err = { 0 };
    int r;

    runtime = oci_runtime(context, &err);
    if (runtime == NULL)
        return oci_fail(context, &err, 1);
    if (is_forced) {
        r = container_delete_remains(runtime, arguments->words[0], &err);
    } else {
        AUTO(container) struct container *container = NULL;

        r = container_open(runtime, arguments->words[0], &container, &err);
        if (r == 0)
            r = container_delete(container, false, &err);
    }
    return r < 0 ? oci_fail(context, &err, 1) : 0;
}

int oci_pause(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    AUTO(container) struct container *container = open_container(arguments, context, &err);

    if (container == NULL || container_pause(container, &err) < 0)
        return oci_fail(context, &err, 1);
    return 0;
}

int oci_resume(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    AUTO(container) struct container *container = open_container(arguments, context, &err);

    if (container == NULL || container_resume(container, &err) < 0)
        return oci_fail(context, &err, 1);
    return 0;
}

/* One row of `list`, also as JSON. */
struct list_row {
    char *oci_version, *id, *status, *bundle, *rootfs, *created, *owner;
    int32_t pid;
    struct string_map annotations;
};
struct list_rows {
    struct list_row *items;
    size_t count;
};

static char *owner_name(uint32_t uid)
{
    return uid == 0 ? xstrdup("root") : xasprintf("#%u", uid);
}

static void fill_row(struct container *container, struct list_row *row)
{
    enum container_status status = CONTAINER_STOPPED;
    const struct timespec *created = container_created_at(container);

    (void)container_status(container, &status, NULL);
    row->id = xstrdup(container_id(container));
    row->pid = container_pid(container);
    row->status = xstrdup(container_status_name(status));
    row->bundle = xstrdup(container_bundle(container));
    row->created = text_format_time(created->tv_sec, (uint32_t)created->tv_nsec);
    row->owner = owner_name(container_owner_uid(container));
}

static void print_rows(const struct list_rows *rows)
{
    int id_width = 12, bundle_width = 12;

    for (size_t i = 0; i < rows->count; i++) {
        int id = (int)strlen(rows->items[i].id) + 3,
            bundle = (int)strlen(rows->items[i].bundle) + 3;

        id_width = id > id_width ? id : id_width;
        bundle_width = bundle > bundle_width ? bundle : bundle_width;
    }
    (void)printf("%-*s%-12s%-12s%-*s%-33s%s\n", id_width, "ID", "PID", "STATUS", bundle_width,
                 "BUNDLE", "CREATED", "OWNER");
    for (size_t i = 0; i < rows->count; i++) {
        const struct list_row *row = &rows->items[i];

        (void)printf("%-*s%-12d%-12s%-*s%-33s%s\n", id_width, row->id, row->pid, row->status,
                     bundle_width, row->bundle, row->created, row->owner);
    }
}

int oci_list(const struct arguments *arguments, void *context)
{
    const char *format = arguments_text(arguments, "format");
    struct strings ids = { 0 };
    struct list_rows rows = { 0 };
    struct text json = { 0 };
    struct runtime *runtime;
    struct error err = { 0 };

    if (format != NULL && strcmp(format, "table") != 0 && strcmp(format, "json") != 0) {
        (void)error_set(&err, EINVAL, "--format '%s': is neither table nor json", format);
        return oci_fail(context, &err, 1);
    }
    runtime = oci_runtime(context, &err);
    if (runtime == NULL || container_list(runtime, &ids, &err) < 0)
        return oci_fail(context, &err, 1);
    rows.items = xcalloc(ids.count + 1, sizeof(struct list_row));
    for (size_t i = 0; i < ids.count; i++) {
        AUTO(container) struct container *container = NULL;

        if (container_open(runtime, ids.items[i], &container, &err) < 0)
            continue; /* removed meanwhile */
        fill_row(container, &rows.items[rows.count++]);
        if (format != NULL && strcmp(format, "json") == 0) {
            auto_free char *state = NULL;

            if (container_state_json(container, &state, &err) == 0)
                text_addf(&json, "%s%s", json.length > 0 ? "," : "", state);
        }
    }
    if (arguments_flag(arguments, "quiet")) {
        for (size_t i = 0; i < rows.count; i++)
            (void)printf("%s\n", rows.items[i].id);
    } else if (format != NULL && strcmp(format, "json") == 0) {
        (void)printf("[%s]\n", json.data != NULL ? json.data : "");
    } else {
        print_rows(&rows);
    }
    for (size_t i = 0; i < rows.count; i++) {
        free(rows.items[i].id);
        free(rows.items[i].status);
        free(rows.items[i].bundle);
        free(rows.items[i].created);
        free(rows.items[i].owner);
    }
    free(rows.items);
    strings_clear(&ids);
    text_clear(&json);
    return 0;
}

/* Filters what ps(1) of the host prints by the container's pids: the column is found by its title.
 */
static void print_ps_lines(char *output, const pid_t *pids, size_t count)
{
    char *rest = NULL, *line = strtok_r(output, "\n", &rest);
    size_t column = 0, wanted = SIZE_MAX;
    char *words_rest = NULL, *title;

    if (line == NULL)
        return;
    (void)printf("%s\n", line);
    for (title = strtok_r(line, " ", &words_rest); title != NULL;
         title = strtok_r(NULL, " ", &words_rest), column++) {
        if (strcmp(title, "PID") == 0)
            wanted = column;
    }
    while ((line = strtok_r(NULL, "\n", &rest)) != NULL) {
        const char *at = line;
        char *end = NULL;
        long pid;

        for (size_t i = 0; i <= wanted && wanted != SIZE_MAX; i++) {
            at += strspn(at, " ");
            if (i < wanted)
                at += strcspn(at, " ");
        }
        pid = strtol(at, &end, 10);
        for (size_t i = 0; i < count; i++) {
            if (pids[i] == pid) {
                (void)printf("%s\n", line);
                break;
            }
        }
    }
}

static int print_ps_table(const struct arguments *arguments, const pid_t *pids, size_t count,
                          struct error *err)
{
    struct strings command = { 0 };
    auto_close int read_fd = -1, write_fd = -1;
    auto_free char *output = NULL;
    int pipe_fds[2], status = 0, r;
    pid_t child = 0;

    strings_add(&command, "ps");
    if (arguments->word_count == 1)
        strings_add(&command, "-ef");
    for (size_t i = 1; i < arguments->word_count; i++)
        strings_add(&command, arguments->words[i]);
    if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
        strings_clear(&command);
        return error_errno(err, "make a pipe");
    }
    read_fd = pipe_fds[0];
    write_fd = pipe_fds[1];
    r = process_spawn(&command, (int[3]){ -1, write_fd, STDERR_FILENO }, &child, err);
    strings_clear(&command);
    if (r < 0)
        return error_prefix(err, r, "run ps(1)");
    (void)close(take_fd(&write_fd));
    r = fd_read_all(read_fd, 16u << 20, "output of ps", &output, NULL, err);
    (void)waitpid(child, &status, 0);
    if (r < 0)
        return r;
    print_ps_lines(output, pids, count);
    return process_exit_status(status);
}

int oci_ps(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    const char *format = arguments_text(arguments, "format");
    AUTO(container) struct container *container = open_container(arguments, context, &err);
    auto_free pid_t *pids = NULL;
    size_t count = 0;
    int r;

    if (container == NULL)
        return oci_fail(context, &err, 1);
    if (container_cgroup(container) == NULL) {
        (void)error_set(&err, EOPNOTSUPP, "container '%s' has no cgroup to list",
                        container_id(container));
        return oci_fail(context, &err, 1);
    }
    if (cgroup_pids(container_cgroup(container), &pids, &count, &err) < 0)
        return oci_fail(context, &err, 1);
    if (format != NULL && strcmp(format, "json") == 0) {
        for (size_t i = 0; i < count; i++)
            (void)printf("%s%d", i == 0 ? "[" : ",", pids[i]);
        (void)printf("%s]\n", count == 0 ? "[" : "");
        return 0;
    }
    r = print_ps_table(arguments, pids, count, &err);
    return r < 0 ? oci_fail(context, &err, 1) : r;
}

static bool is_cgroup_v2(void)
{
    AUTO(cgroup_system) struct cgroup_system *cgroups = NULL;

    return cgroup_system_open(NULL, &cgroups, NULL) == 0 &&
           cgroup_system_layout(cgroups) == CGROUP_LAYOUT_V2;
}

int oci_spec(const struct arguments *arguments, void *context)
{
    AUTO(spec)
    struct spec *spec = spec_default(arguments_flag(arguments, "rootless"), is_cgroup_v2());
    const char *bundle = arguments_text(arguments, "bundle");
    auto_free char *json = spec_encode(spec);
    auto_close int directory_fd = -1, fd = -1;
    struct error err = { 0 };

    directory_fd = open(bundle != NULL ? bundle : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0) {
        (void)error_errno(&err, "open the bundle '%s'", bundle != NULL ? bundle : ".");
        return oci_fail(context, &err, 1);
    }
    fd = openat(directory_fd, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        (void)error_errno(&err, "write config.json%s",
                          errno == EEXIST ? ": remove the one that is there first" : "");
        return oci_fail(context, &err, 1);
    }
    if (fd_write_all(fd, json, strlen(json), "config.json", &err) < 0)
        return oci_fail(context, &err, 1);
    return 0;
}

int oci_features(const struct arguments *arguments, void *context)
{
    auto_free char *json = runtime_features_json();

    (void)arguments;
    (void)context;
    (void)printf("%s\n", json);
    return 0;
}

/* --- exec
 * ------------------------------------------------------------------------------------------ */

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

/* As runc: a capability given to exec is added to all sets but the inheritable one. */
static void add_capabilities(const struct strings *names, struct spec_process *process)
{
    if (names->count == 0)
        return;
    if (process->capabilities == NULL)
        process->capabilities = xcalloc(1, sizeof(*process->capabilities));
    strings_add_all(&process->capabilities->bounding, names);
    strings_add_all(&process->capabilities->effective, names);
    strings_add_all(&process->capabilities->permitted, names);
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

        if (equals == NULL)
            return error_set(err, EINVAL, "--env '%s': is not NAME=VALUE", env->items[i]);
        strings_set_variable(&process->env, name, equals + 1);
    }
    if (arguments_has(arguments, "cwd")) {
        free(process->cwd);
        process->cwd = xstrdup(arguments_text(arguments, "cwd"));
    }
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
    return process->args.count == 0 ? error_set(err, EINVAL, "process args cannot be empty") : 0;
}

static int read_process(const char *path, struct spec_process **ret_process, struct error *err)
{
    struct spec_process *process = NULL;
    auto_free char *json = NULL;
    size_t length = 0;
    int r;

    r = file_read(AT_FDCWD, path, SPEC_BYTES_MAX, &json, &length, err);
    if (r < 0)
        return error_prefix(err, r, "--process");
    process = xcalloc(1, sizeof(*process));
    r = decode_text(&spec_process_object, json, length, process, path, err);
    if (r == 0)
        r = spec_process_check(process, err);
    if (r < 0) {
        spec_process_free(process);
        return r;
    }
    *ret_process = process;
    return 0;
}

static int run_exec(struct container *container, const struct arguments *arguments,
                    struct error *err)
{
    const char *process_file = arguments_text(arguments, "process");
    bool is_detached = arguments_flag(arguments, "detach");
    AUTO(spec_process) struct spec_process *process = NULL;
    struct foreground foreground = { .signal_fd = -1, .console_fd = -1 };
    struct container_exec_options options = {
        .pid_file = arguments_text(arguments, "pid-file"),
        .console_socket = arguments_text(arguments, "console-socket"),
        .stdio = { -1, -1, -1 },
        .ignores_paused = arguments_flag(arguments, "ignore-paused"),
        .cgroup = arguments_text(arguments, "cgroup"),
    };
    int status = 0, r;
    pid_t pid = 0;

    r = oci_parse_preserve_fds(arguments, &options.preserve_fds, err);
    if (r < 0)
        return r;
    r = process_file != NULL ? read_process(process_file, &process, err)
                             : container_exec_process(container, &process, err);
    if (r == 0 && process_file == NULL)
        r = change_process(arguments, process, err);
    if (r < 0)
        return r;
    options.process = process;
    options.keeps_console = options.console_socket == NULL && !is_detached && process->terminal;
    if (!is_detached) {
        r = foreground_open(&foreground, err);
        if (r < 0)
            return r;
    }
    r = container_exec(container, &options, &pid, &foreground.console_fd, err);
    if (r == 0 && !is_detached)
        r = foreground_wait(&foreground, pid, &status, err);
    foreground_close(&foreground);
    return r < 0 ? r : status;
}

int oci_exec(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    AUTO(container) struct container *container = open_container(arguments, context, &err);
    int r;

    if (container == NULL)
        return oci_fail(context, &err, EXIT_EXEC_SETUP);
    r = run_exec(container, arguments, &err);
    return r < 0 ? oci_fail(context, &err, EXIT_EXEC_SETUP) : r;
}
