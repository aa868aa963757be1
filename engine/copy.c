#include "engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/bundle.h"
#include "engine/child_warnings.h"
#include "engine/container_visit.h"
#include "engine/guest_files.h"
#include "unionfs/unionfs.h"

/* A copy is a tar in a pipe between two processes: one has the container's files before it
 * (container_visit.c), the other the host's; unionfs has what each does. Either end may be a tar of
 * the user's: one that comes in is made one of ours first, by a process without rights
 * (unionfs/unpack_child.c). */

/* One end of a copy, or a tar. */
struct end {
    struct copy_end copy;
    bool is_sender;
    int fd; /* of the pipe; of a tar that goes out to the user */
    int warnings_fd;
};

/* --- an end's work ---------------------------------------------------------------------------- */

static int receive(int root_fd, const struct end *end, struct strings *warnings, struct error *err)
{
    AUTO_CLEAR(extract_input) struct extract_input input = { 0 };

    extract_input_open_tar(end->fd, &input);
    return copy_receive(root_fd, &end->copy, &input, warnings, err);
}

static int work_child(int root_fd, void *context, struct error *err)
{
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    const struct end *end = context;
    int r;

    if (end->is_sender)
        r = copy_send(root_fd, &end->copy, end->fd, &warnings, err);
    else
        r = receive(root_fd, end, &warnings, err);
    child_warnings_write(end->warnings_fd, &warnings);
    return r;
}

/* --- the host's end --------------------------------------------------------------------------- */

/* The host's end works in a child, beside that of the container. */
static int start_host(struct end *end, int other_fd, pid_t *ret_pid, int *ret_report_fd,
                      struct error *err)
{
    struct error report = { 0 };
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    pid = fork();
    if (pid == 0) {
        (void)close(other_fd); /* else the pipe would never end */
        if (work_child(-1, end, &report) >= 0)
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

/* --- a microVM's end ----------------------------------------------------------------------------
 */

static struct inner_files guest_work(const struct end *end)
{
    return (struct inner_files){ .work = (char *)(end->is_sender ? INNER_SEND : INNER_RECEIVE),
                                 .path = (char *)end->copy.path,
                                 .other = (char *)end->copy.other,
                                 .follows = end->copy.follows,
                                 .keeps_owners = end->copy.keeps_owners };
}

/* The guest has the pipe's end. */
static int pass_to_guest(struct engine *engine, const struct record *record, const struct end *end,
                         struct strings *warnings, struct error *err)
{
    AUTO_CLEAR(guest_files) struct guest_files files = GUEST_FILES_NONE;
    const struct inner_files work = guest_work(end);
    int r;

    r = guest_files_start(engine, record, &work, end->fd, &files, err);
    return r < 0 ? r : guest_files_finish(&files, 0, warnings, err);
}

static int write_bytes(const void *bytes, size_t length, void *context, struct error *err)
{
    return fd_write_all(*(const int *)context, bytes, length, "the archive", err);
}

/* The guest's tar is made one of ours on its way to the user, so that nothing else gets through. */
static int give_archive(struct engine *engine, const struct record *record, struct end *end,
                        struct strings *warnings, struct error *err)
{
    AUTO_CLEAR(guest_files) struct guest_files files = GUEST_FILES_NONE;
    AUTO_CLEAR(extract_input) struct extract_input input = { 0 };
    const struct pack_options options = { .sink = write_bytes,
                                          .context = &end->fd,
                                          .warnings = warnings };
    const struct inner_files work = guest_work(end);
    int r;

    r = guest_files_open(engine, record, &work, &files, err);
    if (r < 0)
        return r;
    extract_input_open_tar(files.data_fd, &input);
    r = pack_entries(&input, &options, err);
    return guest_files_finish(&files, r, warnings, err);
}

static int visit_guest(struct engine *engine, const struct record *record, struct end *end,
                       struct error *err)
{
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    bool gives_archive = end->copy.other == NULL && end->is_sender;
    int r = gives_archive ? give_archive(engine, record, end, &warnings, err)
                          : pass_to_guest(engine, record, end, &warnings, err);

    child_warnings_write(end->warnings_fd, &warnings);
    return r;
}

/* --- both together ---------------------------------------------------------------------------- */

static int visit(struct engine *engine, const char *id, struct end *end, struct error *err)
{
    AUTO(record) struct record *record = NULL;
    int r = record_read(engine, id, &record, err);

    if (r < 0)
        return r;
    return bundle_is_vm(&record->settings)
               ? visit_guest(engine, record, end, err)
               : container_visit(engine, id, VISIT_MOUNTS, work_child, end, err);
}

static int take_archive(struct engine *engine, const char *id, int archive_fd, struct end *inside,
                        struct strings *ret_warnings, struct error *err)
{
    AUTO_CLEAR(unpack_child) struct unpack_child child = UNPACK_CHILD_NONE;
    int r;

    r = unpack_child_start("tar", archive_fd, &child, err);
    if (r < 0)
        return r;
    inside->fd = child.fd;
    r = visit(engine, id, inside, err);
    return unpack_child_finish(&child, r, ret_warnings, err);
}

static int copy_between(struct engine *engine, const char *id, struct end *inside,
                        struct end *outside, struct error *err)
{
    bool is_from_container = inside->is_sender;
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
    r = start_host(outside, inside->fd, &pid, &report_fd, err);
    if (r < 0)
        return r;
    (void)close(is_from_container ? take_fd(&read_fd) : take_fd(&write_fd));
    r = visit(engine, id, inside, err);
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
    struct end inside = { .copy = { .path = options->container_path,
                                    .other = options->host_path,
                                    .follows = options->follows_links,
                                    .keeps_owners = options->keeps_owners },
                          .is_sender = options->is_from_container,
                          .fd = options->archive_fd };
    struct end outside = { .copy = { .path = options->host_path,
                                     .other = options->container_path,
                                     .is_host = true,
                                     .follows = options->follows_links,
                                     .keeps_owners = options->keeps_owners },
                           .is_sender = !options->is_from_container };
    int r;

    assert(engine != NULL);
    assert(options->container_path != NULL);

    r = child_warnings_open(&warnings_fd, err);
    if (r < 0)
        return r;
    inside.warnings_fd = outside.warnings_fd = warnings_fd;
    if (options->host_path != NULL)
        r = copy_between(engine, id, &inside, &outside, err);
    else if (options->is_from_container)
        r = visit(engine, id, &inside, err);
    else
        r = take_archive(engine, id, options->archive_fd, &inside, ret_warnings, err);
    child_warnings_read(warnings_fd, ret_warnings);
    return r;
}
