#include "tests/unit/base_test.h"

#include <errno.h>
#include <linux/audit.h>
#include <seccomp.h>

#include "runtime/process_setup.h"

#define ALLOW         SECCOMP_RET_ALLOW
#define ERRNO(number) (SECCOMP_RET_ERRNO | (number))
#define LAST_NUMBER   511

/* What docker denies on x86-64 with its default capabilities; all other calls of its time pass. */
static const char *const denied[] = {
    "_sysctl",
    "acct",
    "add_key",
    "afs_syscall",
    "bpf",
    "clock_settime",
    "clone3",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "get_mempolicy",
    "getpmsg",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "migrate_pages",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_madvise",
    "putpmsg",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "security",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "tuxcall",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
    "vserver",
    NULL,
};

static struct seccomp_filter *filter_with(const char *const *capabilities)
{
    struct strings names = { 0 };
    struct spec_seccomp *profile = NULL;
    struct seccomp_filter *filter = NULL;
    struct error err = { 0 };

    for (size_t i = 0; capabilities[i] != NULL; i++)
        strings_add(&names, capabilities[i]);
    profile = spec_default_seccomp(&names);
    if (seccomp_filter_plan(profile, -1, &filter, &err) < 0)
        fail_msg("%s", err.message);
    object_clear(&spec_seccomp_object, profile);
    free(profile);
    strings_clear(&names);
    return filter;
}

static uint32_t answer(const struct seccomp_filter *filter, const char *name, uint64_t arg)
{
    struct seccomp_data data = {
        .nr = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name),
        .arch = AUDIT_ARCH_X86_64,
        .args = { arg },
    };

    assert_true(data.nr >= 0);
    return seccomp_filter_answer(filter, &data);
}

static bool is_in(const char *const *names, const char *name)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* Walks all calls of x86-64 that libseccomp knows; returns how many are denied. */
static size_t walk(const struct seccomp_filter *filter, const char *const *expected)
{
    size_t count = 0;

    for (int number = 0; number <= LAST_NUMBER; number++) {
        auto_free char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, number);
        struct seccomp_data data = { .nr = number, .arch = AUDIT_ARCH_X86_64 };
        bool is_denied;

        if (name == NULL || number > 450)
            continue;
        is_denied = seccomp_filter_answer(filter, &data) != ALLOW;
        count += is_denied;
        if (is_denied != is_in(expected, name))
            fail_msg("%s is %s", name, is_denied ? "denied" : "allowed");
    }
    return count;
}

static void with_the_default_capabilities_67_calls_are_denied(void **state)
{
    AUTO(seccomp_filter) struct seccomp_filter *filter = filter_with(spec_default_capabilities);

    (void)state;
    assert_int_equal(walk(filter, denied), 67);
    assert_int_equal(answer(filter, "mount", 0), ERRNO(EPERM));
    assert_int_equal(answer(filter, "chroot", 0), ALLOW);
    assert_int_equal(answer(filter, "clone3", 0), ERRNO(ENOSYS));
}

static void the_same_calls_are_denied_in_the_other_modes_of_the_processor(void **state)
{
    AUTO(seccomp_filter) struct seccomp_filter *filter = filter_with(spec_default_capabilities);
    static const struct {
        uint32_t token, architecture;
    } modes[] = { { SCMP_ARCH_X86, AUDIT_ARCH_I386 }, { SCMP_ARCH_X32, AUDIT_ARCH_X86_64 } };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        for (size_t j = 0; denied[j] != NULL; j++) {
            struct seccomp_data data = {
                .nr = seccomp_syscall_resolve_name_arch(modes[i].token, denied[j]),
                .arch = modes[i].architecture,
            };

            if (data.nr >= 0 && seccomp_filter_answer(filter, &data) == ALLOW)
                fail_msg("%s is allowed in mode %zu", denied[j], i);
        }
    }
}

static void newer_calls_are_allowed_as_far_as_docker_knows_them(void **state)
{
    AUTO(seccomp_filter) struct seccomp_filter *filter = filter_with(spec_default_capabilities);
    static const struct {
        int first, last;
        uint32_t expected;
    } rows[] = {
        { 451, 458, ALLOW },        /* cachestat ... listmount */
        { 459, 461, ERRNO(EPERM) }, /* lsm_* */
        { 462, 466, ALLOW },        /* mseal, *xattrat */
        { 467, 511, ERRNO(ENOSYS) },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (int number = rows[i].first; number <= rows[i].last; number++) {
            struct seccomp_data data = { .nr = number, .arch = AUDIT_ARCH_X86_64 };

            if (seccomp_filter_answer(filter, &data) != rows[i].expected)
                fail_msg("number %d", number);
        }
    }
}

static void sockets_of_two_families_are_denied(void **state)
{
    AUTO(seccomp_filter) struct seccomp_filter *filter = filter_with(spec_default_capabilities);

    (void)state;
    for (uint64_t family = 0; family < 64; family++) {
        uint32_t expected = family == 38 || family == 40 ? ERRNO(EPERM) : ALLOW;

        if (answer(filter, "socket", family) != expected)
            fail_msg("family %d", (int)family);
    }
}

static void five_personalities_are_allowed(void **state)
{
    AUTO(seccomp_filter) struct seccomp_filter *filter = filter_with(spec_default_capabilities);
    static const struct {
        uint64_t persona;
        uint32_t expected;
    } rows[] = {
        { 0x0, ALLOW },        { 0x8, ALLOW },
        { 0x20000, ALLOW },    { 0x20008, ALLOW },
        { 0xffffffff, ALLOW }, { 0x40000, ERRNO(EPERM) },
        { 0x1, ERRNO(EPERM) }, { 0x400000, ERRNO(EPERM) },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(answer(filter, "personality", rows[i].persona), rows[i].expected);
}

static void clone_makes_processes_but_no_namespaces(void **state)
{
    AUTO(seccomp_filter) struct seccomp_filter *filter = filter_with(spec_default_capabilities);
    static const uint64_t namespaces[] = {
        0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00020000,
    };

    (void)state;
    assert_int_equal(answer(filter, "clone", 0x003d0f00), ALLOW); /* a thread */
    assert_int_equal(answer(filter, "clone", 0x01200011), ALLOW); /* fork */
    for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
        assert_int_equal(answer(filter, "clone", namespaces[i] | 17), ERRNO(EPERM));
}

static void capabilities_open_the_calls_that_they_guard(void **state)
{
    static const struct {
        const char *capability;
        const char *calls[12];
    } rows[] = {
        { "CAP_DAC_READ_SEARCH", { "open_by_handle_at" } },
        { "CAP_SYS_ADMIN",
          { "mount", "umount2", "setns", "unshare", "bpf", "clone3", "sethostname", "fsopen",
            "quotactl_fd", "perf_event_open", "syslog" } },
        { "CAP_SYS_BOOT", { "reboot" } },
        { "CAP_SYS_CHROOT", { "chroot" } },
        { "CAP_SYS_MODULE", { "delete_module", "init_module", "finit_module" } },
        { "CAP_SYS_PACCT", { "acct" } },
        { "CAP_SYS_PTRACE", { "kcmp", "pidfd_getfd", "process_madvise" } },
        { "CAP_SYS_RAWIO", { "iopl", "ioperm" } },
        { "CAP_SYS_TIME", { "settimeofday", "clock_settime" } },
        { "CAP_SYS_TTY_CONFIG", { "vhangup" } },
        { "CAP_SYS_NICE",
          { "get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node" } },
        { "CAP_SYSLOG", { "syslog" } },
        { "CAP_BPF", { "bpf" } },
        { "CAP_PERFMON", { "perf_event_open" } },
    };
    static const char *const none[] = { NULL };
    AUTO(seccomp_filter) struct seccomp_filter *bare = filter_with(none);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *const one[] = { rows[i].capability, NULL };
        AUTO(seccomp_filter) struct seccomp_filter *filter = filter_with(one);

        for (size_t j = 0; rows[i].calls[j] != NULL; j++) {
            if (answer(filter, rows[i].calls[j], 0) != ALLOW)
                fail_msg("%s with %s", rows[i].calls[j], rows[i].capability);
            assert_int_not_equal(answer(bare, rows[i].calls[j], 0), ALLOW);
        }
    }
}

static void with_cap_sys_admin_clone_takes_any_flags(void **state)
{
    static const char *const admin[] = { "CAP_SYS_ADMIN", NULL };
    AUTO(seccomp_filter) struct seccomp_filter *filter = filter_with(admin);

    (void)state;
    assert_int_equal(answer(filter, "clone", 0x10000000), ALLOW);
    for (int number = 459; number <= 461; number++) {
        struct seccomp_data data = { .nr = number, .arch = AUDIT_ARCH_X86_64 };

        assert_int_equal(seccomp_filter_answer(filter, &data), ALLOW);
    }
}

static void the_profile_fits_into_few_rules(void **state)
{
    struct strings names = { 0 };
    struct spec_seccomp *profile = NULL;
    auto_free char *json = NULL;

    (void)state;
    for (size_t i = 0; spec_default_capabilities[i] != NULL; i++)
        strings_add(&names, spec_default_capabilities[i]);
    profile = spec_default_seccomp(&names);
    json = encode_text(&spec_seccomp_object, profile, ENCODE_COMPACT);
    assert_true(profile->syscalls.count <= 12);
    assert_true(strlen(json) < 8192);
    object_clear(&spec_seccomp_object, profile);
    free(profile);
    strings_clear(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#if defined(__x86_64__)
        cmocka_unit_test(with_the_default_capabilities_67_calls_are_denied),
        cmocka_unit_test(the_same_calls_are_denied_in_the_other_modes_of_the_processor),
        cmocka_unit_test(newer_calls_are_allowed_as_far_as_docker_knows_them),
        cmocka_unit_test(sockets_of_two_families_are_denied),
        cmocka_unit_test(five_personalities_are_allowed),
        cmocka_unit_test(clone_makes_processes_but_no_namespaces),
        cmocka_unit_test(capabilities_open_the_calls_that_they_guard),
        cmocka_unit_test(with_cap_sys_admin_clone_takes_any_flags),
#endif
        cmocka_unit_test(the_profile_fits_into_few_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
