/* Any bytes as a tar that anyone may have written, as `berth-unpack tar` reads it: what it makes of
 * a tar that it takes is one of ours, and made again is the same. */
#include <assert.h>
#include <locale.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/tar_reader.h"
#include "unionfs/unionfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int memory_file(const void *bytes, size_t size)
{
    int fd = memfd_create("tar", MFD_CLOEXEC);

    assert(fd >= 0);
    assert(write(fd, bytes, size) == (ssize_t)size);
    assert(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static int take(const void *bytes, size_t length, void *context, struct error *err)
{
    (void)err;
    text_add_bytes(context, bytes, length);
    return 0;
}

static int pack(const struct extract_input *input, struct text *ret_tar)
{
    const struct pack_options options = { .sink = take, .context = ret_tar };

    return pack_entries(input, &options, NULL);
}

static void check_again(const struct text *tar)
{
    AUTO_CLEAR(extract_input) struct extract_input input = { 0 };
    AUTO_CLEAR(text) struct text again = { 0 };
    auto_close int fd = memory_file(tar->data, tar->length);

    extract_input_open_tar(fd, &input);
    assert(pack(&input, &again) == 0);
    assert(again.length == tar->length && memcmp(again.data, tar->data, tar->length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_CLEAR(extract_input) struct extract_input input = { 0 };
    AUTO_CLEAR(text) struct text tar = { 0 };
    auto_close int fd = memory_file(data, size);

    (void)setlocale(LC_CTYPE, "C.UTF-8");
    if (extract_input_open_archive(fd, &input, NULL) == 0 && pack(&input, &tar) == 0)
        check_again(&tar);
    return 0;
}
