#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/** Writes all bytes, going on after short writes and EINTR; waits also where the descriptor does
 * not block. @what names the target in the error. */
int fd_write_all(int fd, const void *bytes, size_t length, const char *what, struct error *err);

/**
 * Reads to the end of file.
 *
 * @max       more bytes than this are an error (-EFBIG)
 * @ret_text    ends with a zero byte that is not counted; the caller frees it
 * @ret_length  may be NULL
 */
int fd_read_all(int fd, size_t max, const char *what, char **ret_text, size_t *ret_length,
                struct error *err);

/** Opens /dev/null on each of the descriptors 0, 1, 2 that is closed. Call first in main(). */
int fd_open_standard(struct error *err);

/** Marks all descriptors from @first on close-on-exec (close_range(2)). */
int fd_close_on_exec_from(unsigned first, struct error *err);

/** Closes all descriptors from @first on but the @count ones in @kept (any order, -1 is skipped; at
 * most FD_KEPT_MAX). */
#define FD_KEPT_MAX 16
int fd_close_all_but(const int *kept, size_t count, unsigned first, struct error *err);

/** Sets or clears close-on-exec on one descriptor. */
int fd_set_close_on_exec(int fd, bool is_set, struct error *err);

/** Sets or clears O_NONBLOCK. */
int fd_set_nonblocking(int fd, bool is_set, struct error *err);

/**
 * How many bytes at most wait in a pipe, or from a terminal to its master: so many are to be read
 * before all that was written until now is read, whoever goes on writing.
 */
size_t fd_capacity(int fd);

/** "/proc/self/fd/N" in the caller's buffer of FD_PATH_MAX bytes; returns the buffer. */
#define FD_PATH_MAX 32
char *fd_path(int fd, char *buffer);

#endif
