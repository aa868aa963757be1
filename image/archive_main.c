/* berth-archive FORM [MODULE...] <ARCHIVE >STREAM
 *
 * Parses an image archive or a kernel's package, which anyone may have written, and tells of its
 * files in the form of archive_stream.h. Started by image/archive_child.c; a program of its own so
 * that libarchive has no right but to read that archive and to write into that pipe. */

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/text.h"
#include "image/archive_child.h"
#include "image/archive_decode.h"
#include "image/kernel_decode.h"

typedef int decode_function(struct archive_input *input, struct archive_sender *sender,
                            struct error *err);

static const struct {
    const char *word;
    decode_function *decode;
} forms[] = {
    { ARCHIVE_IMAGE, archive_decode },
    { ARCHIVE_KERNEL_PACKAGE, kernel_decode_package },
    { ARCHIVE_KERNEL_STREAMS, kernel_decode_streams },
};

/* NULL: none of ours. */
static decode_function *find_form(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        if (text_equal(forms[i].word, word))
            return forms[i].decode;
    }
    return NULL;
}

static int check_use(decode_function *decode, struct error *err)
{
    struct stat status;

    if (decode == NULL || fstat(STDOUT_FILENO, &status) < 0 || !S_ISFIFO(status.st_mode))
        return error_set(err, EINVAL, "it is started by berth, not by hand");
    return 0;
}

/* Whatever looks at a descriptor otherwise than by reading comes before the sandbox; no byte is
 * read there. */
static int run(decode_function *decode, char *const *wanted, struct archive_input *input,
               struct archive_sender *sender, struct error *err)
{
    int r;

    r = archive_input_open(STDIN_FILENO, input, err);
    input->wanted = wanted;
    if (r == 0)
        r = sandbox_enter_pipe(err);
    return r == 0 ? decode(input, sender, err) : r;
}

int main(int argc, char **argv)
{
    decode_function *decode = argc >= 2 ? find_form(argv[1]) : NULL;
    struct archive_sender sender = { .fd = STDOUT_FILENO };
    struct archive_input input = { 0 };
    struct error err = { 0 };
    int r;

    log_configure("berth-archive", -1, LOG_PLAIN, false);
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* for names in PAX headers, which are UTF-8 */
    r = fd_open_standard(&err);
    if (r == 0)
        r = check_use(decode, &err);
    /* What berth's own caller had open and gave on is not for the eyes of a parser. */
    if (r == 0)
        r = fd_close_all_but(NULL, 0, STDERR_FILENO + 1, &err);
    if (r < 0) {
        log_error("%s", err.message);
        return EXIT_FAILURE;
    }
    r = run(decode, argv + 2, &input, &sender, &err);
    if (r < 0)
        archive_send_failure(&sender, &err);
    archive_input_clear(&input);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
