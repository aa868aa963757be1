#ifndef ENGINE_GUEST_FILES_H
#define ENGINE_GUEST_FILES_H

#include "engine/record.h"
#include "runtime/isolation.h"
#include "unionfs/unionfs.h"

/* The files of a running microVM, which its own kernel alone sees: the agent in the guest does the
 * work, and what it sends is checked before it is believed. */

struct guest_files {
    struct container *container;
    int control_fd, report_fd;
    int data_fd; /* after guest_files_open(): our end of the pipe */
};
#define GUEST_FILES_NONE                                                                           \
    {                                                                                              \
        .control_fd = -1, .report_fd = -1, .data_fd = -1                                           \
    }

/**
 * Starts work in the guest.
 *
 * @data_fd  what the work takes (INNER_RECEIVE) or gives. The caller closes its own copy, to see
 * the end
 *
 * -ESRCH, -EBUSY: the microVM does not run, or is paused.
 */
int guest_files_start(struct engine *engine, const struct record *record,
                      const struct inner_files *work, int data_fd, struct guest_files *ret_files,
                      struct error *err);
/** As guest_files_start(), with a pipe whose other end is kept in @ret_files. */
int guest_files_open(struct engine *engine, const struct record *record,
                     const struct inner_files *work, struct guest_files *ret_files,
                     struct error *err);
/**
 * Waits for the end of the work; our end of the pipe is closed first.
 *
 * @r  what became of the data here; when that is an early end (-EBADMSG) or nobody that takes it
 *     (-EPIPE), the guest may know why
 */
int guest_files_finish(struct guest_files *files, int r, struct strings *ret_warnings,
                       struct error *err);
/** Ends work that is not finished. */
void guest_files_clear(struct guest_files *files);

/* --- what comes from the guest ---------------------------------------------------------------- */

#define GUEST_CHANGES_BYTES_MAX (256u << 20) /* of a list; it is kept in memory to be sorted */

/** Reads a list of changes to the end. Of struct change, path and kind are set. -EBADMSG: a path
 * that no file has. */
int guest_changes_read(int fd, change_function *function, void *context, struct error *err);
/**
 * Takes a report apart: what was left out, and why the work failed.
 *
 * Returns 0, or the guest's error. What controls a terminal is replaced in both.
 */
int guest_report_parse(const char *report, size_t length, struct strings *ret_warnings,
                       struct error *err);

#endif
