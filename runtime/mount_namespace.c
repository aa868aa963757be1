#include "runtime/mount_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/wire.h"

struct call {
    int namespace_fd, root_fd;
    process_function *function;
    void *context;
    int r;
    struct error *err;
};

/* A thread of its own root and directory may join alone (setns(2), "CLONE_NEWNS"). That moves its
 * root to the namespace's, which is another than the caller's for a caller in a chroot. */
static int enter(const struct call *call, struct error *err)
{
    if (unshare(CLONE_FS) < 0 || setns(call->namespace_fd, CLONE_NEWNS) < 0)
        return error_errno(err, "enter the container's mount namespace");
    if (fchdir(call->root_fd) < 0 || chroot(".") < 0)
        return error_errno(err, "enter the root in the container's mount namespace");
    return 0;
}

static void *run_thread(void *data)
{
    struct call *call = data;

    call->r = enter(call, call->err);
    if (call->r == 0)
        call->r = call->function(call->context, call->err);
    return NULL;
}

int mount_namespace_call(int namespace_fd, int root_fd, process_function *function, void *context,
                         struct error *err)
{
    struct call call = {
        .namespace_fd = namespace_fd,
        .root_fd = root_fd,
        .function = function,
        .context = context,
        .err = err,
    };
    pthread_t thread;
    int code = pthread_create(&thread, NULL, run_thread, &call);

    if (code != 0) {
        errno = code;
        return error_errno(err, "make the thread that enters the container's mount namespace");
    }
    (void)pthread_join(thread, NULL); /* it is one, and nobody else waits for it */
    return call.r;
}

/* --- a copy of the caller's own --------------------------------------------------------------- */

struct copy {
    int user_pidfd;
    int sync_fd; /* where the child sends the namespace and its root */
};

static int send_copy_child(void *context, struct error *err)
{
    const struct copy *copy = context;
    auto_close int namespace_fd = -1, root_fd = -1;

    /* Nobody in the container may look into us, and so at the host's files (ptrace(2)). */
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        return error_errno(err, "hide the process");
    if (setns(copy->user_pidfd, CLONE_NEWUSER) < 0)
        return error_errno(err, "join the container's user namespace");
    if (unshare(CLONE_NEWNS) < 0)
        return error_errno(err, "copy the mount namespace for the container's user namespace");
    namespace_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (namespace_fd < 0 || root_fd < 0)
        return error_errno(err, "open the copy of the mount namespace");
    return wire_send(copy->sync_fd, 0, NULL, 0, (int[2]){ namespace_fd, root_fd }, 2, err);
}

int mount_namespace_call_locked(int user_pidfd, process_function *function, void *context,
                                struct error *err)
{
    auto_close int own_fd = -1, child_fd = -1;
    struct copy copy = { .user_pidfd = user_pidfd };
    struct wire_message message;
    int pair[2], r;

    r = wire_pair(pair, err);
    if (r < 0)
        return r;
    own_fd = pair[0];
    copy.sync_fd = child_fd = pair[1];
    r = process_call_in_child(send_copy_child, &copy, err);
    if (r < 0)
        return r;
    r = wire_receive(own_fd, &message, err);
    if (r <= 0)
        return r < 0 ? r : error_set(err, EPROTO, "the copy of the mount namespace is missing");
    r = message.fd_count == 2
            ? mount_namespace_call(message.fds[0], message.fds[1], function, context, err)
            : error_set(err, EPROTO, "the copy of the mount namespace is missing");
    wire_message_close(&message);
    return r;
}
