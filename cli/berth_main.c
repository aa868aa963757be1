#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "cli/berth.h"
#include "cli/berth_commands.h"

static const struct option global_options[] = {
    { "data", 0, OPTION_TEXT, "DIR", "Images and containers (default $BERTH_DATA, /var/lib/berth)",
      "file" },
    { "debug", 'D', OPTION_FLAG, NULL, "Tell every step on standard error", NULL },
    { "log-format", 0, OPTION_TEXT, "FORMAT", "Errors and steps as text (default) or json",
      "text|json" },
    { "run", 0, OPTION_TEXT, "DIR",
      "What lives as long as the machine runs (default $BERTH_RUN, "
      "/run/berth)",
      "file" },
    { "version", 'v', OPTION_FLAG, NULL, "Print the version", NULL },
    { 0 },
};

static const char manual[] =
    ".SH EXIT STATUS\n"
    "\\fBrun\\fR, \\fBexec\\fR and \\fBstart \\-a\\fR end with the status of the program in the\n"
    "container: its own, or 128 + n when signal n ended it. Otherwise:\n"
    ".TP\n.B 125\nberth itself failed, or the command line was wrong\n"
    ".TP\n.B 126\nthe program in the container cannot be executed\n"
    ".TP\n.B 127\nthe program was not found in the container\n"
    ".TP\n.B 1\na command failed for at least one of the names it was given\n"
    ".SH ENVIRONMENT\n"
    ".TP\n.B BERTH_DATA, BERTH_RUN\ndirectories, as \\-\\-data and \\-\\-run\n"
    ".TP\n.B NO_COLOR\nwhen set, nothing is coloured\n"
    ".SH FILES\n"
    ".TP\n.I /var/lib/berth\nimages, layers, containers, volumes and logs\n"
    ".TP\n.I /run/berth\nstate of running containers; gone after a reboot\n"
    ".SH SEE ALSO\n.BR berth\\-oci (1)\n";

static int prepare(const struct arguments *arguments, void *context, struct error *err)
{
    const char *format = arguments_global(arguments, "log-format")->text;
    struct berth *berth = context;

    berth->data_path = arguments_global(arguments, "data")->text;
    berth->run_path = arguments_global(arguments, "run")->text;
    berth->is_debug = arguments_global(arguments, "debug")->flag;
    if (format != NULL && strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
        return error_set(err, EINVAL, "--log-format '%s': give text or json", format);
    log_configure("berth", -1, format != NULL && strcmp(format, "json") == 0 ? LOG_JSON : LOG_TEXT,
                  berth->is_debug);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct program program = {
        .name = "berth",
        .summary = "Runs containers on Linux without a daemon",
        .commands = berth_commands,
        .global_options = global_options,
        .usage_status = STATUS_RUN_FAILED,
        .prepare = prepare,
        .manual = manual,
    };
    struct berth berth = { .argv = argv };
    struct error err = { 0 };
    int status;

    if (fd_open_standard(&err) < 0)
        return berth_failed(&err, STATUS_RUN_FAILED);
    status = program_run(&program, argc, argv, &berth);
    engine_free(berth.engine);
    return status;
}
