#include "runtime/checkpoint_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "runtime/checkpoint_folders.h"
#include "runtime/creation.h"
#include "runtime/hooks.h"

/* A restore, in the order of create: plan, run directory and state, cgroup; then CRIU takes the
 * place of the init.
 *
 *   restorer                                  criu (child)
 *     |  fork                                 | enters the cgroup; makes a mount namespace with
 *     |                                       | the root and places for all mounts
 *     |  <----------------------- end of file | exec criu swrk
 *     |  RESTORE ---------------------------> | clones the container's first process as its
 *     |                                       | sibling
 *     |  <------------------ setup-namespaces | it makes namespaces and mounts
 *     |  hooks prestart, createRuntime -----> | makes the processes
 *     |  <---------------------- post-restore | all stand, none runs yet
 *     |  state.json gets the pid -----------> | lets them run
 *     |  <--------------------------- RESTORE | ends
 *
 * Until post-restore the state has no pid; whoever finds it after a crash kills what is in the
 * cgroup and removes it. */

struct restoration {
    struct creation creation;
    const struct checkpoint_options *options;
    struct checkpoint_folders folders;
    struct criu_options criu;
    const char *purpose;
    char *root; /* CRIU's options borrow it */
};

/* --- plan ------------------------------------------------------------------------------------- */

static int check_terminal(const struct restoration *restoration, struct error *err)
{
    const struct container_options *options = restoration->creation.options;
    bool is_taken = options->keeps_console || options->console_socket != NULL;

    if (restoration->creation.spec->process->terminal && !is_taken &&
        !restoration->options->is_shell_job)
        return error_set(err, EINVAL,
                         "process.terminal: is true, but nobody takes the terminal; give a console "
                         "socket");
    return 0;
}

/* @type and @criu_type: CRIU has its own words */
static const struct joined_namespace {
    const char *type, *criu_type;
    const char *key; /* what a checkpoint called it; NULL: joined by path */
} joined_namespaces[] = {
    { "network", "net", "extRootNetNS" },
    { "pid", "pid", "extRootPidNS" },
    { "ipc", "ipc", NULL },
    { "uts", "uts", NULL },
    { "time", "time", NULL },
    { "user", "user", NULL },
};

static int namespace_flag(const char *type)
{
    return strcmp(type, "network") == 0 ? CLONE_NEWNET : CLONE_NEWPID;
}

static int add_namespaces(struct restoration *restoration, struct error *err)
{
    const struct spec_namespaces *list = &restoration->creation.spec->linux_.namespaces;

    for (size_t i = 0; i < list->count; i++) {
        const struct spec_namespace *item = &list->items[i];
        const struct joined_namespace *word = NULL;

        if (text_is_empty(item->path))
            continue;
        for (size_t k = 0; k < ARRAY_SIZE(joined_namespaces) && word == NULL; k++) {
            if (strcmp(item->type, joined_namespaces[k].type) == 0)
                word = &joined_namespaces[k];
        }
        if (word == NULL)
            return error_set(err, EOPNOTSUPP,
                             "linux.namespaces[%zu]: CRIU cannot restore into a %s namespace that "
                             "exists",
                             i, item->type);
        if (word->key == NULL)
            string_map_set(&restoration->criu.join_ns, word->criu_type, item->path);
    }
    for (size_t i = 0; i < ARRAY_SIZE(joined_namespaces); i++) {
        const struct joined_namespace *word = &joined_namespaces[i];
        const struct namespaces_plan *plan = &restoration->creation.namespaces;

        for (size_t k = 0; word->key != NULL && k < plan->join_count; k++) {
            if (plan->join_flags[k] == namespace_flag(word->type))
                criu_options_add_descriptor(&restoration->criu, word->key, plan->join_fds[k]);
        }
    }
    if (namespaces_are_new(&restoration->creation.namespaces, CLONE_NEWNET))
        restoration->criu.empty_ns = CLONE_NEWNET;
    return 0;
}

/* Names from the image's folder only choose which of the caller's own streams CRIU connects. */
static int add_descriptors(struct restoration *restoration, struct error *err)
{
    const struct restoration *it = restoration;
    struct strings names = { 0 };
    auto_free char *json = NULL;
    size_t length = 0;
    int r;

    r = file_read(it->folders.image_fd, DESCRIPTORS_FILE, 65536, &json, &length, err);
    if (r == -ENOENT)
        return error_set(err, ENOENT, "--image-path '%s': holds no checkpoint: there is no %s",
                         it->options->image_path, DESCRIPTORS_FILE);
    if (r == 0)
        r = descriptors_parse(json, length, &names, err);
    if (r < 0)
        return error_prefix(err, r, "--image-path '%s'", it->options->image_path);
    for (size_t i = 0; i < names.count; i++) {
        if (descriptor_is_outer(names.items[i]))
            criu_options_add_descriptor(&restoration->criu, names.items[i], (int)i);
    }
    strings_clear(&names);
    return 0;
}

/* The last part of the plan: with the systemd manager the cgroup's path is not known before. */
static int add_mounts(struct restoration *restoration, struct error *err)
{
    const struct creation *creation = &restoration->creation;
    struct external_mounts mounts = { 0 };
    int r;

    restoration->criu.cgroup_root = creation->container->state.cgroup;
    if (restoration->criu.cgroup_root == NULL)
        restoration->criu.manage_cgroups_mode = CRIU_CGROUPS_IGNORE; /* not those of the image */
    r = external_mounts_plan(creation->spec, creation->rootfs,
                             runtime_cgroups(creation->container->runtime),
                             creation->container->state.cgroup, &mounts, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < mounts.count; i++)
        string_map_set(&restoration->criu.ext_mnt, mounts.items[i].name, mounts.items[i].source);
    external_mounts_clear(&mounts);
    return 0;
}

/* What create does to its init from outside, and CRIU's images do not hold. */
static int refuse_unsupported(const struct spec *spec, struct error *err)
{
    if (spec->linux_.net_devices.count > 0)
        return error_set(err, EOPNOTSUPP, "linux.netDevices: cannot be restored yet");
    if (spec->linux_.intel_rdt != NULL)
        return error_set(err, EOPNOTSUPP, "linux.intelRdt: cannot be restored yet");
    if (spec->linux_.seccomp != NULL && !text_is_empty(spec->linux_.seccomp->listener_path))
        return error_set(err, EOPNOTSUPP, "linux.seccomp.listenerPath: cannot be restored");
    return 0;
}

static int plan_container(struct restoration *restoration, struct error *err)
{
    struct creation *creation = &restoration->creation;
    int r;

    r = creation_read_bundle(creation, err);
    if (r < 0)
        return r;
    if (creation->spec->process == NULL)
        return error_set(err, EINVAL, "process: is missing");
    r = isolation_refuse_image(creation->container->runtime, creation->spec,
                               restoration->options->image_path, err);
    if (r < 0)
        return r;
    r = refuse_unsupported(creation->spec, err);
    if (r == 0)
        r = check_terminal(restoration, err);
    if (r == 0)
        r = creation_plan_state(creation, err);
    if (r == 0)
        r = rootfs_plan(creation->spec, creation->container->state.bundle, &creation->rootfs, err);
    if (r == 0)
        r = creation_plan_cgroup(creation, err);
    if (r == 0)
        r = namespaces_open(creation->spec, &creation->namespaces, err);
    return r;
}

static int plan_criu(struct restoration *restoration, struct error *err)
{
    struct creation *creation = &restoration->creation;
    struct state *state = &creation->container->state;
    struct criu_options *criu = &restoration->criu;
    const struct criu_probe probe = { .needs_lazy_pages = restoration->options->is_lazy };
    uint32_t version = 0;
    int r;

    r = checkpoint_folders_open(restoration->options, false,
                                spec_find_namespace(creation->spec, "user") != NULL,
                                &restoration->folders, err);
    if (r == 0)
        r = checkpoint_folders_use(&restoration->folders, &state->annotations, criu, err);
    if (r == 0)
        r = add_descriptors(restoration, err);
    if (r == 0)
        r = criu_check(&probe, restoration->purpose, &version, err);
    if (r == 0)
        r = checkpoint_options_plan(restoration->options, true, version, criu, err);
    if (r == 0)
        r = add_namespaces(restoration, err);
    if (r < 0)
        return r;
    restoration->root = realpath(state->rootfs, NULL);
    if (restoration->root == NULL)
        return error_errno(err, "find root.path '%s'", state->rootfs);
    criu->root = restoration->root;
    r = rootfs_prepare(creation->rootfs, err);
    return r < 0 ? r : rootfs_open_sources(creation->rootfs, err);
}

/* --- the child that becomes CRIU ----------------------------------------------------------------
 */

static int make_places_child(void *data, struct error *err)
{
    const struct restoration *restoration = data;
    const struct creation *creation = &restoration->creation;
    const struct rootfs_context context = {
        .cgroups = creation->container->runtime->cgroups,
        .cgroup_path = creation->container->state.cgroup,
        .has_user_namespace = spec_find_namespace(creation->spec, "user") != NULL,
        .has_cgroup_namespace = spec_find_namespace(creation->spec, "cgroup") != NULL,
        .has_network_namespace = spec_find_namespace(creation->spec, "network") != NULL,
    };
    int r = checkpoint_shut_off_child(err);

    return r < 0 ? r : rootfs_make_places_child(creation->rootfs, &context, err);
}

static int prepare_child(const void *context, struct error *err)
{
    struct restoration *restoration = (struct restoration *)context;
    struct cgroup *cgroup = restoration->creation.container->cgroup;
    int r = 0;

    /* First: what is restored inherits it, and a crash of ours leaves nothing outside of it. */
    if (cgroup != NULL)
        r = cgroup_enter_child(cgroup, false, err);
    if (r == 0)
        r = checkpoint_shut_off_child(err);
    if (r == 0)
        r = rootfs_attach_child(restoration->creation.rootfs, err);
    /* In a process of its own, as these mounts must not be in the tree that CRIU begins with. */
    if (r == 0)
        r = process_call_in_child(make_places_child, restoration, err);
    if (r == 0)
        r = checkpoint_folders_reopen_child(&restoration->folders, restoration->options, err);
    return r;
}

/* --- notices ---------------------------------------------------------------------------------- */

/* CRIU leaves a new network namespace empty, with "lo" down; create raises it. */
static int raise_loopback(const struct restoration *restoration, pid_t pid, struct error *err)
{
    auto_free char *path = xasprintf("/proc/%d/ns/net", pid);
    auto_close int fd = -1;
    int status = 0;
    pid_t child;

    if (!namespaces_are_new(&restoration->creation.namespaces, CLONE_NEWNET))
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open '%s'", path);
    child = fork();
    if (child < 0)
        return error_errno(err, "fork");
    if (child == 0)
        _exit(setns(fd, CLONE_NEWNET) < 0 || namespaces_raise_loopback_child(NULL) < 0);
    if (waitpid(child, &status, 0) < 0 || status != 0)
        return error_set(err, EIO, "bring up 'lo' in the restored network namespace");
    return 0;
}

static int set_up_namespaces(const struct restoration *restoration, pid_t pid, struct error *err)
{
    const struct spec *spec = restoration->creation.spec;
    const struct state *state = &restoration->creation.container->state;
    int r;

    r = raise_loopback(restoration, pid, err);
    if (r == 0)
        r = hooks_run(spec, HOOK_PRESTART, state, pid, NULL, err);
    return r < 0 ? r : hooks_run(spec, HOOK_CREATE_RUNTIME, state, pid, NULL, err);
}

static int take_process(const struct restoration *restoration, pid_t pid, struct error *err)
{
    struct container *container = restoration->creation.container;
    int r;

    if (pid <= 1)
        return error_set(err, EPROTO, "criu tells no process id");
    container->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (container->pidfd < 0)
        return error_errno(err, "open the restored process %d", pid);
    r = process_start_time(pid, &container->state.start_time, err);
    if (r < 0)
        return r;
    container->state.pid = pid;
    return state_write(container->dir_fd, &container->state, err);
}

static int notice(const struct criu_response *response, int *fd, void *context, struct error *err)
{
    struct restoration *restoration = context;
    struct container *container = restoration->creation.container;
    pid_t pid = (pid_t)response->pid;

    if (strcmp(response->script, "setup-namespaces") == 0)
        return set_up_namespaces(restoration, pid, err);
    if (strcmp(response->script, "post-restore") == 0)
        return take_process(restoration, pid, err);
    if (strcmp(response->script, "orphan-pts-master") == 0 && *fd >= 0) {
        auto_close_cleanup(&container->console_fd);
        container->console_fd = take_fd(fd);
    }
    return 0;
}

/* --- the restore ------------------------------------------------------------------------------ */

/* A scope is made around a process, which is the one that becomes criu; and written down before
 * anything is restored in it. */
static int make_scope(void *context, pid_t pid, struct error *err)
{
    struct creation *creation = context;
    int r = creation_make_scope(creation, pid, err);

    return r < 0 ? r : state_write(creation->container->dir_fd, &creation->container->state, err);
}

static int run_criu(struct restoration *restoration, struct error *err)
{
    AUTO_CLEAR(criu) struct criu criu = CRIU_INITIALIZER;
    struct creation *creation = &restoration->creation;
    const struct checkpoint_folders *folders = &restoration->folders;
    const struct criu_request request = { .type = CRIU_RESTORE, .options = &restoration->criu };
    int log_fd = folders->work_fd >= 0 ? folders->work_fd : folders->image_fd;
    struct criu_start start = {
        .prepare_child = prepare_child,
        .context = restoration,
        .inherited_fds = creation->namespaces.join_fds,
        .inherited_count = creation->namespaces.join_count,
    };
    struct criu_response response;
    int r;

    for (int i = 0; i < 3; i++)
        start.stdio[i] = creation->options->stdio[i] >= 0 ? creation->options->stdio[i] : i;
    /* An older log of another attempt must not be quoted. */
    (void)unlinkat(log_fd, CRIU_RESTORE_LOG, 0);
    if (creation->container->state.scope != NULL) {
        start.place = make_scope;
        start.place_context = creation;
    }
    r = criu_start(&start, restoration->purpose, &criu, err);
    if (r == 0)
        r = add_mounts(restoration, err);
    if (r < 0)
        return r;
    r = criu_run(&criu, &request, notice, restoration, &response, err);
    if (r == 0 && creation->container->state.pid == 0)
        r = take_process(restoration, (pid_t)response.pid, err);
    if (r < 0) {
        r = criu_fail(&criu, r, log_fd, folders->log_dir, CRIU_RESTORE_LOG, err);
        return error_prefix(err, r, "%s", restoration->purpose);
    }
    return 0;
}

static int give_console(struct restoration *restoration, struct error *err)
{
    struct container *container = restoration->creation.container;
    const struct container_options *options = restoration->creation.options;

    if (container->console_fd >= 0 || !restoration->creation.spec->process->terminal)
        return creation_hand_over(&restoration->creation, err);
    if (options->console_socket != NULL)
        return error_set(err, EINVAL,
                         "%s: a console socket is given, but the image has no terminal",
                         restoration->purpose);
    return creation_hand_over(&restoration->creation, err);
}

static int make_container(struct restoration *restoration, struct error *err)
{
    struct creation *creation = &restoration->creation;
    struct container *container = creation->container;
    int r;

    r = creation_make_directory(creation, err);
    if (r == 0)
        r = creation_make_cgroup(creation, err);
    if (r == 0)
        r = run_criu(restoration, err);
    if (r == 0)
        r = give_console(restoration, err);
    if (r < 0)
        return r;
    log_debug("restore %s: process %d runs", container->state.id, container->state.pid);
    return hooks_run(creation->spec, HOOK_POSTSTART, &container->state, container->state.pid, NULL,
                     err);
}

static int plan_all(struct restoration *restoration, struct error *err)
{
    int r;

    r = container_id_check(restoration->creation.options->id, err);
    if (r == 0)
        r = checkpoint_check_rights(restoration->purpose, err);
    if (r == 0)
        r = checkpoint_options_check(restoration->options, err);
    if (r == 0)
        r = plan_container(restoration, err);
    if (r == 0)
        r = plan_criu(restoration, err);
    return r;
}

int container_restore(struct runtime *runtime, const struct container_options *options,
                      const struct checkpoint_options *checkpoint, struct container **ret_container,
                      struct error *err)
{
    AUTO(container) struct container *container = creation_new_container(runtime);
    auto_free char *purpose = xasprintf("a restore of container '%s'", options->id);
    auto_free char *image_path = NULL;
    struct container_options own_options = *options;
    struct restoration restoration = {
        .creation = { .options = &own_options, .container = container, .listen_fd = -1 },
        .options = checkpoint,
        .folders = CHECKPOINT_FOLDERS_NONE,
        .criu = CRIU_OPTIONS_NONE,
        .purpose = purpose,
    };
    int r;

    r = isolation_find_image(runtime, checkpoint->image_path, &image_path, err);
    if (r < 0)
        return r;
    if (image_path != NULL)
        return isolation_restore(runtime, options, checkpoint, image_path, ret_container, err);
    own_options.is_started_here = true; /* nobody has to start it: no start.sock */
    r = plan_all(&restoration, err);
    if (r == 0) {
        r = make_container(&restoration, err);
        if (r < 0)
            creation_undo(&restoration.creation);
    }
    creation_clear(&restoration.creation);
    checkpoint_folders_clear(&restoration.folders);
    criu_options_clear(&restoration.criu);
    free(restoration.root);
    if (r < 0)
        return r;
    *ret_container = take_ptr(&container);
    return 0;
}
