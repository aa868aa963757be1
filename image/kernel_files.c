#include "image/kernel_private.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "image/archive_child.h"
#include "image/archive_stream.h"
#include "image/kernel_decode.h"

/* A kernel may come from anybody: packages and compressed bytes are parsed by berth-archive, which
 * has no rights. What it says is checked here as if somebody had taken it over: a name is a key,
 * and no more bytes are kept than a file may have. */

#define PIPE_BYTES (1 << 20) /* what an ordinary user may ask for */

static int refuse(const char *what, struct error *err)
{
    return error_set(err, EBADMSG, "read the package: berth-archive sends %s", what);
}

/* The bytes of a file that the stream has just told of. */
static int read_content(struct archive_stream *stream, const char *what, uint64_t size, size_t max,
                        struct kernel_bytes *ret_bytes, struct error *err)
{
    AUTO_CLEAR(kernel_bytes) struct kernel_bytes bytes = { 0 };
    int r;

    if (size > max)
        return error_set(err, EFBIG, "%s has more than %zu bytes", what, max);
    bytes.data = xrealloc(NULL, 1, size + 1);
    while (bytes.length < size) {
        struct archive_event event;

        r = archive_stream_next(stream, &event, err);
        if (r < 0)
            return r;
        if (event.frame != ARCHIVE_FRAME_DATA) /* progress: nothing else comes within a file */
            continue;
        memcpy(bytes.data + bytes.length, event.bytes, event.length);
        bytes.length += event.length;
    }
    ret_bytes->length = bytes.length;
    ret_bytes->data = take_ptr(&bytes.data);
    return 0;
}

/* --- what is visited -------------------------------------------------------------------------- */

struct visiting {
    kernel_visitor *visit;
    void *context;
    size_t count;
    uint64_t bytes;
};

static int visit_bytes(struct visiting *visiting, const char *name, struct kernel_bytes *bytes,
                       struct error *err)
{
    visiting->bytes += bytes->length;
    if (visiting->count++ == KERNEL_MODULES_MAX)
        return error_set(err, EFBIG, "has more than %d modules", KERNEL_MODULES_MAX);
    if (visiting->bytes > KERNEL_FILES_MAX)
        return error_set(err, EFBIG, "has files of more than %llu bytes", KERNEL_FILES_MAX);
    return visiting->visit(name, bytes, visiting->context, err);
}

/* --- compressed bytes ------------------------------------------------------------------------- */

/* A berth-archive that unpacks one stream after the other. */
struct unpacker {
    struct archive_child child; /* its pid is 0 until there is something to unpack */
    int fd;                     /* of the pipe that it reads */
    struct archive_stream *stream;
};

#define UNPACKER_NONE ((struct unpacker){ .child = ARCHIVE_CHILD_NONE, .fd = -1 })

static void unpacker_clear(struct unpacker *unpacker)
{
    archive_stream_free(unpacker->stream);
    archive_child_clear(&unpacker->child);
    auto_close_cleanup(&unpacker->fd);
}

static bool is_stream(const char *name)
{
    return strcmp(name, KERNEL_STREAM) == 0;
}

static int unpacker_start(struct unpacker *unpacker, struct error *err)
{
    auto_close int read_fd = -1;
    int pipe_fds[2];
    int r;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    read_fd = pipe_fds[0];
    unpacker->fd = pipe_fds[1];
    (void)fcntl(read_fd, F_SETPIPE_SZ, PIPE_BYTES); /* only faster */
    r = archive_child_start(ARCHIVE_KERNEL_STREAMS, NULL, read_fd, &unpacker->child, err);
    if (r == 0)
        unpacker->stream = archive_stream_open(unpacker->child.fd, is_stream);
    return r;
}

/* It reads all of a request before it answers, so that neither waits for the other. */
static int exchange(struct unpacker *unpacker, const struct kernel_bytes *packed, size_t max,
                    struct kernel_bytes *ret_bytes, struct error *err)
{
    const struct kernel_request request = { .length = packed->length, .max = max };
    struct archive_event event;
    int r;

    r = fd_write_all(unpacker->fd, &request, sizeof(request), "to berth-archive", err);
    if (r == 0)
        r = fd_write_all(unpacker->fd, packed->data, packed->length, "to berth-archive", err);
    if (r == 0)
        r = archive_stream_next(unpacker->stream, &event, err);
    if (r < 0)
        return r;
    if (event.frame != ARCHIVE_FRAME_FILE)
        return refuse("something else than what is in compressed bytes", err);
    return read_content(unpacker->stream, "compressed bytes", event.size, max, ret_bytes, err);
}

/* -EPIPE says only that it ended: what it was. */
static int tell_end(struct archive_child *child, int r, struct error *err)
{
    return r == -EPIPE && child->pid > 0
               ? error_set(err, EPIPE, "berth-archive ended early, with status %d",
                           archive_child_end(child))
               : r;
}

static int unpacker_unpack(struct unpacker *unpacker, const struct kernel_bytes *packed, size_t max,
                           struct kernel_bytes *ret_bytes, struct error *err)
{
    int r = 0;

    if (unpacker->stream == NULL)
        r = unpacker_start(unpacker, err);
    if (r == 0)
        r = exchange(unpacker, packed, max, ret_bytes, err);
    return tell_end(&unpacker->child, r, err);
}

int kernel_unpack(const struct kernel_bytes *packed, size_t max, struct kernel_bytes *ret_bytes,
                  struct error *err)
{
    AUTO_CLEAR(unpacker) struct unpacker unpacker = UNPACKER_NONE;

    return unpacker_unpack(&unpacker, packed, max, ret_bytes, err);
}

/* --- a package -------------------------------------------------------------------------------- */

static int visit_event(struct visiting *visiting, struct archive_stream *stream,
                       const struct archive_event *event, struct error *err)
{
    AUTO_CLEAR(kernel_bytes) struct kernel_bytes bytes = { 0 };
    auto_free char *name = NULL;
    int r;

    if (event->frame == ARCHIVE_FRAME_PROGRESS)
        return 0;
    if (event->frame != ARCHIVE_FRAME_FILE)
        return refuse("a link", err);
    name = xstrdup(event->name);
    r = read_content(stream, name, event->size, kernel_file_max(name), &bytes, err);
    return r == 0 ? visit_bytes(visiting, name, &bytes, err) : r;
}

static int visit_stream(struct visiting *visiting, struct archive_stream *stream, struct error *err)
{
    for (;;) {
        struct archive_event event;
        int r = archive_stream_next(stream, &event, err);

        if (r < 0 || event.frame == ARCHIVE_FRAME_END)
            return r;
        r = visit_event(visiting, stream, &event, err);
        if (r < 0)
            return r;
    }
}

int kernel_visit_package(int fd, const struct strings *wanted, kernel_visitor *visit, void *context,
                         struct error *err)
{
    AUTO_CLEAR(archive_child) struct archive_child child = ARCHIVE_CHILD_NONE;
    AUTO(archive_stream) struct archive_stream *stream = NULL;
    struct visiting visiting = { .visit = visit, .context = context };
    int r;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_errno(err, "read the package");
    r = archive_child_start(ARCHIVE_KERNEL_PACKAGE, wanted, fd, &child, err);
    if (r < 0)
        return r;
    stream = archive_stream_open(child.fd, kernel_file_matters);
    return tell_end(&child, visit_stream(&visiting, stream, err), err);
}

/* --- folders ---------------------------------------------------------------------------------- */

static bool is_wanted(const struct strings *wanted, const char *path)
{
    auto_free char *name = kernel_module_name(path);

    return wanted == NULL || wanted->count == 0 || strings_contains(wanted, name);
}

static int visit_file(struct visiting *visiting, struct unpacker *unpacker,
                      const struct strings *wanted, const char *path, struct error *err)
{
    AUTO_CLEAR(kernel_bytes) struct kernel_bytes bytes = { 0 };
    AUTO_CLEAR(kernel_bytes) struct kernel_bytes unpacked = { 0 };
    auto_free char *name = kernel_file_name(path);
    int r;

    if (name == NULL || !text_ends(name, ".ko") || !is_wanted(wanted, name))
        return 0;
    r = file_read(AT_FDCWD, path, KERNEL_MODULE_MAX, &bytes.data, &bytes.length, err);
    if (r < 0)
        return r;
    if (strcmp(name, path) == 0)
        return visit_bytes(visiting, name, &bytes, err);
    r = unpacker_unpack(unpacker, &bytes, KERNEL_MODULE_MAX, &unpacked, err);
    if (r < 0)
        return error_prefix(err, r, "module %s", path);
    return visit_bytes(visiting, name, &unpacked, err);
}

int kernel_visit_modules(const char *directory, const struct strings *wanted, kernel_visitor *visit,
                         void *context, struct error *err)
{
    AUTO_CLEAR(unpacker) struct unpacker unpacker = UNPACKER_NONE;
    struct visiting visiting = { .visit = visit, .context = context };
    char *const paths[] = { (char *)directory, NULL };
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    const FTSENT *entry;
    int r = 0;

    if (tree == NULL)
        return error_errno(err, "read '%s'", directory);
    while (r == 0 && (entry = fts_read(tree)) != NULL) {
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            r = error_set(err, entry->fts_errno, "read '%s': %s", entry->fts_path,
                          strerror(entry->fts_errno));
        else if (entry->fts_info == FTS_F)
            r = visit_file(&visiting, &unpacker, wanted, entry->fts_path, err);
    }
    (void)fts_close(tree); /* was only read */
    return r;
}
