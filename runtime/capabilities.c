#include "runtime/process_setup.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

/* Capabilities by number, as in <linux/capability.h>. */
static const char *const capability_names[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    NULL,
};
_Static_assert(ARRAY_SIZE(capability_names) == CAPABILITY_LAST + 2, "one name for each number");
_Static_assert(CAPABILITY_LAST == CAP_LAST_CAP, "as many as the kernel headers have");

#define BIT(number)     ((uint64_t)1 << (number))
#define CAPABILITY_BITS 64 /* capset(2), version 3 */

const char *capability_name(int number)
{
    return number >= 0 && number <= CAPABILITY_LAST ? capability_names[number] : NULL;
}

int capability_parse(const char *name, struct error *err)
{
    auto_free char *upper = NULL;
    const char *near = NULL;

    assert(name != NULL);

    upper = xasprintf("%s%s", strncasecmp(name, "CAP_", 4) == 0 ? "" : "CAP_", name);
    for (char *c = upper; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    for (int i = 0; i <= CAPABILITY_LAST; i++) {
        if (strcmp(capability_names[i], upper) == 0)
            return i;
    }
    near = text_nearest(capability_names, upper);
    if (near == NULL)
        return error_set(err, EINVAL, "unknown capability '%s'", name);
    return error_set(err, EINVAL, "unknown capability '%s', did you mean %s?", name, near);
}

/* The numbers are dense, so the newest one that the kernel knows tells of all others: one call on
 * a kernel that is as new as our table. */
static uint64_t known_bits(void)
{
    int last = CAPABILITY_LAST;

    while (last > 0 && prctl(PR_CAPBSET_READ, last, 0, 0, 0) < 0)
        last--;
    return BIT(last) | (BIT(last) - 1);
}

static uint64_t names_to_bits(const struct strings *names, uint64_t known, const char *set_name)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < names->count; i++) {
        int number = capability_parse(names->items[i], NULL);

        if (number < 0 || (known & BIT(number)) == 0)
            log_warning("this kernel has no capability '%s', leaving it out of the %s set",
                        names->items[i], set_name);
        else
            bits |= BIT(number);
    }
    return bits;
}

/* capabilities(7) forbids them. `runc spec` writes ambient ones without any inheritable one: that
 * is in many bundles, and no news. */
static void warn_of_ambient(uint64_t excess)
{
    for (int number = 0; number <= CAPABILITY_LAST; number++) {
        if ((excess & BIT(number)) != 0)
            log_warning("can't raise ambient capability %s: it is not both permitted and "
                        "inheritable",
                        capability_names[number]);
    }
}

int capabilities_plan(const struct spec_capabilities *spec, struct capability_sets *ret_sets,
                      struct error *err)
{
    struct capability_sets sets = { 0 };
    uint64_t known = known_bits();
    uint64_t excess;

    assert(spec != NULL);
    assert(ret_sets != NULL);

    sets.bounding = names_to_bits(&spec->bounding, known, "bounding");
    sets.effective = names_to_bits(&spec->effective, known, "effective");
    sets.inheritable = names_to_bits(&spec->inheritable, known, "inheritable");
    sets.permitted = names_to_bits(&spec->permitted, known, "permitted");
    sets.ambient = names_to_bits(&spec->ambient, known, "ambient");
    excess = sets.effective & ~sets.permitted;
    if (excess != 0)
        return error_set(err, EINVAL, "effective: %s is not in permitted",
                         capability_name(__builtin_ctzll(excess)));
    if (sets.inheritable != 0)
        warn_of_ambient(sets.ambient & ~(sets.permitted & sets.inheritable));
    sets.ambient &= sets.permitted & sets.inheritable;
    *ret_sets = sets;
    return 0;
}

int capabilities_drop_bounding(const struct capability_sets *sets, struct error *err)
{
    assert(sets != NULL);

    for (int number = 0; number < CAPABILITY_BITS; number++) {
        if ((sets->bounding & BIT(number)) != 0)
            continue;
        if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0)
            continue;
        if (errno == EINVAL) /* beyond the last one of this kernel */
            return 0;
        if (errno == EPERM && prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 0)
            continue; /* was not there: nothing to drop, so no right is needed */
        return error_errno(err, "drop capability %s from the bounding set",
                           number <= CAPABILITY_LAST ? capability_names[number] : "(unnamed)");
    }
    return 0;
}

/* Says which capabilities capset(2) refused: those that the caller does not have itself. */
static int explain_refusal(const struct capability_sets *sets, struct error *err)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { 0 };
    struct text missing = { 0 };
    uint64_t bits;
    int r;

    if (syscall(SYS_capget, &header, data) < 0)
        return error_errno(err, "read capabilities");
    bits = (sets->permitted | sets->inheritable) &
           ~((uint64_t)data[1].permitted << 32 | data[0].permitted);
    for (int number = 0; number <= CAPABILITY_LAST; number++) {
        if ((bits & BIT(number)) != 0)
            text_addf(&missing, "%s%s", missing.length > 0 ? ", " : "", capability_names[number]);
    }
    r = error_set(err, EPERM,
                  "set capabilities: Operation not permitted (the runtime itself lacks %s)",
                  missing.length > 0 ? missing.data : "none of them");
    text_clear(&missing);
    return r;
}

static int apply_ambient(uint64_t ambient, struct error *err)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
        return error_errno(err, "clear ambient capabilities");
    for (int number = 0; number <= CAPABILITY_LAST; number++) {
        if ((ambient & BIT(number)) == 0)
            continue;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) < 0)
            return error_errno(err, "raise ambient capability %s", capability_names[number]);
    }
    return 0;
}

int capabilities_apply(const struct capability_sets *sets, struct error *err)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];

    assert(sets != NULL);

    for (int i = 0; i < 2; i++)
        data[i] = (struct __user_cap_data_struct){
            .effective = (uint32_t)(sets->effective >> (32 * i)),
            .permitted = (uint32_t)(sets->permitted >> (32 * i)),
            .inheritable = (uint32_t)(sets->inheritable >> (32 * i)),
        };
    if (syscall(SYS_capset, &header, data) < 0)
        return errno == EPERM ? explain_refusal(sets, err) : error_errno(err, "set capabilities");
    return apply_ambient(sets->ambient, err);
}
