#include "runtime/container.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

int terminal_send(const char *socket_path, int master_fd, struct error *err)
{
    return handover_give(socket_path, "/dev/ptmx", master_fd, "console socket", err);
}

int pid_file_write(const char *path, pid_t pid, struct error *err)
{
    const char *slash = strrchr(path, '/');
    auto_free char *directory =
        slash == NULL ? xstrdup(".") : xstrndup(path, (size_t)(slash - path + 1));
    auto_close int directory_fd = -1;
    char digits[16];
    int length, r;

    directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0)
        return error_errno(err, "open the directory of pid file '%s'", path);
    length = snprintf(digits, sizeof(digits), "%d", pid);
    r = file_replace(directory_fd, slash == NULL ? path : slash + 1, digits, (size_t)length, 0644,
                     FILE_SYNC_NONE, err);
    return r < 0 ? error_prefix(err, r, "pid file") : 0;
}
