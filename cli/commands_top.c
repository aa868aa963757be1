#include "cli/berth.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "cli/table.h"
#include "cli/top_row.h"

/* `top`: the processes of a container as the host sees them. The usual columns are read from /proc,
 * so nothing of the container is executed and the host needs no ps(1). With options of ps it is the
 * host's ps that runs, and its lines are filtered by pid. */

#define PS_OUTPUT_MAX (16u << 20)

struct pids {
    pid_t *items;
    size_t count;
};

static bool pids_have(const struct pids *pids, long pid)
{
    for (size_t i = 0; i < pids->count; i++) {
        if (pids->items[i] == pid)
            return true;
    }
    return false;
}

/* --- from /proc ------------------------------------------------------------------------------- */

/* The name of a user in the host's file, or the number; getpwuid(3) needs plug-ins that a static
 * program does not have. */
static char *user_name(uid_t uid)
{
    FILE *file = fopen("/etc/passwd", "re");
    char *name = NULL;

    for (const struct passwd *entry = NULL; file != NULL && name == NULL;) {
        entry = fgetpwent(file);
        if (entry == NULL)
            break;
        if (entry->pw_uid == uid)
            name = xstrdup(entry->pw_name);
    }
    if (file != NULL)
        (void)fclose(file);
    return name != NULL ? name : xasprintf("%u", uid);
}

/* Arguments end with zero bytes; shown with spaces, and control characters as '?'. Caller frees. */
static char *read_arguments(int process_fd)
{
    char *text = NULL;
    size_t length = 0;
    auto_close int fd = openat(process_fd, "cmdline", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fd_read_all(fd, 1u << 21, "arguments", &text, &length, NULL) < 0)
        return xstrdup("");
    while (length > 0 && text[length - 1] == '\0')
        length--;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte == '\0')
            text[i] = ' ';
        else if (byte < ' ' || byte == 0x7f)
            text[i] = '?';
    }
    text[length] = '\0';
    return text;
}

/* One process; one that ended meanwhile is left out. */
static void add_process(pid_t pid, const struct top_clock *clock, struct text *table)
{
    auto_free char *path = xasprintf("/proc/%d", pid);
    auto_close int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct top_process process;
    struct stat status;
    auto_free char *stat_text = NULL;
    auto_free char *arguments = NULL;
    auto_free char *user = NULL;
    auto_free char *row = NULL;

    if (fd < 0 || fstatat(fd, "", &status, AT_EMPTY_PATH) < 0 ||
        file_read_kernel(fd, "stat", &stat_text, NULL) < 0 ||
        top_process_parse(stat_text, &process, NULL) < 0)
        return;
    arguments = read_arguments(fd);
    user = user_name(status.st_uid);
    row = top_format_row(&process, clock, user, arguments);
    text_add(table, row);
}

static struct top_clock clock_now(void)
{
    struct timespec since_boot = { 0 };
    int64_t now = time(NULL);

    (void)clock_gettime(CLOCK_BOOTTIME, &since_boot);
    return (struct top_clock){ now, now - since_boot.tv_sec, (uint64_t)sysconf(_SC_CLK_TCK) };
}

static int print_processes(const struct pids *pids)
{
    struct top_clock clock = clock_now();
    struct text table = { 0 };
    auto_free char *aligned = NULL;

    text_add(&table, "UID\tPID\tPPID\tC\tSTIME\tTTY\tTIME\tCMD\n");
    for (size_t i = 0; i < pids->count; i++)
        add_process(pids->items[i], &clock, &table);
    aligned = table_format(table.data);
    text_clear(&table);
    fputs(aligned, stdout);
    return 0;
}

/* --- from ps ---------------------------------------------------------------------------------- */

/* @selection  further option, NULL: none
 * @error_fd   for what ps says of errors; -1: nowhere */
static int run_ps(const char *const *options, const char *selection, int error_fd,
                  char **ret_output, struct error *err)
{
    AUTO_CLEAR(strings) struct strings line = { 0 };
    int pipe_fds[2] = { -1, -1 };
    auto_close int read_fd = -1;
    auto_free char *output = NULL;
    int wait_status = 0;
    pid_t pid = -1;
    int r;

    strings_add(&line, "ps");
    for (; *options != NULL; options++)
        strings_add(&line, *options);
    if (selection != NULL)
        strings_add(&line, selection);
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe for ps");
    read_fd = pipe_fds[0];
    r = process_spawn(&line, (const int[]){ -1, pipe_fds[1], error_fd }, &pid, err);
    (void)close(pipe_fds[1]);
    if (r < 0)
        return r;
    r = fd_read_all(read_fd, PS_OUTPUT_MAX, "the output of ps", &output, NULL, err);
    while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR)
        ;
    if (r == 0 && process_exit_status(wait_status) != 0)
        return error_set(err, EINVAL, "ps failed with status %d", process_exit_status(wait_status));
    if (r == 0)
        *ret_output = take_ptr(&output);
    return r;
}

/* The number in a column of a line; -1 when there is none. */
static long number_in_column(const char *line, size_t column)
{
    for (size_t i = 0; i < column; i++) {
        line += strspn(line, " ");
        line += strcspn(line, " ");
    }
    line += strspn(line, " ");
    return *line >= '0' && *line <= '9' ? strtol(line, NULL, 10) : -1;
}

/* Which column is headed PID; -ENOENT. */
static int find_pid_column(const char *header, size_t *ret_column)
{
    for (size_t column = 0;; column++) {
        size_t length;

        header += strspn(header, " ");
        length = strcspn(header, " ");
        if (length == 0)
            return -ENOENT;
        if (length == 3 && strncmp(header, "PID", 3) == 0) {
            *ret_column = column;
            return 0;
        }
        header += length;
    }
}

/* "-q1,23,45" selects just these, without the rule that ps shows the caller's terminal only. Caller
 * frees. */
static char *select_pids(const struct pids *pids)
{
    struct text text = { 0 };

    text_add(&text, "-q");
    for (size_t i = 0; i < pids->count; i++)
        text_addf(&text, "%s%d", i > 0 ? "," : "", pids->items[i]);
    return text_take(&text);
}

static int print_ps(const struct pids *pids, const char *const *options, struct error *err)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    auto_free char *selection = select_pids(pids);
    auto_free char *output = NULL;
    size_t column = 0;
    int r;

    /* Some options cannot stand beside -q (f, -C): without it then, and it is filtered. */
    r = run_ps(options, selection, -1, &output, NULL);
    if (r < 0)
        r = run_ps(options, NULL, STDERR_FILENO, &output, err);
    if (r < 0)
        return r;
    strings_split(&lines, output, '\n');
    if (find_pid_column(lines.items[0], &column) < 0)
        return error_set(err, EINVAL, "couldn't find the PID field in the output of ps");
    puts(lines.items[0]);
    for (size_t i = 1; i < lines.count; i++) {
        if (pids_have(pids, number_in_column(lines.items[i], column)))
            puts(lines.items[i]);
    }
    return 0;
}

/* What a microVM says of the processes in it: a line is what the guest wrote. */
static void print_inner_processes(const char *lines)
{
    AUTO_CLEAR(strings) struct strings rows = { 0 };
    struct text table = { 0 };
    auto_free char *aligned = NULL;

    strings_split(&rows, lines, '\n');
    text_add(&table, "PID\tUID\tCMD\n");
    for (size_t i = 0; i < rows.count; i++) {
        char *row = rows.items[i], *uid = strchr(row, ' ');
        char *command = uid != NULL ? strchr(uid + 1, ' ') : NULL;

        if (command == NULL)
            continue;
        for (char *byte = row; *byte != '\0'; byte++)
            if ((unsigned char)*byte < ' ' || *byte == 0x7f)
                *byte = '?';
        *uid = *command = '\t';
        text_addf(&table, "%s\n", row);
    }
    aligned = table_format(table.data);
    text_clear(&table);
    fputs(aligned, stdout);
}

static int top_processes(struct berth *berth, const char *id, const struct arguments *arguments,
                         struct error *err)
{
    const char *name = arguments->words[0];
    auto_free char *inner = NULL;
    struct pids pids = { 0 };
    int r;

    r = engine_pids(berth->engine, id, &pids.items, &pids.count, err);
    if (r == 0 && pids.count == 0)
        r = error_set(err, EINVAL, "container '%s' is not running", name);
    if (r == 0)
        r = engine_inner_processes(berth->engine, id, &inner, err);
    if (r == 0 && inner != NULL && arguments->word_count > 1)
        r = error_set(err, EOPNOTSUPP,
                      "options of ps are for processes of this machine, and those of microVM '%s' "
                      "are not: use `berth exec %s ps`",
                      name, name);
    else if (r == 0 && inner != NULL)
        print_inner_processes(inner);
    else if (r == 0 && arguments->word_count > 1)
        r = print_ps(&pids, arguments->words + 1, err);
    else if (r == 0)
        r = print_processes(&pids);
    free(pids.items);
    return r;
}

int command_top(const struct arguments *arguments, void *context)
{
    struct berth *berth = context;
    auto_free char *id = NULL;
    struct error err = { 0 };
    int r;

    r = berth_find(berth, arguments->words[0], &id, &err);
    if (r == 0)
        r = top_processes(berth, id, arguments, &err);
    return r < 0 ? berth_failed(&err, STATUS_FAILED) : 0;
}
