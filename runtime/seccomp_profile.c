#include "runtime/seccomp_profile.h"

#include <assert.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/text.h"
#include "runtime/container.h"

/* The words of linux.seccomp (runtime-spec, config-linux.md, "Seccomp") and their meaning. */

const struct seccomp_word seccomp_actions[] = {
    { "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
    { "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0) },
    { "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
    { "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
    { "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
    { "SCMP_ACT_LOG", SCMP_ACT_LOG },
    { "SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY },
    { "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0) },
    { "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
    { NULL, 0 },
};

const struct seccomp_word seccomp_operators[] = {
    { "SCMP_CMP_EQ", SCMP_CMP_EQ }, { "SCMP_CMP_GE", SCMP_CMP_GE },
    { "SCMP_CMP_GT", SCMP_CMP_GT }, { "SCMP_CMP_LE", SCMP_CMP_LE },
    { "SCMP_CMP_LT", SCMP_CMP_LT }, { "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
    { "SCMP_CMP_NE", SCMP_CMP_NE }, { NULL, 0 },
};

const struct seccomp_word seccomp_architectures[] = {
    { "SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64 },
    { "SCMP_ARCH_ARM", SCMP_ARCH_ARM },
    { "SCMP_ARCH_MIPS", SCMP_ARCH_MIPS },
    { "SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64 },
    { "SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32 },
    { "SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL },
    { "SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64 },
    { "SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32 },
    { "SCMP_ARCH_PARISC", SCMP_ARCH_PARISC },
    { "SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64 },
    { "SCMP_ARCH_PPC", SCMP_ARCH_PPC },
    { "SCMP_ARCH_PPC64", SCMP_ARCH_PPC64 },
    { "SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE },
    { "SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64 },
    { "SCMP_ARCH_S390", SCMP_ARCH_S390 },
    { "SCMP_ARCH_S390X", SCMP_ARCH_S390X },
    { "SCMP_ARCH_X32", SCMP_ARCH_X32 },
    { "SCMP_ARCH_X86", SCMP_ARCH_X86 },
    { "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64 },
    { NULL, 0 },
};
_Static_assert(ARRAY_SIZE(seccomp_architectures) <= SECCOMP_ARCHITECTURES_MAX, "all at once");

const struct seccomp_word seccomp_flags[] = {
    { "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
    { "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
    { "SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC },
    { "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
    { NULL, 0 },
};

#define ERRNO_MAX          4095 /* the kernel cuts larger ones (seccomp(2), SECCOMP_RET_ERRNO) */
#define TRACE_DATA_MAX     65535
#define ARGUMENT_INDEX_MAX 5

static const struct seccomp_word *find_word(const struct seccomp_word *words, const char *name)
{
    for (; words->name != NULL; words++) {
        if (text_equal(words->name, name))
            return words;
    }
    return NULL;
}

uint32_t seccomp_word_value(const struct seccomp_word *words, const char *name)
{
    const struct seccomp_word *word = find_word(words, name);

    assert(word != NULL);
    return word->value;
}

uint32_t seccomp_action_value(const char *action, bool has_errno, uint32_t errno_ret)
{
    uint32_t value = seccomp_word_value(seccomp_actions, action);

    if (value == SCMP_ACT_ERRNO(0) || value == SCMP_ACT_TRACE(0))
        return value | (has_errno ? errno_ret : EPERM);
    return value;
}

size_t seccomp_profile_architectures(const struct spec_seccomp *profile,
                                     uint32_t ret_tokens[SECCOMP_ARCHITECTURES_MAX])
{
    size_t count = 1;

    ret_tokens[0] = seccomp_arch_native();
    for (size_t i = 0; i < profile->architectures.count; i++) {
        uint32_t token = seccomp_word_value(seccomp_architectures, profile->architectures.items[i]);
        bool is_new = true;

        for (size_t j = 0; j < count; j++)
            is_new &= ret_tokens[j] != token;
        if (is_new)
            ret_tokens[count++] = token;
    }
    return count;
}

/* "linux.seccomp.<where>: unknown <what> '<word>', did you mean <near>?" */
static int unknown_word(const struct seccomp_word *words, const char *where, const char *what,
                        const char *word, struct error *err)
{
    const char *names[SECCOMP_ARCHITECTURES_MAX] = { NULL };
    const char *near = NULL;

    for (size_t i = 0; words[i].name != NULL; i++)
        names[i] = words[i].name;
    near = word != NULL ? text_nearest(names, word) : NULL;
    if (near == NULL)
        return error_set(err, EINVAL, "linux.seccomp.%s: unknown %s '%s'", where, what,
                         word != NULL ? word : "");
    return error_set(err, EINVAL, "linux.seccomp.%s: unknown %s '%s', did you mean %s?", where,
                     what, word, near);
}

/* @where names the members before "action" and "errnoRet"; @is_default: the ones of the profile. */
static int check_action(const char *action, bool has_errno, uint32_t errno_ret, const char *where,
                        bool is_default, struct error *err)
{
    const struct seccomp_word *word = find_word(seccomp_actions, action);
    const char *errno_member = is_default ? "defaultErrnoRet" : "errnoRet";

    if (word == NULL) {
        auto_free char *member = xasprintf("%s%s", where, is_default ? "defaultAction" : "action");

        return unknown_word(seccomp_actions, member, "action", action, err);
    }
    if (!has_errno || errno_ret == 0)
        return 0;
    if (word->value != SCMP_ACT_ERRNO(0) && word->value != SCMP_ACT_TRACE(0))
        return error_set(err, EINVAL, "linux.seccomp.%s%s: has no meaning for %s", where,
                         errno_member, action);
    if (errno_ret > (word->value == SCMP_ACT_ERRNO(0) ? ERRNO_MAX : TRACE_DATA_MAX))
        return error_set(err, EINVAL, "linux.seccomp.%s%s: %u is out of range", where, errno_member,
                         errno_ret);
    return 0;
}

static int check_list(const struct seccomp_word *words, const struct strings *list,
                      const char *member, const char *what, struct error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        if (find_word(words, list->items[i]) == NULL) {
            auto_free char *where = xasprintf("%s[%zu]", member, i);

            return unknown_word(words, where, what, list->items[i], err);
        }
    }
    return 0;
}

static int check_args(const struct spec_syscall *rule, const char *where, struct error *err)
{
    for (size_t i = 0; i < rule->args.count; i++) {
        const struct spec_seccomp_arg *arg = &rule->args.items[i];

        if (arg->index > ARGUMENT_INDEX_MAX)
            return error_set(err, EINVAL, "linux.seccomp.%sargs[%zu].index: %u is not from 0 to %d",
                             where, i, arg->index, ARGUMENT_INDEX_MAX);
        if (find_word(seccomp_operators, arg->op) == NULL) {
            auto_free char *member = xasprintf("%sargs[%zu].op", where, i);

            return unknown_word(seccomp_operators, member, "operator", arg->op, err);
        }
    }
    return 0;
}

int seccomp_raw_decode(const struct spec_seccomp *profile, struct seccomp_program *ret_program,
                       struct error *err)
{
    auto_free char *bytes = NULL;
    size_t length = 0;
    int r;

    r = base64_decode(profile->raw_filter, "annotation " ANNOTATION_SECCOMP_RAW, &bytes, &length,
                      err);
    if (r < 0)
        return r;
    if (length == 0 || length % sizeof(struct sock_filter) != 0 ||
        length / sizeof(struct sock_filter) > BPF_MAXINSNS)
        return error_set(err, EINVAL,
                         "annotation %s: %zu bytes are not 1 to %d instructions of %zu",
                         ANNOTATION_SECCOMP_RAW, length, BPF_MAXINSNS, sizeof(struct sock_filter));
    *ret_program =
        (struct seccomp_program){ (void *)take_ptr(&bytes), length / sizeof(struct sock_filter) };
    return 0;
}

static int check_rule(const struct spec_seccomp *profile, size_t index, struct error *err)
{
    const struct spec_syscall *rule = &profile->syscalls.items[index];
    auto_free char *where = xasprintf("syscalls[%zu].", index);
    int r;

    if (rule->names.count == 0)
        return error_set(err, EINVAL, "linux.seccomp.%snames: is empty", where);
    r = check_action(rule->action, rule->has_errno_ret, rule->errno_ret, where, false, err);
    if (r < 0)
        return r;
    if (text_equal(rule->action, "SCMP_ACT_NOTIFY") && text_is_empty(profile->listener_path))
        return error_set(err, EINVAL,
                         "linux.seccomp.%saction: SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath",
                         where);
    return check_args(rule, where, err);
}

/* What is in it is the kernel's to check. */
static int check_raw(const struct spec_seccomp *profile, struct error *err)
{
    struct seccomp_program program = { 0 };
    int r = seccomp_raw_decode(profile, &program, err);

    for (size_t i = 0; r == 0 && i < program.count; i++) {
        const struct sock_filter *instruction = &program.items[i];

        if (instruction->code == (BPF_RET | BPF_K) &&
            (instruction->k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF &&
            text_is_empty(profile->listener_path))
            r = error_set(err, EINVAL,
                          "annotation %s: a filter that notifies needs annotation %s or "
                          "linux.seccomp.listenerPath",
                          ANNOTATION_SECCOMP_RAW, ANNOTATION_SECCOMP_AGENT);
    }
    free(program.items);
    return r < 0 ? r : check_list(seccomp_flags, &profile->flags, "flags", "flag", err);
}

int seccomp_check(const struct spec_seccomp *profile, struct error *err)
{
    int r;

    assert(profile != NULL);

    if (profile->raw_filter != NULL)
        return check_raw(profile, err);
    r = check_action(profile->default_action, profile->has_default_errno_ret,
                     profile->default_errno_ret, "", true, err);
    if (r < 0)
        return r;
    /* Everything up to exec would wait for an answer that nobody can be asked for yet. */
    if (text_equal(profile->default_action, "SCMP_ACT_NOTIFY"))
        return error_set(err, EINVAL,
                         "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY is only for single calls");
    if (!text_is_empty(profile->listener_metadata) && text_is_empty(profile->listener_path))
        return error_set(err, EINVAL, "linux.seccomp.listenerMetadata: needs listenerPath");
    r = check_list(seccomp_architectures, &profile->architectures, "architectures", "architecture",
                   err);
    if (r == 0)
        r = check_list(seccomp_flags, &profile->flags, "flags", "flag", err);
    for (size_t i = 0; i < profile->syscalls.count && r == 0; i++)
        r = check_rule(profile, i, err);
    return r;
}
