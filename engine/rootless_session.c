#include "engine/rootless_session.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/process.h"
#include "engine/engine.h"

/* An ordinary user's berth is root of a user namespace, and everything goes on as for root of the
 * machine: files of an image belong to subordinate ids, and overlays can be mounted.
 *
 * Only who is in a container's user namespace, or outside of it and its maker, may enter the
 * container. So the commands of one user share one namespace, which lasts as long as there is a
 * process in it: a command, or the monitor of a container. Each of them leaves a file with its
 * name in RUN/@members; the next command, still outside, enters the namespace of the first one
 * that lives, and makes a new namespace when none does. Nobody has to tidy up: a file whose process
 * is gone is removed by who finds it. One lock keeps two commands from making two namespaces.
 *
 * The mount namespace is each command's own, so that it sees what was mounted since. */

#define MEMBERS_FOLDER   "@members"
#define MEMBERS_VARIABLE "BERTH_ROOTLESS" /* for helpers and monitors: where members are */
#define MEMBERS_LOCK     "lock"
#define LOCK_WAIT_MS     30000

#define TERMINAL_GID        5 /* Debian's tty; as in every bundle */
#define TERMINAL_GID_OPTION "gid=5"

static const char advice[] = "let XDG_RUNTIME_DIR name a folder of your own";

void rootless_paths_clear(struct rootless_paths *paths)
{
    free(paths->data);
    free(paths->run);
    free(paths->run_parent);
    *paths = (struct rootless_paths){ 0 };
}

/* --- where ------------------------------------------------------------------------------------ */

static int check_absolute(const char *name, const char *value, struct error *err)
{
    if (!text_is_empty(value) && value[0] != '/')
        return error_set(err, EINVAL, "%s '%s': must be absolute", name, value);
    return 0;
}

int rootless_paths_plan(const struct rootless_environment *environment,
                        struct rootless_paths *ret_paths, struct error *err)
{
    AUTO_CLEAR(rootless_paths) struct rootless_paths paths = { 0 };
    int r;

    assert(ret_paths != NULL);

    r = check_absolute("HOME", environment->home, err);
    if (r == 0)
        r = check_absolute("XDG_DATA_HOME", environment->data_home, err);
    if (r == 0)
        r = check_absolute("XDG_RUNTIME_DIR", environment->runtime_dir, err);
    if (r < 0)
        return r;
    if (!text_is_empty(environment->data_home))
        paths.data = path_join(environment->data_home, "berth");
    else if (!text_is_empty(environment->home))
        paths.data = path_join(environment->home, ".local/share/berth");
    else
        return error_set(err, EINVAL,
                         "neither HOME nor XDG_DATA_HOME is set: images of an ordinary user are "
                         "kept below them");
    if (!text_is_empty(environment->runtime_dir))
        paths.run_parent = xstrdup(environment->runtime_dir);
    else if (environment->has_login_folder)
        paths.run_parent = xasprintf("/run/user/%u", environment->uid);
    paths.run = paths.run_parent != NULL ? path_join(paths.run_parent, "berth")
                                         : xasprintf("/tmp/berth-%u", environment->uid);
    *ret_paths = paths;
    paths = (struct rootless_paths){ 0 };
    return 0;
}

static int find_paths(struct rootless_paths *ret_paths, struct error *err)
{
    auto_free char *login_folder = xasprintf("/run/user/%u", geteuid());
    const struct rootless_environment environment = {
        .home = getenv("HOME"),
        .data_home = getenv("XDG_DATA_HOME"),
        .runtime_dir = getenv("XDG_RUNTIME_DIR"),
        .uid = geteuid(),
        .has_login_folder = access(login_folder, W_OK) == 0,
    };

    return rootless_paths_plan(&environment, ret_paths, err);
}

/* Whoever can write there can have any program started with the user's rights. */
static int make_run(const struct rootless_paths *paths, int *ret_members_fd, struct error *err)
{
    auto_free char *members = path_join(paths->run, MEMBERS_FOLDER);
    int r = 0;

    if (paths->run_parent != NULL)
        r = path_check_private(paths->run_parent, "the folder of run state", advice, err);
    if (r < 0)
        return r;
    /* The sticky bit keeps what cleans old files away (XDG base directory specification). */
    if (mkdir(paths->run, 0700 | S_ISVTX) < 0 && errno != EEXIST)
        return error_errno(err, "make the folder of run state '%s'", paths->run);
    r = path_check_private(paths->run, "the folder of run state", advice, err);
    if (r < 0)
        return r;
    if (paths->run_parent == NULL)
        log_debug("XDG_RUNTIME_DIR is not set: what runs is noted in '%s'", paths->run);
    return path_create_directory(members, 0700, ret_members_fd, err);
}

static int check_data(const struct rootless_paths *paths, struct error *err)
{
    if (access(paths->data, F_OK) < 0)
        return 0; /* made by the first command that needs it */
    return path_check_private(paths->data, "the folder of images",
                              "let XDG_DATA_HOME name a folder of your own", err);
}

/* --- members ---------------------------------------------------------------------------------- */

char *rootless_member_format(pid_t pid, uint64_t start_time)
{
    return xasprintf("%d-%llu", pid, (unsigned long long)start_time);
}

bool rootless_member_parse(const char *name, pid_t *ret_pid, uint64_t *ret_start_time)
{
    AUTO_CLEAR(strings) struct strings parts = { 0 };
    uint64_t pid = 0, start_time = 0;

    strings_split(&parts, name, '-');
    if (parts.count != 2 || text_parse_u64(parts.items[0], "pid", INT32_MAX, &pid, NULL) < 0 ||
        pid == 0 || text_parse_u64(parts.items[1], "start time", UINT64_MAX, &start_time, NULL) < 0)
        return false;
    *ret_pid = (pid_t)pid;
    *ret_start_time = start_time;
    return true;
}

static int register_member(int members_fd, struct error *err)
{
    auto_free char *name = NULL;
    auto_close int fd = -1;
    uint64_t start_time;
    int r;

    r = process_start_time(getpid(), &start_time, err);
    if (r < 0)
        return r;
    name = rootless_member_format(getpid(), start_time);
    fd = openat(members_fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? error_errno(err, "make '%s/%s'", MEMBERS_FOLDER, name) : 0;
}

/* Enters the namespace of a member; false: it has ended. */
static bool enter_member(int members_fd, const char *name)
{
    struct error err = { 0 };
    auto_close int pidfd = -1;
    uint64_t start_time;
    pid_t pid;
    int r;

    if (!rootless_member_parse(name, &pid, &start_time))
        return false;
    r = process_open(pid, start_time, &pidfd, &err);
    if (r == 0)
        r = runtime_user_namespace_enter(pidfd, &err);
    if (r < 0)
        log_debug("the user namespace of process %d: %s", pid, err.message);
    if (r == -ESRCH)
        (void)unlinkat(members_fd, name, 0); /* the next one tries again */
    return r == 0;
}

static int find_members(int members_fd, struct strings *ret_names, struct error *err)
{
    int fd = openat(members_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (directory == NULL)
        return error_errno(err, "read '%s'", MEMBERS_FOLDER);
    while ((entry = readdir(directory)) != NULL)
        strings_add(ret_names, entry->d_name);
    (void)closedir(directory); /* only read */
    return 0;
}

static int enter_new(struct error *err)
{
    auto_close int fd = -1;
    int r;

    r = runtime_user_namespace_make(&fd, err);
    if (r == 0)
        r = runtime_user_namespace_enter(fd, err);
    if (r < 0)
        return error_prefix(err, r,
                            "an ordinary user's containers need a user namespace (sysctls "
                            "user.max_user_namespaces, kernel.unprivileged_userns_clone, "
                            "kernel.apparmor_restrict_unprivileged_userns)");
    return 0;
}

static int enter_shared(int members_fd, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    int r;

    r = find_members(members_fd, &names, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < names.count; i++)
        if (enter_member(members_fd, names.items[i]))
            return 0;
    return enter_new(err);
}

/* --- the session ------------------------------------------------------------------------------ */

static int set_variables(const struct rootless_paths *paths, struct error *err)
{
    auto_free char *members = path_join(paths->run, MEMBERS_FOLDER);

    /* What the user set has precedence; all of berth's programs read them. */
    if (setenv("BERTH_DATA", paths->data, 0) < 0 || setenv("BERTH_RUN", paths->run, 0) < 0 ||
        setenv(MEMBERS_VARIABLE, members, 1) < 0)
        return error_errno(err, "set variables of the environment");
    return 0;
}

int rootless_session_enter(struct error *err)
{
    AUTO_CLEAR(rootless_paths) struct rootless_paths paths = { 0 };
    auto_close int members_fd = -1;
    auto_close int lock_fd = -1;
    int r;

    /* That of the program's start, without asking the kernel. */
    if (getauxval(AT_EUID) == 0 || rootless_session_is_on())
        return 0;
    r = find_paths(&paths, err);
    if (r == 0)
        r = check_data(&paths, err);
    if (r == 0)
        r = make_run(&paths, &members_fd, err);
    if (r == 0)
        r = file_lock(members_fd, MEMBERS_LOCK, true, LOCK_WAIT_MS, &lock_fd, err);
    if (r == 0)
        r = enter_shared(members_fd, err);
    if (r == 0)
        r = register_member(members_fd, err);
    return r < 0 ? r : set_variables(&paths, err);
}

bool rootless_session_is_on(void)
{
    return getenv(MEMBERS_VARIABLE) != NULL;
}

int rootless_session_join(struct error *err)
{
    const char *members = getenv(MEMBERS_VARIABLE);
    auto_close int members_fd = -1;

    if (members == NULL)
        return 0;
    members_fd = open(members, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (members_fd < 0)
        return error_errno(err, "open '%s'", members);
    return register_member(members_fd, err);
}

char *rootless_session_variable(void)
{
    const char *members = getenv(MEMBERS_VARIABLE);

    return members == NULL ? NULL : xasprintf(MEMBERS_VARIABLE "=%s", members);
}

bool rootless_map_has(const char *map, uint32_t id)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    strings_split(&lines, map, '\n');
    for (size_t i = 0; i < lines.count; i++) {
        unsigned long inside, outside, count;

        if (sscanf(lines.items[i], "%lu %lu %lu", &inside, &outside, &count) == 3 && id >= inside &&
            id - inside < count)
            return true;
    }
    return false;
}

void rootless_session_adapt(struct spec *spec, bool keeps_groups)
{
    auto_free char *map = NULL;

    if (file_read_kernel(AT_FDCWD, "/proc/self/gid_map", &map, NULL) == 0 &&
        rootless_map_has(map, TERMINAL_GID))
        return;
    if (!keeps_groups)
        spec->process->user.additional_gids.count = 0;
    for (size_t i = 0; i < spec->mounts.count; i++) {
        struct strings *options = &spec->mounts.items[i].options;

        for (size_t k = options->count; k > 0; k--)
            if (text_equal(spec->mounts.items[i].type, "devpts") &&
                text_equal(options->items[k - 1], TERMINAL_GID_OPTION))
                strings_remove(options, k - 1);
    }
}
