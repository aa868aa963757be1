#include <errno.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"
#include "runtime/container.h"
#include "runtime/process_setup.h"

/* SCMP_ACT_NOTIFY: an agent outside answers for system calls of the container, through a descriptor
 * that the kernel makes when the filter is loaded. From that moment each call of the loading thread
 * may be one that waits for the agent, which has no descriptor yet; so the thread must not need any
 * call to pass it on. A second thread, made before, is not filtered and shares the table of
 * descriptors: it learns the number by way of memory, sends it to the peer, who gives it to the
 * agent, and ends. exec would kill it, so the first thread waits until it has sent; with futex(2)
 * where the filter lets it pass (the machine of seccomp_answer.c tells), else by looking at the
 * memory again, for the microseconds of one sendmsg(2) into a socket that has room.
 *
 *   init or exec              helper thread                   starter             agent
 *     | clone(CLONE_THREAD) ---> |                              | connect ---------> |
 *     | seccomp(NEW_LISTENER)    |                              |                    |
 *     | listener = n  .........> |                              |                    |
 *     |                          | LISTENER + descriptor -----> | state as JSON ---> |
 *     | <............. is_sent   | ends                         |   + descriptor     | answers
 *     | capabilities, execve     .                              |                    |
 */

#define HELPER_STACK_BYTES 65536
#define LISTENER_PENDING   (-1)
#define LISTENER_FAILED    (-2)

struct helper {
    atomic_int listener; /* descriptor, or one of the above */
    atomic_int is_sent;
    int peer_fd;
    bool can_sleep;
};

/* Waits until @word is no longer @value. */
static void wait_while(const struct helper *helper, atomic_int *word, int value)
{
    while (atomic_load(word) == value) {
        if (helper->can_sleep)
            (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    }
}

static void publish(const struct helper *helper, atomic_int *word, int value)
{
    atomic_store(word, value);
    if (helper->can_sleep)
        (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static int run_helper(void *data)
{
    struct helper *helper = data;
    int fd;

    /* Never sleeping where the other thread could not wake: then it yields. */
    while (!helper->can_sleep && atomic_load(&helper->listener) == LISTENER_PENDING)
        (void)sched_yield();
    wait_while(helper, &helper->listener, LISTENER_PENDING);
    fd = atomic_load(&helper->listener);
    if (fd == LISTENER_FAILED)
        return 0;
    /* Who waits for it is gone: nobody would ever answer. Both threads end here. */
    if (sync_send(helper->peer_fd, SYNC_LISTENER, &fd, 1, NULL) < 0)
        _exit(1);
    publish(helper, &helper->is_sent, 1);
    return 0;
}

static bool is_quiet(const struct seccomp_filter *filter, unsigned operation)
{
    const struct seccomp_data data = {
        .nr = SYS_futex,
        .arch = seccomp_arch_native(),
        .args = { 1, operation, 1 }, /* an address, and a value or a count */
    };
    uint32_t action = seccomp_filter_answer(filter, &data) & SECCOMP_RET_ACTION_FULL;

    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

int seccomp_listener_load_child(const struct seccomp_filter *filter, int peer_fd, struct error *err)
{
    /* Neither is freed: the helper may still use them when this function is done; exec will. */
    struct helper *helper = xcalloc(1, sizeof(*helper));
    char *stack = xcalloc(1, HELPER_STACK_BYTES);
    int listener = -1, r;

    helper->peer_fd = peer_fd;
    helper->can_sleep =
        is_quiet(filter, FUTEX_WAIT_PRIVATE) && is_quiet(filter, FUTEX_WAKE_PRIVATE);
    atomic_store(&helper->listener, LISTENER_PENDING);
    if (clone(run_helper, stack + HELPER_STACK_BYTES,
              CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, helper) < 0)
        return error_errno(err, "make the thread that passes the seccomp listener on "
                                "(linux.resources.pids.limit?)");
    r = seccomp_filter_apply(filter, &listener, err);
    publish(helper, &helper->listener, r < 0 ? LISTENER_FAILED : listener);
    if (r < 0)
        return r;
    wait_while(helper, &helper->is_sent, 0);
    return 0;
}

int seccomp_listener_connect(const struct spec_seccomp *profile, int *ret_fd, struct error *err)
{
    int r;

    if (profile == NULL || !seccomp_has_listener(profile))
        return 0;
    r = handover_connect(profile->listener_path, ret_fd, err);
    /* In runc's words. */
    return r < 0 ? error_prefix(err, r,
                                "linux.seccomp.listenerPath: failed to connect with seccomp agent")
                 : 0;
}

int seccomp_listener_pass(int sync_fd, int agent_fd, const char *state_json, struct error *err)
{
    /* Closed here: an agent may read to the end before it answers for the first call. */
    auto_close int connection_fd = agent_fd;
    int fds[2] = { -1, -1 };
    int r;

    r = sync_expect(sync_fd, SYNC_LISTENER, fds, err);
    if (r == 0)
        return error_set(err, ESRCH, "the process ended before its seccomp listener came");
    if (r < 0)
        return r;
    if (fds[0] < 0)
        return error_set(err, EPROTO, "the seccomp listener is missing");
    r = handover_send(connection_fd, state_json, fds[0], err);
    auto_close_cleanup(&fds[0]);
    auto_close_cleanup(&fds[1]);
    return r < 0 ? error_prefix(err, r, "linux.seccomp.listenerPath") : 0;
}
