#ifndef CLI_OCI_EVENTS_H
#define CLI_OCI_EVENTS_H

#include "base/decode.h"
#include "cgroups/cgroups.h"

/* One line of `events`, in the form of runc's. */
struct event {
    const char *type, *id;
    struct cgroup_details *data; /* NULL: none */
};
extern const struct object event_object;

#endif
