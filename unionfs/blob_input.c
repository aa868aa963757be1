#include "unionfs/blob_input.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

struct blob_input blob_input_whole(int fd)
{
    return (struct blob_input){ .fd = fd, .growth_fd = -1 };
}

/* An eventfd adds up what was written to it since the last look (eventfd(2)). */
static int wait_for_growth(struct blob_input *input, struct error *err)
{
    uint64_t more = 0;
    ssize_t n;

    do
        n = read(input->growth_fd, &more, sizeof(more));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_errno(err, "wait for more of the layer");
    if (n != sizeof(more) || more > input->size - input->known)
        return error_set(err, EBADMSG, "the layer grew beyond its %llu bytes",
                         (unsigned long long)input->size);
    input->known += more;
    return 0;
}

ssize_t blob_input_read(struct blob_input *input, void *buffer, size_t length, struct error *err)
{
    bool is_growing = input->growth_fd >= 0;
    ssize_t n;

    assert(length > 0);

    if (is_growing && input->done == input->size)
        return 0;
    while (is_growing && input->done == input->known) {
        int r = wait_for_growth(input, err);

        if (r < 0)
            return r;
    }
    if (is_growing && length > input->known - input->done)
        length = (size_t)(input->known - input->done);
    do
        n = read(input->fd, buffer, length);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_errno(err, "read the compressed layer");
    if (is_growing && n == 0)
        return error_set(err, EBADMSG, "the layer's file ends after %llu bytes",
                         (unsigned long long)input->done);
    input->done += (uint64_t)n;
    return n;
}
