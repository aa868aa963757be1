#ifndef ENGINE_VM_DISK_H
#define ENGINE_VM_DISK_H

#include "base/error.h"

#define VM_DISK_FILE  "disk.img"
#define VM_DISK_BYTES (10ull << 30)

/** Makes the writable disk of a microVM: a sparse file with an empty ext4 file system, made by
 * mke2fs(8). @path: absolute. It is written by the guest, and never mounted by this machine. */
int vm_disk_create(int dir_fd, const char *path, struct error *err);

#endif
