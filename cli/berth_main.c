#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "cli/berth.h"
#include "cli/berth_commands.h"
#include "cli/berth_manual.h"
#include "cli/refused_commands.h"
#include "microvm/microvm.h"

static const struct option global_options[] = {
    { "config", 0, OPTION_REFUSED, NULL, "the folder of logins is what $DOCKER_CONFIG names",
      NULL },
    NO_SERVICE_OPTION("context", 'c'),
    { "data", 0, OPTION_TEXT, "DIR",
      "Where images and containers are (default $BERTH_DATA, /var/lib/berth; of a user "
      "~/.local/share/berth)",
      "file" },
    { "debug", 'D', OPTION_FLAG, NULL, "Tell every step on standard error", NULL },
    NO_SERVICE_OPTION("host", 'H'),
    { "log-format", 0, OPTION_TEXT, "FORMAT", "Errors and steps as text (default) or json",
      "text|json" },
    { "log-level", 'l', OPTION_REFUSED, NULL, "--debug tells every step, else errors are told",
      NULL },
    { "run", 0, OPTION_TEXT, "DIR",
      "Where the state of what runs is (default $BERTH_RUN, /run/berth; of a user "
      "$XDG_RUNTIME_DIR/berth)",
      "file" },
    NO_SERVICE_OPTION("tls", 0),
    NO_SERVICE_OPTION("tlscacert", 0),
    NO_SERVICE_OPTION("tlscert", 0),
    NO_SERVICE_OPTION("tlskey", 0),
    NO_SERVICE_OPTION("tlsverify", 0),
    { "version", 'v', OPTION_FLAG, NULL, "Print the version", NULL },
    { 0 },
};

static int prepare(const struct arguments *arguments, void *context, struct error *err)
{
    const char *format = arguments_global(arguments, "log-format")->text;
    struct berth *berth = context;

    berth->data_path = arguments_global(arguments, "data")->text;
    berth->run_path = arguments_global(arguments, "run")->text;
    berth->is_debug = arguments_global(arguments, "debug")->flag;
    if (format != NULL && strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
        return error_set(err, EINVAL, "--log-format '%s': give text or json", format);
    log_configure("berth", -1, format != NULL && strcmp(format, "json") == 0 ? LOG_JSON : LOG_PLAIN,
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
        .refused_commands = refused_commands,
        .usage_status = STATUS_RUN_FAILED,
        .prepare = prepare,
        .description = berth_description,
        .manual = berth_manual,
    };
#ifdef BERTH_MICROVM
    struct isolation isolation = microvm_isolation(NULL);
#endif
    struct berth berth = { .argv = argv };
    struct error err = { 0 };
    int status;

#ifdef BERTH_MICROVM
    berth.isolation = &isolation;
#endif
    if (fd_open_standard(&err) < 0)
        return berth_failed(&err, STATUS_RUN_FAILED);
    status = program_run(&program, argc, argv, &berth);
    engine_free(berth.engine);
    return status;
}
