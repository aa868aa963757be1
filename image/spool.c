#include "image/spool.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/path.h"
#include "image/store_private.h"

/* libarchive only parses here: tar, behind gzip or zstd, and nothing else of what it knows. */

#define SPOOL_ENTRIES_MAX 100000u
#define SPOOL_LINKS_MAX   16
#define SPOOL_RATIO_MAX   1000u         /* uncompressed to compressed ... */
#define SPOOL_RATIO_FROM  (64ull << 20) /* ... after so many bytes */
#define SPOOL_BLOCK       (256u << 10)
#define SPOOL_DRAIN_MAX   (1u << 20)

struct member {
    char *name; /* "blobs/sha256/...", cleaned */
    char *link; /* name of the member that has the content; NULL */
    char *file; /* in staging; NULL: the blob is in the store already */
    struct digest digest;
    uint64_t size;
};

struct spool {
    struct image_store *store;
    int dir_fd; /* borrowed; -1: an archive */
    struct member *members;
    size_t count;
};

void spool_free(struct spool *spool)
{
    if (spool == NULL)
        return;
    for (size_t i = 0; i < spool->count; i++) {
        struct member *member = &spool->members[i];

        /* What stays goes with the staging directory; freeing space early is only kind. */
        if (member->file != NULL)
            (void)unlinkat(spool->store->staging->fd, member->file, 0);
        free(member->name);
        free(member->link);
        free(member->file);
    }
    free(spool->members);
    free(spool);
}

/* --- reading an archive ----------------------------------------------------------------------- */

struct reading {
    struct spool *spool;
    struct archive *archive;
    uint64_t bytes;    /* of content, uncompressed */
    uint64_t reported; /* of input */
};

static int archive_failed(struct archive *archive, struct error *err)
{
    const char *text = archive_error_string(archive);

    return error_set(err, EINVAL, "read the archive: %s", text != NULL ? text : "unknown error");
}

/* "./a//b" and "/a/b" are "a/b": ".." stays inside, lexically, which is all that a key needs. */
static char *clean_name(const char *directory, size_t directory_length, const char *name)
{
    auto_free char *absolute = xasprintf("/%.*s/%s", (int)directory_length, directory, name);
    auto_free char *clean = path_clean(absolute);

    return xstrdup(clean + strspn(clean, "/"));
}

/* Files that an image archive can refer to, in the forms in which docker, podman, skopeo, umoci,
 * crane, kaniko and bazel write them. Everything else (a root file system given by mistake) is not
 * worth being written to the disk. */
static bool may_matter(const char *name)
{
    static const char *const suffixes[] = { ".json", ".tar", ".tar.gz", ".tgz", ".tar.zst", NULL };
    static const char *const names[] = { "oci-layout", "repositories", "version", NULL };

    if (text_starts(name, "blobs/") || text_starts(name, "sha256:"))
        return true;
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    for (size_t i = 0; suffixes[i] != NULL; i++) {
        if (text_ends(name, suffixes[i]))
            return true;
    }
    return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

/* The digest that a name promises: "blobs/sha256/<hex>". */
static bool promised_digest(const char *name, struct digest *ret_digest)
{
    auto_free char *text = NULL;
    char *slash;

    if (!text_starts(name, "blobs/"))
        return false;
    text = xstrdup(name + strlen("blobs/"));
    slash = strchr(text, '/');
    if (slash == NULL)
        return false;
    *slash = ':';
    return digest_parse(text, ret_digest, NULL) == 0;
}

static int check_ratio(struct reading *reading, struct error *err)
{
    int64_t input = archive_filter_bytes(reading->archive, -1);
    uint64_t taken = input > 0 ? (uint64_t)input : 0;

    if (taken > reading->reported) {
        image_store_report(reading->spool->store, taken - reading->reported);
        reading->reported = taken;
    }
    if (reading->bytes > SPOOL_RATIO_FROM && reading->bytes / SPOOL_RATIO_MAX > taken)
        return error_set(err, EFBIG, "the archive expands to more than %u times its size",
                         SPOOL_RATIO_MAX);
    return 0;
}

/* Hashes a file's content, and writes it to @fd unless that is -1. */
static int spool_content(struct reading *reading, int fd, uint64_t size, struct hash *hash,
                         struct error *err)
{
    uint64_t done = 0;

    for (;;) {
        const void *block;
        size_t length;
        la_int64_t offset;
        int r = archive_read_data_block(reading->archive, &block, &length, &offset);

        if (r == ARCHIVE_EOF)
            break;
        if (r == ARCHIVE_RETRY)
            continue;
        if (r != ARCHIVE_OK)
            return archive_failed(reading->archive, err);
        if (offset < 0 || (uint64_t)offset != done)
            return error_set(err, EINVAL, "is a sparse file");
        if (length > size - done)
            return error_set(err, EINVAL, "is longer than its header says");
        hash_add(hash, block, length);
        r = fd >= 0 ? fd_write_all(fd, block, length, "the spooled archive", err) : 0;
        if (r < 0)
            return r;
        done += length;
        reading->bytes += length;
        r = check_ratio(reading, err);
        if (r < 0)
            return r;
    }
    if (done != size)
        return error_set(err, EINVAL, "ends early");
    return 0;
}

static int spool_file(struct reading *reading, struct member *member, struct error *err)
{
    struct image_store *store = reading->spool->store;
    struct digest promised;
    bool is_promised = promised_digest(member->name, &promised);
    AUTO(hash) struct hash *hash = NULL;
    auto_close int fd = -1;
    int r;

    hash = hash_open(is_promised ? digest_algorithm(&promised) : "sha256");
    if (!is_promised || !blob_is_there(store, &promised, member->size)) {
        member->file = xasprintf("member-%zu", reading->spool->count);
        fd = openat(store->staging->fd, member->file,
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return error_errno(err, "create a file in the image store's staging directory");
    }
    r = spool_content(reading, fd, member->size, hash, err);
    if (r < 0)
        return r;
    hash_finish(hash, &member->digest);
    if (is_promised && !digest_equal(&member->digest, &promised))
        return error_set(err, EBADMSG, "has the content of %s", member->digest.text);
    return 0;
}

/* What the entry is, without its content; a name of NULL: nothing that matters. */
static int describe_entry(struct archive_entry *entry, struct member *ret_member, struct error *err)
{
    const char *name = archive_entry_pathname(entry);
    const char *hard_link = archive_entry_hardlink(entry);
    const char *symbolic_link = archive_entry_symlink(entry);
    auto_free char *clean = NULL;

    if (name == NULL) /* in no character set that we know; no document's name is such */
        return 0;
    clean = clean_name("", 0, name);
    if (!may_matter(clean))
        return 0;
    if (hard_link != NULL) {
        ret_member->link = clean_name("", 0, hard_link);
    } else if (symbolic_link != NULL) {
        const char *slash = strrchr(clean, '/');

        ret_member->link =
            clean_name(clean, slash != NULL ? (size_t)(slash - clean) : 0, symbolic_link);
    } else if (archive_entry_filetype(entry) != AE_IFREG) {
        return 0;
    } else {
        la_int64_t size = archive_entry_size(entry);

        if (size < 0 || !archive_entry_size_is_set(entry))
            return error_set(err, EINVAL, "'%s' in the archive has no valid size", clean);
        ret_member->size = (uint64_t)size;
    }
    ret_member->name = take_ptr(&clean);
    return 0;
}

static int spool_entry(struct reading *reading, struct archive_entry *entry, struct error *err)
{
    struct spool *spool = reading->spool;
    struct member member = { 0 };
    int r;

    r = describe_entry(entry, &member, err);
    if (r < 0 || member.name == NULL)
        return r;
    if (member.link == NULL)
        r = spool_file(reading, &member, err);
    if (r < 0)
        r = error_prefix(err, r, "'%s' in the archive", member.name);
    /* Also a failed one goes into the table, which owns its texts and its file. */
    spool->members = xrealloc(spool->members, spool->count + 1, sizeof(*spool->members));
    spool->members[spool->count++] = member;
    return r;
}

static int spool_entries(struct reading *reading, struct error *err)
{
    struct archive_entry *entry;

    for (size_t count = 0;; count++) {
        int r = archive_read_next_header(reading->archive, &entry);

        if (r == ARCHIVE_EOF)
            return 0;
        if (r == ARCHIVE_RETRY)
            continue;
        /* A warning is about the name's character set; the entry is good. */
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
            return archive_failed(reading->archive, err);
        if (count == SPOOL_ENTRIES_MAX)
            return error_set(err, EFBIG, "the archive has more than %u entries", SPOOL_ENTRIES_MAX);
        r = spool_entry(reading, entry, err);
        if (r < 0)
            return r;
        r = check_ratio(reading, err);
        if (r < 0)
            return r;
    }
}

static void archive_close(struct archive **archive)
{
    if (*archive != NULL)
        (void)archive_read_free(*archive); /* the descriptor stays the caller's */
}

/* The writer at the other end of a pipe may still have padding to write, and dies of SIGPIPE when
 * nobody reads it. */
static void drain(int fd)
{
    auto_free char *buffer = xcalloc(1, SPOOL_BLOCK);
    struct stat status;

    if (fstat(fd, &status) < 0 || S_ISREG(status.st_mode))
        return;
    for (size_t done = 0; done < SPOOL_DRAIN_MAX;) {
        ssize_t n = read(fd, buffer, SPOOL_BLOCK);

        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

int spool_read_archive(struct image_store *store, int fd, struct spool **ret_spool,
                       struct error *err)
{
    AUTO(spool) struct spool *spool = NULL;
    struct archive *archive __attribute__((cleanup(archive_close))) = NULL;
    struct reading reading = { 0 };
    int r;

    assert(store != NULL);
    assert(ret_spool != NULL);

    r = image_store_prepare_write(store, err);
    if (r < 0)
        return r;
    spool = xcalloc(1, sizeof(*spool));
    spool->store = store;
    spool->dir_fd = -1;
    archive = archive_read_new();
    if (archive == NULL)
        return error_set(err, ENOMEM, "read the archive: no memory");
    if (archive_read_support_filter_gzip(archive) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(archive) != ARCHIVE_OK ||
        archive_read_support_format_tar(archive) != ARCHIVE_OK ||
        archive_read_open_fd(archive, fd, SPOOL_BLOCK) != ARCHIVE_OK)
        return archive_failed(archive, err);
    reading.spool = spool;
    reading.archive = archive;
    r = spool_entries(&reading, err);
    if (r < 0)
        return r;
    drain(fd);
    *ret_spool = take_ptr(&spool);
    return 0;
}

/* --- a directory ------------------------------------------------------------------------------ */

int spool_open_directory(struct image_store *store, int dir_fd, struct spool **ret_spool,
                         struct error *err)
{
    struct spool *spool;
    int r;

    assert(store != NULL);
    assert(ret_spool != NULL);

    r = image_store_prepare_write(store, err);
    if (r < 0)
        return r;
    spool = xcalloc(1, sizeof(*spool));
    spool->store = store;
    spool->dir_fd = dir_fd;
    *ret_spool = spool;
    return 0;
}

static int open_in_directory(struct spool *spool, const char *name, int *ret_fd, uint64_t *ret_size,
                             struct error *err)
{
    auto_close int fd = -1;
    struct stat status;
    int r;

    /* Non-blocking: a FIFO in the directory must not hold us up. */
    r = path_open_in_root(spool->dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, err);
    if (r == -ENOENT)
        return error_set(err, ENOENT, "'%s' is not in the directory", name);
    if (r < 0)
        return r;
    if (fstat(fd, &status) < 0)
        return error_errno(err, "'%s'", name);
    if (!S_ISREG(status.st_mode))
        return error_set(err, EINVAL, "'%s' is not a regular file", name);
    *ret_fd = take_fd(&fd);
    *ret_size = (uint64_t)status.st_size;
    return 0;
}

/* --- both ------------------------------------------------------------------------------------- */

static struct member *find_member(struct spool *spool, const char *name)
{
    auto_free char *clean = clean_name("", 0, name);

    for (int hops = 0; hops < SPOOL_LINKS_MAX; hops++) {
        struct member *found = NULL;

        for (size_t i = spool->count; i > 0 && found == NULL;
             i--) { /* the last one wins, as in tar */
            if (strcmp(spool->members[i - 1].name, clean) == 0)
                found = &spool->members[i - 1];
        }
        if (found == NULL || found->link == NULL)
            return found;
        free(clean);
        clean = xstrdup(found->link);
    }
    return NULL;
}

static int open_file(struct spool *spool, const char *name, int *ret_fd, uint64_t *ret_size,
                     struct error *err)
{
    struct member *member;

    if (spool->dir_fd >= 0)
        return open_in_directory(spool, name, ret_fd, ret_size, err);
    member = find_member(spool, name);
    if (member == NULL)
        return error_set(err, ENOENT, "'%s' is not in the archive", name);
    *ret_size = member->size;
    if (member->file == NULL)
        return blob_open(spool->store, &member->digest, ret_fd, err);
    return path_open_beneath(spool->store->staging->fd, member->file, O_RDONLY, 0, ret_fd, err);
}

bool spool_has(struct spool *spool, const char *name)
{
    auto_close int fd = -1;
    uint64_t size;

    assert(spool != NULL);
    return open_file(spool, name, &fd, &size, NULL) == 0;
}

int spool_read_text(struct spool *spool, const char *name, char **ret_text, size_t *ret_length,
                    struct error *err)
{
    auto_close int fd = -1;
    uint64_t size;
    int r;

    assert(spool != NULL);
    assert(ret_text != NULL);

    r = open_file(spool, name, &fd, &size, err);
    if (r < 0)
        return r;
    return fd_read_all(fd, IMAGE_DOCUMENT_MAX, name, ret_text, ret_length, err);
}

int spool_read_magic(struct spool *spool, const char *name, unsigned char magic[4],
                     struct error *err)
{
    auto_close int fd = -1;
    uint64_t size;
    int r;

    r = open_file(spool, name, &fd, &size, err);
    if (r < 0)
        return r;
    memset(magic, 0, 4);
    if (pread(fd, magic, 4, 0) < 0)
        return error_errno(err, "read '%s'", name);
    return 0;
}

static int take_member(struct spool *spool, struct member *member, struct error *err)
{
    auto_close int fd = -1;
    int r;

    if (member->file == NULL || blob_is_there(spool->store, &member->digest, member->size))
        return 0;
    r = path_open_beneath(spool->store->staging->fd, member->file, O_RDONLY, 0, &fd, err);
    if (r < 0)
        return r;
    if (fdatasync(fd) < 0)
        return error_errno(err, "write blob %s to the disk", member->digest.text);
    r = blob_publish(spool->store, member->file, &member->digest, err);
    if (r < 0)
        return r;
    free(take_ptr(&member->file));
    return 0;
}

static int check_taken(const char *name, const struct digest *expected, uint64_t expected_size,
                       const struct digest *digest, uint64_t size, struct error *err)
{
    if (expected_size != UINT64_MAX && size != expected_size)
        return error_set(err, EBADMSG, "'%s' has %llu bytes, not %llu", name,
                         (unsigned long long)size, (unsigned long long)expected_size);
    if (expected != NULL && !digest_equal(expected, digest))
        return error_set(err, EBADMSG, "'%s' has the digest %s, not %s", name, digest->text,
                         expected->text);
    return 0;
}

int spool_take(struct spool *spool, const char *name, const struct digest *expected, uint64_t size,
               struct digest *ret_digest, uint64_t *ret_size, struct error *err)
{
    auto_close int fd = -1;
    struct member *member;
    struct digest digest;
    uint64_t real_size;
    int r;

    assert(spool != NULL);

    if (spool->dir_fd >= 0) {
        r = open_in_directory(spool, name, &fd, &real_size, err);
        if (r < 0)
            return r;
        r = check_taken(name, NULL, size, NULL, real_size, err);
        if (r == 0)
            r = blob_copy(spool->store, fd, real_size, expected, &digest, &real_size, err);
    } else {
        member = find_member(spool, name);
        if (member == NULL)
            return error_set(err, ENOENT, "'%s' is not in the archive", name);
        digest = member->digest;
        real_size = member->size;
        r = check_taken(name, expected, size, &digest, real_size, err);
        if (r == 0)
            r = take_member(spool, member, err);
    }
    if (r < 0)
        return r;
    if (ret_digest != NULL)
        *ret_digest = digest;
    if (ret_size != NULL)
        *ret_size = real_size;
    return 0;
}
