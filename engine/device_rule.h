#ifndef ENGINE_DEVICE_RULE_H
#define ENGINE_DEVICE_RULE_H

#include <stdint.h>

#include "base/error.h"

/* Devices of the machine that a container may use once it has a node of them:
 * --device-cgroup-rule. */
struct device_rule {
    char type[2];         /* "a" (both), "b", "c" */
    int64_t major, minor; /* -1: any */
    char access[4];       /* of "rwm" */
};

/** Parses "TYPE MAJOR:MINOR ACCESS", as "c 13:* rwm". */
int device_rule_parse(const char *text, struct device_rule *ret_rule, struct error *err);

#endif
