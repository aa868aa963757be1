/* Any bytes as an image archive, read into a store in a temporary directory; what berth-archive
 * does is done here, in the same process. What was taken can be opened and published; nothing
 * appears outside of the store's folders. */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/path.h"
#include "image/image.h"
#include "tests/fuzz/archive_child_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int decode_archive(const char *form, struct archive_input *input,
                          struct archive_sender *sender, struct error *err)
{
    assert(strcmp(form, ARCHIVE_IMAGE) == 0);
    return archive_decode(input, sender, err);
}

static void read_archive(int data_fd, int fd)
{
    AUTO(image_store) struct image_store *store = NULL;
    AUTO_CLEAR(image_archive) struct image_archive archive = { 0 };
    struct error err = { 0 };

    assert(image_store_open(data_fd, &store, NULL) == 0);
    if (image_archive_read(store, fd, false, true, &archive, &err) < 0) {
        assert(err.message[0] != '\0');
        return;
    }
    assert(archive.count > 0);
    for (size_t i = 0; i < archive.count; i++)
        assert(image_publish(store, &archive.items[i].manifest_digest, 1, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/berth-fuzz-XXXXXX";
    auto_close int tmp_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_close int data_fd = -1;
    auto_close int fd = memfd_create("archive", MFD_CLOEXEC);

    assert(fd >= 0);
    assert(fd_write_all(fd, data, size, "input", NULL) == 0);
    assert(lseek(fd, 0, SEEK_SET) == 0);
    assert(mkdtemp(path) != NULL);
    data_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert(data_fd >= 0);
    read_archive(data_fd, fd);
    assert(path_remove_tree(tmp_fd, path + strlen("/tmp/"), NULL) == 0);
    return 0;
}
