#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/oci_commands.h"

#define STATUS_UNKNOWN_COMMAND 3 /* as runc */

/* Where berth-oci writes what it has to say. Callers (podman, containerd) give a file and read the
 * last error from it; people read standard error. Both get runc's forms. */

int oci_log_open(struct oci_context *context, const char *file, const char *format, bool is_debug,
                 struct error *err)
{
    enum log_format log_format = LOG_TEXT;
    int fd = -1;

    if (format != NULL && strcmp(format, "json") == 0)
        log_format = LOG_JSON;
    else if (format != NULL && format[0] != '\0' && strcmp(format, "text") != 0)
        return error_set(err, EINVAL, "--log-format '%s': is neither text nor json", format);
    if (file != NULL && file[0] != '\0') {
        /* Links are followed: /dev/stderr is one. */
        fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0)
            return error_errno(err, "open the log '%s'", file);
    }
    context->has_log = true;
    context->logs_to_file = fd >= 0;
    log_configure("berth-oci", fd, log_format, is_debug);
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
    static const char *const with_value[] = { "root", "log", "log-format", "cgroup-manager",
                                              "rootless" };
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
    struct oci_context *context = context_;
    /* prepare(), which opens the log first of all, fails with other things that are missing. */
    bool is_unknown = err->code == ENOENT && !context->has_log;

    /* Wrong usage, too, is told where the caller looks for it. */
    if (!context->has_log && oci_log_open(context, find_global(argc, argv, "log"),
                                          find_global(argc, argv, "log-format"), false, NULL) < 0)
        (void)oci_log_open(context, NULL, NULL, false, NULL);
    return oci_fail(context, err, is_unknown ? STATUS_UNKNOWN_COMMAND : 1);
}
