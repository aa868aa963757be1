#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/**
 * Reads a regular file below @dir_fd (AT_FDCWD allowed). Never blocks on a FIFO.
 *
 * Returns 0, -ENOENT, or -EFBIG when it has more than @max bytes.
 */
int file_read(int dir_fd, const char *path, size_t max, char **ret_text, size_t *ret_length,
              struct error *err);

/** Reads a file of /proc, /sys or a cgroup, at most 1 MiB, and cuts the last newline. */
int file_read_kernel(int dir_fd, const char *path, char **ret_text, struct error *err);

/** The same of a file that the kernel makes in one piece, as it does most (seq_file.rst,
 * "single_open"): one read(2) is enough where it has less than 4 KiB. Not for lists of processes or
 * mounts. */
int file_read_piece(int dir_fd, const char *path, char **ret_text, struct error *err);

/** Writes a value into a file of /proc, /sys or a cgroup by one write(2); never creates it. */
int file_write_kernel(int dir_fd, const char *path, const char *value, struct error *err);

enum file_sync {
    FILE_SYNC_NONE, /* run state: gone after a reboot anyway */
    FILE_SYNC_DATA, /* fdatasync before the rename, fsync of the directory after it */
};

/**
 * Replaces a file at once: a temporary file beside it, write, (sync,) rename. Readers see the old
 * or the new content, never a part, also after a crash.
 */
int file_replace(int dir_fd, const char *name, const void *bytes, size_t length, mode_t mode,
                 enum file_sync sync, struct error *err);

/**
 * Takes an advisory lock on a file that is created if missing and never removed while locked
 * (open file description lock, fcntl(2), F_OFD_SETLK). Close the descriptor to release it.
 *
 * @timeout_ms  0: one try, -EAGAIN when another process holds it; UINT32_MAX waits without end;
 *              otherwise waits at most so long, then -ETIMEDOUT
 *
 * A holder may remove the file before it lets go: who waited then locks a new one, or gets -ENOENT
 * when the directory is gone as well.
 */
int file_lock(int dir_fd, const char *name, bool is_exclusive, uint32_t timeout_ms, int *ret_fd,
              struct error *err);

/** Whether someone else holds a lock on the file: 1 yes, 0 no or no such file. */
int file_is_locked(int dir_fd, const char *name, struct error *err);

#endif
