#include "cli/image_program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/staging.h"
#include "cli/berth.h"
#include "cli/image_options.h"
#include "cli/progress.h"
#include "cli/registry_options.h"
#include "microvm/microvm.h"

/* berth-image reads archives and makes images: what needs libarchive, libcrypto and the
 * compressors, which `berth` itself does not link. `berth load ...` runs it with the same words. */

static const struct option global_options[] = {
    { "data", 0, OPTION_TEXT, "DIR", "Where images are kept; default: /var/lib/berth", "file" },
    { "run", 0, OPTION_TEXT, "DIR", "Run state; default: /run/berth", "file" },
    { "debug", 'D', OPTION_FLAG, NULL, "Log each step", NULL },
    { 0 },
};

static const struct command commands[] = {
    { .name = "commit",
      .alias = "container commit",
      .usage = IMAGE_COMMIT_USAGE,
      .help = IMAGE_COMMIT_HELP,
      .description = IMAGE_COMMIT_DESCRIPTION,
      .examples = IMAGE_COMMIT_EXAMPLES,
      .options = image_commit_options,
      .min_words = 1,
      .max_words = 2,
      .handler = command_image_commit,
      .words_completion = "container" },
    { .name = "cp",
      .alias = "container cp",
      .usage = IMAGE_CP_USAGE,
      .help = IMAGE_CP_HELP,
      .description = IMAGE_CP_DESCRIPTION,
      .examples = IMAGE_CP_EXAMPLES,
      .options = image_cp_options,
      .min_words = 2,
      .max_words = 2,
      .handler = command_image_cp,
      .words_completion = "file" },
    { .name = "export",
      .alias = "container export",
      .usage = IMAGE_EXPORT_USAGE,
      .help = IMAGE_EXPORT_HELP,
      .description = IMAGE_EXPORT_DESCRIPTION,
      .examples = IMAGE_EXPORT_EXAMPLES,
      .options = image_export_options,
      .min_words = 1,
      .max_words = 1,
      .handler = command_image_export,
      .words_completion = "container" },
    { .name = "flatten",
      .usage = "LAYER...",
      .help = "Make one EROFS file of layers, for a microVM",
      .description = "Prints the path of the file. Layers are named as below DATA/layers, the "
                     "topmost first. `berth` calls this by itself.",
      .examples = "berth-image flatten KEY-OF-THE-UPPER KEY-OF-THE-LOWER",
      .min_words = 1,
      .max_words = SIZE_MAX,
      .handler = command_image_flatten },
    { .name = "load",
      .alias = "image load",
      .usage = IMAGE_LOAD_USAGE,
      .help = IMAGE_LOAD_HELP,
      .description = IMAGE_LOAD_DESCRIPTION,
      .examples = IMAGE_LOAD_EXAMPLES,
      .options = image_load_options,
      .handler = command_image_load },
    { .name = "import",
      .alias = "image import",
      .usage = IMAGE_IMPORT_USAGE,
      .help = IMAGE_IMPORT_HELP,
      .description = IMAGE_IMPORT_DESCRIPTION,
      .examples = IMAGE_IMPORT_EXAMPLES,
      .options = image_import_options,
      .min_words = 1,
      .max_words = 2,
      .handler = command_image_import,
      .words_completion = "file" },
    { .name = "pull",
      .alias = "image pull",
      .usage = IMAGE_PULL_USAGE,
      .help = IMAGE_PULL_HELP,
      .description = IMAGE_PULL_DESCRIPTION,
      .examples = IMAGE_PULL_EXAMPLES,
      .options = image_pull_options,
      .min_words = 1,
      .max_words = 1,
      .handler = command_image_pull },
    { .name = "save",
      .alias = "image save",
      .usage = IMAGE_SAVE_USAGE,
      .help = IMAGE_SAVE_HELP,
      .description = IMAGE_SAVE_DESCRIPTION,
      .examples = IMAGE_SAVE_EXAMPLES,
      .options = image_save_options,
      .min_words = 1,
      .max_words = SIZE_MAX,
      .handler = command_image_save,
      .words_completion = "image" },
    { .name = "push",
      .alias = "image push",
      .usage = IMAGE_PUSH_USAGE,
      .help = IMAGE_PUSH_HELP,
      .description = IMAGE_PUSH_DESCRIPTION,
      .examples = IMAGE_PUSH_EXAMPLES,
      .options = image_push_options,
      .min_words = 1,
      .max_words = 2,
      .handler = command_image_push },
    { .name = "login",
      .usage = IMAGE_LOGIN_USAGE,
      .help = IMAGE_LOGIN_HELP,
      .description = IMAGE_LOGIN_DESCRIPTION,
      .examples = IMAGE_LOGIN_EXAMPLES,
      .options = image_login_options,
      .max_words = 1,
      .handler = command_image_login },
    { .name = "logout",
      .usage = IMAGE_LOGOUT_USAGE,
      .help = IMAGE_LOGOUT_HELP,
      .examples = IMAGE_LOGOUT_EXAMPLES,
      .max_words = 1,
      .handler = command_image_logout },
    { .name = "search",
      .usage = IMAGE_SEARCH_USAGE,
      .help = IMAGE_SEARCH_HELP,
      .description = IMAGE_SEARCH_DESCRIPTION,
      .examples = IMAGE_SEARCH_EXAMPLES,
      .options = image_search_options,
      .min_words = 1,
      .max_words = 1,
      .handler = command_image_search },
    { .name = "image inspect",
      .usage = IMAGE_INSPECT_USAGE,
      .help = IMAGE_INSPECT_HELP,
      .description = IMAGE_INSPECT_DESCRIPTION,
      .examples = IMAGE_INSPECT_EXAMPLES,
      .options = image_inspect_options,
      .min_words = 1,
      .max_words = SIZE_MAX,
      .handler = command_image_inspect_remote },
    { .name = "image copy",
      .usage = IMAGE_COPY_USAGE,
      .help = IMAGE_COPY_HELP,
      .description = IMAGE_COPY_DESCRIPTION,
      .examples = IMAGE_COPY_EXAMPLES,
      .options = image_copy_options,
      .min_words = 2,
      .max_words = 2,
      .handler = command_image_copy },
    { .name = "image referrers",
      .usage = IMAGE_REFERRERS_USAGE,
      .help = IMAGE_REFERRERS_HELP,
      .description = IMAGE_REFERRERS_DESCRIPTION,
      .examples = IMAGE_REFERRERS_EXAMPLES,
      .options = image_referrers_options,
      .min_words = 1,
      .max_words = 1,
      .handler = command_image_referrers },
    { .name = "image make",
      .usage = IMAGE_MAKE_USAGE,
      .help = IMAGE_MAKE_HELP,
      .description = IMAGE_MAKE_DESCRIPTION,
      .examples = IMAGE_MAKE_EXAMPLES,
      .options = image_make_options,
      .min_words = 1,
      .max_words = 1,
      .handler = command_image_make,
      .words_completion = "busybox|debian" },
    { .name = "system check",
      .usage = SYSTEM_CHECK_USAGE,
      .help = SYSTEM_CHECK_HELP,
      .description = SYSTEM_CHECK_DESCRIPTION,
      .examples = SYSTEM_CHECK_EXAMPLES,
      .options = system_check_options,
      .handler = command_system_check },
    { .name = "vm kernel",
      .usage = VM_KERNEL_USAGE,
      .help = VM_KERNEL_HELP,
      .description = VM_KERNEL_DESCRIPTION,
      .examples = VM_KERNEL_EXAMPLES,
      .options = vm_kernel_options,
      .min_words = 1,
      .max_words = SIZE_MAX,
      .handler = command_vm_kernel,
      .words_completion = "import|ls|rm" },
    { 0 },
};

int image_program_engine(struct image_program *program, struct engine **ret_engine,
                         struct error *err)
{
    int r = 0;

    if (program->engine == NULL) {
        r = engine_open(program->data_path, program->run_path, &program->engine, err);
        if (r == 0 && program->isolation != NULL)
            engine_set_isolation(program->engine, program->isolation);
    }
    if (r < 0)
        return r;
    if (engine_images(program->engine) == NULL)
        return error_set(err, EIO, "open the image store");
    /* What an earlier one left that was killed; whatever cannot be removed is tried again next
     * time. */
    (void)staging_clean(engine_data_fd(program->engine), NULL);
    *ret_engine = program->engine;
    return 0;
}

int image_program_container(struct image_program *program, const char *text, char **ret_id,
                            struct error *err)
{
    struct berth berth = { .data_path = program->data_path,
                           .run_path = program->run_path,
                           .isolation = program->isolation,
                           .engine = program->engine };
    int r = berth_find(&berth, text, ret_id, err);

    program->engine = berth.engine;
    return r;
}

int image_program_epoch(int64_t otherwise, int64_t *ret_epoch, struct error *err)
{
    const char *text = getenv("SOURCE_DATE_EPOCH");

    if (!text_is_empty(text))
        return text_parse_i64(text, "SOURCE_DATE_EPOCH", 0, 077777777777, ret_epoch, err);
    *ret_epoch = otherwise;
    return 0;
}

int image_program_failed(const char *command, const struct error *err)
{
    log_error("%s: %s", command, err->message);
    return STATUS_FAILED;
}

int image_program_printed(void)
{
    struct error err = { 0 };

    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return 0;
    (void)error_errno(&err, "write to standard output");
    log_error("%s", err.message);
    return STATUS_FAILED;
}

/* What a command reads: a file, a directory, or standard input. */
struct input {
    int fd; /* STDIN_FILENO is not closed */
    bool is_directory;
    uint64_t size; /* of a regular file; else 0 */
    struct progress *progress;
};

static void input_clear(struct input *input)
{
    if (input->fd > STDERR_FILENO)
        (void)close(input->fd); /* only read */
    progress_free(input->progress);
}

static int open_input(const char *path, struct input *input, struct error *err)
{
    struct stat status;

    input->fd = STDIN_FILENO;
    if (path == NULL || strcmp(path, "-") == 0) {
        if (isatty(STDIN_FILENO))
            return error_set(err, EINVAL,
                             "standard input is a terminal; name a file, or send the "
                             "archive through a pipe");
    } else {
        input->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (input->fd < 0)
            return error_errno(err, "open '%s'", path);
    }
    if (fstat(input->fd, &status) < 0)
        return error_errno(err, "look at '%s'", path != NULL ? path : "standard input");
    input->is_directory = S_ISDIR(status.st_mode);
    if (S_ISREG(status.st_mode) && status.st_size > 0)
        input->size = (uint64_t)status.st_size;
    return 0;
}

/* The engine does not know how long the archive is that it reads first; a regular file's size is
 * known here. */
static void show_progress(const char *step, uint64_t done, uint64_t total, void *context)
{
    struct input *input = context;

    if (total == 0 && text_starts(step, "Reading"))
        total = input->size;
    progress_update(step, done, total, input->progress);
}

static int load(struct image_program *program, const struct arguments *arguments,
                struct strings *lines, struct strings *warnings, struct error *err)
{
    AUTO_CLEAR(input) struct input input = { .fd = -1 };
    const char *path = arguments_text(arguments, "input");
    struct engine *engine;
    int r;

    r = open_input(path, &input, err);
    if (r == 0)
        r = image_program_engine(program, &engine, err);
    if (r < 0)
        return r;
    input.progress = progress_open(arguments_flag(arguments, "quiet") || program->is_debug);
    r = engine_load(engine, input.fd, input.is_directory,
                    arguments_flag(arguments, "all-platforms"), show_progress, &input, lines,
                    warnings, err);
    if (r < 0)
        return error_prefix(err, r, "%s", path != NULL ? path : "standard input");
    return 0;
}

int command_image_load(const struct arguments *arguments, void *context)
{
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    struct error err = { 0 };
    int r = load(context, arguments, &lines, &warnings, &err);

    berth_warn(&warnings);
    if (r < 0)
        return image_program_failed("load", &err);
    for (size_t i = 0; i < lines.count; i++)
        (void)printf("%s\n", lines.items[i]);
    return image_program_printed();
}

static int import(struct image_program *program, const struct arguments *arguments, char **ret_id,
                  struct error *err)
{
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    AUTO_CLEAR(input) struct input input = { .fd = -1 };
    const char *path = arguments->words[0];
    struct engine *engine;
    int r;

    if (text_starts(path, "http://") || text_starts(path, "https://"))
        return error_set(err, ENOTSUP, "'%s' is not fetched; download it, then import the file",
                         path);
    r = open_input(path, &input, err);
    if (r < 0)
        return r;
    if (input.is_directory)
        return error_set(err, EISDIR,
                         "'%s' is a directory; `tar -C %s -c . | berth import -` "
                         "imports what is in it",
                         path, path);
    r = image_program_engine(program, &engine, err);
    if (r < 0)
        return r;
    input.progress = progress_open(program->is_debug);
    r = engine_import(engine, input.fd, arguments->words[1], arguments_list(arguments, "change"),
                      arguments_text(arguments, "message"), show_progress, &input, &warnings,
                      ret_id, err);
    berth_warn(&warnings);
    return r;
}

int command_image_import(const struct arguments *arguments, void *context)
{
    auto_free char *id = NULL;
    struct error err = { 0 };

    if (import(context, arguments, &id, &err) < 0) {
        log_error("%s", err.message); /* says "import" by itself */
        return STATUS_FAILED;
    }
    (void)printf("%s\n", id);
    return image_program_printed();
}

static int prepare(const struct arguments *arguments, void *context, struct error *err)
{
    struct image_program *program = context;

    (void)err; /* nothing here fails */
    program->data_path = arguments_global(arguments, "data")->text;
    program->run_path = arguments_global(arguments, "run")->text;
    program->is_debug = arguments_global(arguments, "debug")->flag;
    log_configure("berth", -1, LOG_PLAIN, program->is_debug);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct program program = {
        .name = "berth-image",
        .summary = "Load, import and make images, for `berth`",
        .commands = commands,
        .global_options = global_options,
        .usage_status = STATUS_FAILED,
        .prepare = prepare,
    };
#ifdef BERTH_MICROVM
    struct isolation isolation = microvm_isolation(NULL);
#endif
    struct image_program context = { 0 };
    struct error err = { 0 };
    int status;

#ifdef BERTH_MICROVM
    context.isolation = &isolation;
#endif
    log_configure("berth", -1, LOG_PLAIN, false);
    if (fd_open_standard(&err) < 0) {
        log_error("%s", err.message);
        return STATUS_FAILED;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a child or a reader that dies shows as EPIPE; cannot fail */
    status = program_run(&program, argc, argv, &context);
    engine_free(context.engine);
    return status;
}
