#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "unionfs/archive_source.h"
#include "unionfs/extract_input.h"

/* Entries of a tar that anyone may have written: libarchive parses, nothing more. Only berth-unpack
 * does it, in its sandbox. */

#define ID_MAX 4294967294ll /* (uid_t)-1 means "do not change" to chown(2) */

struct archive_input {
    struct archive_source source;
    struct archive *archive;
    struct archive_entry *entry;
    struct tar_attribute *attributes;
    struct tar_part *parts;
};

static void archive_input_free(void *context)
{
    struct archive_input *input = context;

    if (input->archive != NULL)
        (void)archive_read_free(input->archive); /* nothing that was read depends on it */
    archive_source_clear(&input->source);
    free(input->attributes);
    free(input->parts);
    free(input);
}

static int failure(const struct archive_input *input, struct error *err)
{
    const char *message = archive_error_string(input->archive);

    return error_set(err, EBADMSG, "not a good tar archive: %s",
                     message == NULL ? "no reason given" : message);
}

/* As tar has it; '\0': nothing that a file system has. */
static char entry_type(struct archive_entry *entry)
{
    if (archive_entry_hardlink(entry) != NULL)
        return TAR_LINK;
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return TAR_FILE;
    case AE_IFLNK:
        return TAR_SYMLINK;
    case AE_IFCHR:
        return TAR_CHARACTER;
    case AE_IFBLK:
        return TAR_DEVICE;
    case AE_IFDIR:
        return TAR_DIRECTORY;
    case AE_IFIFO:
        return TAR_FIFO;
    default:
        return '\0';
    }
}

/* Where a tar of ours is to say it, nothing ends a name but the first '='. */
static int take_attributes(struct archive_input *input, struct tar_entry *tar, struct error *err)
{
    int count = archive_entry_xattr_reset(input->entry);
    struct tar_attribute *attribute;

    free(input->attributes);
    input->attributes = xcalloc((size_t)count + 1, sizeof(*input->attributes));
    tar->attributes = attribute = input->attributes;
    for (; count > 0; count--) {
        if (archive_entry_xattr_next(input->entry, &attribute->name, &attribute->value,
                                     &attribute->length) != ARCHIVE_OK)
            break;
        if (strchr(attribute->name, '=') != NULL)
            return error_set(err, EINVAL, "'%s': the name of its attribute '%s' has a '='",
                             tar->name, attribute->name);
        attribute++;
    }
    tar->attribute_count = (size_t)(attribute - input->attributes);
    return 0;
}

static int check_link(const struct tar_entry *tar, struct error *err)
{
    bool is_link = tar->type == TAR_LINK || tar->type == TAR_SYMLINK;

    if (is_link && (tar->link == NULL || *tar->link == '\0'))
        return error_set(err, EBADMSG, "'%s': a link of the archive has no target", tar->name);
    return 0;
}

/* A file without holes has no parts; one that is nothing but a hole has an empty one. */
static int take_parts(struct archive_input *input, struct tar_entry *tar, struct error *err)
{
    int count = archive_entry_sparse_reset(input->entry);
    la_int64_t offset, length;

    if (count < 0 || (unsigned)count > TAR_PARTS_MAX)
        return error_set(err, EFBIG, "'%s': it has more than %u parts between holes", tar->name,
                         TAR_PARTS_MAX);
    free(input->parts);
    input->parts = xcalloc((size_t)count + 1, sizeof(*input->parts));
    for (int i = 0; i < count; i++) {
        if (archive_entry_sparse_next(input->entry, &offset, &length) != ARCHIVE_OK)
            break;
        input->parts[i] = (struct tar_part){ (uint64_t)offset, (uint64_t)length };
        tar->part_count++;
    }
    tar->parts = input->parts;
    return 0;
}

static int describe(struct archive_input *input, struct extract_entry *ret_entry, struct error *err)
{
    struct archive_entry *entry = input->entry;
    const char *name = archive_entry_pathname(entry);
    int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
    int64_t size = archive_entry_size(entry);
    long time_ns = archive_entry_mtime_nsec(entry);
    struct tar_entry *tar = &ret_entry->tar;
    int r;

    if (name == NULL || *name == '\0')
        return error_set(err, EBADMSG, "an entry of the archive has no name");
    if (size < 0)
        return error_set(err, EBADMSG, "'%s': its size is out of range", name);
    if (uid < 0 || uid > ID_MAX || gid < 0 || gid > ID_MAX)
        return error_set(err, EINVAL, "'%s': its owner %lld:%lld is out of range", name,
                         (long long)uid, (long long)gid);
    *tar = (struct tar_entry){
        .name = name,
        .type = entry_type(entry),
        .mode = (uint32_t)archive_entry_mode(entry) & 07777,
        .uid = (uint32_t)uid,
        .gid = (uint32_t)gid,
        .time = archive_entry_mtime(entry),
        .time_ns = time_ns >= 0 && time_ns < 1000000000 ? (uint32_t)time_ns : 0,
        .device_major = (uint32_t)archive_entry_rdevmajor(entry),
        .device_minor = (uint32_t)archive_entry_rdevminor(entry),
    };
    if (tar->type == TAR_LINK)
        tar->link = archive_entry_hardlink(entry);
    else if (tar->type == TAR_SYMLINK)
        tar->link = archive_entry_symlink(entry);
    else if (tar->type == TAR_FILE)
        tar->size = (uint64_t)size;
    r = check_link(tar, err);
    if (r == 0 && tar->type == TAR_FILE)
        r = take_parts(input, tar, err);
    if (r < 0)
        return r;
    ret_entry->has_time = archive_entry_mtime_is_set(entry);
    r = take_attributes(input, tar, err);
    return r < 0 ? r : 1;
}

static int next(void *context, struct extract_entry *ret_entry, struct error *err)
{
    struct archive_input *input = context;
    int r = archive_read_next_header(input->archive, &input->entry);

    if (r == ARCHIVE_EOF)
        return 0;
    /* A warning is of a name that is not in the locale's character set. */
    if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
        return failure(input, err);
    return describe(input, ret_entry, err);
}

static int read_content(void *context, const void **ret_bytes, size_t *ret_length,
                        uint64_t *ret_offset, struct error *err)
{
    struct archive_input *input = context;
    la_int64_t offset = 0;
    int r = archive_read_data_block(input->archive, ret_bytes, ret_length, &offset);

    if (r == ARCHIVE_EOF)
        return 0;
    if (r != ARCHIVE_OK || offset < 0)
        return failure(input, err);
    *ret_offset = (uint64_t)offset;
    return 1;
}

int extract_input_open_archive(int fd, struct extract_input *ret_input, struct error *err)
{
    struct archive_input *context = xcalloc(1, sizeof(*context));
    int r;

    assert(ret_input != NULL);

    context->archive = archive_read_new();
    if (context->archive == NULL) {
        archive_input_free(context);
        return error_set(err, ENOMEM, "no memory for libarchive");
    }
    if (archive_read_support_format_tar(context->archive) != ARCHIVE_OK ||
        archive_read_support_format_empty(context->archive) != ARCHIVE_OK ||
        archive_source_open(&context->source, context->archive, fd) != ARCHIVE_OK) {
        r = failure(context, err);
        archive_input_free(context);
        return r;
    }
    *ret_input = (struct extract_input){
        .next = next, .read = read_content, .free = archive_input_free, .context = context
    };
    return 0;
}
