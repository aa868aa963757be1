#include "engine/bundle.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* Docker's form of a seccomp profile: the OCI form, and beside it `archMap` and, for each rule,
 * `includes` and `excludes` that depend on capabilities, architecture and kernel. An OCI profile is
 * one without these. (docker, docs/security/seccomp; containers/common, pkg/seccomp) */

struct condition {
    struct strings caps, arches;
    char *min_kernel;
};
struct rule {
    char *name;
    struct strings names;
    char *action, *comment, *errno_name;
    bool has_errno_ret;
    uint32_t errno_ret;
    struct spec_seccomp_args args;
    struct condition includes, excludes;
};
struct rules {
    struct rule *items;
    size_t count;
};
struct arch_map {
    char *architecture;
    struct strings sub_architectures;
};
struct arch_maps {
    struct arch_map *items;
    size_t count;
};
struct profile {
    char *default_action, *default_errno;
    bool has_default_errno_ret;
    uint32_t default_errno_ret;
    struct strings architectures, flags;
    char *listener_path, *listener_metadata;
    struct arch_maps arch_map;
    struct rules syscalls;
};

static const struct field condition_fields[] = {
    FIELD_OF(struct condition, caps, "caps", FIELD_STRINGS, 0),
    FIELD_OF(struct condition, arches, "arches", FIELD_STRINGS, 0),
    FIELD_OF(struct condition, min_kernel, "minKernel", FIELD_STRING, 0),
    { 0 },
};
/* An unknown condition would be a rule that holds where it should not: refuse. */
static const struct object condition_object = { condition_fields, sizeof(struct condition),
                                                OBJECT_REFUSE_UNKNOWN };

static const struct field arg_fields[] = {
    FIELD_OF(struct spec_seccomp_arg, index, "index", FIELD_U32, FIELD_REQUIRED),
    FIELD_OF(struct spec_seccomp_arg, value, "value", FIELD_U64, FIELD_REQUIRED),
    FIELD_OF(struct spec_seccomp_arg, value_two, "valueTwo", FIELD_U64, 0),
    FIELD_OF(struct spec_seccomp_arg, op, "op", FIELD_STRING, FIELD_REQUIRED),
    { 0 },
};
static const struct object arg_object = { arg_fields, sizeof(struct spec_seccomp_arg),
                                          OBJECT_REFUSE_UNKNOWN };

static const struct field rule_fields[] = {
    FIELD_OF(struct rule, name, "name", FIELD_STRING, 0),
    FIELD_OF(struct rule, names, "names", FIELD_STRINGS, 0),
    FIELD_OF(struct rule, action, "action", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct rule, comment, "comment", FIELD_STRING, 0),
    FIELD_OF(struct rule, errno_name, "errno", FIELD_STRING, 0),
    FIELD_OPTIONAL(struct rule, errno_ret, "errnoRet", FIELD_U32),
    FIELD_OBJECT(struct rule, args, "args", FIELD_STRUCT, &arg_object, FIELD_ARRAY),
    FIELD_OBJECT(struct rule, includes, "includes", FIELD_STRUCT, &condition_object, 0),
    FIELD_OBJECT(struct rule, excludes, "excludes", FIELD_STRUCT, &condition_object, 0),
    { 0 },
};
static const struct object rule_object = { rule_fields, sizeof(struct rule),
                                           OBJECT_REFUSE_UNKNOWN };

static const struct field arch_map_fields[] = {
    FIELD_OF(struct arch_map, architecture, "architecture", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct arch_map, sub_architectures, "subArchitectures", FIELD_STRINGS, 0),
    { 0 },
};
static const struct object arch_map_object = { arch_map_fields, sizeof(struct arch_map), 0 };

static const struct field profile_fields[] = {
    FIELD_OF(struct profile, default_action, "defaultAction", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct profile, default_errno, "defaultErrno", FIELD_STRING, 0),
    FIELD_OPTIONAL(struct profile, default_errno_ret, "defaultErrnoRet", FIELD_U32),
    FIELD_OF(struct profile, architectures, "architectures", FIELD_STRINGS, 0),
    FIELD_OF(struct profile, flags, "flags", FIELD_STRINGS, 0),
    FIELD_OF(struct profile, listener_path, "listenerPath", FIELD_STRING, 0),
    FIELD_OF(struct profile, listener_metadata, "listenerMetadata", FIELD_STRING, 0),
    FIELD_OBJECT(struct profile, arch_map, "archMap", FIELD_STRUCT, &arch_map_object, FIELD_ARRAY),
    FIELD_OBJECT(struct profile, syscalls, "syscalls", FIELD_STRUCT, &rule_object, FIELD_ARRAY),
    { 0 },
};
static const struct object profile_object = { profile_fields, sizeof(struct profile), 0 };

static void profile_clear(struct profile *profile)
{
    object_clear(&profile_object, profile);
}

#if defined(__x86_64__)
#define OWN_SCMP_ARCH "SCMP_ARCH_X86_64"
#elif defined(__aarch64__)
#define OWN_SCMP_ARCH "SCMP_ARCH_AARCH64"
#else
#define OWN_SCMP_ARCH ""
#endif

static bool kernel_is_at_least(const char *wanted)
{
    unsigned want_major = 0, want_minor = 0, has_major = 0, has_minor = 0;
    struct utsname names;

    if (sscanf(wanted, "%u.%u", &want_major, &want_minor) != 2 || uname(&names) < 0 ||
        sscanf(names.release, "%u.%u", &has_major, &has_minor) != 2)
        return false;
    return has_major > want_major || (has_major == want_major && has_minor >= want_minor);
}

static bool any_in(const struct strings *a, const struct strings *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (strings_contains(b, a->items[i]))
            return true;
    return false;
}

static bool all_in(const struct strings *a, const struct strings *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (!strings_contains(b, a->items[i]))
            return false;
    return true;
}

static bool names_own_arch(const struct strings *arches)
{
    struct utsname names;

    if (uname(&names) < 0)
        return false;
    if (strings_contains(arches, names.machine))
        return true;
    return (strcmp(names.machine, "x86_64") == 0 && strings_contains(arches, "amd64")) ||
           (strcmp(names.machine, "aarch64") == 0 && strings_contains(arches, "arm64"));
}

static bool rule_holds(const struct rule *rule, const struct strings *capabilities)
{
    if (any_in(&rule->excludes.caps, capabilities))
        return false;
    if (rule->excludes.arches.count > 0 && names_own_arch(&rule->excludes.arches))
        return false;
    if (rule->excludes.min_kernel != NULL && kernel_is_at_least(rule->excludes.min_kernel))
        return false;
    if (!all_in(&rule->includes.caps, capabilities))
        return false;
    if (rule->includes.arches.count > 0 && !names_own_arch(&rule->includes.arches))
        return false;
    return rule->includes.min_kernel == NULL || kernel_is_at_least(rule->includes.min_kernel);
}

static void take_rule(struct rule *rule, struct spec_syscalls *syscalls)
{
    struct spec_syscall *syscall = &syscalls->items[syscalls->count++];

    if (rule->name != NULL)
        strings_take(&rule->names, take_ptr(&rule->name));
    syscall->names = rule->names;
    syscall->action = rule->action;
    syscall->has_errno_ret = rule->has_errno_ret;
    syscall->errno_ret = rule->errno_ret;
    syscall->args = rule->args;
    rule->names = (struct strings){ 0 };
    rule->args = (struct spec_seccomp_args){ 0 };
    rule->action = NULL;
}

static void take_architectures(struct profile *profile, struct spec_seccomp *seccomp)
{
    seccomp->architectures = profile->architectures;
    profile->architectures = (struct strings){ 0 };
    for (size_t i = 0; i < profile->arch_map.count; i++) {
        const struct arch_map *map = &profile->arch_map.items[i];

        if (strcmp(map->architecture, OWN_SCMP_ARCH) != 0)
            continue;
        strings_add(&seccomp->architectures, map->architecture);
        strings_add_all(&seccomp->architectures, &map->sub_architectures);
    }
}

int seccomp_profile_decode(const char *json, size_t length, const struct strings *capabilities,
                           struct spec_seccomp **ret_seccomp, struct error *err)
{
    AUTO_CLEAR(profile) struct profile profile = { 0 };
    struct spec_seccomp *seccomp;
    int r;

    assert(ret_seccomp != NULL);

    r = decode_text(&profile_object, json, length, &profile, "seccomp profile", err);
    if (r < 0)
        return r;
    seccomp = xcalloc(1, sizeof(*seccomp));
    seccomp->default_action = take_ptr(&profile.default_action);
    seccomp->has_default_errno_ret = profile.has_default_errno_ret;
    seccomp->default_errno_ret = profile.default_errno_ret;
    seccomp->flags = profile.flags;
    profile.flags = (struct strings){ 0 };
    seccomp->listener_path = take_ptr(&profile.listener_path);
    seccomp->listener_metadata = take_ptr(&profile.listener_metadata);
    take_architectures(&profile, seccomp);
    seccomp->syscalls.items = xcalloc(profile.syscalls.count + 1, sizeof(*seccomp->syscalls.items));
    for (size_t i = 0; i < profile.syscalls.count; i++)
        if (rule_holds(&profile.syscalls.items[i], capabilities))
            take_rule(&profile.syscalls.items[i], &seccomp->syscalls);
    *ret_seccomp = seccomp;
    return 0;
}
