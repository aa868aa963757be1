#include "microvm/initrd.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A part that is not larger than this is surely no mistake of the caller. */
#define INITRD_PART_MAX (512ULL << 20)

/* "070701" and 13 numbers of 8 digits. */
#define CPIO_HEADER_SIZE 110
#define CPIO_ALIGN       4

struct initrd {
    int program_fd; /* -1: none */
    int modules_fd; /* -1: none */
    uint64_t program_size;
    uint64_t modules_size;
};

static uint64_t padded(uint64_t size)
{
    return (size + CPIO_ALIGN - 1) / CPIO_ALIGN * CPIO_ALIGN;
}

/* What an entry takes before its data. */
static uint64_t entry_size(const char *name)
{
    return padded(CPIO_HEADER_SIZE + strlen(name) + 1);
}

static uint8_t *put_entry(uint8_t *to, const char *name, unsigned mode, uint64_t size)
{
    char header[CPIO_HEADER_SIZE + 1];

    (void)snprintf(header, sizeof(header),
                   "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1U, mode, 0U, 0U,
                   1U, 0U, (unsigned)size, 0U, 0U, 0U, 0U, (unsigned)strlen(name) + 1, 0U);
    memcpy(to, header, CPIO_HEADER_SIZE);
    memcpy(to + CPIO_HEADER_SIZE, name, strlen(name) + 1);
    return to + entry_size(name);
}

static int part_size(int fd, const char *what, uint64_t *ret_size, struct error *err)
{
    struct stat stat;

    if (fstat(fd, &stat) < 0)
        return error_errno(err, "look at %s of the initrd", what);
    if (stat.st_size <= 0 || (uint64_t)stat.st_size > INITRD_PART_MAX)
        return error_set(err, EINVAL, "%s of the initrd is %lld bytes long: it is no such file",
                         what, (long long)stat.st_size);
    *ret_size = (uint64_t)stat.st_size;
    return 0;
}

int initrd_open(int program_fd, int modules_fd, struct initrd **ret_initrd, struct error *err)
{
    AUTO(initrd) struct initrd *initrd = xcalloc(1, sizeof(*initrd));
    int r;

    assert(ret_initrd != NULL);

    initrd->program_fd = program_fd;
    initrd->modules_fd = modules_fd;
    if (program_fd >= 0) {
        r = part_size(program_fd, "the agent", &initrd->program_size, err);
        if (r < 0)
            return r;
    }
    if (modules_fd >= 0) {
        r = part_size(modules_fd, "the modules", &initrd->modules_size, err);
        if (r < 0)
            return r;
    }
    *ret_initrd = take_ptr(&initrd);
    return 0;
}

void initrd_free(struct initrd *initrd)
{
    auto_free_cleanup(&initrd);
}

uint64_t initrd_size(const struct initrd *initrd)
{
    uint64_t size;

    assert(initrd != NULL);

    size = padded(initrd->modules_size);
    if (initrd->program_fd >= 0)
        size += entry_size("init") + padded(initrd->program_size) + entry_size("TRAILER!!!");
    return size;
}

static int read_part(int fd, uint64_t size, uint8_t *to, const char *what, struct error *err)
{
    uint64_t done = 0;

    while (done < size) {
        ssize_t count = pread(fd, to + done, size - done, (off_t)done);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_errno(err, "read %s of the initrd", what);
        if (count == 0)
            return error_set(err, EIO, "read %s of the initrd: it became shorter meanwhile", what);
        done += (uint64_t)count;
    }
    return 0;
}

int initrd_read(const struct initrd *initrd, uint8_t *bytes, struct error *err)
{
    int r;

    assert(initrd != NULL);
    assert(bytes != NULL);

    if (initrd->modules_fd >= 0) {
        r = read_part(initrd->modules_fd, initrd->modules_size, bytes, "the modules", err);
        if (r < 0)
            return r;
        bytes += padded(initrd->modules_size);
    }
    if (initrd->program_fd < 0)
        return 0;
    bytes = put_entry(bytes, "init", S_IFREG | 0755, initrd->program_size);
    r = read_part(initrd->program_fd, initrd->program_size, bytes, "the agent", err);
    if (r < 0)
        return r;
    (void)put_entry(bytes + padded(initrd->program_size), "TRAILER!!!", 0, 0);
    return 0;
}
