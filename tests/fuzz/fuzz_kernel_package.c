/* Any bytes as the package that `berth vm kernel import` is given; what berth-archive does is done
 * here, in the same process. What is found in it is handed on with a name and within the limits,
 * however it was packed. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/auto.h"
#include "image/kernel_decode.h"
#include "tests/fuzz/archive_child_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static int decode_archive(const char *form, struct archive_input *input,
                          struct archive_sender *sender, struct error *err)
{
    assert(strcmp(form, ARCHIVE_KERNEL_PACKAGE) == 0);
    return kernel_decode_package(input, sender, err);
}

static int visit(const char *path, struct kernel_bytes *bytes, void *context, struct error *err)
{
    AUTO_CLEAR(strings) struct strings depends = { 0 };
    auto_free char *name = kernel_module_name(path);
    size_t *visits = context;

    assert(kernel_file_matters(path));
    assert(strchr(name, '/') == NULL);
    assert(bytes->length <= kernel_file_max(path));
    if (text_ends(path, ".ko"))
        (void)kernel_module_depends(bytes->data, bytes->length, &depends, NULL);
    return ++*visits < 100 ? 0 : error_set(err, EFBIG, "these are enough");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_close int fd = memfd_create("package", MFD_CLOEXEC);
    struct error err = { 0 };
    size_t visits = 0;

    assert(fd >= 0);
    if (write(fd, data, size) != (ssize_t)size)
        return 0;
    if (kernel_visit_package(fd, NULL, visit, &visits, &err) < 0)
        assert(err.message[0] != '\0');
    return 0;
}
