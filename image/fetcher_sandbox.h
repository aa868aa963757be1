#ifndef IMAGE_FETCHER_SANDBOX_H
#define IMAGE_FETCHER_SANDBOX_H

#include "base/error.h"

/**
 * Gives up everything that berth-fetch does not need: root (it becomes nobody), capabilities, files
 * but those of name resolution and the certificates, writing files at all, new processes. Each part
 * that the kernel does not have is left out, with a word to the debug log.
 */
int fetcher_sandbox_enter(struct error *err);

#endif
