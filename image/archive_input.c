#include "image/archive_input.h"

#include <archive.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

/* libarchive's own reading of descriptors would look at them first, which the sandbox does not
 * permit. */

#define BLOCK_BYTES (256u << 10)

int archive_input_open(int fd, struct archive_input *ret_input, struct error *err)
{
    static char *const all[] = { NULL };
    struct archive_input input = { .fd = fd, .wanted = all };
    struct stat status;
    off_t at;

    assert(ret_input != NULL);

    if (fstat(fd, &status) < 0)
        return error_errno(err, "read the archive");
    at = S_ISREG(status.st_mode) ? lseek(fd, 0, SEEK_CUR) : -1;
    if (at >= 0 && at < status.st_size)
        input.left = (uint64_t)(status.st_size - at);
    input.buffer = xcalloc(1, BLOCK_BYTES);
    *ret_input = input;
    return 0;
}

void archive_input_clear(struct archive_input *input)
{
    free(take_ptr(&input->buffer));
}

static void count_input(struct archive_input *input, uint64_t length)
{
    input->sender->taken += length;
    input->left -= length < input->left ? length : input->left;
}

static la_ssize_t read_input(struct archive *archive, void *context, const void **ret_bytes)
{
    struct archive_input *input = context;
    ssize_t length;

    do
        length = read(input->fd, input->buffer, BLOCK_BYTES);
    while (length < 0 && errno == EINTR);
    if (length < 0) {
        archive_set_error(archive, errno, "%s", strerror(errno));
        return ARCHIVE_FATAL;
    }
    count_input(input, (uint64_t)length);
    *ret_bytes = input->buffer;
    return length;
}

/* Returns how much was skipped; libarchive reads the rest. */
static la_int64_t skip_input(struct archive *archive, void *context, la_int64_t length)
{
    struct archive_input *input = context;

    (void)archive;
    if (length <= 0 || (uint64_t)length > input->left ||
        lseek(input->fd, (off_t)length, SEEK_CUR) < 0)
        return 0;
    count_input(input, (uint64_t)length);
    return length;
}

int archive_input_connect(struct archive_input *input, struct archive_sender *sender,
                          struct archive *archive)
{
    int r;

    assert(input != NULL);
    assert(sender != NULL);

    input->sender = sender;
    r = archive_read_set_callback_data(archive, input);
    if (r == ARCHIVE_OK)
        r = archive_read_set_read_callback(archive, read_input);
    if (r == ARCHIVE_OK)
        r = archive_read_set_skip_callback(archive, skip_input);
    return r == ARCHIVE_OK ? archive_read_open1(archive) : r;
}
