#include "tests/unit/base_test.h"

#include <dirent.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <seccomp.h>

#include "runtime/process_setup.h"

#define ALLOW         SECCOMP_RET_ALLOW
#define ERRNO(number) (SECCOMP_RET_ERRNO | (number))
#define X32_BIT       0x40000000

static struct spec_seccomp *profile_of(const char *json)
{
    struct spec_seccomp *profile = xcalloc(1, sizeof(*profile));
    struct error err = { 0 };

    if (decode_text(&spec_seccomp_object, json, strlen(json), profile, NULL, &err) < 0)
        fail_msg("%s", err.message);
    return profile;
}

static void profile_free(struct spec_seccomp *profile)
{
    object_clear(&spec_seccomp_object, profile);
    free(profile);
}

static struct seccomp_filter *filter_in(const char *json, int cache_fd)
{
    struct spec_seccomp *profile = profile_of(json);
    struct seccomp_filter *filter = NULL;
    struct error err = { 0 };

    if (seccomp_filter_plan(profile, cache_fd, &filter, &err) < 0)
        fail_msg("%s", err.message);
    profile_free(profile);
    return filter;
}

static struct seccomp_filter *filter_of(const char *json)
{
    return filter_in(json, -1);
}

static uint32_t answer(const struct seccomp_filter *filter, uint32_t architecture, int number,
                       const uint64_t *args)
{
    struct seccomp_data data = { .nr = number, .arch = architecture };

    for (int i = 0; args != NULL && i < 6; i++)
        data.args[i] = args[i];
    return seccomp_filter_answer(filter, &data);
}

/* Of x86-64, by name, without arguments. */
static uint32_t answer_to(const struct seccomp_filter *filter, const char *name)
{
    return answer(filter, AUDIT_ARCH_X86_64,
                  seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name), NULL);
}

#define X86_64 "\"architectures\":[\"SCMP_ARCH_X86_64\"],"

static void wrong_members_are_named(void **state)
{
    static const struct {
        const char *json, *message;
    } rows[] = {
        { "{\"defaultAction\":\"SCMP_ACT_ALOW\"}",
          "linux.seccomp.defaultAction: unknown action 'SCMP_ACT_ALOW', did you mean "
          "SCMP_ACT_ALLOW?" },
        { "{\"defaultAction\":\"x\"}", "linux.seccomp.defaultAction: unknown action 'x'" },
        { "{\"defaultAction\":\"SCMP_ACT_NOTIFY\",\"listenerPath\":\"/l\"}",
          "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY is only for single calls" },
        { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":5}",
          "linux.seccomp.defaultErrnoRet: has no meaning for SCMP_ACT_ALLOW" },
        { "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":4096}",
          "linux.seccomp.defaultErrnoRet: 4096 is out of range" },
        { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86\",\"VAX\"]}",
          "linux.seccomp.architectures[1]: unknown architecture 'VAX'" },
        { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOGS\"]}",
          "linux.seccomp.flags[0]: unknown flag 'SECCOMP_FILTER_FLAG_LOGS', did you mean "
          "SECCOMP_FILTER_FLAG_LOG?" },
        { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerMetadata\":\"x\"}",
          "linux.seccomp.listenerMetadata: needs listenerPath" },
        { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[],\"action\":"
          "\"SCMP_ACT_ERRNO\"}]}",
          "linux.seccomp.syscalls[0].names: is empty" },
        { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":"
          "\"SCMP_ACT_LOG\"},{\"names\":[\"read\"],\"action\":\"y\"}]}",
          "linux.seccomp.syscalls[1].action: unknown action 'y'" },
        { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":"
          "\"SCMP_ACT_LOG\",\"errnoRet\":1}]}",
          "linux.seccomp.syscalls[0].errnoRet: has no meaning for SCMP_ACT_LOG" },
        { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":"
          "\"SCMP_ACT_NOTIFY\"}]}",
          "linux.seccomp.syscalls[0].action: SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath" },
        { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":"
          "\"SCMP_ACT_LOG\",\"args\":[{\"index\":6,\"value\":0,\"op\":\"SCMP_CMP_EQ\"}]}]}",
          "linux.seccomp.syscalls[0].args[0].index: 6 is not from 0 to 5" },
        { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":"
          "\"SCMP_ACT_LOG\",\"args\":[{\"index\":0,\"value\":0,\"op\":\"==\"}]}]}",
          "linux.seccomp.syscalls[0].args[0].op: unknown operator '=='" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct spec_seccomp *profile = profile_of(rows[i].json);
        struct seccomp_filter *filter = NULL;
        struct error err = { 0 };
        int r = seccomp_filter_plan(profile, -1, &filter, &err);

        if (r != -EINVAL || strcmp(err.message, rows[i].message) != 0)
            print_error("row %zu: %d, '%s'\n", i, r, err.message);
        assert_int_equal(r, -EINVAL);
        assert_string_equal(err.message, rows[i].message);
        profile_free(profile);
    }
}

static void each_action_becomes_the_answer_of_the_kernel(void **state)
{
    static const struct {
        const char *rule;
        uint32_t expected;
    } rows[] = {
        { "\"action\":\"SCMP_ACT_ERRNO\"", ERRNO(EPERM) },
        { "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":77", ERRNO(77) },
        { "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":0", ERRNO(0) },
        { "\"action\":\"SCMP_ACT_TRACE\",\"errnoRet\":5000", SECCOMP_RET_TRACE | 5000 },
        { "\"action\":\"SCMP_ACT_KILL\"", SECCOMP_RET_KILL_THREAD },
        { "\"action\":\"SCMP_ACT_KILL_THREAD\"", SECCOMP_RET_KILL_THREAD },
        { "\"action\":\"SCMP_ACT_KILL_PROCESS\"", SECCOMP_RET_KILL_PROCESS },
        { "\"action\":\"SCMP_ACT_TRAP\"", SECCOMP_RET_TRAP },
        { "\"action\":\"SCMP_ACT_LOG\"", SECCOMP_RET_LOG },
        { "\"action\":\"SCMP_ACT_NOTIFY\"", SECCOMP_RET_USER_NOTIF },
        { "\"action\":\"SCMP_ACT_ALLOW\"", ALLOW },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *json =
            xasprintf("{\"defaultAction\":\"SCMP_ACT_ALLOW\"," X86_64 "\"listenerPath\":\"/l\","
                      "\"syscalls\":[{\"names\":[\"getpid\",\"mseal\"],%s}]}",
                      rows[i].rule);
        AUTO(seccomp_filter) struct seccomp_filter *filter = filter_of(json);

        assert_int_equal(answer_to(filter, "getpid"), rows[i].expected);
        assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 462, NULL), rows[i].expected);
        assert_int_equal(answer_to(filter, "getppid"), ALLOW);
        assert_int_equal(filter->has_listener, strstr(rows[i].rule, "NOTIFY") != NULL);
    }
}

static void calls_newer_than_the_newest_of_the_profile_do_not_exist(void **state)
{
    AUTO(seccomp_filter)
    struct seccomp_filter *filter =
        filter_of("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":13," X86_64
                  "\"syscalls\":[{\"names\":[\"read\",\"openat2\"],\"action\":"
                  "\"SCMP_ACT_ALLOW\"}]}");
    int newest = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, "openat2");

    (void)state;
    assert_int_equal(answer_to(filter, "read"), ALLOW);
    assert_int_equal(answer_to(filter, "write"), ERRNO(13));
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, newest, NULL), ALLOW);
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, newest - 1, NULL), ERRNO(13));
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, newest + 1, NULL), ERRNO(ENOSYS));
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, -1, NULL), ERRNO(ENOSYS));
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, X32_BIT | 5, NULL), ERRNO(ENOSYS));
    assert_int_equal(answer(filter, AUDIT_ARCH_I386, 3, NULL), SECCOMP_RET_KILL_THREAD);
}

static void a_refused_call_counts_as_known(void **state)
{
    AUTO(seccomp_filter)
    struct seccomp_filter *filter =
        filter_of("{\"defaultAction\":\"SCMP_ACT_ERRNO\"," X86_64
                  "\"syscalls\":[{\"names\":[\"openat2\"],\"action\":\"SCMP_ACT_ERRNO\"}]}");

    (void)state;
    assert_int_equal(answer_to(filter, "openat2"), ERRNO(EPERM));
    assert_int_equal(answer_to(filter, "faccessat2"), ERRNO(ENOSYS));
}

static void a_default_that_lets_pass_says_nothing_about_newer_calls(void **state)
{
    static const struct {
        const char *action;
        uint32_t expected;
    } rows[] = {
        { "SCMP_ACT_ALLOW", ALLOW },
        { "SCMP_ACT_LOG", SECCOMP_RET_LOG },
        { "SCMP_ACT_TRACE", SECCOMP_RET_TRACE | EPERM },
        { "SCMP_ACT_KILL_PROCESS", ERRNO(ENOSYS) },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *json =
            xasprintf("{\"defaultAction\":\"%s\"," X86_64 "\"syscalls\":[{\"names\":[\"read\"],"
                      "\"action\":\"SCMP_ACT_TRAP\"}]}",
                      rows[i].action);
        AUTO(seccomp_filter) struct seccomp_filter *filter = filter_of(json);

        assert_int_equal(answer_to(filter, "read"), SECCOMP_RET_TRAP);
        assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 500, NULL), rows[i].expected);
    }
}

static void a_profile_without_rules_keeps_its_default(void **state)
{
    AUTO(seccomp_filter)
    struct seccomp_filter *filter = filter_of("{\"defaultAction\":\"SCMP_ACT_ERRNO\"}");

    (void)state;
    assert_int_equal(answer(filter, seccomp_arch_native(), 1, NULL), ERRNO(EPERM));
    assert_int_equal(answer(filter, seccomp_arch_native(), 1000, NULL), ERRNO(EPERM));
}

static void calls_that_came_after_the_library_can_be_named(void **state)
{
    AUTO(seccomp_filter)
    struct seccomp_filter *filter =
        filter_of("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86_64\","
                  "\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"],\"syscalls\":["
                  "{\"names\":[\"read\",\"cachestat\",\"mseal\"],\"action\":\"SCMP_ACT_ALLOW\"},"
                  "{\"names\":[\"listmount\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":42}]}");
    static const struct {
        int number;
        uint32_t expected;
    } rows[] = {
        { 450, ERRNO(EPERM) }, { 451, ALLOW }, { 452, ERRNO(EPERM) },  { 458, ERRNO(42) },
        { 461, ERRNO(EPERM) }, { 462, ALLOW }, { 463, ERRNO(ENOSYS) },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int number = rows[i].number;

        assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, number, NULL), rows[i].expected);
        assert_int_equal(answer(filter, AUDIT_ARCH_I386, number, NULL), rows[i].expected);
        assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, X32_BIT | number, NULL),
                         rows[i].expected);
    }
}

static void each_architecture_has_its_own_numbers(void **state)
{
    AUTO(seccomp_filter)
    struct seccomp_filter *filter =
        filter_of("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86\","
                  "\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_AARCH64\",\"SCMP_ARCH_X32\",\"SCMP_ARCH_X86\"],"
                  "\"syscalls\":[{\"names\":[\"getpid\",\"close_range\",\"waitpid\"],"
                  "\"action\":\"SCMP_ACT_ALLOW\"}]}");

    (void)state;
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 39, NULL), ALLOW);
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 20, NULL), ERRNO(EPERM));
    assert_int_equal(answer(filter, AUDIT_ARCH_I386, 20, NULL), ALLOW);
    assert_int_equal(answer(filter, AUDIT_ARCH_I386, 7, NULL), ALLOW);
    assert_int_equal(answer(filter, AUDIT_ARCH_I386, 39, NULL), ERRNO(EPERM));
    assert_int_equal(answer(filter, AUDIT_ARCH_AARCH64, 172, NULL), ALLOW);
    assert_int_equal(answer(filter, AUDIT_ARCH_AARCH64, 437, NULL), ERRNO(ENOSYS));
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, X32_BIT | 39, NULL), ALLOW);
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, X32_BIT | 437, NULL), ERRNO(ENOSYS));
    assert_int_equal(answer(filter, AUDIT_ARCH_ARM, 20, NULL), SECCOMP_RET_KILL_THREAD);
}

static void every_operator_compares_all_64_bits(void **state)
{
    const uint64_t big = 0x500000007;
    static const struct {
        const char *op;
        bool below, same, above;
    } rows[] = {
        { "SCMP_CMP_EQ", false, true, false }, { "SCMP_CMP_NE", true, false, true },
        { "SCMP_CMP_LT", true, false, false }, { "SCMP_CMP_LE", true, true, false },
        { "SCMP_CMP_GT", false, false, true }, { "SCMP_CMP_GE", false, true, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *json = xasprintf(
            "{\"defaultAction\":\"SCMP_ACT_ERRNO\"," X86_64
            "\"syscalls\":[{\"names\":[\"getpid\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
            "{\"index\":5,\"value\":21474836487,\"op\":\"%s\"}]}]}",
            rows[i].op);
        AUTO(seccomp_filter) struct seccomp_filter *filter = filter_of(json);
        const struct {
            uint64_t value;
            bool allowed;
        } values[] = {
            { big, rows[i].same },
            { big - 1, rows[i].below },
            { big + 1, rows[i].above },
            { big - 0x100000000, rows[i].below },
            { big + 0x100000000, rows[i].above },
        };

        for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
            uint64_t args[6] = { 0, 0, 0, 0, 0, values[j].value };

            if ((answer(filter, AUDIT_ARCH_X86_64, 39, args) == ALLOW) != values[j].allowed)
                fail_msg("%s, value %zu", rows[i].op, j);
        }
    }
}

static void a_masked_comparison_looks_at_the_bits_of_the_mask(void **state)
{
    AUTO(seccomp_filter)
    struct seccomp_filter *filter =
        filter_of("{\"defaultAction\":\"SCMP_ACT_ERRNO\"," X86_64
                  "\"syscalls\":[{\"names\":[\"getpid\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
                  "{\"index\":0,\"value\":240,\"valueTwo\":32,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}]}");

    (void)state;
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 39, (uint64_t[6]){ 0x2f }), ALLOW);
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 39, (uint64_t[6]){ 0xf20 }), ALLOW);
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 39, (uint64_t[6]){ 0x3f }), ERRNO(EPERM));
}

static void conditions_on_one_argument_are_alternatives_on_several_all_hold(void **state)
{
    AUTO(seccomp_filter)
    struct seccomp_filter *filter =
        filter_of("{\"defaultAction\":\"SCMP_ACT_ERRNO\"," X86_64 "\"syscalls\":["
                  "{\"names\":[\"getpid\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
                  "{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},"
                  "{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]},"
                  "{\"names\":[\"getppid\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
                  "{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},"
                  "{\"index\":1,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]}]}");

    (void)state;
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 39, (uint64_t[6]){ 1 }), ALLOW);
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 39, (uint64_t[6]){ 2 }), ALLOW);
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 39, (uint64_t[6]){ 3 }), ERRNO(EPERM));
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 110, (uint64_t[6]){ 1, 2 }), ALLOW);
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 110, (uint64_t[6]){ 1, 1 }), ERRNO(EPERM));
}

static void unknown_names_are_left_out(void **state)
{
    AUTO(seccomp_filter)
    struct seccomp_filter *filter =
        filter_of("{\"defaultAction\":\"SCMP_ACT_ERRNO\"," X86_64 "\"syscalls\":["
                  "{\"names\":[\"no_such_call\",\"getpid\"],\"action\":\"SCMP_ACT_ALLOW\"}]}");

    (void)state;
    assert_int_equal(answer_to(filter, "getpid"), ALLOW);
}

static void flags_become_those_of_the_kernel(void **state)
{
    AUTO(seccomp_filter)
    struct seccomp_filter *plain = filter_of("{\"defaultAction\":\"SCMP_ACT_ALLOW\"}");
    AUTO(seccomp_filter)
    struct seccomp_filter *flagged =
        filter_of("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\","
                  "\"SECCOMP_FILTER_FLAG_TSYNC\"]}");

    (void)state;
    assert_int_equal(plain->flags, SECCOMP_FILTER_FLAG_SPEC_ALLOW);
    assert_int_equal(flagged->flags, SECCOMP_FILTER_FLAG_LOG);
}

/* --- the cache -------------------------------------------------------------------------------- */

/* Number of files; the name of one of them that is not @other. */
static size_t cache_files(int cache_fd, const char *other, char *ret_name)
{
    DIR *directory = fdopendir(openat(cache_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct dirent *entry = NULL;
    size_t count = 0;

    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (ret_name != NULL && (other == NULL || strcmp(entry->d_name, other) != 0))
            (void)snprintf(ret_name, 64, "%.63s", entry->d_name);
    }
    (void)closedir(directory);
    return count;
}

#define PROFILE(name)                                                                              \
    "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"" name                      \
    "\"],\"action\":\"SCMP_ACT_ALLOW\"}]}"

/* Changes one byte of a cached file, counted from its end. */
static void damage(int cache_fd, const char *name, off_t from_end)
{
    int fd = openat(cache_fd, name, O_RDWR | O_CLOEXEC);
    off_t place = lseek(fd, 0, SEEK_END) - from_end;
    unsigned char byte;

    assert_int_equal(pread(fd, &byte, 1, place), 1);
    byte ^= 0x55;
    assert_int_equal(pwrite(fd, &byte, 1, place), 1);
    (void)close(fd);
}

static void a_cached_filter_is_used_again_and_a_damaged_one_is_not(void **state)
{
    int cache_fd = directory_of(state);
    AUTO(seccomp_filter) struct seccomp_filter *fresh = filter_of(PROFILE("getpid"));
    char name[64] = "";
    off_t length;
    struct stat status;

    for (int i = 0; i < 2; i++) {
        AUTO(seccomp_filter) struct seccomp_filter *filter = filter_in(PROFILE("getpid"), cache_fd);

        assert_int_equal(filter->count, fresh->count);
        assert_memory_equal(filter->program, fresh->program, 8 * fresh->count);
        assert_int_equal(cache_files(cache_fd, NULL, name), 1);
    }
    assert_int_equal(fstatat(cache_fd, name, &status, 0), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    length = status.st_size;
    for (off_t from_end = 1; from_end <= length; from_end += 3) {
        AUTO(seccomp_filter) struct seccomp_filter *filter = NULL;

        damage(cache_fd, name, from_end);
        filter = filter_in(PROFILE("getpid"), cache_fd);
        assert_int_equal(filter->count, fresh->count);
        assert_memory_equal(filter->program, fresh->program, 8 * fresh->count);
    }
    assert_int_equal(cache_files(cache_fd, NULL, NULL), 1);
}

static void another_profile_under_the_same_name_is_not_used(void **state)
{
    int cache_fd = directory_of(state);
    AUTO(seccomp_filter) struct seccomp_filter *one = filter_in(PROFILE("getpid"), cache_fd);
    AUTO(seccomp_filter) struct seccomp_filter *other = NULL;
    AUTO(seccomp_filter) struct seccomp_filter *again = NULL;
    char first[64] = "", second[64] = "";

    assert_int_equal(cache_files(cache_fd, NULL, first), 1);
    other = filter_in(PROFILE("getppid"), cache_fd);
    assert_int_equal(cache_files(cache_fd, first, second), 2);
    assert_int_equal(renameat(cache_fd, first, cache_fd, second), 0);
    again = filter_in(PROFILE("getppid"), cache_fd);
    assert_int_equal(answer_to(again, "getppid"), ALLOW);
    assert_int_equal(answer_to(again, "getpid"), ERRNO(EPERM));
}

static void a_directory_that_others_can_write_is_no_cache(void **state)
{
    int cache_fd = directory_of(state);
    AUTO(seccomp_filter) struct seccomp_filter *filter = NULL;

    assert_int_equal(fchmod(cache_fd, 0770), 0);
    filter = filter_in(PROFILE("getpid"), cache_fd);
    assert_int_equal(answer_to(filter, "getpid"), ALLOW);
    assert_int_equal(cache_files(cache_fd, NULL, NULL), 0);
}

static void the_cache_does_not_grow_without_end(void **state)
{
    int cache_fd = directory_of(state);

    for (int i = 1; i <= 70; i++) {
        auto_free char *json = xasprintf("{\"defaultAction\":\"SCMP_ACT_ERRNO\","
                                         "\"defaultErrnoRet\":%d}",
                                         i);
        AUTO(seccomp_filter) struct seccomp_filter *filter = filter_in(json, cache_fd);

        assert_true(cache_files(cache_fd, NULL, NULL) <= 64);
    }
    assert_int_equal(cache_files(cache_fd, NULL, NULL), 6);
}

/* --- the kernel ------------------------------------------------------------------------------- */

static void the_kernel_takes_the_filter_and_obeys(void **state)
{
    AUTO(seccomp_filter)
    struct seccomp_filter *filter =
        filter_of("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getppid\"],"
                  "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":77}]}");
    int status = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        int listener = 7;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            seccomp_filter_apply(filter, &listener, NULL) < 0 || listener != -1)
            _exit(1);
        _exit(syscall(SYS_getppid) == -1 && errno == 77 ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_listener_is_given_out(void **state)
{
    AUTO(seccomp_filter)
    struct seccomp_filter *filter =
        filter_of("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/l\",\"syscalls\":["
                  "{\"names\":[\"getppid\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}");
    int status = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        int listener = -1;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            seccomp_filter_apply(filter, &listener, NULL) < 0)
            _exit(1);
        _exit(fcntl(listener, F_GETFD) == FD_CLOEXEC ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_raw_program_stands_for_the_rules(void **state)
{
    struct spec_seccomp *profile =
        profile_of("{\"defaultAction\":\"SCMP_ACT_KILL\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"]}");
    struct seccomp_filter *filter = NULL;
    struct error err = { 0 };

    (void)state;
    profile->raw_filter = "BgAAAAcABQA="; /* return ERRNO(7) */
    assert_int_equal(seccomp_filter_plan(profile, -1, &filter, &err), 0);
    assert_int_equal(filter->count, 1);
    assert_int_equal(answer_to(filter, "read"), SECCOMP_RET_ERRNO | 7);
    assert_int_equal(filter->flags, SECCOMP_FILTER_FLAG_LOG);
    assert_false(filter->has_listener);
    seccomp_filter_free(filter);
    profile->listener_path = xstrdup("/agent");
    assert_int_equal(seccomp_filter_plan(profile, -1, &filter, &err), 0);
    assert_true(filter->has_listener);
    seccomp_filter_free(filter);
    profile_free(profile);
}

static void an_unknown_call_is_refused_only_where_that_is_wanted(void **state)
{
    /* The last rule says nothing, as its action is the default. */
    static const struct {
        const char *json, *message;
    } rows[] = {
        { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\",\"nosuch\"],"
          "\"action\":\"SCMP_ACT_LOG\"}]}",
          "linux.seccomp.syscalls[0].names[1]: unknown system call 'nosuch'" },
        { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"nosuch\"],"
          "\"action\":\"SCMP_ACT_ALLOW\"}]}",
          "linux.seccomp.syscalls[0].names[0]: unknown system call 'nosuch'" },
        { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\","
          "\"open_tree_attr\"],\"action\":\"SCMP_ACT_LOG\"}]}",
          NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct spec_seccomp *profile = profile_of(rows[i].json);
        struct seccomp_filter *filter = NULL;
        struct error err = { 0 };

        assert_int_equal(seccomp_filter_plan(profile, -1, &filter, &err), 0);
        seccomp_filter_free(filter);
        filter = NULL;
        profile->refuses_unknown_names = true;
        assert_int_equal(seccomp_filter_plan(profile, -1, &filter, &err),
                         rows[i].message != NULL ? -EINVAL : 0);
        if (rows[i].message != NULL)
            assert_string_equal(err.message, rows[i].message);
        seccomp_filter_free(filter);
        profile_free(profile);
    }
}

static void what_is_no_filter_kills(void **state)
{
    struct sock_filter programs[][2] = {
        { { BPF_LD | BPF_B | BPF_ABS, 0, 0, 0 }, { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW } },
        { { BPF_LD | BPF_W | BPF_ABS, 0, 0, 64 }, { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW } },
        { { BPF_LD | BPF_W | BPF_ABS, 0, 0, UINT32_MAX },
          { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW } },
        { { BPF_ALU | BPF_OR | BPF_K, 0, 0, 1 }, { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW } },
        { { BPF_JMP | BPF_JA, 0, 0, 7 }, { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW } },
        { { BPF_ST, 0, 0, 0 }, { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW } },
        { { BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 0 }, { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW } },
        { { BPF_LD | BPF_W | BPF_ABS, 0, 0, 0 }, { BPF_RET | BPF_A, 0, 0, SECCOMP_RET_ALLOW } },
    };
    const struct seccomp_data data = { .nr = 1 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
        struct seccomp_filter filter = { .program = programs[i], .count = 2 };

        assert_int_equal(seccomp_filter_answer(&filter, &data), SECCOMP_RET_KILL_PROCESS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_members_are_named),
        cmocka_unit_test(each_action_becomes_the_answer_of_the_kernel),
        cmocka_unit_test(calls_newer_than_the_newest_of_the_profile_do_not_exist),
        cmocka_unit_test(a_refused_call_counts_as_known),
        cmocka_unit_test(a_default_that_lets_pass_says_nothing_about_newer_calls),
        cmocka_unit_test(a_profile_without_rules_keeps_its_default),
        cmocka_unit_test(calls_that_came_after_the_library_can_be_named),
        cmocka_unit_test(each_architecture_has_its_own_numbers),
        cmocka_unit_test(every_operator_compares_all_64_bits),
        cmocka_unit_test(a_masked_comparison_looks_at_the_bits_of_the_mask),
        cmocka_unit_test(conditions_on_one_argument_are_alternatives_on_several_all_hold),
        cmocka_unit_test(unknown_names_are_left_out),
        cmocka_unit_test(flags_become_those_of_the_kernel),
        IN_DIRECTORY(a_cached_filter_is_used_again_and_a_damaged_one_is_not),
        IN_DIRECTORY(another_profile_under_the_same_name_is_not_used),
        IN_DIRECTORY(a_directory_that_others_can_write_is_no_cache),
        IN_DIRECTORY(the_cache_does_not_grow_without_end),
        cmocka_unit_test(the_kernel_takes_the_filter_and_obeys),
        cmocka_unit_test(a_listener_is_given_out),
        cmocka_unit_test(a_raw_program_stands_for_the_rules),
        cmocka_unit_test(an_unknown_call_is_refused_only_where_that_is_wanted),
        cmocka_unit_test(what_is_no_filter_kills),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
