#include "cli/berth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "cli/pull_missing.h"
#include "cli/run_options.h"

/* Commands that connect the user with a program in a container: run, create, start, attach, exec.
 */

static bool flag_or_true(const struct arguments *arguments, const char *name)
{
    return !arguments_has(arguments, name) || arguments_flag(arguments, name);
}

/* A terminal in the container is of no use to somebody who types into a pipe. */
static int check_terminal(bool has_terminal, bool has_stdin, struct error *err)
{
    if (has_terminal && has_stdin && isatty(STDIN_FILENO) == 0)
        return error_set(err, ENOTTY, "the input device is not a TTY");
    return 0;
}

/* 126 and 127 tell scripts that the program in the container could not be started. */
static int start_status(int r)
{
    return r == -ENOENT   ? STATUS_NOT_FOUND
           : r == -EACCES ? STATUS_NOT_EXECUTABLE
                          : STATUS_RUN_FAILED;
}

/* --- run and create --------------------------------------------------------------------------- */

/* What `run` has made so far. */
struct run {
    struct berth *berth;
    struct engine *engine;
    struct settings *settings;
    const char *cidfile; /* NULL: none */
    int cidfile_fd;
    char *id; /* NULL: not created yet */
};

static void run_clear(struct run *run)
{
    settings_free(run->settings);
    free(run->id);
    if (run->cidfile_fd >= 0)
        close(run->cidfile_fd);
    /* Nothing was created: leave no empty file that stops the next run. */
    if (run->cidfile_fd >= 0 && run->id == NULL)
        (void)unlink(run->cidfile);
}

static int open_cidfile(struct run *run, struct error *err)
{
    if (text_is_empty(run->cidfile))
        return 0;
    run->cidfile_fd = open(run->cidfile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (run->cidfile_fd < 0 && errno == EEXIST)
        return error_set(err, EEXIST,
                         "container ID file found, make sure the other container isn't running or "
                         "delete '%s'",
                         run->cidfile);
    if (run->cidfile_fd < 0)
        return error_errno(err, "create the container ID file '%s'", run->cidfile);
    return 0;
}

/* Pulls the image and goes on with the name that it has here now. */
static int pull(struct run *run, const struct arguments *arguments, struct error *err)
{
    char *name = NULL;
    int r = pull_image(run->berth, arguments, run->settings->image, &name, err);

    if (r < 0)
        return r;
    free(run->settings->image);
    run->settings->image = name;
    return 0;
}

/* What is here under the name may have been pulled for another platform. */
static int check_platform(struct run *run, const struct arguments *arguments, struct error *err)
{
    const char *platform = arguments_text(arguments, "platform");
    AUTO(image) struct image *image = NULL;
    struct error why = { 0 };
    int r;

    if (text_is_empty(platform) ||
        berth_find_image(run->berth, run->settings->image, &image, NULL) < 0)
        return 0; /* one that is missing is pulled for it, or named */
    r = image_check_platform(image, platform, &why);
    if (r == -ENOEXEC)
        return error_set(err, ENOEXEC, "image '%s' is here, but %s; --pull always gets another one",
                         run->settings->image, why.message);
    return r < 0 ? error_set(err, -r, "--platform: %s", why.message) : 0;
}

/* Makes the container, after a pull where one is wanted. An image that is here costs no look at
 * anything else. */
static int create(struct run *run, const struct arguments *arguments, struct strings *warnings,
                  struct error *err)
{
    enum pull_policy policy = pull_policy(arguments);
    AUTO(image) struct image *image = NULL;
    int r = 0;

    if (policy == PULL_ALWAYS)
        r = pull(run, arguments, err);
    if (r == 0)
        r = check_platform(run, arguments, err);
    if (r < 0)
        return r;
    r = engine_create(run->engine, run->settings, &run->id, warnings, err);
    if (r != -ENOENT)
        return r;
    if (policy != PULL_MISSING ||
        berth_find_image(run->berth, run->settings->image, &image, NULL) != -ENOENT)
        return r;
    if (!arguments_flag(arguments, "quiet"))
        (void)fprintf(stderr, "Unable to find image '%s' locally\n", run->settings->image);
    *err = (struct error){ 0 }; /* the one error is why it cannot be pulled */
    r = pull(run, arguments, err);
    return r < 0 ? r : engine_create(run->engine, run->settings, &run->id, warnings, err);
}

static int run_create(struct run *run, const struct arguments *arguments, struct error *err)
{
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    int r;

    r = run_options_parse(arguments, &run->settings, err);
    if (r < 0)
        return r;
    run->settings->image = xstrdup(arguments->words[0]);
    for (size_t i = 1; i < arguments->word_count; i++)
        strings_add(&run->settings->command, arguments->words[i]);
    r = check_terminal(run->settings->has_terminal, run->settings->attach_stdin, err);
    if (r < 0 && strcmp(arguments->command->name, "run") == 0)
        return r;
    r = berth_engine(run->berth, &run->engine, err);
    if (r < 0)
        return r;
    run->cidfile = arguments_text(arguments, "cidfile");
    r = open_cidfile(run, err);
    if (r < 0)
        return r;
    r = create(run, arguments, &warnings, err);
    if (r < 0)
        return r;
    berth_warn(&warnings);
    if (run->cidfile_fd >= 0)
        return fd_write_all(run->cidfile_fd, run->id, strlen(run->id), run->cidfile, err);
    return 0;
}

static bool run_is_attached(const struct settings *settings)
{
    return settings->attach_stdin || settings->attach_stdout || settings->attach_stderr;
}

/* Pumps until the end; the program's status, or 0 when the user detached. */
static int run_foreground(struct run *run, const struct arguments *arguments, int attached)
{
    const struct settings *settings = run->settings;
    struct attach_options options = {
        .has_stdin = settings->attach_stdin,
        .has_stdout = settings->attach_stdout,
        .has_stderr = settings->attach_stderr,
        .has_terminal = settings->has_terminal,
        .forwards_signals = flag_or_true(arguments, "sig-proxy"),
        .detach_keys = settings->detach_keys,
    };
    enum attach_end end = ATTACH_EXITED;
    struct error err = { 0 };
    int status = 0;

    /* Without output to wait for, the id is what a script wants. */
    if (!settings->attach_stdout && !settings->attach_stderr)
        puts(run->id);
    (void)fflush(stdout);
    if (engine_attach_run(run->engine, run->id, attached, &options, &end, &status, &err) < 0)
        return berth_failed(&err, STATUS_RUN_FAILED);
    return end == ATTACH_EXITED ? status : 0;
}

static int run_start(struct run *run, const struct arguments *arguments)
{
    bool is_attached = run_is_attached(run->settings);
    struct error err = { 0 };
    int attached = -1;
    int r;

    r = engine_start(run->engine, run->id, is_attached ? &attached : NULL, &err);
    if (r < 0) {
        /* With --rm it has no further use; it may be gone already. */
        if (run->settings->is_removed)
            (void)engine_remove(run->engine, run->id, true, true, NULL);
        return berth_failed(&err, start_status(r));
    }
    if (is_attached)
        return run_foreground(run, arguments, attached);
    puts(run->id);
    return 0;
}

int command_run(const struct arguments *arguments, void *context)
{
    struct run run = { .berth = context, .cidfile_fd = -1 };
    struct error err = { 0 };
    int status;

    if (run_create(&run, arguments, &err) < 0)
        status = berth_failed(&err, STATUS_RUN_FAILED);
    else
        status = run_start(&run, arguments);
    run_clear(&run);
    return status;
}

int command_create(const struct arguments *arguments, void *context)
{
    struct run run = { .berth = context, .cidfile_fd = -1 };
    struct error err = { 0 };
    int status = 0;

    if (run_create(&run, arguments, &err) < 0)
        status = berth_failed(&err, STATUS_FAILED);
    else
        puts(run.id);
    run_clear(&run);
    return status;
}

/* --- start and attach ------------------------------------------------------------------------- */

/* Attaches the user to a container whose settings say what it has. Closes @attached. */
static int attach_user(struct engine *engine, const char *id, int attached,
                       const struct attach_options *options)
{
    enum attach_end end = ATTACH_EXITED;
    struct error err = { 0 };
    int status = 0;

    if (engine_attach_run(engine, id, attached, options, &end, &status, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    return end == ATTACH_EXITED ? status : 0;
}

static struct attach_options attach_to_all(const struct settings *settings, bool has_stdin,
                                           const struct arguments *arguments)
{
    return (struct attach_options){
        .has_stdin = has_stdin && settings->opens_stdin,
        .has_stdout = true,
        .has_stderr = true,
        .has_terminal = settings->has_terminal,
        .forwards_signals = flag_or_true(arguments, "sig-proxy"),
        .detach_keys = arguments_text(arguments, "detach-keys"),
    };
}

static int check_attachable(struct engine *engine, const char *id, struct error *err)
{
    struct container_view view = { 0 };
    int r = engine_view(engine, id, &view, err);

    if (r < 0)
        return r;
    if (strcmp(view.status, "paused") == 0)
        r = error_set(err, EINVAL, "cannot attach to a paused container, unpause it first");
    else if (strcmp(view.status, "restarting") == 0)
        r = error_set(err, EINVAL,
                      "cannot attach to a restarting container, wait until it is running");
    else if (strcmp(view.status, "running") != 0)
        r = error_set(err, EINVAL, "cannot attach to a stopped container, start it first");
    container_view_clear(&view);
    return r;
}

/* One that runs already is attached to as it is. */
static int start_or_attach(struct engine *engine, const char *id, int *ret_attached,
                           struct error *err)
{
    int r = engine_start(engine, id, ret_attached, err);

    if (r != -EALREADY)
        return r;
    r = check_attachable(engine, id, err);
    return r < 0 ? r : engine_attach(engine, id, ret_attached, err);
}

static int start_attached(const struct arguments *arguments, struct berth *berth)
{
    bool has_stdin = arguments_flag(arguments, "interactive");
    AUTO(settings) struct settings *settings = NULL;
    auto_free char *id = NULL;
    struct attach_options options = { 0 };
    struct error err = { 0 };
    int attached = -1;

    if (arguments->word_count > 1) {
        (void)error_set(&err, EINVAL, "you cannot start and attach multiple containers at once");
        return berth_failed(&err, STATUS_FAILED);
    }
    if (berth_find(berth, arguments->words[0], &id, &err) < 0 ||
        engine_settings(berth->engine, id, &settings, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);

    options = attach_to_all(settings, has_stdin, arguments);
    if (check_terminal(options.has_terminal, options.has_stdin, &err) < 0 ||
        start_or_attach(berth->engine, id, &attached, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    return attach_user(berth->engine, id, attached, &options);
}

int command_start(const struct arguments *arguments, void *context)
{
    struct berth *berth = context;
    int status = 0;

    if (arguments_flag(arguments, "attach") || arguments_flag(arguments, "interactive"))
        return start_attached(arguments, berth);
    for (size_t i = 0; i < arguments->word_count; i++) {
        auto_free char *id = NULL;
        struct error err = { 0 };
        int r;

        r = berth_find(berth, arguments->words[i], &id, &err);
        if (r == 0)
            r = engine_start(berth->engine, id, NULL, &err);
        if (r < 0 && r != -EALREADY)
            status = berth_failed(&err, STATUS_FAILED);
        else
            puts(arguments->words[i]);
    }
    return status;
}

int command_attach(const struct arguments *arguments, void *context)
{
    struct berth *berth = context;
    AUTO(settings) struct settings *settings = NULL;
    auto_free char *id = NULL;
    struct attach_options options = { 0 };
    struct error err = { 0 };
    int attached = -1;

    if (berth_find(berth, arguments->words[0], &id, &err) < 0 ||
        check_attachable(berth->engine, id, &err) < 0 ||
        engine_settings(berth->engine, id, &settings, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);

    options = attach_to_all(settings, !arguments_flag(arguments, "no-stdin"), arguments);
    if (check_terminal(options.has_terminal, options.has_stdin, &err) < 0 ||
        engine_attach(berth->engine, id, &attached, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    return attach_user(berth->engine, id, attached, &options);
}

/* --- exec ------------------------------------------------------------------------------------- */

static int exec_parse(const struct arguments *arguments, struct exec_settings *exec,
                      struct error *err)
{
    exec->user = xstrdup(arguments_text(arguments, "user"));
    exec->working_dir = xstrdup(arguments_text(arguments, "workdir"));
    exec->detach_keys = xstrdup(arguments_text(arguments, "detach-keys"));
    exec->has_terminal = arguments_flag(arguments, "tty");
    exec->opens_stdin = arguments_flag(arguments, "interactive");
    exec->is_detached = arguments_flag(arguments, "detach");
    exec->is_privileged = arguments_flag(arguments, "privileged");
    for (size_t i = 1; i < arguments->word_count; i++)
        strings_add(&exec->command, arguments->words[i]);
    if (!exec->is_detached) {
        int r = check_terminal(exec->has_terminal, exec->opens_stdin, err);

        if (r < 0)
            return r;
    }
    return run_options_environment(&exec->env, arguments_list(arguments, "env-file"),
                                   arguments_list(arguments, "env"), err);
}

static int check_executable(const struct container_view *view, const char *name, struct error *err)
{
    if (strcmp(view->status, "running") == 0)
        return 0;
    if (strcmp(view->status, "paused") == 0)
        return error_set(err, EINVAL, "container '%s' is paused, unpause it before exec", name);
    return error_set(err, EINVAL, "container '%s' is not running; `berth start %s` starts it", name,
                     name);
}

static int exec_run(const struct arguments *arguments, struct berth *berth,
                    const struct exec_settings *exec)
{
    struct container_view view = { 0 };
    auto_free char *id = NULL;
    struct error err = { 0 };
    int status = 0;
    int r;

    if (berth_find(berth, arguments->words[0], &id, &err) < 0 ||
        engine_view(berth->engine, id, &view, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    r = check_executable(&view, arguments->words[0], &err);
    container_view_clear(&view);
    if (r < 0)
        return berth_failed(&err, STATUS_FAILED);
    (void)fflush(stdout);
    r = engine_exec(berth->engine, id, exec, &status, &err);
    return r < 0 ? berth_failed(&err, start_status(r)) : status;
}

int command_exec(const struct arguments *arguments, void *context)
{
    struct berth *berth = context;
    struct exec_settings exec = { 0 };
    struct error err = { 0 };
    int status;

    /* From here on a program in the container could reach ours through /proc (CVE-2019-5736). Only
     * memory was touched so far, so starting anew loses nothing. */
    if (rootless_session_enter(&err) < 0 || process_protect_program(berth->argv, &err) < 0)
        return berth_failed(&err, STATUS_RUN_FAILED);
    if (exec_parse(arguments, &exec, &err) < 0)
        status = berth_failed(&err, STATUS_RUN_FAILED);
    else
        status = exec_run(arguments, berth, &exec);
    exec_settings_clear(&exec);
    return status;
}
