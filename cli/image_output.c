#include "cli/image_output.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

int image_output_open(const char *path, struct image_output *ret_output, struct error *err)
{
    auto_free char *random = text_random_hex(8);
    auto_free char *temporary = NULL;
    struct stat status;
    int fd;

    assert(ret_output != NULL);

    if (path == NULL || strcmp(path, "-") == 0) {
        if (isatty(STDOUT_FILENO))
            return error_set(err, EINVAL,
                             "standard output is a terminal; name a file with --output, or send "
                             "the archive into a pipe");
        ret_output->fd = STDOUT_FILENO;
        return 0;
    }
    /* A pipe or a device is written to, not replaced. */
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
            return error_errno(err, "open '%s'", path);
        ret_output->fd = fd;
        return 0;
    }
    temporary = xasprintf("%s.%s", path, random);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, "create '%s'", temporary);
    ret_output->fd = fd;
    ret_output->path = xstrdup(path);
    ret_output->temporary = take_ptr(&temporary);
    return 0;
}

int image_output_finish(struct image_output *output, struct error *err)
{
    int fd = take_fd(&output->fd);

    /* The last chance to learn that the file could not be written. */
    if (fd != STDOUT_FILENO && close(fd) < 0)
        return error_errno(err, "write '%s'", output->path == NULL ? "the archive" : output->path);
    if (output->path == NULL)
        return 0;
    if (rename(output->temporary, output->path) < 0)
        return error_errno(err, "rename the archive to '%s'", output->path);
    free(take_ptr(&output->temporary));
    return 0;
}

void image_output_clear(struct image_output *output)
{
    if (output->fd > STDERR_FILENO)
        (void)close(output->fd); /* not finished, so it does not count */
    if (output->temporary != NULL)
        (void)unlink(output->temporary); /* best effort: it is ours and nobody reads it */
    free(output->temporary);
    free(output->path);
}
