#include "image/archive_decode.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/text.h"
#include "image/archive_name.h"

/* libarchive only parses here: tar, behind gzip or zstd, and nothing else of what it knows. Its own
 * reading of descriptors would look at them first, which the sandbox does not permit. */

#define ENTRIES_MAX 100000u
#define BLOCK_BYTES (256u << 10)

struct decoding {
    struct archive *archive;
    struct archive_input *input;
    struct archive_sender *sender;
};

/* --- input ------------------------------------------------------------------------------------ */

int archive_input_open(int fd, struct archive_input *ret_input, struct error *err)
{
    struct archive_input input = { .fd = fd };
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

static void count_input(struct decoding *decoding, uint64_t length)
{
    decoding->sender->taken += length;
    decoding->input->left -= length < decoding->input->left ? length : decoding->input->left;
}

static la_ssize_t read_input(struct archive *archive, void *context, const void **ret_bytes)
{
    struct decoding *decoding = context;
    ssize_t length;

    do
        length = read(decoding->input->fd, decoding->input->buffer, BLOCK_BYTES);
    while (length < 0 && errno == EINTR);
    if (length < 0) {
        archive_set_error(archive, errno, "%s", strerror(errno));
        return ARCHIVE_FATAL;
    }
    count_input(decoding, (uint64_t)length);
    *ret_bytes = decoding->input->buffer;
    return length;
}

/* Returns how much was skipped; libarchive reads the rest. */
static la_int64_t skip_input(struct archive *archive, void *context, la_int64_t length)
{
    struct decoding *decoding = context;

    (void)archive;
    if (length <= 0 || (uint64_t)length > decoding->input->left ||
        lseek(decoding->input->fd, (off_t)length, SEEK_CUR) < 0)
        return 0;
    count_input(decoding, (uint64_t)length);
    return length;
}

/* --- entries ---------------------------------------------------------------------------------- */

static int archive_failed(struct archive *archive, struct error *err)
{
    const char *text = archive_error_string(archive);

    return error_set(err, EINVAL, "read the archive: %s", text != NULL ? text : "unknown error");
}

static int send_content(struct decoding *decoding, uint64_t size, struct error *err)
{
    uint64_t done = 0;

    for (;;) {
        const void *block;
        size_t length;
        la_int64_t offset;
        int r = archive_read_data_block(decoding->archive, &block, &length, &offset);

        if (r == ARCHIVE_EOF)
            break;
        if (r == ARCHIVE_RETRY)
            continue;
        if (r != ARCHIVE_OK)
            return archive_failed(decoding->archive, err);
        if (offset < 0 || (uint64_t)offset != done)
            return error_set(err, EINVAL, "is a sparse file");
        if (length > size - done)
            return error_set(err, EINVAL, "is longer than its header says");
        done += length;
        for (size_t sent = 0, part; sent < length; sent += part) {
            part = length - sent < ARCHIVE_FRAME_DATA_MAX ? length - sent : ARCHIVE_FRAME_DATA_MAX;
            r = archive_send_data(decoding->sender, (const char *)block + sent, part, err);
            if (r < 0)
                return r;
        }
    }
    if (done != size)
        return error_set(err, EINVAL, "ends early");
    return 0;
}

static int send_file(struct decoding *decoding, struct archive_entry *entry, const char *name,
                     struct error *err)
{
    la_int64_t size = archive_entry_size(entry);
    int r;

    if (size < 0 || !archive_entry_size_is_set(entry))
        return error_set(err, EINVAL, "'%s' in the archive has no valid size", name);
    r = archive_send_file(decoding->sender, name, (uint64_t)size, err);
    if (r == 0)
        r = send_content(decoding, (uint64_t)size, err);
    return r < 0 ? error_prefix(err, r, "'%s' in the archive", name) : 0;
}

/* The name of the file that has the content: a symbolic link's is seen from its directory. NULL: it
 * is no link. Caller frees. */
static char *target_of(struct archive_entry *entry, const char *name)
{
    const char *hard_link = archive_entry_hardlink(entry);
    const char *symbolic_link = archive_entry_symlink(entry);
    const char *slash = strrchr(name, '/');

    if (hard_link != NULL)
        return archive_name_clean("", 0, hard_link);
    if (symbolic_link != NULL)
        return archive_name_clean(name, slash != NULL ? (size_t)(slash - name) : 0, symbolic_link);
    return NULL;
}

static int send_entry(struct decoding *decoding, struct archive_entry *entry, struct error *err)
{
    const char *raw_name = archive_entry_pathname(entry);
    auto_free char *name = NULL;
    auto_free char *target = NULL;

    if (raw_name == NULL) /* in no character set that we know; no document's name is such */
        return 0;
    name = archive_name_clean("", 0, raw_name);
    if (!archive_name_matters(name))
        return 0;
    target = target_of(entry, name);
    if (target == NULL && archive_entry_filetype(entry) != AE_IFREG)
        return 0;
    if (strlen(name) > ARCHIVE_NAME_MAX || (target != NULL && strlen(target) > ARCHIVE_NAME_MAX))
        return error_set(err, EINVAL, "the archive has a name of more than %u bytes",
                         ARCHIVE_NAME_MAX);
    return target != NULL ? archive_send_link(decoding->sender, name, target, err)
                          : send_file(decoding, entry, name, err);
}

static int send_entries(struct decoding *decoding, struct error *err)
{
    struct archive_entry *entry;

    for (size_t count = 0;; count++) {
        int r = archive_read_next_header(decoding->archive, &entry);

        if (r == ARCHIVE_EOF)
            return archive_send_end(decoding->sender, err);
        if (r == ARCHIVE_RETRY)
            continue;
        /* A warning is about the name's character set; the entry is good. */
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
            return archive_failed(decoding->archive, err);
        if (count == ENTRIES_MAX)
            return error_set(err, EFBIG, "the archive has more than %u entries", ENTRIES_MAX);
        r = send_entry(decoding, entry, err);
        if (r == 0)
            r = archive_send_progress(decoding->sender, err);
        if (r < 0)
            return r;
    }
}

static int decode(struct decoding *decoding, struct error *err)
{
    struct archive *archive = decoding->archive;

    if (archive_read_support_filter_gzip(archive) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(archive) != ARCHIVE_OK ||
        archive_read_support_format_tar(archive) != ARCHIVE_OK ||
        archive_read_set_callback_data(archive, decoding) != ARCHIVE_OK ||
        archive_read_set_read_callback(archive, read_input) != ARCHIVE_OK ||
        archive_read_set_skip_callback(archive, skip_input) != ARCHIVE_OK ||
        archive_read_open1(archive) != ARCHIVE_OK)
        return archive_failed(archive, err);
    return send_entries(decoding, err);
}

int archive_decode(struct archive_input *input, struct archive_sender *sender, struct error *err)
{
    struct decoding decoding = { .archive = archive_read_new(), .input = input, .sender = sender };
    int r;

    assert(input != NULL);
    assert(sender != NULL);

    if (decoding.archive == NULL)
        return error_set(err, ENOMEM, "read the archive: no memory");
    r = decode(&decoding, err);
    (void)archive_read_free(decoding.archive); /* was only read */
    return r;
}
