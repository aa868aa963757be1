#include "cli/oci_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"

/* What is known of containers and of the runtime: state, list, ps, spec, features. */

int oci_state(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    AUTO(container) struct container *container = oci_open_container(arguments, context, &err);
    auto_free char *json = NULL;

    if (container == NULL || container_state_json(container, &json, &err) < 0)
        return oci_fail(context, &err, 1);
    (void)printf("%s\n", json);
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
    AUTO(container) struct container *container = oci_open_container(arguments, context, &err);
    auto_free pid_t *pids = NULL;
    size_t count = 0;
    int r;

    if (container == NULL)
        return oci_fail(context, &err, 1);
    if (container_pids(container, &pids, &count, &err) < 0)
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
