#include "microvm/vmm_sandbox.h"

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sandbox.h"

/* --- filters ---------------------------------------------------------------------------------- */

/* Nothing in these lists opens a file, makes a process, or maps code. Written by hand rather than
 * by libseccomp, which costs time and memory at the start of a machine. A filter is short, as the
 * kernel translates each of its instructions; and searches by halves, as it is run once for each
 * call that there is, to know which ones it always allows. */

#define REQUESTS_MAX 18 /* with the 0 that ends them */
#define RULES_MAX    64

struct rule {
    int number;
    /* ioctl: these requests only. 0 ends the list; none: every call is allowed. */
    uint32_t requests[REQUESTS_MAX];
    bool is_without_code; /* mmap, mprotect: not with PROT_EXEC */
};

/* What the C library does in any thread. */
static const struct rule common_rules[] = {
    { .number = SYS_read },
    { .number = SYS_write },
    { .number = SYS_futex },
    { .number = SYS_epoll_ctl },
    { .number = SYS_poll },
    { .number = SYS_clock_gettime },
    { .number = SYS_rt_sigreturn },
    { .number = SYS_rt_sigprocmask },
    { .number = SYS_restart_syscall },
    { .number = SYS_sched_yield },
    { .number = SYS_madvise },
    { .number = SYS_munmap },
    { .number = SYS_mmap, .is_without_code = true },
    { .number = SYS_mprotect, .is_without_code = true },
    { .number = SYS_brk },
    { .number = SYS_close },
    /* To get a CPU out of KVM_RUN. */
    { .number = SYS_getpid },
    { .number = SYS_gettid },
    { .number = SYS_tgkill },
    { .number = SYS_exit },
    { .number = SYS_exit_group },
    { 0 },
};

static const struct rule cpu_rules[] = {
    { .number = SYS_ioctl, .requests = { KVM_RUN } },
    { 0 },
};

static const struct rule device_rules[] = {
    { .number = SYS_ioctl, .requests = { TUNSETOFFLOAD } }, /* what the guest's driver can take */
    { .number = SYS_epoll_wait },
    { .number = SYS_epoll_pwait },
    { .number = SYS_readv },
    { .number = SYS_writev },
    { .number = SYS_pread64 },
    { .number = SYS_pwrite64 },
    { .number = SYS_preadv },
    { .number = SYS_pwritev },
    { .number = SYS_recvmsg },
    { .number = SYS_sendmsg },
    { .number = SYS_recvfrom },
    { .number = SYS_sendto },
    { .number = SYS_fdatasync },
    { .number = SYS_fallocate },
    { .number = SYS_getrandom },
    { .number = SYS_clock_nanosleep },
    { .number = SYS_timerfd_settime },
    { 0 },
};

static const struct rule main_rules[] = {
    { .number = SYS_epoll_wait },
    { .number = SYS_epoll_pwait },
    { .number = SYS_readv },
    { .number = SYS_writev },
    { .number = SYS_recvmsg },
    { .number = SYS_sendmsg },
    { .number = SYS_recvfrom },
    { .number = SYS_sendto },
    { .number = SYS_accept4 },
    { .number = SYS_shutdown },
    { .number = SYS_fcntl },
    { .number = SYS_fstat },
    { .number = SYS_newfstatat },
    { .number = SYS_lseek },
    { .number = SYS_pread64 },
    { .number = SYS_preadv2 },
    { .number = SYS_pwritev2 },
    { .number = SYS_ioctl, .requests = { TIOCGWINSZ, TCGETS, TCSETS, TCSETSW, TCSETSF } },
    { .number = SYS_ppoll },
    { .number = SYS_timerfd_settime },
    { .number = SYS_getrandom },
    { .number = SYS_clock_nanosleep },
    { .number = SYS_mremap },
    { .number = SYS_rt_sigaction },
    { .number = SYS_kill },
    { .number = SYS_pidfd_send_signal },
    { .number = SYS_wait4 },
    { .number = SYS_waitid },
    { 0 },
};

/* Before main_rules: the first rule of a call counts. Reads a machine that stands, and writes
 * files; changes nothing in the machine. */
static const struct rule savable_rules[] = {
    { .number = SYS_ioctl,
      .requests = { TIOCGWINSZ, TCGETS, TCSETS, TCSETSW, TCSETSF, KVM_GET_MP_STATE, KVM_GET_REGS,
                    KVM_GET_SREGS, KVM_GET_XSAVE, KVM_GET_XSAVE2, KVM_GET_XCRS, KVM_GET_DEBUGREGS,
                    KVM_GET_LAPIC, KVM_GET_MSRS, KVM_GET_VCPU_EVENTS, KVM_GET_IRQCHIP,
                    KVM_GET_CLOCK } },
    { .number = SYS_pwrite64 },
    { .number = SYS_ftruncate },
    { 0 },
};

static const struct {
    const struct rule *first;
    const struct rule *second;
} rules_of[VMM_THREADS] = {
    [VMM_THREAD_MAIN] = { NULL, main_rules },
    [VMM_THREAD_DEVICES] = { NULL, device_rules },
    [VMM_THREAD_CPU] = { NULL, cpu_rules },
    [VMM_THREAD_SAVABLE] = { savable_rules, main_rules },
};

/* --- the rules of a thread ----------------------------------------------------------------------
 */

struct rule_list {
    const struct rule *rules[RULES_MAX]; /* in the order of their numbers */
    size_t count;
};

/* Where it is, or belongs. */
static size_t find_place(const struct rule_list *list, int number)
{
    size_t place = 0;

    while (place < list->count && list->rules[place]->number < number)
        place++;
    return place;
}

/* SYS_read is 0, so a rule without anything is told apart from it by what stands before. */
static void list_rules(struct rule_list *list, const struct rule *rules)
{
    for (const struct rule *rule = rules; rule == rules || rule->number != 0; rule++) {
        const size_t place = find_place(list, rule->number);

        if (place < list->count && list->rules[place]->number == rule->number)
            continue;
        assert(list->count < RULES_MAX);
        memmove(&list->rules[place + 1], &list->rules[place],
                (list->count - place) * sizeof(list->rules[0]));
        list->rules[place] = rule;
        list->count++;
    }
}

/* Where a filter goes on. */
enum {
    NEXT, /* the instruction that follows */
    ALLOW,
    KILL,
    ARGUMENTS, /* and above: of that rule, by its place in the list */
    PLACES_MAX = ARGUMENTS + RULES_MAX,
};

/* Calls of which the same becomes: from this number to that of the next span. */
struct span {
    uint32_t start;
    unsigned place;
};

struct span_list {
    struct span spans[2 * RULES_MAX + 1];
    size_t count;
};

static void add_span(struct span_list *list, int start, unsigned place)
{
    if (list->count == 0 || list->spans[list->count - 1].place != place)
        list->spans[list->count++] = (struct span){ (uint32_t)start, place };
}

static void list_spans(const struct rule_list *rules, struct span_list *ret_spans)
{
    int next = 0;

    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *rule = rules->rules[i];
        const bool is_plain = rule->requests[0] == 0 && !rule->is_without_code;

        if (rule->number > next)
            add_span(ret_spans, next, KILL);
        add_span(ret_spans, rule->number, is_plain ? ALLOW : ARGUMENTS + (unsigned)i);
        next = rule->number + 1;
    }
    /* The calls of the x32 ABI, too: they have higher numbers. */
    add_span(ret_spans, next, KILL);
}

/* --- the instructions ------------------------------------------------------------------------- */

struct filter {
    struct sock_filter *instructions;
    size_t count;
    /* Where each one jumps to, until all places are known. */
    uint8_t if_true[VMM_SANDBOX_FILTER_MAX];
    uint8_t if_false[VMM_SANDBOX_FILTER_MAX];
    size_t places[PLACES_MAX];
};

static void add(struct filter *filter, struct sock_filter instruction)
{
    assert(filter->count < VMM_SANDBOX_FILTER_MAX);
    filter->instructions[filter->count++] = instruction;
}

static void add_load(struct filter *filter, size_t offset)
{
    add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void add_jump(struct filter *filter, uint16_t test, uint32_t value, unsigned if_true,
                     unsigned if_false)
{
    filter->if_true[filter->count] = (uint8_t)if_true;
    filter->if_false[filter->count] = (uint8_t)if_false;
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, value, 0, 0));
}

static void add_result(struct filter *filter, unsigned place, uint32_t result)
{
    filter->places[place] = filter->count;
    add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, result));
}

/* The low halves are enough: the kernel takes requests and protections as 32 bits. */
static size_t low_half(unsigned argument)
{
    return offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t);
}

static void add_arguments(struct filter *filter, const struct rule *rule, unsigned place)
{
    filter->places[place] = filter->count;
    if (rule->is_without_code) {
        add_load(filter, low_half(2));
        add_jump(filter, BPF_JSET, PROT_EXEC, KILL, ALLOW);
        return;
    }
    add_load(filter, low_half(1));
    for (size_t i = 0; rule->requests[i] != 0; i++)
        add_jump(filter, BPF_JEQ, rule->requests[i], ALLOW,
                 rule->requests[i + 1] != 0 ? NEXT : KILL);
}

/* @spans  at least two */
static void add_search(struct filter *filter, const struct span *spans, size_t count)
{
    const size_t half = count / 2;
    const size_t jump = filter->count;

    add_jump(filter, BPF_JGE, spans[half].start, count - half == 1 ? spans[half].place : NEXT,
             half == 1 ? spans[0].place : NEXT);
    if (half > 1)
        add_search(filter, spans, half);
    if (count - half > 1) {
        filter->instructions[jump].jt = (uint8_t)(filter->count - jump - 1);
        add_search(filter, spans + half, count - half);
    }
}

/* All places lie behind what jumps to them. */
static uint8_t distance(const struct filter *filter, size_t from, unsigned place)
{
    const size_t skipped = filter->places[place] - from - 1;

    assert(skipped <= UINT8_MAX);
    return (uint8_t)skipped;
}

static void set_jumps(struct filter *filter)
{
    for (size_t i = 0; i < filter->count; i++) {
        if (filter->if_true[i] != NEXT)
            filter->instructions[i].jt = distance(filter, i, filter->if_true[i]);
        if (filter->if_false[i] != NEXT)
            filter->instructions[i].jf = distance(filter, i, filter->if_false[i]);
    }
}

void vmm_sandbox_filter_plan(enum vmm_thread thread,
                             struct sock_filter ret_filter[VMM_SANDBOX_FILTER_MAX],
                             size_t *ret_count)
{
    struct filter filter = { .instructions = ret_filter };
    struct rule_list rules = { .count = 0 };
    struct span_list spans = { .count = 0 };

    assert(thread < VMM_THREADS);
    assert(ret_filter != NULL);
    assert(ret_count != NULL);

    if (rules_of[thread].first != NULL)
        list_rules(&rules, rules_of[thread].first);
    list_rules(&rules, rules_of[thread].second);
    list_rules(&rules, common_rules);
    list_spans(&rules, &spans);
    add_load(&filter, offsetof(struct seccomp_data, arch));
    add_jump(&filter, BPF_JEQ, AUDIT_ARCH_X86_64, NEXT, KILL);
    add_load(&filter, offsetof(struct seccomp_data, nr));
    add_search(&filter, spans.spans, spans.count);
    for (size_t i = 0; i < spans.count; i++)
        if (spans.spans[i].place >= ARGUMENTS)
            add_arguments(&filter, rules.rules[spans.spans[i].place - ARGUMENTS],
                          spans.spans[i].place);
    add_result(&filter, ALLOW, SECCOMP_RET_ALLOW);
    add_result(&filter, KILL, SECCOMP_RET_KILL_PROCESS);
    set_jumps(&filter);
    *ret_count = filter.count;
}

int vmm_sandbox_filter(enum vmm_thread thread, struct error *err)
{
    struct sock_filter instructions[VMM_SANDBOX_FILTER_MAX];
    struct sock_fprog program = { .filter = instructions };
    size_t count;

    if (SANDBOX_HAS_SANITIZERS)
        return 0;
    vmm_sandbox_filter_plan(thread, instructions, &count);
    program.len = (unsigned short)count;
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        return error_errno(err, "install the VMM's seccomp filter");
    return 0;
}

/* --- rights ----------------------------------------------------------------------------------- */

int vmm_sandbox_drop(struct error *err)
{
    struct sandbox_paths paths;
    int r;

    r = sandbox_begin(err);
    if (r == 0)
        r = sandbox_limit(RLIMIT_CORE, "core", 0, err);
    if (r == 0)
        r = sandbox_paths_begin(&paths, 1, err);
    if (r == 0)
        r = sandbox_paths_enforce(&paths, err);
    if (r == 0)
        r = sandbox_keep_capabilities(0, err);
    return r < 0 ? error_prefix(err, r, "lock in the VMM") : 0;
}
