#include "engine/guest_files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/engine_private.h"

/* The guest's streams are pipes, never the user's own: whoever has broken out of the guest into its
 * VMM gets nothing else in hand. The report fits into its pipe, so it is read when the work's data
 * is through. */

void guest_files_clear(struct guest_files *files)
{
    container_free(files->container);
    auto_close_cleanup(&files->control_fd);
    auto_close_cleanup(&files->report_fd);
    auto_close_cleanup(&files->data_fd);
    *files = (struct guest_files)GUEST_FILES_NONE;
}

static int open_running(struct engine *engine, const char *id, struct container **ret_container,
                        struct error *err)
{
    AUTO(container) struct container *container = NULL;
    enum container_status status = CONTAINER_STOPPED;
    int r;

    r = engine_need_runtime(engine, err);
    if (r < 0)
        return r;
    if (container_open(engine->runtime, id, &container, NULL) == 0)
        (void)container_status(container, &status, NULL); /* without one it does not run */
    if (status == CONTAINER_PAUSED)
        return error_set(err, EBUSY,
                         "microVM %.12s is paused, and with it the kernel that sees its files: let "
                         "it go on first (`berth unpause`)",
                         id);
    if (status != CONTAINER_RUNNING)
        return error_set(err, ESRCH,
                         "the files of a microVM are seen by its own kernel only, and %.12s does "
                         "not run: start it first (`berth start`)",
                         id);
    *ret_container = take_ptr(&container);
    return 0;
}

int guest_files_start(struct engine *engine, const struct record *record,
                      const struct inner_files *work, int data_fd, struct guest_files *ret_files,
                      struct error *err)
{
    AUTO_CLEAR(guest_files) struct guest_files files = GUEST_FILES_NONE;
    bool takes = text_equal(work->work, INNER_RECEIVE);
    auto_close int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    auto_close int report_fd = -1;
    int stdio[3], fds[2], r;

    assert(ret_files != NULL);

    r = open_running(engine, record->id, &files.container, err);
    if (r < 0)
        return r;
    if (null_fd < 0)
        return error_errno(err, "open '/dev/null'");
    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    files.report_fd = fds[0];
    report_fd = fds[1];
    stdio[0] = takes ? data_fd : null_fd;
    stdio[1] = takes ? null_fd : data_fd;
    stdio[2] = report_fd;
    r = container_start_files(files.container, work, stdio, &files.control_fd, err);
    if (r < 0)
        return r;
    *ret_files = files;
    files = (struct guest_files)GUEST_FILES_NONE;
    return 0;
}

int guest_files_open(struct engine *engine, const struct record *record,
                     const struct inner_files *work, struct guest_files *ret_files,
                     struct error *err)
{
    bool takes = text_equal(work->work, INNER_RECEIVE);
    auto_close int read_fd = -1;
    auto_close int write_fd = -1;
    int fds[2];
    int r;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    read_fd = fds[0];
    write_fd = fds[1];
    r = guest_files_start(engine, record, work, takes ? read_fd : write_fd, ret_files, err);
    if (r == 0)
        ret_files->data_fd = take_fd(takes ? &write_fd : &read_fd);
    return r;
}

static int wait_for_end(struct guest_files *files, struct strings *warnings, struct error *err)
{
    auto_free char *report = NULL;
    size_t length = 0;
    int status = 0;
    int r;

    r = fd_read_all(files->report_fd, INNER_REPORT_MAX, "the guest's report", &report, &length,
                    err);
    if (r == 0)
        r = container_finish_files(files->container, files->control_fd, &status, err);
    if (r == 0)
        r = guest_report_parse(report, length, warnings, err);
    if (r == 0 && status != 0)
        r = error_set(err, EIO, "the work in the guest was not done (status %d)", status);
    return r;
}

int guest_files_finish(struct guest_files *files, int r, struct strings *ret_warnings,
                       struct error *err)
{
    struct error why = { 0 };

    auto_close_cleanup(&files->data_fd);
    files->data_fd = -1;
    if (r < 0 && r != -EBADMSG && r != -EPIPE)
        return r;
    if (wait_for_end(files, ret_warnings, &why) >= 0)
        return r;
    return error_set(err, why.code, "%s", why.message);
}
