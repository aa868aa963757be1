#include "cgroups/device_filter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define RULE(allow_, type_, major_, minor_, access_)                                               \
    {                                                                                              \
        .allow = (allow_), .type = (char *)(type_), .has_major = true, .major = (major_),          \
        .has_minor = true, .minor = (minor_), .access = (char *)(access_)                          \
    }
#define RULES(array) (&(struct cgroup_device_rules){ (array), ARRAY_SIZE(array) })

static void assert_v1(const struct cgroup_device_rules *rules, const char *expected)
{
    AUTO_CLEAR(device_writes) struct device_writes writes = { 0 };
    AUTO_CLEAR(text) struct text text = { 0 };
    struct error err = { 0 };

    if (device_filter_plan_v1(rules, &writes, &err) < 0)
        fail_msg("%s", err.message);
    text_add(&text, "");
    for (size_t i = 0; i < writes.count; i++)
        text_addf(&text, "%c%s\n", writes.items[i].is_allow ? '+' : '-', writes.items[i].value);
    assert_string_equal(text.data != NULL ? text.data : "", expected);
}

/* Runs a device program as the kernel would; only the instructions that are built are known. */
static bool run(const struct device_program *program, struct bpf_cgroup_dev_ctx context)
{
    uint64_t registers[11] = { 0 };

    for (size_t pc = 0; pc < program->count; pc++) {
        const struct bpf_insn *insn = &program->items[pc];
        uint64_t *to = &registers[insn->dst_reg];
        bool jumps = false;

        switch (insn->code) {
        case BPF_LDX | BPF_MEM | BPF_W:
            *to = *(const uint32_t *)(const void *)((const char *)&context + insn->off);
            break;
        case BPF_ALU64 | BPF_MOV | BPF_X:
            *to = registers[insn->src_reg];
            break;
        case BPF_ALU64 | BPF_MOV | BPF_K:
            *to = (uint64_t)(int64_t)insn->imm;
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            *to = (uint32_t)*to & (uint32_t)insn->imm;
            break;
        case BPF_ALU | BPF_RSH | BPF_K:
            *to = (uint32_t)*to >> insn->imm;
            break;
        case BPF_JMP32 | BPF_JNE | BPF_K:
            jumps = (uint32_t)*to != (uint32_t)insn->imm;
            break;
        case BPF_JMP32 | BPF_JEQ | BPF_K:
            jumps = (uint32_t)*to == (uint32_t)insn->imm;
            break;
        case BPF_JMP | BPF_EXIT:
            return registers[0] != 0;
        default:
            fail_msg("instruction %zu has the unknown code %#x", pc, insn->code);
        }
        if (jumps)
            pc += (size_t)insn->off;
    }
    fail_msg("the program runs over its end");
    return false;
}

/* What the rules say, by their definition: the last that fits decides, for each access. */
static bool allowed(const struct cgroup_device_rules *rules, char type, int64_t major,
                    int64_t minor, char access)
{
    for (size_t i = rules->count; i > 0; i--) {
        const struct cgroup_device_rule *rule = &rules->items[i - 1];

        if (rule->type != NULL && rule->type[0] != 'a' && rule->type[0] != type)
            continue;
        if (rule->has_major && rule->major >= 0 && rule->major != major)
            continue;
        if (rule->has_minor && rule->minor >= 0 && rule->minor != minor)
            continue;
        if (rule->access != NULL && strchr(rule->access, access) == NULL)
            continue;
        return rule->allow;
    }
    return true;
}

static void assert_v2_as_defined(const struct cgroup_device_rules *rules)
{
    AUTO_CLEAR(device_program) struct device_program program = { 0 };
    static const struct {
        char letter;
        uint32_t bit;
    } accesses[] = { { 'm', BPF_DEVCG_ACC_MKNOD },
                     { 'r', BPF_DEVCG_ACC_READ },
                     { 'w', BPF_DEVCG_ACC_WRITE } };

    assert_int_equal(device_filter_plan_v2(rules, &program, NULL), 0);
    for (uint32_t i = 0; i < 2U * 4 * 4 * 7; i++) {
        uint32_t type = i % 2 + 1, major = i / 2 % 4, minor = i / 8 % 4, bits = i / 32 + 1;
        struct bpf_cgroup_dev_ctx context = { bits << 16 | type, major, minor };
        bool expected = true;

        for (size_t j = 0; j < ARRAY_SIZE(accesses); j++)
            if (bits & accesses[j].bit)
                expected = expected && allowed(rules, type == BPF_DEVCG_DEV_BLOCK ? 'b' : 'c',
                                               major, minor, accesses[j].letter);
        if ((program.count == 0 ? true : run(&program, context)) != expected)
            fail_msg("type %u, device %u:%u, access %u: not %d", type, major, minor, bits,
                     expected);
    }
}

static void no_rules_need_no_writes_and_no_program(void **state)
{
    struct cgroup_device_rules none = { 0 };
    AUTO_CLEAR(device_program) struct device_program program = { 0 };

    (void)state;
    assert_v1(&none, "");
    assert_int_equal(device_filter_plan_v2(&none, &program, NULL), 0);
    assert_int_equal(program.count, 0);
}

static void an_allow_list_is_one_denial_and_its_entries(void **state)
{
    struct cgroup_device_rule rules[] = {
        RULE(true, "c", 9, 9, "rwm"), /* before the denial: without effect */
        { .allow = false, .access = (char *)"rwm" },
        RULE(true, "c", 1, 3, "rwm"),
        RULE(true, "c", 1, 3, "rw"), /* within the one before */
        RULE(true, "c", 1, 5, "r"),
        RULE(true, "c", 1, 5, "m"), /* joined with the one before */
        RULE(true, "b", -1, -1, "m"),
        RULE(false, "c", 2, 2, "rwm"), /* denied anyway */
    };

    (void)state;
    assert_v1(RULES(rules), "-a\n+c 1:3 rwm\n+c 1:5 rm\n+b *:* m\n");
    assert_v2_as_defined(RULES(rules));
}

static void a_deny_list_is_one_allowance_and_its_entries(void **state)
{
    struct cgroup_device_rule rules[] = {
        { .allow = true },
        RULE(false, "a", 2, -1, "w"),
        RULE(false, "c", 1, 1, "rwm"),
        RULE(true, "c", 1, 1, "r"),
    };

    (void)state;
    assert_v1(RULES(rules), "+a\n-b 2:* w\n-c 2:* w\n-c 1:1 wm\n");
    assert_v2_as_defined(RULES(rules));
}

static void later_rules_undo_earlier_ones(void **state)
{
    struct cgroup_device_rule rules[] = {
        { .allow = false },           RULE(true, "c", 1, 1, "rw"), RULE(true, "c", 1, 2, "rw"),
        RULE(false, "c", 1, -1, "w"), RULE(true, "c", 3, 3, "r"),  RULE(false, "c", 3, 3, "rwm"),
    };

    (void)state;
    assert_v1(RULES(rules), "-a\n+c 1:1 r\n+c 1:2 r\n");
    assert_v2_as_defined(RULES(rules));
}

static void a_hole_in_a_wildcard_is_refused_on_v1_and_works_on_v2(void **state)
{
    struct cgroup_device_rule rules[] = {
        { .allow = false },
        RULE(true, "c", 1, -1, "rw"),
        RULE(false, "c", 1, 2, "w"),
    };
    struct device_writes writes = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(device_filter_plan_v1(RULES(rules), &writes, &err), -EINVAL);
    assert_string_equal(err.message, "devices: cgroup v1 cannot deny 'c 1:2 w', which is a part of "
                                     "'c 1:* rw'");
    assert_v2_as_defined(RULES(rules));
}

static void without_a_rule_for_all_the_rules_go_as_they_are_but_once(void **state)
{
    struct cgroup_device_rule rules[] = {
        RULE(true, "c", 1, 1, "r"),  RULE(true, "c", 1, 2, "r"), RULE(true, "c", 1, 1, "r"),
        RULE(false, "c", 1, 1, "r"), RULE(true, "c", 1, 1, "r"),
    };

    (void)state;
    assert_v1(RULES(rules), "+c 1:1 r\n+c 1:2 r\n-c 1:1 r\n+c 1:1 r\n");
    assert_v2_as_defined(RULES(rules));
}

static void malformed_rules_are_named_by_position(void **state)
{
    static const struct {
        struct cgroup_device_rule rule;
        const char *message;
    } rows[] = {
        { RULE(true, "p", 1, 1, "r"), "devices[1].type: 'p' is not a, b or c" },
        { RULE(true, "cc", 1, 1, "r"), "devices[1].type: 'cc' is not a, b or c" },
        { RULE(true, "c", -2, 1, "r"), "devices[1].major: -2 is no device number" },
        { RULE(true, "c", 1, 4294967296, "r"), "devices[1].minor: 4294967296 is no device number" },
        { RULE(true, "c", 1, 1, "rx"), "devices[1].access: 'rx' is not made of r, w and m" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct cgroup_device_rule rules[] = { RULE(true, "c", 1, 1, "r"), rows[i].rule };
        struct device_writes writes = { 0 };
        struct device_program program = { 0 };
        struct error err = { 0 };

        assert_int_equal(device_filter_plan_v1(RULES(rules), &writes, &err), -EINVAL);
        assert_string_equal(err.message, rows[i].message);
        assert_int_equal(device_filter_plan_v2(RULES(rules), &program, &err), -EINVAL);
        assert_string_equal(err.message, rows[i].message);
    }
}

/* Every list of three rules out of a small set: the program must do what the definition says. */
static void all_short_lists_decide_as_defined_on_v2(void **state)
{
    static const struct cgroup_device_rule set[] = {
        { .allow = false },           { .allow = true },
        RULE(true, "c", 1, 1, "rwm"), RULE(false, "c", 1, -1, "w"),
        RULE(true, "a", -1, 2, "rm"), RULE(false, "b", 3, 2, NULL),
        RULE(true, "b", -1, -1, "r"),
    };
    size_t n = ARRAY_SIZE(set);

    (void)state;
    for (size_t i = 0; i < n * n * n; i++) {
        struct cgroup_device_rule rules[] = { set[i % n], set[i / n % n], set[i / n / n] };

        assert_v2_as_defined(RULES(rules));
    }
}

/* --- changing the list of a v1 group in use ----------------------------------------------------
 */

/* As the kernel keeps it while it denies by default: devcgroup_update_access() merges what is
 * allowed into the entry of the same device, and takes what is denied out of that entry only. */
struct kernel_list {
    char entries[8][16]; /* "c 1:3" */
    unsigned access[8];
    size_t count;
};

static unsigned access_bits(const char *text)
{
    return (strchr(text, 'r') != NULL ? 1U : 0) | (strchr(text, 'w') != NULL ? 2U : 0) |
           (strchr(text, 'm') != NULL ? 4U : 0);
}

static void kernel_write(struct kernel_list *list, const struct device_write *write)
{
    const char *access = strrchr(write->value, ' ');
    size_t length = (size_t)(access - write->value), i = 0;

    assert_string_not_equal(write->value, "a"); /* would forget all for a moment */
    while (i < list->count && strncmp(list->entries[i], write->value, length) != 0)
        i++;
    if (i == list->count) {
        if (!write->is_allow)
            return;
        assert_true(list->count < 8 && length < 16);
        memset(list->entries[i], 0, 16);
        memcpy(list->entries[i], write->value, length);
        list->access[i] = 0;
        list->count++;
    }
    if (write->is_allow)
        list->access[i] |= access_bits(access);
    else
        list->access[i] &= ~access_bits(access);
}

static bool kernel_allows(const struct kernel_list *list, char type, const char *device,
                          unsigned access)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *entry = list->entries[i];

        if (entry[0] == type && (text_equal(entry + 2, "*:*") || text_equal(entry + 2, device)) &&
            (access & ~list->access[i]) == 0)
            return true;
    }
    return false;
}

static char *kernel_text(const struct kernel_list *list)
{
    struct text text = { 0 };

    text_add(&text, "");
    for (size_t i = 0; i < list->count; i++)
        if (list->access[i] != 0)
            text_addf(&text, "%s%s %s%s%s", text.length > 0 ? "\n" : "", list->entries[i],
                      list->access[i] & 1 ? "r" : "", list->access[i] & 2 ? "w" : "",
                      list->access[i] & 4 ? "m" : "");
    return text.data != NULL ? text_take(&text) : xstrdup("");
}

/* Bit (device * 8 + access): what of two devices in all combinations is allowed. */
static uint64_t allowed_accesses(const struct kernel_list *list)
{
    static const struct {
        char type;
        const char *device;
    } devices[] = { { 'c', "1:3" }, { 'c', "1:5" }, { 'b', "8:0" } };
    uint64_t bits = 0;

    for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
        for (unsigned access = 1; access < 8; access++)
            if (kernel_allows(list, devices[i].type, devices[i].device, access))
                bits |= 1ULL << (i * 8 + access);
    return bits;
}

/* Applies a change step by step; returns what was allowed all the time. */
static uint64_t change(struct kernel_list *list, const struct cgroup_device_rules *rules)
{
    AUTO_CLEAR(device_writes) struct device_writes writes = { 0 };
    auto_free char *text = kernel_text(list);
    uint64_t always = allowed_accesses(list);

    assert_int_equal(device_filter_plan_v1_change(rules, text, &writes, NULL), 0);
    for (size_t i = 0; i < writes.count; i++) {
        kernel_write(list, &writes.items[i]);
        always &= allowed_accesses(list);
    }
    return always;
}

static void what_stays_allowed_is_never_denied_in_between(void **state)
{
    struct cgroup_device_rule all[] = {
        RULE(false, "a", -1, -1, "rwm"), RULE(true, "c", -1, -1, "m"), RULE(true, "c", 1, 3, "rw"),
        RULE(true, "c", 1, 3, "rwm"),    RULE(true, "c", 1, 5, "r"),   RULE(true, "b", 8, 0, "rw"),
    };
    const unsigned count = 1U << (ARRAY_SIZE(all) - 1);

    (void)state;
    for (unsigned old = 0; old < count; old++)
        for (unsigned new = 0; new < count; new ++) {
            struct kernel_list list = { 0 }, expected = { 0 };
            struct cgroup_device_rule old_rules[ARRAY_SIZE(all)], new_rules[ARRAY_SIZE(all)];
            struct cgroup_device_rules old_list = { old_rules, 0 }, new_list = { new_rules, 0 };
            uint64_t before, after;

            for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
                if (i == 0 || old & (1U << (i - 1)))
                    old_rules[old_list.count++] = all[i];
                if (i == 0 || new &(1U << (i - 1)))
                    new_rules[new_list.count++] = all[i];
            }
            (void)change(&list, &old_list);
            (void)change(&expected, &new_list);
            before = allowed_accesses(&list);
            after = allowed_accesses(&expected);
            assert_int_equal(change(&list, &new_list), before & after);
            assert_int_equal(allowed_accesses(&list), after);
        }
}

static void another_default_begins_a_list_anew(void **state)
{
    struct cgroup_device_rule deny[] = { RULE(false, "a", -1, -1, "rwm"),
                                         RULE(true, "c", 1, 3, "rw") };
    struct cgroup_device_rule allow[] = { RULE(true, "a", -1, -1, "rwm"),
                                          RULE(false, "c", 1, 3, "rw") };
    static const struct {
        bool is_deny;
        const char *list, *expected;
    } rows[] = {
        { true, "a *:* rwm", "-a\n+c 1:3 rw\n" },
        { true, "something else", "-a\n+c 1:3 rw\n" },
        { false, "c 1:3 rwm", "+a\n-c 1:3 rw\n" },
        { true, "", "+c 1:3 rw\n" },
        { true, "c 1:3 rw", "" },
        { true, "c 1:3 rwm\nb *:* m", "-c 1:3 m\n-b *:* m\n" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(device_writes) struct device_writes writes = { 0 };
        AUTO_CLEAR(text) struct text text = { 0 };

        assert_int_equal(device_filter_plan_v1_change(rows[i].is_deny ? RULES(deny) : RULES(allow),
                                                      rows[i].list, &writes, NULL),
                         0);
        for (size_t j = 0; j < writes.count; j++)
            text_addf(&text, "%c%s\n", writes.items[j].is_allow ? '+' : '-', writes.items[j].value);
        if (!text_equal(text.data != NULL ? text.data : "", rows[i].expected))
            fail_msg("row %zu: %s", i, text.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_rules_need_no_writes_and_no_program),
        cmocka_unit_test(an_allow_list_is_one_denial_and_its_entries),
        cmocka_unit_test(a_deny_list_is_one_allowance_and_its_entries),
        cmocka_unit_test(later_rules_undo_earlier_ones),
        cmocka_unit_test(a_hole_in_a_wildcard_is_refused_on_v1_and_works_on_v2),
        cmocka_unit_test(without_a_rule_for_all_the_rules_go_as_they_are_but_once),
        cmocka_unit_test(malformed_rules_are_named_by_position),
        cmocka_unit_test(all_short_lists_decide_as_defined_on_v2),
        cmocka_unit_test(what_stays_allowed_is_never_denied_in_between),
        cmocka_unit_test(another_default_begins_a_list_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
