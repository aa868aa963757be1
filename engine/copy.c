#include "engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/path.h"
#include "engine/child_warnings.h"
#include "engine/container_visit.h"
#include "engine/copy_plan.h"

/* A copy is a tar in a pipe between two processes: one has the container's files before it
 * (container_visit.c), the other the host's. The reader of the pipe decides where things go, when
 * the first entry says whether it is a file or a directory. Either end may be a tar of the user's.
 */

#define LINKS_MAX 40 /* as in path_resolution(7) */

/* One end of a copy. */
struct end {
    const char *path;
    bool is_host;
    bool follows; /* source: a link at the end of the path is followed */
    const struct copy_options *options;
    bool source_is_contents; /* of the other end, when this one receives */
    bool is_archive;         /* the other end is a tar of the user's */
    int fd;                  /* of the pipe */
    int warnings_fd;
};

/* --- where a path leads ----------------------------------------------------------------------- */

struct place {
    int parent_fd;
    char *parent, *base;
    bool exists;
    struct stat status; /* if it exists */
};

static void place_clear(struct place *place)
{
    auto_close_cleanup(&place->parent_fd);
    free(place->parent);
    free(place->base);
    *place = (struct place){ .parent_fd = -1 };
}

/* "a/b/" is b in a; "a/b/." and ".." are "." in themselves. */
static void split_path(const char *path, char **ret_parent, char **ret_base)
{
    auto_free char *base = copy_base_name(path);
    size_t length = strlen(path);

    if (strcmp(base, ".") == 0) {
        *ret_parent = xstrdup(path);
        *ret_base = take_ptr(&base);
        return;
    }
    while (length > 0 && path[length - 1] == '/')
        length--;
    length -= strlen(base);
    *ret_parent = length == 0 ? xstrdup(".") : xstrndup(path, length);
    *ret_base = take_ptr(&base);
}

/* @root_fd: -1 for a path of the host. */
static int place_open(int root_fd, const char *path, struct place *place, struct error *err)
{
    split_path(path, &place->parent, &place->base);
    place->parent_fd = root_fd < 0
                           ? open(place->parent, O_PATH | O_DIRECTORY | O_CLOEXEC)
                           : path_open_resolved(root_fd, place->parent, O_PATH | O_DIRECTORY, 0,
                                                RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    if (place->parent_fd < 0)
        return error_errno(err, "open the directory '%s'", place->parent);
    place->exists =
        fstatat(place->parent_fd, place->base, &place->status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!place->exists && errno != ENOENT)
        return error_errno(err, "look at '%s'", path);
    return 0;
}

/* The path that a link at @place means. Caller frees. */
static char *link_path(const struct place *place)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(place->parent_fd, place->base, target, sizeof(target) - 1);

    if (length < 0)
        return NULL;
    target[length] = '\0';
    return target[0] == '/' ? xstrdup(target) : path_join(place->parent, target);
}

static int place_find(int root_fd, const char *path, bool follows, struct place *ret_place,
                      struct error *err)
{
    auto_free char *at = xstrdup(path);

    for (int links = 0; links < LINKS_MAX; links++) {
        AUTO_CLEAR(place) struct place place = { .parent_fd = -1 };
        char *next;
        int r;

        r = place_open(root_fd, at, &place, err);
        if (r < 0)
            return r;
        next = place.exists && follows && S_ISLNK(place.status.st_mode) ? link_path(&place) : NULL;
        if (next == NULL) {
            *ret_place = place;
            place = (struct place){ .parent_fd = -1 };
            return 0;
        }
        free(at);
        at = next;
    }
    return error_set(err, ELOOP, "'%s' leads through more than %d links", path, LINKS_MAX);
}

/* --- the sending end -------------------------------------------------------------------------- */

static int write_bytes(const void *bytes, size_t length, void *context, struct error *err)
{
    const struct end *end = context;

    return fd_write_all(end->fd, bytes, length, "the copy", err);
}

static int send_place(struct end *end, const struct place *place, struct strings *warnings,
                      struct error *err)
{
    /* The other end replaces the name, or leaves it out. */
    auto_free char *name = !end->is_archive && copy_is_contents(end->path)
                               ? xstrdup("contents")
                               : copy_base_name(end->path);
    const struct pack_options options = { .sink = write_bytes,
                                          .context = end,
                                          .prefix = name,
                                          .latest = INT64_MAX,
                                          .warnings = warnings };
    struct change_source source = { .skips_kernel_files = true };
    auto_close int fd = -1;

    if (!S_ISDIR(place->status.st_mode))
        return pack_file(place->parent_fd, place->base, &options, err);
    fd = openat(place->parent_fd, place->base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open the directory '%s'", end->path);
    source.upper_fd = fd;
    return pack_changes(&source, &options, err);
}

static int send_child(int root_fd, void *context, struct error *err)
{
    AUTO_CLEAR(place) struct place place = { .parent_fd = -1 };
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    struct end *end = context;
    bool is_directory = copy_needs_directory(end->path);
    int r;

    r = place_find(root_fd, end->path, end->follows || is_directory, &place, err);
    if (r < 0)
        return r;
    if (!place.exists)
        return error_set(err, ENOENT, "there is no '%s' %s", end->path,
                         end->is_host ? "on the host" : "in the container");
    if (is_directory && !S_ISDIR(place.status.st_mode))
        return error_set(err, ENOTDIR, "'%s' is no directory", end->path);
    r = send_place(end, &place, &warnings, err);
    child_warnings_write(end->warnings_fd, &warnings);
    return r;
}

/* --- the receiving end ------------------------------------------------------------------------ */

struct receiver {
    const struct end *end;
    const struct place *place;
};

static int open_target(const struct place *place, int *ret_fd, char **ret_path, struct error *err)
{
    *ret_fd = openat(place->parent_fd, place->base, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0)
        return error_errno(err, "open the directory '%s'", place->base);
    *ret_path = path_join(place->parent, place->base);
    return 0;
}

static int choose_place(const char *name, bool is_directory, void *context, int *ret_fd,
                        char **ret_path, char **ret_name, struct error *err)
{
    const struct receiver *receiver = context;
    const struct place *place = receiver->place;
    const struct end *end = receiver->end;
    enum copy_target target = !place->exists                   ? COPY_NOTHING
                              : S_ISDIR(place->status.st_mode) ? COPY_DIRECTORY
                                                               : COPY_FILE;
    enum copy_way way;
    int r;

    if (end->is_archive) {
        if (target != COPY_DIRECTORY)
            return error_set(err, ENOTDIR, "'%s' is no directory, which an archive needs",
                             end->path);
        return open_target(place, ret_fd, ret_path, err);
    }
    r = copy_plan(is_directory, end->source_is_contents, target, copy_needs_directory(end->path),
                  end->path, &way, err);
    if (r < 0)
        return r;
    if (way != COPY_AS) {
        *ret_name = xstrdup(way == COPY_INTO ? name : "");
        return open_target(place, ret_fd, ret_path, err);
    }
    *ret_fd = fcntl(place->parent_fd, F_DUPFD_CLOEXEC, 3);
    if (*ret_fd < 0)
        return error_errno(err, "keep the directory '%s'", place->parent);
    *ret_path = xstrdup(place->parent);
    *ret_name = xstrdup(place->base);
    return 0;
}

static int receive_child(int root_fd, void *context, struct error *err)
{
    AUTO_CLEAR(place) struct place place = { .parent_fd = -1 };
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    const struct end *end = context;
    const struct receiver receiver = { .end = end, .place = &place };
    const struct extract_options options = {
        .fd = end->fd,
        .root_fd = root_fd,
        .is_safe = end->is_host && !end->options->keeps_owners,
        .has_owner = !end->options->keeps_owners && !end->is_archive,
        .uid = geteuid(),
        .gid = getegid(),
        .warnings = &warnings,
    };
    int r;

    (void)umask(0);
    r = place_find(root_fd, end->path, true, &place, err);
    if (r == 0)
        r = extract_archive(&options, choose_place, (void *)&receiver, err);
    child_warnings_write(end->warnings_fd, &warnings);
    return r;
}

/* --- both together ---------------------------------------------------------------------------- */

/* The host's end works in a child, beside that of the container. */
static int start_host(struct end *end, bool is_sender, int other_fd, pid_t *ret_pid,
                      int *ret_report_fd, struct error *err)
{
    struct error report = { 0 };
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    pid = fork();
    if (pid == 0) {
        (void)close(other_fd); /* else the pipe would never end */
        if ((is_sender ? send_child : receive_child)(-1, end, &report) >= 0)
            report.code = 0;
        (void)fd_write_all(fds[1], &report, sizeof(report), "pipe", NULL);
        _exit(0);
    }
    (void)close(fds[1]); /* the child's */
    *ret_report_fd = fds[0];
    *ret_pid = pid;
    return pid < 0 ? error_errno(err, "fork") : 0;
}

static int wait_host(pid_t pid, int report_fd, struct error *ret_report)
{
    ssize_t length;

    do {
        length = read(report_fd, ret_report, sizeof(*ret_report));
    } while (length < 0 && errno == EINTR);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (length != (ssize_t)sizeof(*ret_report))
        return error_set(ret_report, EPROTO, "the process for the host's files died");
    return ret_report->code == 0 ? 0 : -abs(ret_report->code);
}

static int visit(struct engine *engine, const char *id, struct end *end, bool is_sender,
                 struct error *err)
{
    return container_visit(engine, id, VISIT_MOUNTS, is_sender ? send_child : receive_child, end,
                           err);
}

static int copy_between(struct engine *engine, const char *id, struct end *inside,
                        struct end *outside, bool is_from_container, struct error *err)
{
    struct error report = { 0 };
    auto_close int report_fd = -1;
    auto_close int read_fd = -1;
    auto_close int write_fd = -1;
    int fds[2];
    pid_t pid = 0;
    int r, other;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    read_fd = fds[0];
    write_fd = fds[1];
    inside->fd = is_from_container ? write_fd : read_fd;
    outside->fd = is_from_container ? read_fd : write_fd;
    r = start_host(outside, !is_from_container, inside->fd, &pid, &report_fd, err);
    if (r < 0)
        return r;
    (void)close(is_from_container ? take_fd(&read_fd) : take_fd(&write_fd));
    r = visit(engine, id, inside, is_from_container, err);
    (void)close(is_from_container ? take_fd(&write_fd) : take_fd(&read_fd));
    other = wait_host(pid, report_fd, &report);
    /* A broken pipe says that the other end failed, and so does an archive that ends early. */
    if (other < 0 && (r == 0 || r == -EPIPE || (!is_from_container && other != -EPIPE)))
        return error_set(err, -other, "%s", report.message);
    return r;
}

int engine_copy(struct engine *engine, const char *id, const struct copy_options *options,
                struct strings *ret_warnings, struct error *err)
{
    auto_close int warnings_fd = -1;
    struct end inside = { .path = options->container_path,
                          .follows = options->follows_links,
                          .options = options,
                          .is_archive = options->host_path == NULL,
                          .fd = options->archive_fd };
    struct end outside = { .path = options->host_path,
                           .is_host = true,
                           .follows = options->follows_links,
                           .options = options };
    int r;

    assert(engine != NULL);
    assert(options->container_path != NULL);

    r = child_warnings_open(&warnings_fd, err);
    if (r < 0)
        return r;
    inside.warnings_fd = outside.warnings_fd = warnings_fd;
    if (options->host_path == NULL) {
        r = visit(engine, id, &inside, options->is_from_container, err);
    } else {
        inside.source_is_contents = copy_is_contents(outside.path);
        outside.source_is_contents = copy_is_contents(inside.path);
        r = copy_between(engine, id, &inside, &outside, options->is_from_container, err);
    }
    child_warnings_read(warnings_fd, ret_warnings);
    return r;
}
