#include "engine/child_warnings.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"

#define WARNING_BYTES_MAX (1u << 20)

int child_warnings_open(int *ret_fd, struct error *err)
{
    assert(ret_fd != NULL);

    *ret_fd = memfd_create("warnings", MFD_CLOEXEC);
    return *ret_fd < 0 ? error_errno(err, "make a file in memory") : 0;
}

void child_warnings_write(int fd, const struct strings *warnings)
{
    AUTO_CLEAR(text) struct text text = { 0 };

    for (size_t i = 0; i < warnings->count; i++) {
        text_add(&text, warnings->items[i]);
        text_add_bytes(&text, "", 1);
    }
    (void)fd_write_all(fd, text.data, text.length, "warnings", NULL);
}

void child_warnings_read(int fd, struct strings *ret_warnings)
{
    auto_free char *text = NULL;
    size_t length = 0;

    if (lseek(fd, 0, SEEK_SET) < 0 ||
        fd_read_all(fd, WARNING_BYTES_MAX, "warnings", &text, &length, NULL) < 0)
        return;
    for (const char *at = text; at < text + length; at += strlen(at) + 1)
        strings_add(ret_warnings, at);
}
