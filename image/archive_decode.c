#include "image/archive_decode.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/text.h"
#include "image/archive_name.h"

/* libarchive only parses here: tar, behind gzip or zstd, and nothing else of what it knows. */

#define ENTRIES_MAX 100000u

static int archive_failed(struct archive *archive, struct error *err)
{
    const char *text = archive_error_string(archive);

    return error_set(err, EINVAL, "read the archive: %s", text != NULL ? text : "unknown error");
}

static int send_content(struct archive *archive, struct archive_sender *sender, uint64_t size,
                        struct error *err)
{
    uint64_t done = 0;

    for (;;) {
        const void *block;
        size_t length;
        la_int64_t offset;
        int r = archive_read_data_block(archive, &block, &length, &offset);

        if (r == ARCHIVE_EOF)
            break;
        if (r == ARCHIVE_RETRY)
            continue;
        if (r != ARCHIVE_OK)
            return archive_failed(archive, err);
        if (offset < 0 || (uint64_t)offset != done)
            return error_set(err, EINVAL, "is a sparse file");
        if (length > size - done)
            return error_set(err, EINVAL, "is longer than its header says");
        done += length;
        r = archive_send_data(sender, block, length, err);
        if (r < 0)
            return r;
    }
    if (done != size)
        return error_set(err, EINVAL, "ends early");
    return 0;
}

int archive_decode_file(struct archive *archive, struct archive_entry *entry, const char *name,
                        struct archive_sender *sender, struct error *err)
{
    la_int64_t size = archive_entry_size(entry);
    int r;

    if (size < 0 || !archive_entry_size_is_set(entry))
        return error_set(err, EINVAL, "'%s' in the archive has no valid size", name);
    r = archive_send_file(sender, name, (uint64_t)size, err);
    if (r == 0)
        r = send_content(archive, sender, (uint64_t)size, err);
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

static int send_entry(struct archive *archive, struct archive_entry *entry,
                      struct archive_sender *sender, struct error *err)
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
    return target != NULL ? archive_send_link(sender, name, target, err)
                          : archive_decode_file(archive, entry, name, sender, err);
}

static int send_entries(struct archive *archive, struct archive_sender *sender, struct error *err)
{
    struct archive_entry *entry;

    for (size_t count = 0;; count++) {
        int r = archive_read_next_header(archive, &entry);

        if (r == ARCHIVE_EOF)
            return archive_send_end(sender, err);
        if (r == ARCHIVE_RETRY)
            continue;
        /* A warning is about the name's character set; the entry is good. */
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
            return archive_failed(archive, err);
        if (count == ENTRIES_MAX)
            return error_set(err, EFBIG, "the archive has more than %u entries", ENTRIES_MAX);
        r = send_entry(archive, entry, sender, err);
        if (r == 0)
            r = archive_send_progress(sender, err);
        if (r < 0)
            return r;
    }
}

static int decode(struct archive *archive, struct archive_input *input,
                  struct archive_sender *sender, struct error *err)
{
    if (archive_read_support_filter_gzip(archive) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(archive) != ARCHIVE_OK ||
        archive_read_support_format_tar(archive) != ARCHIVE_OK ||
        archive_input_connect(input, sender, archive) != ARCHIVE_OK)
        return archive_failed(archive, err);
    return send_entries(archive, sender, err);
}

int archive_decode(struct archive_input *input, struct archive_sender *sender, struct error *err)
{
    struct archive *archive = archive_read_new();
    int r;

    assert(input != NULL);
    assert(sender != NULL);

    if (archive == NULL)
        return error_set(err, ENOMEM, "read the archive: no memory");
    r = decode(archive, input, sender, err);
    (void)archive_read_free(archive); /* was only read */
    return r;
}
