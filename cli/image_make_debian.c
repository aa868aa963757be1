#include "cli/image_make.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
#include "cli/apt_sources.h"

/* mmdebstrap writes the tar of the root to its standard output when all packages are installed, and
 * tells on standard error what it does ("I: ...") and what went wrong ("E: ..."). */

#define READ_BYTES     (256u << 10)
#define LINE_MAX_BYTES 4096
#define SHOW_EVERY_MS  100

struct run {
    struct image_make *make;
    pid_t pid;         /* 0: ended */
    int out, messages; /* -1: closed by mmdebstrap */
    uint64_t bytes;
    char step[160];
    struct text line; /* of messages, not complete yet */
    char *failure;    /* the first "E: ..." */
};

static void run_clear(struct run *run)
{
    if (run->out >= 0)
        (void)close(run->out); /* only read */
    if (run->messages >= 0)
        (void)close(run->messages);
    if (run->pid > 0) { /* it removes its own temporary directory when it is asked to end */
        (void)kill(run->pid, SIGTERM);
        while (waitpid(run->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    text_clear(&run->line);
    free(run->failure);
}

static bool suite_is_valid(const char *suite)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-._";

    /* It becomes an argument and a tag: no option, no path. */
    return suite[0] >= 'a' && suite[0] <= 'z' && strlen(suite) < 100 &&
           strspn(suite, letters) == strlen(suite);
}

/* The suite of this machine, when it is a Debian. */
static char *own_suite(void)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    auto_free char *text = NULL;
    const char *id, *name;

    if (file_read(AT_FDCWD, "/etc/os-release", 65536, &text, NULL, NULL) < 0)
        return NULL;
    strings_split(&lines, text, '\n');
    id = strings_variable(&lines, "ID");
    name = strings_variable(&lines, "VERSION_CODENAME");
    return text_equal(id, "debian") && !text_is_empty(name) ? xstrdup(name) : NULL;
}

/* What of the machine's apt settings decides whether its archives can be read from here. */
static void add_apt_options(struct strings *arguments)
{
    static const char *const wanted[] = { "Acquire::http::", "Acquire::https::", "Acquire::Check-",
                                          "Acquire::Retries" };
    AUTO_CLEAR(strings) struct strings command = { 0 };
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    auto_free char *text = NULL;
    auto_close int in = -1;
    auto_close int out = -1;
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return; /* apt's defaults, then */
    in = fds[0];
    out = fds[1];
    strings_split(&command, "apt-config dump Acquire", ' ');
    if (process_spawn(&command, (const int[3]){ -1, out, -1 }, &pid, NULL) < 0)
        return;
    auto_close_cleanup(&out);
    out = -1;
    if (fd_read_all(in, 1u << 20, "apt's settings", &text, NULL, NULL) == 0)
        strings_split(&lines, text, '\n');
    auto_close_cleanup(&in);
    in = -1;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    for (size_t i = 0; i < lines.count; i++) {
        for (size_t j = 0; j < ARRAY_SIZE(wanted); j++) {
            if (text_starts(lines.items[i], wanted[j]) && !text_ends(lines.items[i], " \"\";"))
                strings_addf(arguments, "--aptopt=%s", lines.items[i]);
        }
    }
}

static int plan_arguments(const struct image_make *make, const char *suite,
                          struct strings *arguments, struct error *err)
{
    static const char *const excluded[] = {
        "path-exclude=/usr/share/man/*",     "path-exclude=/usr/share/info/*",
        "path-exclude=/usr/share/locale/*",  "path-include=/usr/share/locale/locale.alias",
        "path-exclude=/usr/share/doc/*",     "path-include=/usr/share/doc/*/copyright",
        "path-exclude=/usr/share/lintian/*", "path-exclude=/usr/share/groff/*",
        "path-exclude=/usr/share/linda/*",
    };
    AUTO_CLEAR(strings) struct strings sources = { 0 };
    int r;

    strings_add(arguments, "mmdebstrap");
    strings_addf(arguments, "--variant=%s", make->variant);
    strings_add(arguments, "--format=tar");
    for (size_t i = 0; i < make->packages.count; i++)
        strings_addf(arguments, "--include=%s", make->packages.items[i]);
    for (size_t i = 0; i < ARRAY_SIZE(excluded); i++)
        strings_addf(arguments, "--dpkgopt=%s", excluded[i]);
    add_apt_options(arguments);
    /* The machine's proxy, name and name server are no business of the image. */
    strings_add(arguments, "--customize-hook=cd \"$1\" && rm -f etc/apt/apt.conf.d/99mmdebstrap "
                           "etc/hostname etc/resolv.conf var/cache/ldconfig/aux-cache");
    strings_add(arguments, suite);
    strings_add(arguments, "-");
    r = apt_sources_read(suite, &sources, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < sources.count; i++)
        log_debug("image make: %s", sources.items[i]);
    strings_add_all(arguments, &sources);
    return 0;
}

static int start(struct run *run, const struct strings *arguments, struct error *err)
{
    auto_close int out = -1;
    auto_close int messages = -1;
    int fds[2], r;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    run->out = fds[0];
    out = fds[1];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    run->messages = fds[0];
    messages = fds[1];
    r = process_spawn(arguments, (const int[3]){ -1, out, messages }, &run->pid, err);
    if (r == -ENOENT)
        return error_set(err, ENOENT,
                         "mmdebstrap is not installed: `apt-get install mmdebstrap` "
                         "(Debian, Ubuntu) brings it");
    return r;
}

static void take_line(struct run *run, const char *line)
{
    log_debug("mmdebstrap: %s", line);
    if (text_starts(line, "E: ") && run->failure == NULL)
        run->failure = xstrdup(line + 3);
    /* Its steps end in dots; the rest is chatter. */
    if (!text_starts(line, "I: ") || !text_ends(line, "...") || text_starts(line, "I: removing"))
        return;
    (void)snprintf(run->step, sizeof(run->step), "Making debian: %s", line + 3);
    for (size_t end = strlen(run->step); end > 0 && run->step[end - 1] == '.'; end--)
        run->step[end - 1] = '\0';
}

static int read_messages(struct run *run, struct error *err)
{
    char buffer[LINE_MAX_BYTES];
    ssize_t n = read(run->messages, buffer, sizeof(buffer));

    if (n < 0 && errno != EINTR)
        return error_errno(err, "read mmdebstrap's messages");
    if (n == 0) {
        auto_close_cleanup(&run->messages);
        run->messages = -1;
    }
    for (ssize_t i = 0; i < n; i++) {
        bool is_end = buffer[i] == '\n' || buffer[i] == '\r';

        if (!is_end && run->line.length < LINE_MAX_BYTES && (unsigned char)buffer[i] >= ' ')
            text_add_bytes(&run->line, &buffer[i], 1);
        if (is_end && run->line.length > 0) {
            take_line(run, run->line.data);
            text_clear(&run->line);
        }
    }
    return 0;
}

static int read_tar(struct run *run, char *buffer, struct error *err)
{
    ssize_t n = read(run->out, buffer, READ_BYTES);

    if (n < 0 && errno == EINTR)
        return 0;
    if (n < 0)
        return error_errno(err, "read from mmdebstrap");
    if (n == 0) {
        auto_close_cleanup(&run->out);
        run->out = -1;
        return 0;
    }
    run->bytes += (uint64_t)n;
    return layer_writer_add(run->make->layer, buffer, (size_t)n, err);
}

static int pump(struct run *run, struct error *err)
{
    auto_free char *buffer = xcalloc(1, READ_BYTES);
    int r;

    while (run->out >= 0 || run->messages >= 0) {
        struct pollfd polls[2] = { { .fd = run->out, .events = POLLIN },
                                   { .fd = run->messages, .events = POLLIN } };

        if (poll(polls, 2, SHOW_EVERY_MS) < 0 && errno != EINTR)
            return error_errno(err, "wait for mmdebstrap");
        r = polls[0].revents != 0 ? read_tar(run, buffer, err) : 0;
        if (r == 0 && polls[1].revents != 0)
            r = read_messages(run, err);
        if (r < 0)
            return r;
        progress_update(run->step, run->bytes, 0, run->make->progress);
    }
    return 0;
}

static int finish(struct run *run, struct error *err)
{
    int status;

    while (waitpid(run->pid, &status, 0) < 0) {
        if (errno != EINTR)
            return error_errno(err, "wait for mmdebstrap");
    }
    run->pid = 0;
    status = process_exit_status(status);
    if (status != 0)
        return error_set(err, EIO, "mmdebstrap: %s",
                         run->failure != NULL ? run->failure : "ended without saying why");
    if (run->bytes == 0)
        return error_set(err, EIO, "mmdebstrap wrote no root file system");
    return 0;
}

static int check_packages(const struct strings *packages, struct error *err)
{
    for (size_t i = 0; i < packages->count; i++) {
        const char *text = packages->items[i];

        if (text[0] == '\0' ||
            strspn(text,
                   "abcdefghijklmnopqrstuvwxyz0123456789+.-:=~,/ABCDEFGHIJKLMNOPQRSTUVWXYZ") !=
                strlen(text))
            return error_set(err, EINVAL, "--include: '%s' is not a list of packages", text);
    }
    return 0;
}

static void describe(const struct image_make *make, const char *suite, struct image_config *config,
                     struct strings *tags)
{
    auto_free char *packages = strings_join(&make->packages, ",");

    strings_add(&config->cmd, "bash");
    strings_add(&config->env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    config->created_by = xasprintf("berth image make debian --suite %s%s%s", suite,
                                   packages[0] != '\0' ? " --include " : "", packages);
    if (tags->count > 0)
        return;
    strings_addf(tags, "debian:%s", suite);
    strings_add(tags, "debian:latest");
}

int image_make_debian(struct image_make *make, struct image_config *config, struct strings *tags,
                      struct error *err)
{
    AUTO_CLEAR(run) struct run run = { .make = make, .out = -1, .messages = -1 };
    AUTO_CLEAR(strings) struct strings arguments = { 0 };
    auto_free char *own = make->suite == NULL ? own_suite() : NULL;
    const char *suite = make->suite != NULL ? make->suite : own != NULL ? own : "stable";
    auto_free char *epoch = xasprintf("%lld", (long long)make->epoch);
    int r;

    if (!suite_is_valid(suite))
        return error_set(err, EINVAL, "--suite: '%s' is not the name of a release", suite);
    r = check_packages(&make->packages, err);
    if (r == 0)
        r = plan_arguments(make, suite, &arguments, err);
    if (r < 0)
        return r;
    /* mmdebstrap sets newer times back to this one; two builds from the same packages are equal. */
    if (setenv("SOURCE_DATE_EPOCH", epoch, 1) < 0)
        return error_errno(err, "set SOURCE_DATE_EPOCH");
    (void)snprintf(run.step, sizeof(run.step), "Making debian");
    r = start(&run, &arguments, err);
    if (r == 0)
        r = pump(&run, err);
    if (r == 0)
        r = finish(&run, err);
    if (r < 0)
        return r;
    describe(make, suite, config, tags);
    return 0;
}
