#include "engine/vm_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/process.h"

/* In the order in which distributions have it. */
static const char *const programs[] = { "/usr/sbin/mke2fs", "/sbin/mke2fs", "/usr/bin/mke2fs" };

static const char *find_program(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
        if (access(programs[i], X_OK) == 0)
            return programs[i];
    }
    return NULL;
}

static int make_file_system(const char *path, struct error *err)
{
    /* Tables that the guest's kernel clears when it has time; no blocks kept for root, who is the
     * container's. */
    static const char *const options[] = {
        "-q", "-F", "-t", "ext4", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1",
    };
    AUTO_CLEAR(strings) struct strings arguments = { 0 };
    const int silent[3] = { -1, -1, -1 };
    const char *program = find_program();
    int status = 0;
    int r;

    if (program == NULL)
        return error_set(err, ENOENT,
                         "mke2fs, which makes a microVM's disk, is not installed (package "
                         "e2fsprogs); a container with --rm needs none");
    strings_add(&arguments, program);
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        strings_add(&arguments, options[i]);
    strings_add(&arguments, path);
    r = process_run(&arguments, silent, &status, err);
    if (r == 0 && status != 0)
        return error_set(err, EIO, "make the microVM's disk '%s': mke2fs ended with status %d",
                         path, status);
    return r;
}

int vm_disk_create(int dir_fd, const char *path, struct error *err)
{
    auto_close int fd = -1;

    fd = openat(dir_fd, VM_DISK_FILE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)VM_DISK_BYTES) < 0)
        return error_errno(err, "make the microVM's disk");
    return make_file_system(path, err);
}
