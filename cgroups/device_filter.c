#include "cgroups/device_filter.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The deciding half: rules to writes (v1) or to a BPF program (v2). */

#define RULES_MAX  8192 /* keeps the program far below the kernel's limit */
#define ACCESS_ALL (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)

/* A rule with everything decided; a rule of type "a" becomes one of each type. */
struct device_match {
    bool allow;
    char type;            /* 'a' only together with all numbers, for the default */
    int64_t major, minor; /* -1: any */
    unsigned access;      /* BPF_DEVCG_ACC_* */
};

struct device_matches {
    struct device_match *items;
    size_t count;
};

static int parse_access(const char *access, size_t index, unsigned *ret_access, struct error *err)
{
    unsigned bits = 0;

    if (text_is_empty(access)) {
        *ret_access = ACCESS_ALL;
        return 0;
    }
    for (const char *p = access; *p != '\0'; p++) {
        if (*p == 'r')
            bits |= BPF_DEVCG_ACC_READ;
        else if (*p == 'w')
            bits |= BPF_DEVCG_ACC_WRITE;
        else if (*p == 'm')
            bits |= BPF_DEVCG_ACC_MKNOD;
        else
            return error_set(err, EINVAL, "devices[%zu].access: '%s' is not made of r, w and m",
                             index, access);
    }
    *ret_access = bits;
    return 0;
}

static int parse_number(const char *member, bool has_number, int64_t number, size_t index,
                        int64_t *ret_number, struct error *err)
{
    if (has_number && (number < -1 || number > UINT32_MAX))
        return error_set(err, EINVAL, "devices[%zu].%s: %" PRId64 " is no device number", index,
                         member, number);
    *ret_number = has_number ? number : -1;
    return 0;
}

static int parse_rule(const struct cgroup_device_rule *rule, size_t index,
                      struct device_match *ret_match, struct error *err)
{
    struct device_match match = { .allow = rule->allow, .type = 'a' };
    int r;

    if (rule->type != NULL) {
        if (rule->type[0] == '\0' || strchr("abc", rule->type[0]) == NULL || rule->type[1] != '\0')
            return error_set(err, EINVAL, "devices[%zu].type: '%s' is not a, b or c", index,
                             rule->type);
        match.type = rule->type[0];
    }
    r = parse_number("major", rule->has_major, rule->major, index, &match.major, err);
    if (r == 0)
        r = parse_number("minor", rule->has_minor, rule->minor, index, &match.minor, err);
    if (r == 0)
        r = parse_access(rule->access, index, &match.access, err);
    if (r == 0)
        *ret_match = match;
    return r;
}

static bool is_default(const struct device_match *match)
{
    return match->type == 'a' && match->major < 0 && match->minor < 0 &&
           match->access == ACCESS_ALL;
}

static void add_match(struct device_matches *list, const struct device_match *match)
{
    list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = *match;
}

static void device_matches_clear(struct device_matches *list)
{
    free(list->items);
    *list = (struct device_matches){ 0 };
}

/* Parses all rules. What comes before a rule for everything has no effect and is dropped. */
static int parse_rules(const struct cgroup_device_rules *rules, struct device_matches *list,
                       struct error *err)
{
    if (rules->count > RULES_MAX)
        return error_set(err, EINVAL, "devices: more than %d rules", RULES_MAX);
    for (size_t i = 0; i < rules->count; i++) {
        struct device_match match;
        int r = parse_rule(&rules->items[i], i, &match, err);

        if (r < 0)
            return r;
        if (is_default(&match)) {
            list->count = 0;
            add_match(list, &match);
        } else if (match.type == 'a') {
            match.type = 'b';
            add_match(list, &match);
            match.type = 'c';
            add_match(list, &match);
        } else {
            add_match(list, &match);
        }
    }
    return 0;
}

/* --- v1 ---------------------------------------------------------------------------------------
 *
 * A v1 group has a default and a list of exceptions from it, each for one type and pair of numbers
 * (or wildcards). The rules are played through here, so that only the outcome is written. */

static bool same_device(const struct device_match *a, const struct device_match *b)
{
    return a->type == b->type && a->major == b->major && a->minor == b->minor;
}

static bool numbers_overlap(int64_t a, int64_t b)
{
    return a < 0 || b < 0 || a == b;
}

static bool overlaps(const struct device_match *a, const struct device_match *b)
{
    return a->type == b->type && numbers_overlap(a->major, b->major) &&
           numbers_overlap(a->minor, b->minor) && (a->access & b->access) != 0;
}

static bool covers(const struct device_match *outer, const struct device_match *inner)
{
    return (outer->major < 0 || outer->major == inner->major) &&
           (outer->minor < 0 || outer->minor == inner->minor);
}

static void format_match(const struct device_match *match, char *buffer, size_t size)
{
    char major[24] = "*", minor[24] = "*";

    if (match->major >= 0)
        (void)snprintf(major, sizeof(major), "%" PRId64, match->major);
    if (match->minor >= 0)
        (void)snprintf(minor, sizeof(minor), "%" PRId64, match->minor);
    (void)snprintf(buffer, size, "%c %.10s:%.10s %s%s%s", match->type, major, minor,
                   match->access & BPF_DEVCG_ACC_READ ? "r" : "",
                   match->access & BPF_DEVCG_ACC_WRITE ? "w" : "",
                   match->access & BPF_DEVCG_ACC_MKNOD ? "m" : "");
}

static void add_exception(struct device_matches *list, const struct device_match *match)
{
    for (size_t i = 0; i < list->count; i++) {
        if (same_device(&list->items[i], match)) {
            list->items[i].access |= match->access;
            return;
        }
    }
    add_match(list, match);
}

/* Takes @match out of the exceptions. The kernel ignores a part of a wildcard in silence, which
 * would leave allowed what was denied. */
static int remove_exception(struct device_matches *list, const struct device_match *match,
                            struct error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        struct device_match *exception = &list->items[i];
        char wide[40], narrow[40];

        if (!overlaps(exception, match))
            continue;
        if (!covers(match, exception)) {
            format_match(exception, wide, sizeof(wide));
            format_match(match, narrow, sizeof(narrow));
            return error_set(err, EINVAL,
                             "devices: cgroup v1 cannot %s '%s', which is a part of '%s'",
                             match->allow ? "allow" : "deny", narrow, wide);
        }
        exception->access &= ~match->access;
    }
    return 0;
}

static void add_write(struct device_writes *writes, const struct device_match *match)
{
    struct device_write write = { .is_allow = match->allow };

    if (match->type == 'a')
        (void)snprintf(write.value, sizeof(write.value), "a");
    else
        format_match(match, write.value, sizeof(write.value));
    writes->items = xrealloc(writes->items, writes->count + 1, sizeof(*writes->items));
    writes->items[writes->count++] = write;
}

/* Without a rule for everything the default is not known: the rules go to the kernel as they are,
 * except one that repeats what nothing has changed since. */
static void write_verbatim(const struct device_matches *list, struct device_writes *writes)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct device_match *match = &list->items[i];
        bool is_repeated = false;

        for (size_t j = i; j > 0 && list->items[j - 1].allow == match->allow; j--)
            is_repeated = is_repeated || (same_device(&list->items[j - 1], match) &&
                                          list->items[j - 1].access == match->access);
        if (!is_repeated)
            add_write(writes, match);
    }
}

/* Plays rules that begin with one for everything through: what is left are the exceptions from it.
 */
static int play_rules(const struct device_matches *list, struct device_matches *exceptions,
                      struct error *err)
{
    int r = 0;

    for (size_t i = 1; i < list->count && r == 0; i++) {
        if (list->items[i].allow != list->items[0].allow)
            add_exception(exceptions, &list->items[i]);
        else
            r = remove_exception(exceptions, &list->items[i], err);
    }
    return r;
}

static bool has_default(const struct device_matches *list)
{
    return list->count > 0 && is_default(&list->items[0]);
}

int device_filter_plan_v1(const struct cgroup_device_rules *rules, struct device_writes *ret_writes,
                          struct error *err)
{
    AUTO_CLEAR(device_matches) struct device_matches list = { 0 };
    AUTO_CLEAR(device_matches) struct device_matches exceptions = { 0 };
    struct device_writes writes = { 0 };
    int r;

    assert(rules != NULL);
    assert(ret_writes != NULL);

    r = parse_rules(rules, &list, err);
    if (r < 0)
        return r;
    if (!has_default(&list)) {
        write_verbatim(&list, &writes);
        *ret_writes = writes;
        return 0;
    }
    r = play_rules(&list, &exceptions, err);
    if (r < 0)
        return r;
    add_write(&writes, &list.items[0]);
    for (size_t i = 0; i < exceptions.count; i++)
        if (exceptions.items[i].access != 0)
            add_write(&writes, &exceptions.items[i]);
    *ret_writes = writes;
    return 0;
}

/* One line of devices.list: "c 10:200 rwm", "b *:* m". */
static bool parse_listed(const char *line, struct device_match *ret_match)
{
    AUTO_CLEAR(strings) struct strings words = { 0 };
    struct device_match match = { .allow = true, .type = line[0], .major = -1, .minor = -1 };
    const char *minor;

    strings_split(&words, line, ' ');
    if (words.count != 3 || (match.type != 'b' && match.type != 'c') || line[1] != ' ' ||
        parse_access(words.items[2], 0, &match.access, NULL) < 0)
        return false;
    minor = strchr(words.items[1], ':');
    if (minor == NULL)
        return false;
    if (words.items[1][0] != '*')
        match.major = strtol(words.items[1], NULL, 10);
    if (minor[1] != '*')
        match.minor = strtol(minor + 1, NULL, 10);
    *ret_match = match;
    return true;
}

/* What a group that denies by default allows; false: it allows by default, "a *:* rwm". */
static bool parse_list(const char *text, struct device_matches *list)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    strings_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.count; i++) {
        struct device_match match;

        if (lines.items[i][0] == '\0')
            continue;
        if (!parse_listed(lines.items[i], &match))
            return false;
        add_match(list, &match);
    }
    return true;
}

static unsigned access_of(const struct device_matches *list, const struct device_match *match)
{
    for (size_t i = 0; i < list->count; i++)
        if (same_device(&list->items[i], match))
            return list->items[i].access;
    return 0;
}

/* One write for each item of @from that has more access than @other allows: the whole item, or only
 * what it has more. */
static void write_difference(const struct device_matches *from, const struct device_matches *other,
                             bool is_allow, struct device_writes *writes)
{
    for (size_t i = 0; i < from->count; i++) {
        struct device_match match = from->items[i];
        unsigned more = match.access & ~access_of(other, &match);

        match.allow = is_allow;
        match.access = is_allow ? match.access : more;
        if (more != 0)
            add_write(writes, &match);
    }
}

int device_filter_plan_v1_change(const struct cgroup_device_rules *rules, const char *text,
                                 struct device_writes *ret_writes, struct error *err)
{
    AUTO_CLEAR(device_matches) struct device_matches list = { 0 };
    AUTO_CLEAR(device_matches) struct device_matches wanted = { 0 };
    AUTO_CLEAR(device_matches) struct device_matches present = { 0 };
    struct device_writes writes = { 0 };
    int r;

    assert(text != NULL);
    assert(ret_writes != NULL);

    r = parse_rules(rules, &list, err);
    if (r < 0)
        return r;
    if (!has_default(&list) || list.items[0].allow || !parse_list(text, &present))
        return device_filter_plan_v1(rules, ret_writes, err);
    r = play_rules(&list, &wanted, err);
    if (r < 0)
        return r;
    write_difference(&wanted, &present, true, &writes);
    write_difference(&present, &wanted, false, &writes);
    *ret_writes = writes;
    return 0;
}

void device_writes_clear(struct device_writes *writes)
{
    free(writes->items);
    *writes = (struct device_writes){ 0 };
}

/* --- v2 ---------------------------------------------------------------------------------------
 *
 * The program looks at the rules from the last to the first. It keeps in a register which of the
 * wanted accesses no rule has allowed yet: an allowing rule takes its bits away and ends the
 * program when none is left, a denying rule ends it when one of its bits is left. */

enum { R_RESULT = 0, R_CONTEXT = 1, R_ACCESS = 2, R_TYPE = 3, R_MAJOR = 4, R_MINOR = 5 };

static void add_insn(struct device_program *program, uint8_t code, int destination, int source,
                     int offset, int32_t immediate)
{
    program->items = xrealloc(program->items, program->count + 1, sizeof(*program->items));
    program->items[program->count++] = (struct bpf_insn){
        .code = code,
        .dst_reg = (uint8_t)destination & 0xf,
        .src_reg = (uint8_t)source & 0xf,
        .off = (int16_t)offset,
        .imm = immediate,
    };
}

static void add_load(struct device_program *program, int destination, size_t offset)
{
    add_insn(program, BPF_LDX | BPF_MEM | BPF_W, destination, R_CONTEXT, (int)offset, 0);
}

static void add_result(struct device_program *program, bool is_allowed)
{
    add_insn(program, BPF_ALU64 | BPF_MOV | BPF_K, R_RESULT, 0, 0, is_allowed);
    add_insn(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* bpf.h: access_type is (access << 16) | type. */
static void add_start(struct device_program *program)
{
    add_load(program, R_ACCESS, offsetof(struct bpf_cgroup_dev_ctx, access_type));
    add_insn(program, BPF_ALU64 | BPF_MOV | BPF_X, R_TYPE, R_ACCESS, 0, 0);
    add_insn(program, BPF_ALU | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff);
    add_insn(program, BPF_ALU | BPF_RSH | BPF_K, R_ACCESS, 0, 0, 16);
    add_load(program, R_MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
    add_load(program, R_MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
}

static void add_rule(struct device_program *program, const struct device_match *match)
{
    size_t jumps[4];
    size_t count = 0;
    int type = match->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
    const uint8_t not_equal = BPF_JMP32 | BPF_JNE | BPF_K;

    jumps[count++] = program->count;
    add_insn(program, not_equal, R_TYPE, 0, 0, type);
    if (match->major >= 0) {
        jumps[count++] = program->count;
        add_insn(program, not_equal, R_MAJOR, 0, 0, (int32_t)(uint32_t)match->major);
    }
    if (match->minor >= 0) {
        jumps[count++] = program->count;
        add_insn(program, not_equal, R_MINOR, 0, 0, (int32_t)(uint32_t)match->minor);
    }
    if (match->allow) {
        add_insn(program, BPF_ALU | BPF_AND | BPF_K, R_ACCESS, 0, 0,
                 (int32_t)(ACCESS_ALL & ~match->access));
        jumps[count++] = program->count;
        add_insn(program, not_equal, R_ACCESS, 0, 0, 0);
    } else {
        add_insn(program, BPF_ALU64 | BPF_MOV | BPF_X, R_RESULT, R_ACCESS, 0, 0);
        add_insn(program, BPF_ALU | BPF_AND | BPF_K, R_RESULT, 0, 0, (int32_t)match->access);
        jumps[count++] = program->count;
        add_insn(program, BPF_JMP32 | BPF_JEQ | BPF_K, R_RESULT, 0, 0, 0);
    }
    add_result(program, match->allow);
    for (size_t i = 0; i < count; i++)
        program->items[jumps[i]].off = (int16_t)(program->count - jumps[i] - 1);
}

int device_filter_plan_v2(const struct cgroup_device_rules *rules,
                          struct device_program *ret_program, struct error *err)
{
    AUTO_CLEAR(device_matches) struct device_matches list = { 0 };
    struct device_program program = { 0 };
    bool is_allowed;
    size_t first;
    int r;

    assert(rules != NULL);
    assert(ret_program != NULL);

    r = parse_rules(rules, &list, err);
    if (r < 0)
        return r;
    is_allowed = !has_default(&list) || list.items[0].allow;
    first = has_default(&list) ? 1 : 0;
    if (list.count > first || !is_allowed) {
        add_start(&program);
        for (size_t i = list.count; i > first; i--)
            add_rule(&program, &list.items[i - 1]);
        add_result(&program, is_allowed);
    }
    *ret_program = program;
    return 0;
}

void device_program_clear(struct device_program *program)
{
    free(program->items);
    *program = (struct device_program){ 0 };
}
