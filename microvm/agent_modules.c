#include "microvm/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

#define LIST_MAX 65536

/* The module may have been loaded for another feature. */
static int load_module(int initramfs_fd, const char *path, struct error *err)
{
    auto_close int fd = openat(initramfs_fd, path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return error_errno(err, "open module '%s'", path);
    if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
        return error_errno(err, "load module '%s'", path);
    return 0;
}

static int load_line(int initramfs_fd, const char *files, struct error *err)
{
    AUTO_CLEAR(strings) struct strings list = { 0 };
    int r = 0;

    strings_split(&list, files, ' ');
    for (size_t i = 0; i < list.count && r == 0; i++) {
        if (list.items[i][0] != '\0')
            r = load_module(initramfs_fd, list.items[i], err);
    }
    return r;
}

int agent_load_modules(int initramfs_fd, const char *feature, struct error *err)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    auto_free char *text = NULL;
    size_t length = strlen(feature);
    int r;

    r = file_read(initramfs_fd, "modules.list", LIST_MAX, &text, NULL, err);
    if (r == -ENOENT) /* a kernel with everything built in */
        return 0;
    if (r < 0)
        return r;
    strings_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.count; i++) {
        const char *line = lines.items[i];

        if (strncmp(line, feature, length) == 0 && line[length] == ':')
            return load_line(initramfs_fd, line + length + 1, err);
    }
    return 0;
}
