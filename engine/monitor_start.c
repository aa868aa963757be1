#include "engine/monitor_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/path.h"
#include "engine/bundle.h"
#include "engine/checkpoints.h"
#include "engine/engine_private.h"
#include "engine/group.h"

/* Ends of the container's streams that become its 0, 1 and 2; closed here once it has them. */
struct inner_streams {
    int fds[3];
};

static void close_inner(struct inner_streams *inner)
{
    for (size_t i = 0; i < ARRAY_SIZE(inner->fds); i++)
        if (inner->fds[i] >= 0)
            close(take_fd(&inner->fds[i]));
}

static int make_pipe(int *ret_read, int *ret_write, struct error *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    *ret_read = fds[0];
    *ret_write = fds[1];
    return 0;
}

/* Only our ends do not block: a program inside may not expect it of its own. */
static int make_streams(struct monitor *monitor, struct inner_streams *inner, struct error *err)
{
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(monitor->output_fds); i++) {
        r = make_pipe(&monitor->output_fds[i], &inner->fds[i + 1], err);
        if (r == 0)
            r = fd_set_nonblocking(monitor->output_fds[i], true, err);
        if (r < 0)
            return r;
    }
    if (monitor->record->settings.opens_stdin) {
        r = make_pipe(&inner->fds[0], &monitor->stdin_fd, err);
        return r < 0 ? r : fd_set_nonblocking(monitor->stdin_fd, true, err);
    }
    inner->fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (inner->fds[0] < 0)
        return error_errno(err, "open '/dev/null'");
    return 0;
}

/* The slave stays open here: a program that closes its terminal and opens /dev/console later would
 * otherwise make the master report an end that is none. */
static int take_terminal(struct monitor *monitor, struct error *err)
{
    int fd = container_take_console(monitor->container);

    if (fd < 0)
        return error_set(err, EPROTO, "the container made no terminal");
    monitor->output_fds[0] = monitor->terminal_fd = fd;
    monitor->slave_fd = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    monitor->stdin_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (monitor->stdin_fd < 0)
        return error_errno(err, "duplicate the terminal");
    return fd_set_nonblocking(fd, true, err);
}

/* Namespaces of another container: its process is known only now. */
static int join(struct monitor *monitor, const char *option, const char *mode, const char *type,
                struct error *err)
{
    const char *file = strcmp(type, "network") == 0 ? "net" : type;
    AUTO(container) struct container *other = NULL;
    enum namespace_mode kind;
    const char *id;
    pid_t pid;
    int r;

    r = namespace_mode_parse(option, mode, &kind, &id, err);
    if (r < 0 || kind != NAMESPACE_CONTAINER)
        return r;
    r = container_open(monitor->engine->runtime, id, &other, NULL);
    pid = r == 0 ? container_pid(other) : 0;
    if (pid == 0)
        return error_set(err, ESRCH, "%s: container %.12s does not run", option, id);
    for (size_t i = 0; i < monitor->spec->linux_.namespaces.count; i++) {
        struct spec_namespace *item = &monitor->spec->linux_.namespaces.items[i];

        if (strcmp(item->type, type) != 0)
            continue;
        free(item->path);
        item->path = xasprintf("/proc/%d/ns/%s", pid, file);
    }
    return 0;
}

static int read_spec(struct monitor *monitor, struct error *err)
{
    const struct settings *settings = &monitor->record->settings;
    int r;

    spec_free(monitor->spec);
    monitor->spec = NULL;
    r = spec_read(monitor->directory_fd, "bundle/config.json", &monitor->spec, err);
    if (r < 0)
        return r;
    r = join(monitor, "--pid", settings->pid_mode, "pid", err);
    if (r < 0)
        return r;
    r = join(monitor, "--ipc", settings->ipc_mode, "ipc", err);
    if (r < 0)
        return r;
    return join(monitor, "--network", settings->network, "network", err);
}

static void drop_profile(struct spec *spec)
{
    if (spec->linux_.seccomp == NULL)
        return;
    object_clear(&spec_seccomp_object, spec->linux_.seccomp);
    free(spec->linux_.seccomp);
    spec->linux_.seccomp = NULL;
}

/* Once, as soon as the first process has its namespaces: a restored microVM looks for its
 * interfaces earlier than others. */
static int start_network(void *context, pid_t pid, struct error *err)
{
    struct monitor *monitor = context;
    const struct settings *settings = &monitor->record->settings;
    auto_free char *api_path = NULL;
    auto_close int dir_fd = -1;

    if (!text_equal(settings->network, SLIRP_NETWORK) || monitor->slirp.pid != 0)
        return 0;
    dir_fd = openat(monitor->engine->run_fd, monitor->id, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return error_errno(err, "open '%s/%s'", monitor->engine->run_path, monitor->id);
    /* However long the path of RUN is: a socket's has at most 107 bytes (unix(7)). */
    api_path = xasprintf("/proc/%d/fd/%d/slirp", (int)getpid(), dir_fd);
    return slirp_start(pid, &settings->published, api_path, &monitor->slirp, err);
}

/* For a container whose root is fuse-overlayfs's. */
static int start_root(struct monitor *monitor, struct error *err)
{
    auto_free char *path = xasprintf("%s/containers/%s", monitor->engine->data_path, monitor->id);
    auto_free char *upper = path_join(path, "upper");
    auto_free char *work = path_join(path, "work");
    const struct snapshot snapshot = {
        .lower = monitor->record->layers,
        .upper = upper,
        .work = work,
    };

    monitor->root_status = 0;
    if (!monitor->record->is_served)
        return 0;
    return fuse_root_open(&snapshot, 0, &monitor->fuse_root, err);
}

/* What says that the monitor lives: its claim, and what its clients wait on. Caller frees. */
static int *list_own_fds(const struct monitor *monitor)
{
    int *fds = xcalloc(monitor->client_count + 3, sizeof(*fds));
    size_t count = 0;

    fds[count++] = monitor->claim_fd;
    fds[count++] = monitor->listen_fd;
    for (size_t i = 0; i < monitor->client_count; i++)
        if (monitor->clients[i]->fd >= 0)
            fds[count++] = monitor->clients[i]->fd;
    fds[count] = -1;
    return fds;
}

/* A restored one runs already. */
static int create(struct monitor *monitor, bool is_restored, const struct inner_streams *inner,
                  struct error *err)
{
    auto_free char *bundle_path =
        xasprintf("%s/containers/%s/bundle", monitor->engine->data_path, monitor->id);
    auto_free int *own_fds = list_own_fds(monitor);
    const struct container_options options = {
        .id = monitor->id,
        .bundle_path = bundle_path,
        .bundle_fd = -1,
        .spec = monitor->spec,
        .keeps_console = monitor->record->settings.has_terminal,
        .is_started_here = true,
        .stdio = { inner->fds[0], inner->fds[1], inner->fds[2] },
        .dies_with_caller = true,
        .root_mount = monitor->record->is_served ? &monitor->fuse_root.mount_fd : NULL,
        .callers_fds = own_fds,
    };

    if (is_restored)
        return checkpoints_restore(monitor->engine, &options, start_network, monitor,
                                   &monitor->container, err);
    return container_create(monitor->engine->runtime, &options, &monitor->container, err);
}

static int create_and_start(struct monitor *monitor, bool is_restored, struct inner_streams *inner,
                            struct error *err)
{
    int r = start_root(monitor, err);

    if (r == 0)
        r = create(monitor, is_restored, inner, err);
    if (r < 0)
        return r;
    close_inner(inner);
    fuse_root_drop_mount(&monitor->fuse_root);
    monitor->pid = container_first_pid(monitor->container);
    if (monitor->record->settings.has_terminal) {
        r = take_terminal(monitor, err);
        if (r < 0)
            return r;
    }
    r = start_network(monitor, monitor->pid, err);
    if (r < 0)
        return r;
    /* The starter's first messages may be the terminal's size: the program should begin with it. */
    for (size_t i = 0; i < monitor->client_count; i++)
        monitor_read_client(monitor, monitor->clients[i]);
    return is_restored ? 0 : container_start(monitor->container, err);
}

/* The kernel's cgroups of groups are gone after a reboot. */
static int prepare_group(struct monitor *monitor, struct error *err)
{
    const char *parent = monitor->record->settings.cgroup_parent;

    if (text_is_empty(parent) || parent[0] == '/')
        return 0;
    return group_prepare(monitor->engine, parent, err);
}

int monitor_start(struct monitor *monitor, bool is_restored, struct error *err)
{
    struct inner_streams inner = { { -1, -1, -1 } };
    int r;

    r = read_spec(monitor, err);
    if (r == 0)
        r = prepare_group(monitor, err);
    if (r < 0)
        return r;
    if (!monitor->record->settings.has_terminal)
        r = make_streams(monitor, &inner, err);
    if (r == 0)
        r = create_and_start(monitor, is_restored, &inner, err);
    close_inner(&inner);
    if (r < 0) {
        if (monitor->container != NULL)
            (void)container_delete(monitor->container, true, NULL); /* repair does it otherwise */
        container_free(monitor->container);
        monitor->container = NULL;
        fuse_root_clear(&monitor->fuse_root);
        monitor_drain_output(monitor);
        monitor_close_streams(monitor);
        return r;
    }
    drop_profile(monitor->spec);
    return 0;
}
