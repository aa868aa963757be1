#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/oci_commands.h"

#define STATUS_UNKNOWN_COMMAND 3 /* as runc */

/* Where berth-oci writes what it has to say. Callers (podman, containerd) give a file and read the
 * last error from it; people read standard error. Both get runc's forms. */

/* What --log may name besides a file, as crun has it: "syslog:NAME", "journald:NAME". */
static const struct {
    const char *prefix, *socket;
    enum log_format format;
} services[] = {
    { "syslog:", "/dev/log", LOG_SYSLOG },
    { "journald:", "/run/systemd/journal/socket", LOG_JOURNAL },
};

static int open_service(const char *target, const char *path, int *ret_fd, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)stpncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_errno(err, "open the log '%s': connect to %s", target, path);
    *ret_fd = take_fd(&fd);
    return 0;
}

static int open_target(const char *target, int *ret_fd, enum log_format *format,
                       const char **program, struct error *err)
{
    const char *path = text_starts(target, "file:") ? target + strlen("file:") : target;
    int fd;

    for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
        if (!text_starts(target, services[i].prefix))
            continue;
        *format = services[i].format;
        if (target[strlen(services[i].prefix)] != '\0')
            *program = target + strlen(services[i].prefix);
        return open_service(target, services[i].socket, ret_fd, err);
    }
    /* Links are followed: /dev/stderr is one. */
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(err, "open the log '%s'", path);
    *ret_fd = fd;
    return 0;
}

static int parse_level(const char *text, enum log_level *ret_level, struct error *err)
{
    static const char *const names[] = { "error", "warning", "debug" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    }
    return error_set(err, EINVAL, "--log-level '%s': is neither error, warning nor debug", text);
}

int oci_log_open(struct oci_context *context, const struct oci_log_options *options,
                 struct error *err)
{
    enum log_level level = options->is_debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING;
    enum log_format format = LOG_TEXT;
    const char *program = "berth-oci";
    int fd = -1, r = 0;

    context->has_log = true; /* also when this fails: nobody has to try again */
    if (text_equal(options->format, "json"))
        format = LOG_JSON;
    else if (!text_is_empty(options->format) && strcmp(options->format, "text") != 0)
        return error_set(err, EINVAL, "--log-format '%s': is neither text nor json",
                         options->format);
    if (!text_is_empty(options->level) && !options->is_debug)
        r = parse_level(options->level, &level, err);
    if (r == 0 && !text_is_empty(options->target))
        r = open_target(options->target, &fd, &format, &program, err);
    if (r < 0)
        return r;
    context->logs_to_file = fd >= 0;
    log_configure(program, fd, format, false);
    log_set_level(level);
    return 0;
}

int oci_fail(const struct oci_context *context, const struct error *err, int status)
{
    log_error("%s", err->message);
    if (context->logs_to_file)
        (void)dprintf(STDERR_FILENO, "berth-oci: %s\n", err->message);
    return status;
}

/* The value of the global option @name in a command line that was perhaps not understood; NULL. */
static const char *find_global(int argc, char **argv, const char *name)
{
    static const char *const with_value[] = {
        "root", "log", "log-format", "log-level", "cgroup-manager", "rootless",
    };
    const char *found = NULL;

    for (int i = 1; i < argc && argv[i][0] == '-'; i++) {
        const char *typed = argv[i] + 1 + (argv[i][1] == '-');
        size_t length = strcspn(typed, "=");

        for (size_t k = 0; k < ARRAY_SIZE(with_value); k++) {
            const char *value = typed[length] == '=' ? typed + length + 1 : argv[i + 1];

            if (strlen(with_value[k]) != length || memcmp(with_value[k], typed, length) != 0)
                continue;
            if (strcmp(with_value[k], name) == 0)
                found = value;
            if (typed[length] != '=')
                i++;
            break;
        }
    }
    return found;
}

int oci_usage_failed(int argc, char **argv, void *context_, const struct error *err)
{
    static const struct oci_log_options standard = { 0 };
    struct oci_context *context = context_;
    /* prepare(), which opens the log first of all, fails with other things that are missing. */
    bool is_unknown = err->code == ENOENT && !context->has_log;
    const struct oci_log_options options = {
        .target = find_global(argc, argv, "log"),
        .format = find_global(argc, argv, "log-format"),
    };

    /* Wrong usage, too, is told where the caller looks for it. */
    if (!context->has_log && oci_log_open(context, &options, NULL) < 0)
        (void)oci_log_open(context, &standard, NULL);
    return oci_fail(context, err, is_unknown ? STATUS_UNKNOWN_COMMAND : 1);
}
