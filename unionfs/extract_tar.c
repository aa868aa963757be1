#include <assert.h>
#include <stdlib.h>

#include "base/tar_reader.h"
#include "unionfs/extract_input.h"

/* Entries of a tar of ours, as pack.c makes them. */

struct tar_input {
    struct tar_reader *reader;
    uint64_t offset; /* in the content */
};

static void tar_input_free(void *context)
{
    struct tar_input *input = context;

    tar_reader_free(input->reader);
    free(input);
}

static int next(void *context, struct extract_entry *ret_entry, struct error *err)
{
    struct tar_input *input = context;
    struct extract_entry entry = { .has_time = true };
    int r = tar_reader_next(input->reader, &entry.tar, err);

    input->offset = 0;
    if (r > 0)
        *ret_entry = entry;
    return r;
}

static int read_content(void *context, const void **ret_bytes, size_t *ret_length,
                        uint64_t *ret_offset, struct error *err)
{
    struct tar_input *input = context;
    int r = tar_reader_read(input->reader, ret_bytes, ret_length, err);

    *ret_offset = input->offset;
    if (r > 0)
        input->offset += *ret_length;
    return r;
}

void extract_input_open_tar(int fd, struct extract_input *ret_input)
{
    struct tar_input *context = xcalloc(1, sizeof(*context));

    assert(ret_input != NULL);

    context->reader = tar_reader_open(fd);
    *ret_input = (struct extract_input){
        .next = next, .read = read_content, .free = tar_input_free, .context = context
    };
}
