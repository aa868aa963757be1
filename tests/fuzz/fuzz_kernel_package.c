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
#include "image/archive_child.h"
#include "image/kernel_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_archive_child_start(const char *form, const struct strings *wanted, int fd,
                               struct archive_child *ret_child, struct error *err);
int __wrap_archive_child_end(struct archive_child *child);

int __wrap_archive_child_start(const char *form, const struct strings *wanted, int fd,
                               struct archive_child *ret_child, struct error *err)
{
    struct archive_sender sender = { .fd = memfd_create("stream", MFD_CLOEXEC) };
    AUTO_CLEAR(archive_input) struct archive_input input = { 0 };
    struct error failure = { 0 };

    (void)wanted;
    (void)err;
    assert(strcmp(form, ARCHIVE_KERNEL_PACKAGE) == 0);
    assert(sender.fd >= 0);
    assert(archive_input_open(fd, &input, NULL) == 0);
    if (kernel_decode_package(&input, &sender, &failure) < 0)
        archive_send_failure(&sender, &failure);
    assert(lseek(sender.fd, 0, SEEK_SET) == 0);
    ret_child->fd = sender.fd;
    return 0;
}

/* Only for a stream without an end, which has no reason here. */
int __wrap_archive_child_end(struct archive_child *child)
{
    (void)child;
    abort();
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
