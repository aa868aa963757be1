#include "runtime/seccomp_profile.h"

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* Programs probe for new system calls and fall back when they get ENOSYS. A profile that is older
 * than the kernel would answer EPERM instead, and the C library gives up: so calls with a higher
 * number than any that the profile names get ENOSYS, as from an older kernel. Where the default
 * action lets calls pass, nothing has to be done.
 *
 * The kernel also moves faster than libseccomp's table. Numbers from 424 on are the same on all
 * architectures, so rules without arguments for calls that are missing there are put here too. */

static const struct newer_call {
    const char *name;
    int number;
} newer_calls[] = {
    { "cachestat", 451 },         { "fchmodat2", 452 },        { "map_shadow_stack", 453 },
    { "futex_wake", 454 },        { "futex_wait", 455 },       { "futex_requeue", 456 },
    { "statmount", 457 },         { "listmount", 458 },        { "lsm_get_self_attr", 459 },
    { "lsm_set_self_attr", 460 }, { "lsm_list_modules", 461 }, { "mseal", 462 },
    { "setxattrat", 463 },        { "getxattrat", 464 },       { "listxattrat", 465 },
    { "removexattrat", 466 },     { "open_tree_attr", 467 },   { "file_getattr", 468 },
    { "file_setattr", 469 },
};

#define X32_BIT 0x40000000u /* of a call's number, on x86-64 (asm/unistd.h, __X32_SYSCALL_BIT) */

/* Where the interpreter finds the word that it loads. */
#define OFFSET_NUMBER       offsetof(struct seccomp_data, nr)
#define OFFSET_ARCHITECTURE offsetof(struct seccomp_data, arch)

/* k of a jump behind the whole stub, until its length is known. */
#define TO_THE_END UINT32_MAX

/* What one architecture's part of the stub decides. */
struct part {
    long last;                               /* newest call of the profile; -1: it knows none */
    uint32_t base;                           /* added to all numbers */
    bool has_newer[ARRAY_SIZE(newer_calls)]; /* has a rule of its own in the stub */
    uint32_t newer_actions[ARRAY_SIZE(newer_calls)];
};

static ssize_t find_newer(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(newer_calls); i++) {
        if (strcmp(newer_calls[i].name, name) == 0)
            return (ssize_t)i;
    }
    return -1;
}

int seccomp_newer_call(const char *name)
{
    ssize_t index = find_newer(name);

    return index >= 0 ? newer_calls[index].number : -1;
}

/* Number at which an architecture's calls begin. */
static uint32_t number_base(uint32_t architecture)
{
    switch (architecture) {
    case SCMP_ARCH_X32:
        return X32_BIT;
    case SCMP_ARCH_MIPS:
    case SCMP_ARCH_MIPSEL:
        return 4000;
    case SCMP_ARCH_MIPS64:
    case SCMP_ARCH_MIPSEL64:
        return 5000;
    case SCMP_ARCH_MIPS64N32:
    case SCMP_ARCH_MIPSEL64N32:
        return 6000;
    default:
        return 0;
    }
}

static void see_name(struct part *part, const char *name, uint32_t architecture,
                     const struct spec_syscall *rule)
{
    int number = seccomp_syscall_resolve_name_arch(architecture, name);
    ssize_t index = number == __NR_SCMP_ERROR ? find_newer(name) : -1;

    if (index >= 0) {
        number = (int)part->base + newer_calls[index].number;
        if (rule->args.count == 0 && !part->has_newer[index]) {
            part->has_newer[index] = true;
            part->newer_actions[index] =
                seccomp_action_value(rule->action, rule->has_errno_ret, rule->errno_ret);
        }
    }
    if (number > part->last) /* numbers below 0 stand for calls that this architecture lacks */
        part->last = number;
}

static void part_plan(const struct spec_seccomp *profile, uint32_t architecture,
                      struct part *ret_part)
{
    struct part part = { .last = -1, .base = number_base(architecture) };

    for (size_t i = 0; i < profile->syscalls.count; i++) {
        const struct spec_syscall *rule = &profile->syscalls.items[i];

        for (size_t j = 0; j < rule->names.count; j++)
            see_name(&part, rule->names.items[j], architecture, rule);
    }
    *ret_part = part;
}

static void emit(struct seccomp_program *program, uint16_t code, uint8_t when_true,
                 uint8_t when_false, uint32_t k)
{
    program->items = xrealloc(program->items, program->count + 1, sizeof(*program->items));
    program->items[program->count++] =
        (struct sock_filter){ .code = code, .jt = when_true, .jf = when_false, .k = k };
}

/* With the call's number loaded. Old calls, nearly all, leave after one comparison. */
static void part_emit(const struct part *part, bool has_enosys, struct seccomp_program *program)
{
    uint32_t first = has_enosys && part->last >= 0 ? (uint32_t)part->last + 1 : UINT32_MAX;
    size_t start = program->count;

    for (size_t i = ARRAY_SIZE(newer_calls); i-- > 0;) {
        uint32_t number = part->base + (uint32_t)newer_calls[i].number;

        if (part->has_newer[i] && number < first)
            first = number;
    }
    if (first != UINT32_MAX)
        emit(program, BPF_JMP | BPF_JGE | BPF_K, 0, 0, first);
    for (size_t i = 0; i < ARRAY_SIZE(newer_calls); i++) {
        if (!part->has_newer[i])
            continue;
        emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 1,
             part->base + (uint32_t)newer_calls[i].number);
        emit(program, BPF_RET | BPF_K, 0, 0, part->newer_actions[i]);
    }
    if (has_enosys && part->last >= 0) {
        emit(program, BPF_JMP | BPF_JGT | BPF_K, 0, 1, (uint32_t)part->last);
        emit(program, BPF_RET | BPF_K, 0, 0, SCMP_ACT_ERRNO(ENOSYS));
    }
    if (first != UINT32_MAX)
        program->items[start].jf = (uint8_t)(program->count - start - 1);
    emit(program, BPF_JMP | BPF_JA, 0, 0, TO_THE_END);
}

/* One architecture as the kernel tells them apart: x32 is x86-64 with a bit in the number. */
static void architecture_emit(const struct spec_seccomp *profile, uint32_t architecture,
                              bool has_x32, bool has_enosys, struct seccomp_program *program)
{
    struct part part;
    size_t start = program->count;
    size_t fork = 0;

    emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, architecture);
    emit(program, BPF_LD | BPF_W | BPF_ABS, 0, 0, OFFSET_NUMBER);
    if (has_x32) {
        fork = program->count;
        emit(program, BPF_JMP | BPF_JGE | BPF_K, 0, 0, X32_BIT);
    }
    part_plan(profile, architecture, &part);
    part_emit(&part, has_enosys, program);
    if (has_x32) {
        program->items[fork].jt = (uint8_t)(program->count - fork - 1);
        part_plan(profile, SCMP_ARCH_X32, &part);
        part_emit(&part, has_enosys, program);
    }
    assert(program->count - start - 1 <= UINT8_MAX);
    program->items[start].jf = (uint8_t)(program->count - start - 1);
}

static bool lets_pass(const struct spec_seccomp *profile)
{
    uint32_t action = seccomp_word_value(seccomp_actions, profile->default_action);

    /* A tracer answers for the kernel, so it is to see calls that it may not know. */
    return action == SCMP_ACT_ALLOW || action == SCMP_ACT_LOG || action == SCMP_ACT_TRACE(0);
}

void seccomp_stub_plan(const struct spec_seccomp *profile, struct seccomp_program *ret_program)
{
    struct seccomp_program program = { 0 };
    uint32_t tokens[SECCOMP_ARCHITECTURES_MAX];
    size_t count = seccomp_profile_architectures(profile, tokens);
    bool has_enosys = !lets_pass(profile);
    bool has_x32 = false;

    for (size_t i = 0; i < count; i++)
        has_x32 |= tokens[i] == SCMP_ARCH_X32;
    emit(&program, BPF_LD | BPF_W | BPF_ABS, 0, 0, OFFSET_ARCHITECTURE);
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] != SCMP_ARCH_X32)
            architecture_emit(profile, tokens[i], has_x32 && tokens[i] == SCMP_ARCH_X86_64,
                              has_enosys, &program);
    }
    for (size_t i = 0; i < program.count; i++) {
        if (program.items[i].code == (BPF_JMP | BPF_JA) && program.items[i].k == TO_THE_END)
            program.items[i].k = (uint32_t)(program.count - i - 1);
    }
    *ret_program = program;
}
