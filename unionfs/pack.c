#include "unionfs/unionfs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/inode_table.h"
#include "base/path.h"
#include "base/tar_reader.h"
#include "unionfs/extract_input.h"
#include "unionfs/layer_path.h"
#include "unionfs/whiteout.h"

/* Headers and contents are gathered in one buffer, into which files are read directly: a small file
 * costs no call of the sink and no copy. */

#define BUFFER_BYTES        (256u << 10)
#define ATTRIBUTE_NAMES_MAX 65536 /* XATTR_LIST_MAX */
/* Four bytes, and eight for each entry (linux/posix_acl_xattr.h). Before Linux 6.2 the room has to
 * be such a length too: else the ids are shown without the mount's id map. */
#define ACL_PREFIX "system.posix_acl_"
#define ACL_ROOM   (4 + 8 * 8191)

struct pack {
    const struct pack_options *options;
    char *buffer;
    size_t used;
    char *attribute_names;
    struct text header;
    struct inode_table linked;   /* files with several names: where in names they are */
    struct strings linked_names; /* the first of each */
};

/* Extended attributes of one file. */
struct attributes {
    struct tar_attribute *items;
    size_t count;
};

static void attributes_clear(struct attributes *attributes)
{
    for (size_t i = 0; i < attributes->count; i++) {
        free((void *)attributes->items[i].name);
        free((void *)attributes->items[i].value);
    }
    free(attributes->items);
}

/* --- output ----------------------------------------------------------------------------------- */

static int flush(struct pack *pack, struct error *err)
{
    size_t used = pack->used;

    pack->used = 0;
    return used == 0 ? 0 : pack->options->sink(pack->buffer, used, pack->options->context, err);
}

/* NULL: zeros. */
static int add_bytes(struct pack *pack, const void *bytes, size_t length, struct error *err)
{
    while (length > 0) {
        size_t part = BUFFER_BYTES - pack->used;
        int r;

        part = part < length ? part : length;
        if (bytes == NULL)
            memset(pack->buffer + pack->used, 0, part);
        else
            memcpy(pack->buffer + pack->used, bytes, part);
        bytes = bytes == NULL ? NULL : (const char *)bytes + part;
        pack->used += part;
        length -= part;
        r = pack->used == BUFFER_BYTES ? flush(pack, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_header(struct pack *pack, const struct tar_entry *entry, struct error *err)
{
    const struct pack_entry_sink *entries = pack->options->entries;
    int r;

    pack->header.length = 0;
    tar_entry_format(entry, &pack->header);
    r = add_bytes(pack, pack->header.data, pack->header.length, err);
    return r < 0 || entries == NULL ? r : entries->add(entries->context, entry, err);
}

static void warn(const struct pack *pack, const char *name, const char *what)
{
    if (pack->options->warnings != NULL)
        strings_addf(pack->options->warnings, "'/%s' %s", name, what);
}

static int add_zeros(struct pack *pack, uint64_t length, struct error *err)
{
    int r = 0;

    while (length > 0 && r == 0) {
        size_t part = length < BUFFER_BYTES ? (size_t)length : BUFFER_BYTES;

        r = add_bytes(pack, NULL, part, err);
        length -= part;
    }
    return r;
}

/* What was read behind the bytes in the buffer. */
static int add_read(struct pack *pack, size_t length, struct error *err)
{
    const struct pack_entry_sink *entries = pack->options->entries;
    int r = 0;

    if (entries != NULL)
        r = entries->write(entries->context, pack->buffer + pack->used, length, err);
    pack->used += length;
    return r == 0 && pack->used == BUFFER_BYTES ? flush(pack, err) : r;
}

/* The header has promised so many bytes. A file that became shorter is filled with zeros. */
static int add_content(struct pack *pack, int fd, const char *name, uint64_t size,
                       struct error *err)
{
    uint64_t missing = size;
    int r;

    while (missing > 0) {
        size_t part = BUFFER_BYTES - pack->used;
        ssize_t length;

        length = read(fd, pack->buffer + pack->used, part < missing ? part : (size_t)missing);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return error_errno(err, "read '/%s'", name);
        if (length == 0)
            break;
        r = add_read(pack, (size_t)length, err);
        missing -= (uint64_t)length;
        if (r < 0)
            return r;
    }
    if (missing > 0)
        warn(pack, name, "became shorter while it was read; zeros stand at its end");
    r = add_zeros(pack, missing, err);
    return r < 0 ? r : add_bytes(pack, NULL, tar_padding(size), err);
}

/* --- hard links ------------------------------------------------------------------------------- */

/* The name under which the file is in the tar already; NULL: it is not, and has this one now. */
static const char *link_name(struct pack *pack, const struct stat *status, const char *name)
{
    size_t place;

    if (status->st_nlink < 2)
        return NULL;
    if (inode_table_find(&pack->linked, status, &place))
        return pack->linked_names.items[place];
    (void)inode_table_add(&pack->linked, status, pack->linked_names.count);
    strings_add(&pack->linked_names, name);
    return NULL;
}

/* --- attributes ------------------------------------------------------------------------------- */

static int compare_attributes(const void *a, const void *b)
{
    const struct tar_attribute *left = a, *right = b;

    return strcmp(left->name, right->name);
}

static int read_attribute(int fd, const char *name, struct attributes *attributes,
                          struct error *err)
{
    auto_free char *value = xcalloc(1, UNPACK_ATTRIBUTE_MAX);
    size_t room = text_starts(name, ACL_PREFIX) ? ACL_ROOM : UNPACK_ATTRIBUTE_MAX;
    ssize_t length = fgetxattr(fd, name, value, room);

    if (length < 0 && (errno == ENODATA || errno == ENOTSUP))
        return 0; /* removed just now */
    if (length < 0)
        return error_errno(err, "read the attribute '%s'", name);
    attributes->items =
        xrealloc(attributes->items, attributes->count + 1, sizeof(*attributes->items));
    attributes->items[attributes->count++] = (struct tar_attribute){
        .name = xstrdup(name), .value = xmemdup(value, (size_t)length), .length = (size_t)length
    };
    return 0;
}

static int read_attributes(struct pack *pack, int fd, struct attributes *attributes,
                           struct error *err)
{
    ssize_t length = flistxattr(fd, pack->attribute_names, ATTRIBUTE_NAMES_MAX);

    if (length < 0 && errno != ENOTSUP)
        return error_errno(err, "list the attributes");
    for (ssize_t at = 0; at < length; at += (ssize_t)strlen(pack->attribute_names + at) + 1) {
        const char *name = pack->attribute_names + at;
        int r = unpack_keeps_attribute(name) ? read_attribute(fd, name, attributes, err) : 0;

        if (r < 0)
            return r;
    }
    if (attributes->count > 1)
        qsort(attributes->items, attributes->count, sizeof(*attributes->items), compare_attributes);
    return 0;
}

/* --- entries ---------------------------------------------------------------------------------- */

/* "etc/passwd", "etc/", "./"; with the prefix in front. Caller frees. */
static char *entry_name(const struct pack *pack, const char *path, bool is_directory)
{
    const char *prefix = pack->options->prefix == NULL ? "" : pack->options->prefix;
    const char *slash = *prefix != '\0' && *path != '\0' ? "/" : "";
    const char *end = is_directory ? "/" : "";

    if (*prefix == '\0' && *path == '\0')
        return xstrdup("./");
    return xasprintf("%s%s%s%s", prefix, slash, path, end);
}

static struct tar_entry describe(const struct pack *pack, const char *name, char type,
                                 const struct stat *status)
{
    int64_t time = status->st_mtim.tv_sec;

    return (struct tar_entry){
        .name = name,
        .type = type,
        .mode = status->st_mode & 07777,
        .uid = status->st_uid,
        .gid = status->st_gid,
        .time = time < pack->options->latest ? time : pack->options->latest,
    };
}

static int add_directory(struct pack *pack, int fd, const char *name, const struct stat *status,
                         struct error *err)
{
    AUTO_CLEAR(attributes) struct attributes attributes = { 0 };
    struct tar_entry entry = describe(pack, name, TAR_DIRECTORY, status);
    int r;

    r = read_attributes(pack, fd, &attributes, err);
    if (r < 0)
        return r;
    entry.attributes = attributes.items;
    entry.attribute_count = attributes.count;
    return add_header(pack, &entry, err);
}

static int add_file(struct pack *pack, int fd, const char *name, const struct stat *status,
                    struct error *err)
{
    const struct pack_entry_sink *entries = pack->options->entries;
    AUTO_CLEAR(attributes) struct attributes attributes = { 0 };
    struct tar_entry entry = describe(pack, name, TAR_FILE, status);
    int r;

    entry.link = link_name(pack, status, name);
    if (entry.link != NULL) {
        entry.type = TAR_LINK;
        return add_header(pack, &entry, err);
    }
    r = read_attributes(pack, fd, &attributes, err);
    if (r < 0)
        return r;
    entry.attributes = attributes.items;
    entry.attribute_count = attributes.count;
    entry.size = (uint64_t)status->st_size;
    r = add_header(pack, &entry, err);
    if (r == 0)
        r = add_content(pack, fd, name, entry.size, err);
    return r < 0 || entries == NULL ? r : entries->end_file(entries->context, err);
}

/* What stands under a name may change at any moment: only what was opened is believed. */
static int open_file(struct pack *pack, int dir_fd, const char *base, const char *name,
                     struct error *err)
{
    auto_close int fd =
        openat(dir_fd, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat status;

    if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENXIO)) {
        warn(pack, name, "was removed or replaced just now and is left out");
        return 0;
    }
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_errno(err, "open '/%s'", name);
    if (!S_ISREG(status.st_mode)) {
        warn(pack, name, "was replaced while it was read and is left out");
        return 0;
    }
    return add_file(pack, fd, name, &status, err);
}

static int add_symlink(struct pack *pack, int dir_fd, const char *base, const char *name,
                       const struct stat *status, struct error *err)
{
    struct tar_entry entry = describe(pack, name, TAR_SYMLINK, status);
    char target[PATH_MAX];
    ssize_t length = readlinkat(dir_fd, base, target, sizeof(target) - 1);

    if (length < 0 && (errno == ENOENT || errno == EINVAL)) {
        warn(pack, name, "was removed or replaced just now and is left out");
        return 0;
    }
    if (length < 0)
        return error_errno(err, "read the link '/%s'", name);
    target[length] = '\0';
    entry.mode = 0777;
    entry.link = target;
    return add_header(pack, &entry, err);
}

static int add_node(struct pack *pack, const char *name, char type, const struct stat *status,
                    struct error *err)
{
    struct tar_entry entry = describe(pack, name, type, status);

    entry.device_major = major(status->st_rdev);
    entry.device_minor = minor(status->st_rdev);
    entry.link = link_name(pack, status, name);
    if (entry.link != NULL)
        entry.type = TAR_LINK;
    return add_header(pack, &entry, err);
}

static int add_entry(struct pack *pack, int dir_fd, const char *base, const char *name,
                     const struct stat *status, struct error *err)
{
    switch (status->st_mode & S_IFMT) {
    case S_IFREG:
        return open_file(pack, dir_fd, base, name, err);
    case S_IFLNK:
        return add_symlink(pack, dir_fd, base, name, status, err);
    case S_IFCHR:
        return add_node(pack, name, TAR_CHARACTER, status, err);
    case S_IFBLK:
        return add_node(pack, name, TAR_DEVICE, status, err);
    case S_IFIFO:
        return add_node(pack, name, TAR_FIFO, status, err);
    default:
        warn(pack, name, "is a socket and is left out");
        return 0;
    }
}

/* --- layers ----------------------------------------------------------------------------------- */

/* An empty file whose name says what it means (image-spec, layer.md, "Whiteouts"). */
static int add_mark(struct pack *pack, const char *path, struct error *err)
{
    auto_free char *name = entry_name(pack, path, false);
    const struct tar_entry entry = { .name = name, .type = TAR_FILE };

    return add_header(pack, &entry, err);
}

static int add_whiteout(struct pack *pack, const struct change *change, struct error *err)
{
    auto_free char *path = NULL;
    int length = (int)(strlen(change->path) - strlen(change->name));

    if (!pack->options->is_layer || change->is_below_hidden)
        return 0; /* the mark of its directory says so */
    path = xasprintf("%.*s" WHITEOUT_PREFIX "%s", length, change->path, change->name);
    return add_mark(pack, path, err);
}

static int add_opaque_mark(struct pack *pack, const struct change *change, struct error *err)
{
    auto_free char *path = NULL;

    if (!pack->options->is_layer || !change->hides_below || change->is_below_hidden)
        return 0;
    path = path_join(change->path, WHITEOUT_OPAQUE_NAME);
    return add_mark(pack, path, err);
}

/* No layer can hold such a name, nor what is below it. */
static bool has_marked_name(const char *path)
{
    return text_starts(path, WHITEOUT_PREFIX) || strstr(path, "/" WHITEOUT_PREFIX) != NULL;
}

static int pack_change(const struct change *change, void *context, struct error *err)
{
    struct pack *pack = context;
    auto_free char *name = NULL;
    int r;

    if (change->kind == CHANGE_DELETED)
        return add_whiteout(pack, change, err);
    name = entry_name(pack, change->path, change->fd >= 0);
    if (pack->options->is_layer && has_marked_name(change->path)) {
        warn(pack, name, "has a name that means something else in a layer, and is left out");
        return 0;
    }
    if (change->fd < 0)
        return add_entry(pack, change->parent_fd, change->name, name, &change->status, err);
    r = add_directory(pack, change->fd, name, &change->status, err);
    return r < 0 ? r : add_opaque_mark(pack, change, err);
}

/* --- the whole -------------------------------------------------------------------------------- */

static void pack_open(struct pack *pack, const struct pack_options *options)
{
    *pack = (struct pack){ .options = options };
    pack->buffer = xcalloc(1, BUFFER_BYTES);
    pack->attribute_names = xcalloc(1, ATTRIBUTE_NAMES_MAX);
}

static int pack_close(struct pack *pack, int r, struct error *err)
{
    if (r == 0)
        r = add_bytes(pack, NULL, TAR_END_BYTES, err);
    if (r == 0)
        r = flush(pack, err);
    inode_table_clear(&pack->linked);
    strings_clear(&pack->linked_names);
    text_clear(&pack->header);
    free(pack->attribute_names);
    free(pack->buffer);
    return r;
}

int pack_changes(const struct change_source *source, const struct pack_options *options,
                 struct error *err)
{
    struct pack pack;

    assert(options != NULL);
    assert(options->sink != NULL);

    pack_open(&pack, options);
    return pack_close(&pack, changes_walk(source, pack_change, &pack, err), err);
}

int pack_file(int dir_fd, const char *name, const struct pack_options *options, struct error *err)
{
    struct stat status;
    struct pack pack;

    assert(options != NULL);
    assert(options->prefix != NULL);

    if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        return error_errno(err, "look at '/%s'", options->prefix);
    pack_open(&pack, options);
    return pack_close(&pack, add_entry(&pack, dir_fd, name, options->prefix, &status, err), err);
}

/* --- another tar's entries ---------------------------------------------------------------------
 */

/* Part after part, as the header has promised. */
static int copy_content(struct pack *pack, const struct extract_input *input,
                        const struct tar_entry *entry, struct error *err)
{
    const struct tar_part whole = { .length = entry->size };
    const struct tar_part *part = entry->part_count > 0 ? entry->parts : &whole;
    uint64_t left = tar_content_size(entry), done = 0 /* of the part */, offset;
    const void *bytes;
    size_t length;
    int r;

    while ((r = input->read(input->context, &bytes, &length, &offset, err)) > 0) {
        for (; left > 0 && done == part->length; part++)
            done = 0;
        if (left == 0 || offset != part->offset + done || length > part->length - done)
            return error_set(err, EBADMSG, "its content is not as long as it says");
        r = add_bytes(pack, bytes, length, err);
        if (r < 0)
            return r;
        done += length;
        left -= length;
    }
    if (r == 0 && left > 0)
        return error_set(err, EBADMSG, "its content is not as long as it says");
    return r < 0 ? r : add_bytes(pack, NULL, tar_padding(tar_content_size(entry)), err);
}

/* "./" in front stays: it says the same, and tells a copy of what is in a directory. */
static int clean_name(const char *name, bool is_directory, char **ret_name, struct error *err)
{
    struct layer_path path;
    char whole[LAYER_PATH_MAX];
    int r;

    r = layer_path_parse(name, &path, err);
    if (r < 0)
        return r;
    (void)layer_path_format(&path, whole);
    *ret_name = xasprintf("%s%s%s", text_starts(name, "./") && *whole != '\0' ? "./" : "",
                          *whole == '\0' ? "." : whole, is_directory ? "/" : "");
    return 0;
}

/* Those that are a file's own; counted in @entry. Caller frees the list. */
static struct tar_attribute *kept_attributes(struct tar_entry *entry)
{
    struct tar_attribute *kept = xcalloc(entry->attribute_count + 1, sizeof(*kept));
    size_t count = 0;

    for (size_t i = 0; i < entry->attribute_count; i++) {
        if (unpack_keeps_attribute(entry->attributes[i].name))
            kept[count++] = entry->attributes[i];
    }
    entry->attribute_count = count;
    return kept;
}

static int copy_entry(struct pack *pack, const struct extract_input *input,
                      const struct extract_entry *from, struct error *err)
{
    auto_free struct tar_attribute *attributes = NULL;
    auto_free char *name = NULL;
    auto_free char *link = NULL;
    struct tar_entry entry = from->tar;
    int r;

    r = clean_name(entry.name, entry.type == TAR_DIRECTORY, &name, err);
    if (r == 0 && entry.type == TAR_LINK)
        r = clean_name(entry.link, false, &link, err);
    if (r < 0)
        return r;
    entry.name = name;
    if (link != NULL)
        entry.link = link;
    if (!from->has_time) {
        entry.time = time(NULL);
        entry.time_ns = 0;
    }
    attributes = kept_attributes(&entry);
    entry.attributes = attributes;
    r = add_header(pack, &entry, err);
    if (r < 0)
        return r;
    if (pack->header.length > TAR_RECORDS_MAX || entry.attribute_count > TAR_ATTRIBUTES_MAX)
        return error_set(err, EFBIG, "its attributes, its holes or its names are too many");
    return entry.type == TAR_FILE ? copy_content(pack, input, &entry, err) : 0;
}

int pack_entries(const struct extract_input *input, const struct pack_options *options,
                 struct error *err)
{
    struct extract_entry entry;
    struct pack pack;
    int r;

    assert(input != NULL);
    assert(options != NULL);

    pack_open(&pack, options);
    while ((r = input->next(input->context, &entry, err)) > 0) {
        if (entry.tar.type == '\0') {
            warn(&pack, entry.tar.name, "is of a kind that cannot be made, and is left out");
            continue;
        }
        r = copy_entry(&pack, input, &entry, err);
        if (r < 0) {
            r = error_prefix(err, r, "'%.200s'", entry.tar.name);
            break;
        }
    }
    return pack_close(&pack, r, err);
}
