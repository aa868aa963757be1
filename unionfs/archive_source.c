#include "unionfs/archive_source.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/auto.h"

#define BLOCK_BYTES (256u << 10)

static la_ssize_t read_block(struct archive *archive, void *context, const void **ret_bytes)
{
    struct archive_source *source = context;
    ssize_t length;

    do
        length = read(source->fd, source->buffer, BLOCK_BYTES);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        archive_set_error(archive, errno, "Read error");
    *ret_bytes = source->buffer;
    return length;
}

int archive_source_open(struct archive_source *source, struct archive *archive, int fd)
{
    *source = (struct archive_source){ .fd = fd, .buffer = xcalloc(1, BLOCK_BYTES) };
    return archive_read_open(archive, source, NULL, read_block, NULL);
}

void archive_source_clear(struct archive_source *source)
{
    free(take_ptr(&source->buffer));
}
