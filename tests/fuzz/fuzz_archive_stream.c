/* Any bytes as what berth-archive says of an archive, as if somebody had taken it over: no event
 * breaks the promises of archive_stream.h, and what is made of them stays in the store. */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/path.h"
#include "image/archive_name.h"
#include "image/archive_stream.h"
#include "image/image.h"
#include "tests/fuzz/archive_child_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_member(const char *name)
{
    auto_free char *clean = archive_name_clean("", 0, name);

    assert(strcmp(name, clean) == 0 && archive_name_matters(name));
    assert(strlen(name) <= ARCHIVE_NAME_MAX);
}

static void check_events(int fd)
{
    AUTO(archive_stream)
    struct archive_stream *stream = archive_stream_open(fd, archive_name_matters);
    struct archive_event event = { 0 };
    uint64_t missing = 0, taken = 0;

    while (event.frame != ARCHIVE_FRAME_END && archive_stream_next(stream, &event, NULL) == 0) {
        assert(event.taken >= taken);
        assert(event.frame != ARCHIVE_FRAME_FAILED);
        taken = event.taken;
        if (event.frame == ARCHIVE_FRAME_DATA) {
            assert(event.length > 0 && event.length <= missing);
            missing -= event.length;
            continue;
        }
        assert(missing == 0 || event.frame == ARCHIVE_FRAME_PROGRESS);
        assert(event.length == 0);
        if (event.frame == ARCHIVE_FRAME_FILE)
            missing = event.size;
        if (event.frame == ARCHIVE_FRAME_FILE || event.frame == ARCHIVE_FRAME_LINK)
            check_member(event.name);
    }
}

static void read_archive(int data_fd, int fd)
{
    AUTO(image_store) struct image_store *store = NULL;
    AUTO_CLEAR(image_archive) struct image_archive archive = { 0 };
    struct error err = { 0 };

    assert(image_store_open(data_fd, &store, NULL) == 0);
    if (image_archive_read(store, fd, false, true, &archive, &err) < 0)
        assert(err.message[0] != '\0');
    else
        assert(archive.count > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/berth-fuzz-XXXXXX";
    auto_close int tmp_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_close int data_fd = -1;
    auto_close int fd = memfd_create("stream", MFD_CLOEXEC);

    assert(fd >= 0);
    assert(fd_write_all(fd, data, size, "input", NULL) == 0);
    assert(lseek(fd, 0, SEEK_SET) == 0);
    check_events(fd);
    assert(lseek(fd, 0, SEEK_SET) == 0);
    assert(mkdtemp(path) != NULL);
    data_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert(data_fd >= 0);
    read_archive(data_fd, fd);
    assert(path_remove_tree(tmp_fd, path + strlen("/tmp/"), NULL) == 0);
    return 0;
}
