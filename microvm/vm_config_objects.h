#ifndef MICROVM_VM_CONFIG_OBJECTS_H
#define MICROVM_VM_CONFIG_OBJECTS_H

#include "base/decode.h"

/* Tables of config.json that the agent's messages share. */
extern const struct object vm_root_object;
extern const struct object vm_share_object;
extern const struct object vm_file_object;

#endif
