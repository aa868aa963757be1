/* berth-unpack ROOT-DESCRIPTOR ALGORITHM bottom|above [GROWTH-DESCRIPTOR SIZE] <BLOB
 * berth-unpack decompress <BLOB >TAR
 * berth-unpack tar <TAR >TAR
 *
 * Unpacks one layer into the empty directory behind an inherited descriptor and prints what came
 * of it as one line of JSON; or decompresses what layers cannot be (xz, bzip2) for `berth import`;
 * or writes the tar that is given to `berth cp -` again, as base/tar_reader.h wants it. Started by
 * unionfs/layer.c and unpack_child.c; a program of its own so that bytes that anyone may have
 * written are read without any right but that of making files in that directory, or of writing into
 * a pipe. */

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "unionfs/archive_source.h"
#include "unionfs/unionfs.h"
#include "unionfs/unpack_report.h"
#include "unionfs/unpack_sandbox.h"

#define DESCRIPTOR_MAX 1000000

static int unpack(const struct blob_input *input, int root_fd, const char *algorithm,
                  bool is_bottom, struct unpack_report *report, struct error *err)
{
    struct unpack_result result = { 0 };
    int r;

    r = unpack_sandbox_enter(root_fd, err);
    if (r < 0)
        return r;
    r = unpack_layer(input, root_fd, algorithm, is_bottom, &result, err);
    if (r < 0)
        return r;
    unpack_report_take(report, &result);
    unpack_result_clear(&result);
    return 0;
}

static int report_print(const struct unpack_report *report, struct error *err)
{
    auto_free char *json = encode_text(&unpack_report_object, report, ENCODE_COMPACT);

    return fd_write_all(STDOUT_FILENO, json, strlen(json), "the report", err);
}

/* A descriptor that is inherited. */
static int take_descriptor(const char *text, int *ret_fd, struct error *err)
{
    uint64_t number;
    int r;

    r = text_parse_u64(text, "descriptor", DESCRIPTOR_MAX, &number, err);
    if (r == 0)
        r = fd_set_close_on_exec((int)number, true, err);
    if (r == 0)
        *ret_fd = (int)number;
    return r;
}

static int unpack_command(int count, char **arguments, struct error *err)
{
    struct blob_input input = blob_input_whole(STDIN_FILENO);
    struct unpack_report report = { 0 };
    struct digest warm_up;
    int root_fd;
    int r;

    if (count != 4 && count != 6)
        return error_set(err, EINVAL, "it is started by berth, not by hand");
    r = take_descriptor(arguments[1], &root_fd, err);
    if (r == 0 && count == 6)
        r = take_descriptor(arguments[4], &input.growth_fd, err);
    if (r == 0 && count == 6)
        r = text_parse_u64(arguments[5], "size", INT64_MAX, &input.size, err);
    if (r < 0)
        return r;
    if (strcmp(arguments[2], "sha256") != 0 && strcmp(arguments[2], "sha512") != 0)
        return error_set(err, EINVAL, "unknown digest algorithm '%s'", arguments[2]);

    /* libcrypto reads its configuration on first use: before the sandbox. */
    hash_bytes(arguments[2], "", 0, &warm_up);
    r = unpack(&input, root_fd, arguments[2], strcmp(arguments[3], "bottom") == 0, &report, err);
    if (r < 0) {
        report.error = xstrdup(err->message);
        report.code = (uint32_t)-r;
    }
    r = report_print(&report, err);
    object_clear(&unpack_report_object, &report);
    return r;
}

/* --- from pipe to pipe ------------------------------------------------------------------------ */

/* What berth's own caller had open and gave on is not for the eyes of a parser. */
static int enter_pipe(struct error *err)
{
    int r = fd_close_all_but(NULL, 0, STDERR_FILENO + 1, err);

    return r < 0 ? r : sandbox_enter_pipe(err);
}

static int archive_failure(struct archive *archive, struct error *err)
{
    const char *message = archive_error_string(archive);

    return error_set(err, EBADMSG, "%s", message == NULL ? "it is damaged" : message);
}

static int decompress_from(struct archive_source *source, struct archive *archive,
                           struct error *err)
{
    struct archive_entry *entry;
    const void *bytes;
    size_t length;
    la_int64_t offset;
    uint64_t total = 0;
    int r;

    if (archive_read_support_filter_xz(archive) < ARCHIVE_WARN ||
        archive_read_support_filter_bzip2(archive) < ARCHIVE_WARN ||
        archive_read_support_format_raw(archive) != ARCHIVE_OK ||
        archive_source_open(source, archive, STDIN_FILENO) != ARCHIVE_OK ||
        archive_read_next_header(archive, &entry) != ARCHIVE_OK)
        return archive_failure(archive, err);
    while ((r = archive_read_data_block(archive, &bytes, &length, &offset)) == ARCHIVE_OK) {
        total += length;
        if (total > UNPACK_BYTES_MAX)
            return error_set(err, EFBIG, "larger than %llu bytes when unpacked",
                             (unsigned long long)UNPACK_BYTES_MAX);
        r = fd_write_all(STDOUT_FILENO, bytes, length, "the tar", err);
        if (r < 0)
            return r;
    }
    return r == ARCHIVE_EOF ? 0 : archive_failure(archive, err);
}

static int decompress_command(struct error *err)
{
    struct archive_source source = { 0 };
    struct archive *archive;
    int r;

    r = enter_pipe(err);
    if (r < 0)
        return r;
    archive = archive_read_new();
    if (archive == NULL)
        return error_set(err, ENOMEM, "no memory for libarchive");
    r = decompress_from(&source, archive, err);
    (void)archive_read_free(archive);
    archive_source_clear(&source);
    return r;
}

static int write_tar(const void *bytes, size_t length, void *context, struct error *err)
{
    (void)context;
    return fd_write_all(STDOUT_FILENO, bytes, length, "the tar", err);
}

/* Nobody reads them before the end: more than a pipe surely takes are too many. */
static void tell_warnings(const struct strings *warnings)
{
    auto_free char *text = strings_join(warnings, "\n");
    size_t length = strlen(text);

    (void)!write(STDERR_FILENO, text, length < PIPE_BUF ? length : PIPE_BUF);
}

static int tar_command(struct error *err)
{
    AUTO_CLEAR(extract_input) struct extract_input input = { 0 };
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    const struct pack_options options = { .sink = write_tar, .warnings = &warnings };
    int r;

    r = enter_pipe(err);
    if (r == 0)
        r = extract_input_open_archive(STDIN_FILENO, &input, err);
    if (r == 0)
        r = pack_entries(&input, &options, err);
    if (r == 0)
        tell_warnings(&warnings);
    return r;
}

static const struct {
    const char *word;
    int (*function)(struct error *err);
} pipe_commands[] = { { "decompress", decompress_command }, { "tar", tar_command } };

static int run(int count, char **arguments, bool *ret_is_pipe, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(pipe_commands) && count == 2; i++) {
        *ret_is_pipe = strcmp(arguments[1], pipe_commands[i].word) == 0;
        if (*ret_is_pipe)
            return pipe_commands[i].function(err);
    }
    return unpack_command(count, arguments, err);
}

int main(int count, char **arguments)
{
    struct error err = { 0 };
    bool is_pipe = false;
    int r;

    r = fd_open_standard(&err);
    if (r == 0) {
        log_configure("berth-unpack", -1, LOG_PLAIN, false);
        (void)setlocale(LC_CTYPE, "C.UTF-8"); /* for names in PAX headers, which are UTF-8 */
        umask(0);
        /* Nobody waits for the result any more, and what it made is garbage. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)signal(SIGXFSZ, SIG_IGN); /* too large a file is an error with a name */
        r = run(count, arguments, &is_pipe, &err);
    }
    if (r < 0) {
        if (is_pipe) /* and so is this: whoever reads it puts it into a sentence */
            (void)!write(STDERR_FILENO, err.message, strlen(err.message));
        else
            log_error("%s", err.message);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
