#include <assert.h>
#include <stdlib.h>

#include "base/tar_reader.h"
#include "unionfs/extract_input.h"

/* Entries of a tar of ours, as pack.c makes them. */

static void tar_input_free(void *context)
{
    tar_reader_free(context);
}

static int next(void *context, struct extract_entry *ret_entry, struct error *err)
{
    struct extract_entry entry = { .has_time = true };
    int r = tar_reader_next(context, &entry.tar, err);

    if (r > 0)
        *ret_entry = entry;
    return r;
}

static int read_content(void *context, const void **ret_bytes, size_t *ret_length,
                        uint64_t *ret_offset, struct error *err)
{
    return tar_reader_read(context, ret_bytes, ret_length, ret_offset, err);
}

void extract_input_open_tar(int fd, struct extract_input *ret_input)
{
    assert(ret_input != NULL);

    *ret_input = (struct extract_input){
        .next = next, .read = read_content, .free = tar_input_free, .context = tar_reader_open(fd)
    };
}
