/* Any bytes as what berth-archive says of a kernel's package, as if somebody had taken it over:
 * what is handed on has the name of a kernel's file, and no more bytes than such a file. */
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"
#include "image/kernel_private.h"
#include "tests/fuzz/archive_child_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int visit(const char *path, struct kernel_bytes *bytes, void *context, struct error *err)
{
    uint64_t *left = context;

    (void)err;
    assert(kernel_file_matters(path));
    assert(path[0] != '/' && strncmp(path, "../", 3) != 0 && strstr(path, "/../") == NULL);
    /* Nothing is there that did not come. */
    assert(bytes->length <= *left);
    *left -= bytes->length;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_close int fd = memfd_create("stream", MFD_CLOEXEC);
    struct error err = { 0 };
    uint64_t left = size;

    assert(fd >= 0);
    assert(fd_write_all(fd, data, size, "input", NULL) == 0);
    if (kernel_visit_package(fd, NULL, visit, &left, &err) < 0)
        assert(err.message[0] != '\0');
    return 0;
}
