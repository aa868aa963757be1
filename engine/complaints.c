#include "engine/complaints.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"

#define COMPLAINTS_BYTES 16384

int complaints_open(const char *name, int *ret_fd, struct error *err)
{
    auto_close int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert(ret_fd != NULL);

    if (fd < 0 || ftruncate(fd, COMPLAINTS_BYTES) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) < 0)
        return error_errno(err, "make a memory file");
    *ret_fd = take_fd(&fd);
    return 0;
}

int complaints_error(int fd, const char *name, struct error *err)
{
    char text[COMPLAINTS_BYTES + 1] = "";
    const char *line;
    size_t length;

    if (pread(fd, text, COMPLAINTS_BYTES, 0) < 0)
        return error_errno(err, "read what %s said", name);
    length = strlen(text);
    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    line = strrchr(text, '\n');
    line = line == NULL ? text : line + 1;
    return error_set(err, EIO, "%s", line[0] == '\0' ? "it ended without a word" : line);
}
