#ifndef RUNTIME_SYSCTLS_H
#define RUNTIME_SYSCTLS_H

#include "base/error.h"
#include "runtime/spec.h"

/**
 * Checks linux.sysctl: only settings that belong to a namespace which the container has; pure.
 *
 * -EINVAL: "linux.sysctl: 'kernel.panic' belongs to no namespace, it would change the host".
 */
int sysctls_check(const struct spec *spec, struct error *err);

/** Writes them through a procfs that procfs_open() made. */
int sysctls_apply(const struct spec *spec, int proc_fd, struct error *err);

#endif
