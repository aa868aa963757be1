#ifndef CGROUPS_SCOPE_H
#define CGROUPS_SCOPE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/decode.h"
#include "base/error.h"
#include "base/text.h"
#include "cgroups/cgroups.h"

/* The systemd cgroup manager: a container's cgroup is a transient scope unit, which systemd makes
 * around the container's first process. What is to be asked of systemd is decided here, purely, as
 * a list of unit properties; the D-Bus itself is spoken by the program berth-scope (scope_main.c),
 * so that nobody else loads libsystemd. See systemd's CGROUP_DELEGATION document,
 * org.freedesktop.systemd1(5) and systemd.resource-control(5). */

/* One property, its value as texts: one for a basic type, one for each element of an array "as",
 * "au", "ay", and two for each element of "a(ss)". */
struct scope_property {
    char *name;
    char *signature; /* of D-Bus: "s", "b", "t", "au", "a(ss)" ... */
    struct strings values;
    bool is_optional; /* left out when this systemd does not know it: a file says it as well */
};
struct scope_properties {
    struct scope_property *items;
    size_t count;
};
void scope_properties_clear(struct scope_properties *properties);

/** Appends a property without a value; the caller adds to ->values. Valid until the next one. */
struct scope_property *scope_properties_add(struct scope_properties *properties, const char *name,
                                            const char *signature);

/* --- decide ------------------------------------------------------------------------------------
 */

/**
 * Splits "slice:prefix:name" as runc does; the unit is then "prefix-name.scope".
 *
 * Defaults: system.slice (user.slice with @is_user), "runc", and @id.
 *
 * -EINVAL: another form, no valid unit name, or a name that ends in ".slice": a slice takes no
 * processes.
 */
int scope_name_parse(const char *cgroups_path, const char *id, bool is_user, char **ret_slice,
                     char **ret_unit, struct error *err);

/** Where the slice "a-b.slice" lies: "/a.slice/a-b.slice"; "-.slice" is "/". Caller frees. */
int scope_slice_path(const char *slice, char **ret_path, struct error *err);

/**
 * Adds what of @resources systemd can be told; all of it goes into the files as well. So systemd
 * knows the limits when it writes them again, after a daemon-reload for one.
 *
 * @is_v2  the layout is v2; else the properties of v1 are used
 */
int scope_resources_plan(const struct cgroup_resources *resources, bool is_v2,
                         struct scope_properties *properties, struct error *err);

/**
 * Adds the properties that annotations "org.systemd.property.NAME" ask for.
 *
 * Values are in GVariant's text form: true, 'text', 42, uint64 42, ['a', 'b']. A NAME that ends in
 * "Sec" becomes "USec", its number of seconds microseconds, because D-Bus knows only those.
 */
int scope_annotations_plan(const struct string_map *annotations,
                           struct scope_properties *properties, struct error *err);

/* --- act ---------------------------------------------------------------------------------------
 */

struct scope {
    const char *unit;
    const char
        *description; /* of this container and no other: what else has the name is not ours */
    bool is_user;     /* at the user's own manager */
};

/** Makes the scope around process @pid and waits until it stands. -EEXIST: there is such a unit. */
int scope_start(const struct scope *scope, const char *slice, pid_t pid, bool is_v2,
                const struct scope_properties *properties, struct error *err);
/** Changes properties of a scope until it ends. */
int scope_set(const struct scope *scope, const struct scope_properties *properties,
              struct error *err);
/** Stops the scope and waits for its end; none, or one that is not ours, is fine. */
int scope_stop(const struct scope *scope, struct error *err);

/* --- between the caller and berth-scope: one request on standard input, one struct error back ----
 */

#define SCOPE_REQUEST_MAX (1u << 20)
#define SCOPE_JOB_WAIT_S  30 /* for systemd to do what it was asked */
#define SCOPE_CALL_WAIT_S 20 /* for one answer on D-Bus */

enum scope_action { SCOPE_START, SCOPE_SET, SCOPE_STOP };
struct scope_request {
    uint32_t action;
    char *unit, *description;
    bool is_user;
    struct scope_properties properties;
};
extern const struct object scope_request_object;

#endif
