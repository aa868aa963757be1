#include "image/spool.h"

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
#include "image/archive_child.h"
#include "image/archive_name.h"
#include "image/archive_stream.h"
#include "image/store_private.h"

/* An archive is parsed by berth-archive, in a sandbox; here comes what it says (archive_stream.h).
 */

#define SPOOL_MEMBERS_MAX 100000u
#define SPOOL_LINKS_MAX   16
#define SPOOL_RATIO_MAX   1000u         /* uncompressed to compressed ... */
#define SPOOL_RATIO_FROM  (64ull << 20) /* ... after so many bytes */
#define SPOOL_DRAIN_BLOCK (256u << 10)
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
    struct archive_stream *stream;
    uint64_t input_max; /* bytes that there are to be read; UINT64_MAX: who knows */
    uint64_t bytes;     /* of content, uncompressed */
    uint64_t reported;  /* of input */
};

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

/* @told  how much of the archive was read, by berth-archive's word: not more than there is */
static int check_ratio(struct reading *reading, uint64_t told, struct error *err)
{
    uint64_t taken = told < reading->input_max ? told : reading->input_max;

    if (taken > reading->reported) {
        image_store_report(reading->spool->store, taken - reading->reported);
        reading->reported = taken;
    }
    if (reading->bytes > SPOOL_RATIO_FROM && reading->bytes / SPOOL_RATIO_MAX > taken)
        return error_set(err, EFBIG, "the archive expands to more than %u times its size",
                         SPOOL_RATIO_MAX);
    return 0;
}

/* The next event, looked at by its numbers. */
static int next_event(struct reading *reading, struct archive_event *ret_event, struct error *err)
{
    int r = archive_stream_next(reading->stream, ret_event, err);

    if (r < 0)
        return r;
    reading->bytes += ret_event->length;
    return check_ratio(reading, ret_event->taken, err);
}

/* Hashes a file's content, and writes it to @fd unless that is -1. */
static int spool_content(struct reading *reading, const struct member *member, int fd,
                         struct hash *hash, struct error *err)
{
    for (uint64_t done = 0; done < member->size;) {
        struct archive_event event;
        int r = next_event(reading, &event, err);

        if (r < 0)
            return r;
        if (event.frame != ARCHIVE_FRAME_DATA) /* progress: nothing else comes within a file */
            continue;
        hash_add(hash, event.bytes, event.length);
        r = fd >= 0 ? fd_write_all(fd, event.bytes, event.length, "the spooled archive", err) : 0;
        if (r < 0)
            return error_prefix(err, r, "'%s' in the archive", member->name);
        done += event.length;
    }
    return 0;
}

static int create_file(struct spool *spool, struct member *member, int *ret_fd, struct error *err)
{
    member->file = xasprintf("member-%zu", spool->count);
    *ret_fd = openat(spool->store->staging->fd, member->file,
                     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return *ret_fd < 0 ? error_errno(err, "create a file in the image store's staging directory")
                       : 0;
}

static int spool_file(struct reading *reading, struct member *member, struct error *err)
{
    struct image_store *store = reading->spool->store;
    struct digest promised;
    bool is_promised = promised_digest(member->name, &promised);
    AUTO(hash) struct hash *hash = NULL;
    auto_close int fd = -1;
    int r = 0;

    hash = hash_open(is_promised ? digest_algorithm(&promised) : "sha256");
    if (!is_promised || !blob_is_there(store, &promised, member->size))
        r = create_file(reading->spool, member, &fd, err);
    if (r == 0)
        r = spool_content(reading, member, fd, hash, err);
    if (r < 0)
        return r;
    hash_finish(hash, &member->digest);
    if (is_promised && !digest_equal(&member->digest, &promised))
        return error_set(err, EBADMSG, "'%s' in the archive: has the content of %s", member->name,
                         member->digest.text);
    return 0;
}

static int spool_member(struct reading *reading, const struct archive_event *event,
                        struct error *err)
{
    struct spool *spool = reading->spool;
    struct member member = { .name = xstrdup(event->name), .size = event->size };
    int r = 0;

    if (event->frame == ARCHIVE_FRAME_LINK)
        member.link = xstrdup(event->link);
    else
        r = spool_file(reading, &member, err);
    /* Also a failed one goes into the table, which owns its texts and its file. */
    spool->members = xrealloc(spool->members, spool->count + 1, sizeof(*spool->members));
    spool->members[spool->count++] = member;
    return r;
}

static int spool_members(struct reading *reading, struct error *err)
{
    for (;;) {
        struct archive_event event;
        int r = next_event(reading, &event, err);

        if (r < 0 || event.frame == ARCHIVE_FRAME_END)
            return r;
        if (event.frame == ARCHIVE_FRAME_PROGRESS)
            continue;
        if (reading->spool->count == SPOOL_MEMBERS_MAX)
            return error_set(err, EFBIG, "the archive has more than %u entries", SPOOL_MEMBERS_MAX);
        r = spool_member(reading, &event, err);
        if (r < 0)
            return r;
    }
}

/* The writer at the other end of a pipe may still have padding to write, and dies of SIGPIPE when
 * nobody reads it. */
static void drain(int fd)
{
    auto_free char *buffer = xcalloc(1, SPOOL_DRAIN_BLOCK);
    struct stat status;

    if (fstat(fd, &status) < 0 || S_ISREG(status.st_mode))
        return;
    for (size_t done = 0; done < SPOOL_DRAIN_MAX;) {
        ssize_t n = read(fd, buffer, SPOOL_DRAIN_BLOCK);

        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

static int read_child(struct reading *reading, struct archive_child *child, struct error *err)
{
    AUTO(archive_stream)
    struct archive_stream *stream = archive_stream_open(child->fd, archive_name_matters);
    int r;

    reading->stream = stream;
    r = spool_members(reading, err);
    if (r == -EPIPE)
        return error_set(err, EPIPE, "read the archive: berth-archive ended early, with status %d",
                         archive_child_end(child));
    return r;
}

/* How much is in a file from where it stands; of a pipe nobody knows. */
static uint64_t input_size(int fd)
{
    struct stat status;
    off_t at;

    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return UINT64_MAX;
    at = lseek(fd, 0, SEEK_CUR);
    return at < 0 || at > status.st_size ? 0 : (uint64_t)(status.st_size - at);
}

int spool_read_archive(struct image_store *store, int fd, struct spool **ret_spool,
                       struct error *err)
{
    AUTO(spool) struct spool *spool = NULL;
    AUTO_CLEAR(archive_child) struct archive_child child = ARCHIVE_CHILD_NONE;
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
    reading.spool = spool;
    reading.input_max = input_size(fd);
    r = archive_child_start(ARCHIVE_IMAGE, NULL, fd, &child, err);
    if (r == 0)
        r = read_child(&reading, &child, err);
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
    auto_free char *clean = archive_name_clean("", 0, name);

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
