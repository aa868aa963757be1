#ifndef MICROVM_FILES_WORK_H
#define MICROVM_FILES_WORK_H

#include "base/decode.h"
#include "runtime/isolation.h"

/* struct inner_files as JSON, for the way to the agent. */

extern const struct object inner_files_object;

#endif
