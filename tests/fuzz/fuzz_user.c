/* Any bytes as an image's etc/passwd and etc/group, and as the user that is looked for: three parts
 * with zero bytes between. */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/runtime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One directory for all runs, left empty by each. */
static int open_image(char *path)
{
    int fd;

    if (mkdtemp(path) == NULL)
        abort();
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || mkdirat(fd, "etc", 0700) < 0)
        abort();
    return fd;
}

static void close_image(int fd, const char *path)
{
    (void)unlinkat(fd, "etc/passwd", 0);
    (void)unlinkat(fd, "etc/group", 0);
    (void)unlinkat(fd, "etc", AT_REMOVEDIR);
    (void)close(fd);
    (void)rmdir(path);
}

static void write_part(int fd, const char *name, const uint8_t *data, size_t size)
{
    int file_fd = openat(fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (file_fd < 0 || write(file_fd, data, size) != (ssize_t)size)
        abort();
    (void)close(file_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/berth-fuzz-XXXXXX";
    const uint8_t *end = data + size;
    const uint8_t *passwd = size > 0 ? memchr(data, 0, size) : NULL;
    const uint8_t *group = NULL;
    auto_free char *text = NULL;
    auto_free char *home = NULL;
    struct spec_user user = { 0 };
    struct error err = { 0 };
    int fd;

    if (passwd == NULL)
        return 0;
    text = xstrndup((const char *)data, (size_t)(passwd - data));
    passwd++;
    group = passwd < end ? memchr(passwd, 0, (size_t)(end - passwd)) : NULL;
    fd = open_image(path);
    write_part(fd, "etc/passwd", passwd, (size_t)((group != NULL ? group : end) - passwd));
    if (group != NULL)
        write_part(fd, "etc/group", group + 1, (size_t)(end - group - 1));
    if (user_resolve(fd, text, &user, &home, &err) < 0) {
        assert(err.message[0] != '\0');
        assert(home == NULL);
    } else {
        assert(user.uid != UINT32_MAX && user.gid != UINT32_MAX);
        assert(home[0] == '/');
    }
    free(user.additional_gids.items);
    close_image(fd, path);
    return 0;
}
