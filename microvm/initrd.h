#ifndef MICROVM_INITRD_H
#define MICROVM_INITRD_H

#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

/* The guest's first file system: newc cpio archives one after the other, which the kernel unpacks
 * in order (kernel, driver-api/early-userspace/buffer-format.rst): the modules as they were
 * imported, then the agent as the only entry "init" of an archive that is written here. */

struct initrd;

/** @program_fd, @modules_fd  borrowed until initrd_free(); -1: without that part */
int initrd_open(int program_fd, int modules_fd, struct initrd **ret_initrd, struct error *err);
void initrd_free(struct initrd *initrd);
DEFINE_AUTO(initrd)

/** Bytes that initrd_read() writes; 0 when there are no parts. */
uint64_t initrd_size(const struct initrd *initrd);
/** Reads all parts to @bytes, which has room for initrd_size() bytes and is zero. */
int initrd_read(const struct initrd *initrd, uint8_t *bytes, struct error *err);

#endif
