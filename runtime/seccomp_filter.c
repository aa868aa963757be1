#include "runtime/process_setup.h"

#include <assert.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "runtime/seccomp_profile.h"

/* From a profile to a program for seccomp(2): libseccomp's, with our stub before it. */

#define LIBRARY_PROGRAM_MAX (BPF_MAXINSNS * 16 * sizeof(struct sock_filter))

static void filter_release(scmp_filter_ctx *context)
{
    if (*context != NULL)
        seccomp_release(*context);
}

static int library_error(struct error *err, int r, const char *step)
{
    return error_set(err, -r, "linux.seccomp: %s: %s", step, strerror(-r));
}

static struct scmp_arg_cmp comparison(const struct spec_seccomp_arg *arg)
{
    return (struct scmp_arg_cmp){
        .arg = arg->index,
        .op = (enum scmp_compare)seccomp_word_value(seccomp_operators, arg->op),
        .datum_a = arg->value,
        .datum_b = arg->value_two,
    };
}

/* libseccomp wants at most one condition on an argument. As runc does, a rule with several on the
 * same one becomes a rule for each condition. */
static bool has_repeated_index(const struct spec_seccomp_args *args)
{
    unsigned seen = 0;

    for (size_t i = 0; i < args->count; i++) {
        if ((seen & 1u << args->items[i].index) != 0)
            return true;
        seen |= 1u << args->items[i].index;
    }
    return false;
}

static int add_conditions(scmp_filter_ctx context, uint32_t action, int number,
                          const struct spec_seccomp_args *args)
{
    struct scmp_arg_cmp conditions[6];
    int r = 0;

    if (has_repeated_index(args)) {
        for (size_t i = 0; i < args->count && (r == 0 || r == -EEXIST); i++) {
            conditions[0] = comparison(&args->items[i]);
            r = seccomp_rule_add_array(context, action, number, 1, conditions);
        }
        return r;
    }
    for (size_t i = 0; i < args->count; i++)
        conditions[i] = comparison(&args->items[i]);
    return seccomp_rule_add_array(context, action, number, (unsigned)args->count, conditions);
}

static int add_rule(scmp_filter_ctx context, const struct spec_seccomp *profile, size_t index,
                    uint32_t default_action, struct error *err)
{
    const struct spec_syscall *rule = &profile->syscalls.items[index];
    uint32_t action = seccomp_action_value(rule->action, rule->has_errno_ret, rule->errno_ret);
    int r;

    for (size_t i = 0; i < rule->names.count; i++) {
        const char *name = rule->names.items[i];
        int number;

        /* libseccomp refuses a rule that says nothing */
        if (action == default_action && !profile->refuses_unknown_names)
            return 0;
        number = seccomp_syscall_resolve_name(name);
        if (number == __NR_SCMP_ERROR) {
            bool is_known = seccomp_newer_call(name) >= 0 && rule->args.count == 0;

            if (!is_known && profile->refuses_unknown_names)
                return error_set(err, EINVAL,
                                 "linux.seccomp.syscalls[%zu].names[%zu]: unknown system call '%s'",
                                 index, i, name);
            if (!is_known)
                log_debug("seccomp: left out the unknown system call '%s'", name);
            continue;
        }
        if (action == default_action)
            continue;
        r = add_conditions(context, action, number, &rule->args);
        if (r < 0 && r != -EEXIST)
            return error_set(err, -r, "linux.seccomp.syscalls[%zu].names[%zu]: rule for %s: %s",
                             index, i, name, strerror(-r));
    }
    return 0;
}

static int add_architectures(scmp_filter_ctx context, const struct spec_seccomp *profile,
                             struct error *err)
{
    uint32_t tokens[SECCOMP_ARCHITECTURES_MAX];
    size_t count = seccomp_profile_architectures(profile, tokens);
    int r;

    for (size_t i = 1; i < count; i++) { /* the first is our own, which is in every filter */
        r = seccomp_arch_add(context, tokens[i]);
        if (r < 0)
            return library_error(err, r, "add an architecture that goes not with our own");
    }
    return 0;
}

/* Libseccomp 2.5 writes programs to descriptors only. */
static int export_program(scmp_filter_ctx context, struct seccomp_program *program,
                          struct error *err)
{
    auto_close int fd = memfd_create("seccomp", MFD_CLOEXEC);
    auto_free char *bytes = NULL;
    size_t length = 0, stub = program->count, added;
    int r;

    if (fd < 0)
        return error_errno(err, "linux.seccomp: create a file in memory");
    r = seccomp_export_bpf(context, fd);
    if (r < 0)
        return library_error(err, r, "compile the filter");
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_errno(err, "linux.seccomp: rewind the filter");
    r = fd_read_all(fd, LIBRARY_PROGRAM_MAX, "the compiled filter", &bytes, &length, err);
    if (r < 0)
        return error_prefix(err, r, "linux.seccomp");
    added = length / sizeof(struct sock_filter);
    program->items = xrealloc(program->items, stub + added, sizeof(*program->items));
    memcpy(program->items + stub, bytes, added * sizeof(struct sock_filter));
    program->count = stub + added;
    if (program->count > BPF_MAXINSNS)
        return error_set(err, E2BIG,
                         "linux.seccomp: the filter has %zu instructions, the kernel takes %d",
                         program->count, BPF_MAXINSNS);
    return 0;
}

static int compile(const struct spec_seccomp *profile, struct seccomp_program *program,
                   struct error *err)
{
    uint32_t default_action = seccomp_action_value(
        profile->default_action, profile->has_default_errno_ret, profile->default_errno_ret);
    __attribute__((cleanup(filter_release))) scmp_filter_ctx context = seccomp_init(default_action);
    int r;

    if (context == NULL)
        return error_set(err, EINVAL, "linux.seccomp.defaultAction: this kernel has no %s",
                         profile->default_action);
    /* A binary tree: 9 comparisons instead of 400 for the last of 400 calls. */
    r = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r < 0)
        return library_error(err, r, "ask for a binary tree");
    r = add_architectures(context, profile, err);
    for (size_t i = 0; i < profile->syscalls.count && r == 0; i++)
        r = add_rule(context, profile, i, default_action, err);
    if (r < 0)
        return r;
    seccomp_stub_plan(profile, program);
    return export_program(context, program, err);
}

bool seccomp_has_listener(const struct spec_seccomp *profile)
{
    if (profile->raw_filter != NULL)
        return !text_is_empty(profile->listener_path);
    for (size_t i = 0; i < profile->syscalls.count; i++) {
        if (text_equal(profile->syscalls.items[i].action, "SCMP_ACT_NOTIFY"))
            return true;
    }
    return false;
}

static unsigned flags_of(const struct spec_seccomp *profile)
{
    unsigned flags = 0;

    /* Without a word about flags the mitigation of speculative store bypass stays as it is for
     * other processes, as with runc: it would slow the container down. */
    if (profile->flags.count == 0)
        return SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    for (size_t i = 0; i < profile->flags.count; i++)
        flags |= seccomp_word_value(seccomp_flags, profile->flags.items[i]);
    /* There is one thread when the filter is loaded, and TSYNC excludes a listener. */
    return flags & ~SECCOMP_FILTER_FLAG_TSYNC;
}

static int compile_or_find(const struct spec_seccomp *profile, int cache_fd,
                           struct seccomp_program *ret_program, struct error *err)
{
    struct seccomp_program program = { 0 };
    AUTO_CLEAR(text) struct text text = { 0 };
    int r;

    if (cache_fd >= 0)
        seccomp_cache_text(profile, &text);
    if (cache_fd < 0 || seccomp_cache_find(cache_fd, &text, &program) == 0) {
        r = compile(profile, &program, err);
        if (r < 0) {
            free(program.items);
            return r;
        }
        if (cache_fd >= 0)
            seccomp_cache_store(cache_fd, &text, &program);
    }
    *ret_program = program;
    return 0;
}

int seccomp_filter_plan(const struct spec_seccomp *profile, int cache_fd,
                        struct seccomp_filter **ret_filter, struct error *err)
{
    struct seccomp_program program = { 0 };
    struct seccomp_filter *filter = NULL;
    int r;

    assert(profile != NULL);
    assert(ret_filter != NULL);

    r = seccomp_check(profile, err);
    if (r == 0)
        r = profile->raw_filter != NULL ? seccomp_raw_decode(profile, &program, err)
                                        : compile_or_find(profile, cache_fd, &program, err);
    if (r < 0)
        return r;
    filter = xcalloc(1, sizeof(*filter));
    filter->program = program.items;
    filter->count = program.count;
    filter->flags = flags_of(profile);
    filter->has_listener = seccomp_has_listener(profile);
    *ret_filter = filter;
    return 0;
}

void seccomp_filter_free(struct seccomp_filter *filter)
{
    if (filter == NULL)
        return;
    free(filter->program);
    free(filter);
}

int seccomp_filter_apply(const struct seccomp_filter *filter, int *ret_listener_fd,
                         struct error *err)
{
    struct sock_fprog program = { 0 };
    unsigned flags;
    bool wants_listener;
    long r;

    assert(filter != NULL);

    program.len = (unsigned short)filter->count;
    program.filter = filter->program;
    wants_listener = filter->has_listener && ret_listener_fd != NULL;
    flags = filter->flags;
    if (wants_listener)
        flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    else /* the kernel refuses it without a listener */
        flags &= ~SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (r < 0)
        return error_errno(err, "load the seccomp filter");
    if (ret_listener_fd != NULL)
        *ret_listener_fd = wants_listener ? (int)r : -1;
    return 0;
}
