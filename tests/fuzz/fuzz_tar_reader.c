/* Any bytes as a tar that comes from a guest: no entry breaks the promises of tar_reader.h, and
 * what was read once is, written again, read as the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/tar_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int memory_file(const void *bytes, size_t size)
{
    int fd = memfd_create("tar", MFD_CLOEXEC);

    assert(fd >= 0);
    assert(write(fd, bytes, size) == (ssize_t)size);
    assert(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static void check_again(const struct tar_entry *entry)
{
    AUTO_CLEAR(text) struct text header = { 0 };
    AUTO(tar_reader) struct tar_reader *reader = NULL;
    auto_close int fd = -1;
    struct tar_entry again;

    tar_entry_format(entry, &header);
    fd = memory_file(header.data, header.length);
    reader = tar_reader_open(fd);
    assert(tar_reader_next(reader, &again, NULL) == 1);
    assert(strcmp(again.name, entry->name) == 0 && text_equal(again.link, entry->link));
    assert(again.type == entry->type && again.mode == entry->mode && again.size == entry->size);
    assert(again.uid == entry->uid && again.gid == entry->gid && again.time == entry->time);
    assert(again.time_ns == entry->time_ns && again.part_count == entry->part_count);
    assert(entry->part_count == 0 ||
           memcmp(again.parts, entry->parts, entry->part_count * sizeof(*entry->parts)) == 0);
    assert(again.attribute_count == entry->attribute_count);
}

static void check_entry(const struct tar_entry *entry)
{
    bool is_link = entry->type == TAR_LINK || entry->type == TAR_SYMLINK;

    assert(entry->type >= TAR_FILE && entry->type <= TAR_FIFO);
    assert(entry->name[0] != '\0' && (entry->mode & ~07777u) == 0);
    assert(is_link == (entry->link != NULL));
    assert(entry->type == TAR_FILE || entry->size == 0);
    assert(entry->attribute_count <= TAR_ATTRIBUTES_MAX);
    assert(entry->time_ns < 1000000000 && entry->part_count <= TAR_PARTS_MAX);
    check_again(entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_close int fd = memory_file(data, size);
    AUTO(tar_reader) struct tar_reader *reader = tar_reader_open(fd);
    struct tar_entry entry;

    while (tar_reader_next(reader, &entry, NULL) == 1) {
        uint64_t length = 0, end = 0, offset;
        const void *bytes;
        size_t part;
        int r;

        check_entry(&entry);
        while ((r = tar_reader_read(reader, &bytes, &part, &offset, NULL)) == 1) {
            assert(part > 0 && offset >= end && offset + part <= entry.size);
            end = offset + part;
            length += part;
        }
        assert(r < 0 || length == tar_content_size(&entry));
    }
    return 0;
}
