#include "cli/oci_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
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

/* --- list ---------------------------------------------------------------------------------- */

enum { COLUMN_ID, COLUMN_PID, COLUMN_STATUS, COLUMN_BUNDLE, COLUMN_CREATED, COLUMN_OWNER, COLUMNS };

#define COLUMN_WIDTH_MIN 12 /* as in runc's table, with what separates columns */
#define COLUMN_GAP       3
#define PASSWD_BYTES_MAX (16u << 20)

/* All rows, cell after cell; the first row has the titles. */
struct list {
    struct strings cells;
    struct text json;
    char *passwd; /* text of /etc/passwd; "" when there is none */
};

static void list_clear(struct list *list)
{
    strings_clear(&list->cells);
    text_clear(&list->json);
    free(list->passwd);
}

/* getpwuid(3) would load libraries of the host into a static program. */
static char *owner_name(const char *passwd, uint32_t uid)
{
    auto_free char *wanted = xasprintf("%u", uid);
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    strings_split(&lines, passwd, '\n');
    for (size_t i = 0; i < lines.count; i++) {
        AUTO_CLEAR(strings) struct strings words = { 0 };

        strings_split(&words, lines.items[i], ':');
        if (words.count > 2 && strcmp(words.items[2], wanted) == 0)
            return xstrdup(words.items[0]);
    }
    return xasprintf("#%u", uid);
}

static int add_row(struct list *list, struct container *container, struct error *err)
{
    enum container_status status;
    const struct timespec *created = container_created_at(container);
    auto_free char *owner = owner_name(list->passwd, container_owner_uid(container));
    auto_free char *json = NULL;
    int r;

    r = container_status(container, &status, err);
    if (r == 0)
        r = container_state_row(container, owner, &json, err);
    if (r < 0)
        return r;
    strings_add(&list->cells, container_id(container));
    strings_addf(&list->cells, "%d", container_pid(container));
    strings_add(&list->cells, container_status_name(status));
    strings_add(&list->cells, container_bundle(container));
    strings_take(&list->cells, text_format_time(created->tv_sec, (uint32_t)created->tv_nsec));
    strings_add(&list->cells, owner);
    text_addf(&list->json, "%s%s", list->json.length > 0 ? "," : "", json);
    return 0;
}

static int fill_list(struct list *list, struct runtime *runtime, struct error *err)
{
    static const char *const titles[COLUMNS] = {
        "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"
    };
    AUTO_CLEAR(strings) struct strings ids = { 0 };
    int r;

    r = container_list(runtime, &ids, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < COLUMNS; i++)
        strings_add(&list->cells, titles[i]);
    if (ids.count == 0 ||
        file_read(AT_FDCWD, "/etc/passwd", PASSWD_BYTES_MAX, &list->passwd, NULL, NULL) < 0)
        list->passwd = xstrdup("");
    for (size_t i = 0; i < ids.count; i++) {
        AUTO(container) struct container *container = NULL;
        struct error row_error = { 0 };

        r = container_open(runtime, ids.items[i], &container, &row_error);
        if (r == 0)
            r = add_row(list, container, &row_error);
        if (r < 0 && r != -ENOENT) /* it was removed meanwhile */
            log_warning("%s", row_error.message);
    }
    return 0;
}

static void print_list(const struct list *list)
{
    int widths[COLUMNS] = { 0 };

    for (size_t i = 0; i < list->cells.count; i++) {
        int width = (int)strlen(list->cells.items[i]) + COLUMN_GAP;

        width = width < COLUMN_WIDTH_MIN ? COLUMN_WIDTH_MIN : width;
        if (width > widths[i % COLUMNS])
            widths[i % COLUMNS] = width;
    }
    for (size_t i = 0; i < list->cells.count; i++) {
        if (i % COLUMNS == COLUMN_OWNER)
            (void)printf("%s\n", list->cells.items[i]);
        else
            (void)printf("%-*s", widths[i % COLUMNS], list->cells.items[i]);
    }
}

static int check_format(const struct arguments *arguments, bool *ret_is_json, struct error *err)
{
    const char *format = arguments_text(arguments, "format");

    *ret_is_json = format != NULL && strcmp(format, "json") == 0;
    if (!*ret_is_json && format != NULL && strcmp(format, "table") != 0)
        return error_set(err, EINVAL,
                         "invalid format option: --format '%s' is neither table nor json", format);
    return 0;
}

int oci_list(const struct arguments *arguments, void *context)
{
    AUTO_CLEAR(list) struct list list = { 0 };
    struct runtime *runtime;
    bool is_json = false;
    struct error err = { 0 };

    if (check_format(arguments, &is_json, &err) < 0)
        return oci_fail(context, &err, 1);
    runtime = oci_runtime(context, &err);
    if (runtime == NULL || fill_list(&list, runtime, &err) < 0)
        return oci_fail(context, &err, 1);
    if (arguments_flag(arguments, "quiet")) {
        for (size_t i = COLUMNS; i < list.cells.count; i += COLUMNS)
            (void)printf("%s\n", list.cells.items[i]);
    } else if (is_json && list.json.length == 0) {
        (void)printf("null\n"); /* as runc, whose list is a nil slice of Go then */
    } else if (is_json) {
        (void)printf("[%s]\n", list.json.data);
    } else {
        print_list(&list);
    }
    return 0;
}

/* --- ps ------------------------------------------------------------------------------------ */

/* The index of the column whose title is PID; -1: ps(1) was asked for others. */
static int find_pid_column(const char *titles)
{
    auto_free char *copy = xstrdup(titles);
    char *rest = NULL;
    int column = 0;

    for (char *title = strtok_r(copy, " ", &rest); title != NULL;
         title = strtok_r(NULL, " ", &rest), column++) {
        if (strcmp(title, "PID") == 0)
            return column;
    }
    return -1;
}

static bool is_pid_at(const char *line, int column, const pid_t *pids, size_t count)
{
    long pid;

    for (int i = 0; i <= column; i++) {
        line += strspn(line, " ");
        if (i < column)
            line += strcspn(line, " ");
    }
    pid = strtol(line, NULL, 10);
    for (size_t i = 0; i < count; i++) {
        if (pids[i] == pid)
            return true;
    }
    return false;
}

/* Of what ps(1) of the host says, the lines about the container's processes. */
static int print_ps_lines(char *output, const pid_t *pids, size_t count, struct error *err)
{
    char *rest = NULL, *line = strtok_r(output, "\n", &rest);
    int column = line != NULL ? find_pid_column(line) : -1;

    if (column < 0)
        return error_set(err, EINVAL,
                         "couldn't find PID field in ps output: its options have to show the "
                         "column PID");
    (void)printf("%s\n", line);
    while ((line = strtok_r(NULL, "\n", &rest)) != NULL) {
        if (is_pid_at(line, column, pids, count))
            (void)printf("%s\n", line);
    }
    return 0;
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
    if (process_exit_status(status) != 0)
        return error_set(err, ECHILD, "ps(1) ended with status %d", process_exit_status(status));
    return print_ps_lines(output, pids, count, err);
}

int oci_ps(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    AUTO(container) struct container *container = oci_open_container(arguments, context, &err);
    auto_free pid_t *pids = NULL;
    bool is_json = false;
    size_t count = 0;

    if (container == NULL || check_format(arguments, &is_json, &err) < 0 ||
        container_pids(container, &pids, &count, &err) < 0)
        return oci_fail(context, &err, 1);
    if (!is_json)
        return print_ps_table(arguments, pids, count, &err) < 0 ? oci_fail(context, &err, 1) : 0;
    /* A stopped container has none: an empty list, where runc says null. */
    for (size_t i = 0; i < count; i++)
        (void)printf("%s%d", i == 0 ? "[" : ",", pids[i]);
    (void)printf("%s]\n", count == 0 ? "[" : "");
    return 0;
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
    const char *file =
        arguments_has(arguments, "file") ? arguments_text(arguments, "file") : "config.json";
    auto_free char *json = spec_encode(spec, ENCODE_INDENTED);
    auto_close int directory_fd = -1, fd = -1;
    struct error err = { 0 };

    directory_fd = open(bundle != NULL ? bundle : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0) {
        (void)error_errno(&err, "open the bundle '%s'", bundle != NULL ? bundle : ".");
        return oci_fail(context, &err, 1);
    }
    fd = openat(directory_fd, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        (void)error_errno(&err, "write %s%s", file,
                          errno == EEXIST ? ": remove the one that is there first" : "");
        return oci_fail(context, &err, 1);
    }
    if (fd_write_all(fd, json, strlen(json), file, &err) < 0)
        return oci_fail(context, &err, 1);
    return 0;
}

int oci_features(const struct arguments *arguments, void *context)
{
    auto_free char *json = runtime_features_json(((const struct oci_context *)context)->isolation);

    (void)arguments;
    (void)context;
    (void)printf("%s\n", json);
    return 0;
}
