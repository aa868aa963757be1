#include "microvm/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/decode.h"
#include "base/fd.h"
#include "microvm/files_work.h"
#include "unionfs/unionfs.h"

/* Work on the container's files, in a child: of changes it looks at the overlay's directories, else
 * at the container's mounts. Its standard streams lead to the host. */

#define LIST_BYTES 65536

struct work {
    const struct container *container;
    struct inner_files wanted;
    struct strings warnings;
};

/* --- changes ---------------------------------------------------------------------------------- */

struct list {
    char bytes[LIST_BYTES];
    size_t used;
};

static int flush(struct list *list, struct error *err)
{
    size_t used = list->used;

    list->used = 0;
    return fd_write_all(STDOUT_FILENO, list->bytes, used, "the list of changes", err);
}

static int add_change(const struct change *change, void *context, struct error *err)
{
    static const char letters[] = {
        [CHANGE_MODIFIED] = 'C', [CHANGE_ADDED] = 'A', [CHANGE_DELETED] = 'D'
    };
    size_t length = strlen(change->path);
    struct list *list = context;
    int r = 0;

    if (length == 0)
        return 0; /* the root is there in any case */
    if (length + 2 > LIST_BYTES)
        return error_set(err, ENAMETOOLONG, "'/%.200s...' is too long a path", change->path);
    if (length + 2 > LIST_BYTES - list->used)
        r = flush(list, err);
    list->bytes[list->used++] = letters[change->kind];
    memcpy(list->bytes + list->used, change->path, length + 1);
    list->used += length + 1;
    return r;
}

static int list_changes(const struct change_source *source, struct error *err)
{
    auto_free struct list *list = xcalloc(1, sizeof(*list));
    int r;

    r = changes_walk(source, add_change, list, err);
    return r < 0 ? r : flush(list, err);
}

static int write_bytes(const void *bytes, size_t length, void *context, struct error *err)
{
    (void)context;
    return fd_write_all(STDOUT_FILENO, bytes, length, "the host", err);
}

static int pack_layer(struct work *work, const struct change_source *source, struct error *err)
{
    const struct pack_options options = { .sink = write_bytes,
                                          .is_layer = true,
                                          .latest = work->wanted.latest,
                                          .warnings = &work->warnings };

    return pack_changes(source, &options, err);
}

static int with_changes(struct work *work, struct error *err)
{
    auto_close int upper_fd = open(AGENT_UPPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_close int image_fd = open(AGENT_IMAGE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct change_source source = { .upper_fd = upper_fd,
                                          .lower_fds = &image_fd,
                                          .lower_count = 1,
                                          .mount_points = &work->wanted.mount_points };

    if (upper_fd < 0 || image_fd < 0)
        return error_errno(err, "open the container's writable directory and its image");
    return text_equal(work->wanted.work, INNER_LAYER) ? pack_layer(work, &source, err)
                                                      : list_changes(&source, err);
}

/* --- the root --------------------------------------------------------------------------------- */

static int open_root(const struct work *work, bool is_whole, int *ret_fd, struct error *err)
{
    auto_close int mount_fd = -1;
    int r;

    r = container_copy_mounts(work->container, false, is_whole, &mount_fd, err);
    if (r < 0)
        return r;
    *ret_fd = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? error_errno(err, "open the container's root") : 0;
}

static int pack_root(struct work *work, struct error *err)
{
    const struct pack_options options = { .sink = write_bytes,
                                          .latest = INT64_MAX,
                                          .warnings = &work->warnings };
    struct change_source source = { 0 };
    auto_close int root_fd = -1;
    int r;

    r = open_root(work, false, &root_fd, err);
    source.upper_fd = root_fd;
    return r < 0 ? r : pack_changes(&source, &options, err);
}

static struct copy_end copy_end(const struct work *work)
{
    return (struct copy_end){ .path = work->wanted.path,
                              .other = work->wanted.other,
                              .follows = work->wanted.follows,
                              .keeps_owners = work->wanted.keeps_owners };
}

static int send_files(struct work *work, struct error *err)
{
    const struct copy_end end = copy_end(work);
    auto_close int root_fd = -1;
    int r;

    r = open_root(work, true, &root_fd, err);
    return r < 0 ? r : copy_send(root_fd, &end, STDOUT_FILENO, &work->warnings, err);
}

static int receive_files(struct work *work, struct error *err)
{
    AUTO_CLEAR(extract_input) struct extract_input input = { 0 };
    const struct copy_end end = copy_end(work);
    auto_close int root_fd = -1;
    int r;

    r = open_root(work, true, &root_fd, err);
    if (r < 0)
        return r;
    extract_input_open_tar(STDIN_FILENO, &input);
    return copy_receive(root_fd, &end, &input, &work->warnings, err);
}

/* --- the child -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*function)(struct work *work, struct error *err);
    bool has_path;
} works[] = {
    { INNER_CHANGES, with_changes, false }, { INNER_LAYER, with_changes, false },
    { INNER_ROOT, pack_root, false },       { INNER_SEND, send_files, true },
    { INNER_RECEIVE, receive_files, true },
};

static int do_work(struct work *work, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(works); i++) {
        if (!text_equal(works[i].name, work->wanted.work))
            continue;
        if (works[i].has_path && work->wanted.path == NULL)
            return error_set(err, EINVAL, "'%s': has no path", work->wanted.work);
        return works[i].function(work, err);
    }
    return error_set(err, EINVAL, "'%s' is no work on files", work->wanted.work);
}

/* What was left out, as much as there is room for, and the error. */
static void report(const struct work *work, const struct error *error)
{
    AUTO_CLEAR(text) struct text text = { 0 };

    for (size_t i = 0; i < work->warnings.count; i++) {
        if (text.length + strlen(work->warnings.items[i]) + 2 >
            INNER_REPORT_MAX - sizeof(error->message) - 32)
            break;
        text_addf(&text, "%c%s", INNER_REPORT_WARNING, work->warnings.items[i]);
        text_add_bytes(&text, "", 1);
    }
    if (error->code != 0) {
        text_addf(&text, "%c%d %s", INNER_REPORT_ERROR, error->code, error->message);
        text_add_bytes(&text, "", 1);
    }
    (void)fd_write_all(STDERR_FILENO, text.data, text.length, "the report", NULL);
}

static _Noreturn void work_child(struct work *work, const int stdio[3])
{
    int container_fd = container_pidfd(work->container);
    struct error error = { 0 };
    sigset_t none;

    (void)sigemptyset(&none); /* neither fails with such arguments */
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* a host that is gone shows as EPIPE */
    for (int i = 0; i < 3; i++) {
        if (dup2(stdio[i], i) < 0)
            _exit(1);
    }
    if (fd_close_all_but(&container_fd, 1, 3, &error) == 0 && do_work(work, &error) == 0)
        error.code = 0;
    report(work, &error);
    _exit(error.code == 0 ? 0 : 1);
}

/* --- in the agent ----------------------------------------------------------------------------- */

void agent_files_resume(struct agent *agent)
{
    if (--agent->pauses == 0)
        (void)container_resume(agent->container, NULL); /* or it has ended */
}

static int pause_container(struct agent *agent, struct error *err)
{
    int r = agent->pauses > 0 ? 0 : container_pause(agent->container, err);

    if (r < 0)
        return error_prefix(err, r, "pause the container (--pause=false reads it as it runs)");
    agent->pauses++;
    return 0;
}

static int start_child(struct agent *agent, struct work *work, const int stdio[3], pid_t *ret_pid,
                       struct error *err)
{
    int r = work->wanted.pauses ? pause_container(agent, err) : 0;

    if (r < 0)
        return r;
    *ret_pid = fork();
    if (*ret_pid == 0)
        work_child(work, stdio);
    if (*ret_pid > 0)
        return 0;
    r = error_errno(err, "make a process for the container's files");
    if (work->wanted.pauses)
        agent_files_resume(agent);
    return r;
}

int agent_files_spawn(struct agent *agent, const char *json, const int stdio[3], pid_t *ret_pid,
                      bool *ret_pauses, struct error *err)
{
    struct work work = { .container = agent->container };
    int r;

    if (agent->container == NULL)
        return error_set(err, ESRCH, "container not running");
    r = decode_text(&inner_files_object, json, strlen(json), &work.wanted, "files", err);
    if (r < 0)
        return r;
    *ret_pauses = work.wanted.pauses;
    r = start_child(agent, &work, stdio, ret_pid, err);
    object_clear(&inner_files_object, &work.wanted);
    return r;
}
