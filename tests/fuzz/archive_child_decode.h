#ifndef TESTS_FUZZ_ARCHIVE_CHILD_DECODE_H
#define TESTS_FUZZ_ARCHIVE_CHILD_DECODE_H

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image/archive_child.h"
#include "image/archive_decode.h"

/* What berth-archive does is done here, in the same process. */

/* By the target: the work of one form. */
static int decode_archive(const char *form, struct archive_input *input,
                          struct archive_sender *sender, struct error *err);

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
    assert(sender.fd >= 0);
    assert(archive_input_open(fd, &input, NULL) == 0);
    if (decode_archive(form, &input, &sender, &failure) < 0)
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

#endif
