#include "runtime/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/path.h"
#include "runtime/mount_api.h"

#define NODE_MODE  0666
#define NULL_MAJOR 1
#define NULL_MINOR 3

static const struct default_node {
    const char *name;
    unsigned major, minor;
} default_nodes[] = {
    { "null", NULL_MAJOR, NULL_MINOR },
    { "zero", 1, 5 },
    { "full", 1, 7 },
    { "random", 1, 8 },
    { "urandom", 1, 9 },
    { "tty", 5, 0 },
};

static const struct default_link {
    const char *name, *target;
} default_links[] = {
    { "fd", "/proc/self/fd" },       { "stdin", "/proc/self/fd/0" },
    { "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
    { "core", "/proc/kcore" },       { "ptmx", "pts/ptmx" },
};

/* What a node shall be, whoever asked for it. */
struct node {
    const char *host_path; /* the same device of the host, where only a bind can make one */
    mode_t mode;           /* with the type */
    dev_t number;
};

static bool is_node(const struct stat *status, const struct node *node)
{
    return (status->st_mode & S_IFMT) == (node->mode & S_IFMT) &&
           (S_ISFIFO(node->mode) || status->st_rdev == node->number);
}

/* In a user namespace mknod(2) is not for us, but the host's node may be bound. What the host has
 * at that name is verified on the descriptor that is then attached. */
static int bind_node(int dir_fd, const char *name, const struct node *node, struct error *err)
{
    auto_close int fd = -1, file_fd = -1;
    struct stat status;
    int r;

    r = mount_clone(AT_FDCWD, node->host_path, false, &fd, err);
    if (r < 0)
        return r;
    if (fstat(fd, &status) < 0)
        return error_errno(err, "look at '%s'", node->host_path);
    if (!is_node(&status, node))
        return error_set(err, ENODEV, "'%s' of the host is another device", node->host_path);
    file_fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, NODE_MODE);
    if (file_fd < 0)
        return error_errno(err, "create '%s'", name);
    return mount_attach(fd, dir_fd, name, err);
}

/* 1: the host's node was bound. -EEXIST: the name is taken. */
static int make_node(const struct rootfs *rootfs, int dir_fd, const char *name,
                     const struct node *node, struct error *err)
{
    int r;

    if (!rootfs->context.has_user_namespace || S_ISFIFO(node->mode)) {
        if (mknodat(dir_fd, name, node->mode, node->number) == 0)
            return 0;
        /* EPERM: some sandbox around us, perhaps a user namespace that is not ours. */
        if (errno != EPERM)
            return error_errno(err, "make device '%s'", name);
    }
    r = bind_node(dir_fd, name, node, err);
    return r < 0 ? r : 1;
}

static bool is_configured(const struct spec *spec, const char *path)
{
    for (size_t i = 0; i < spec->linux_.devices.count; i++) {
        if (strcmp(spec->linux_.devices.items[i].path, path) == 0)
            return true;
    }
    return false;
}

int devices_create_default(const struct rootfs *rootfs, int dev_fd, struct error *err)
{
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(default_nodes); i++) {
        const struct default_node *default_ = &default_nodes[i];
        char path[32] = "/dev/";
        struct node node = {
            .host_path = strcat(path, default_->name),
            .mode = S_IFCHR | NODE_MODE,
            .number = makedev(default_->major, default_->minor),
        };

        if (is_configured(rootfs->plan->spec, path))
            continue;
        r = make_node(rootfs, dev_fd, default_->name, &node, err);
        if (r < 0 && r != -EEXIST)
            return r;
    }
    for (size_t i = 0; i < ARRAY_SIZE(default_links); i++) {
        if (symlinkat(default_links[i].target, dev_fd, default_links[i].name) < 0 &&
            errno != EEXIST)
            return error_errno(err, "make link '/dev/%s'", default_links[i].name);
    }
    return 0;
}

/* Owner, after a look at what the name really is: nothing is given away that is not this device. */
static int finish_node(int dir_fd, const char *name, const struct spec_device *device,
                       const struct node *node, struct error *err)
{
    auto_close int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;

    if (fd < 0)
        return error_errno(err, "open '%s'", name);
    if (fstat(fd, &status) < 0)
        return error_errno(err, "look at '%s'", name);
    if (!is_node(&status, node))
        return error_set(err, EEXIST, "there is something else of that name");
    if ((device->has_uid && device->uid != status.st_uid) ||
        (device->has_gid && device->gid != status.st_gid)) {
        uid_t uid = device->has_uid ? device->uid : (uid_t)-1;
        gid_t gid = device->has_gid ? device->gid : (gid_t)-1;

        if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
            return error_errno(err, "change the owner");
    }
    return 0;
}

static mode_t node_type(const struct spec_device *device)
{
    switch (device->type[0]) {
    case 'b':
        return S_IFBLK;
    case 'p':
        return S_IFIFO;
    default:
        return S_IFCHR;
    }
}

/* The directory of a device and its last name; @ret_fd is the caller's to close. */
static int open_parent(const struct rootfs *rootfs, const char *path, const char **ret_name,
                       int *ret_fd, struct error *err)
{
    const char *name = strrchr(path, '/') + 1;
    auto_free char *directory = xstrndup(path, (size_t)(name - path));

    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return error_set(err, EINVAL, "not the name of a device");
    *ret_name = name;
    return path_make_directories(rootfs->root_fd, directory, 0755, ret_fd, err);
}

/* Engines list every device of the host for a privileged container. The host's /dev/ptmx belongs to
 * the host's terminals; the container's is the link to its own devpts (config-linux.md, "Default
 * Devices"). */
static bool is_terminal_maker(const struct spec_device *device)
{
    return strcmp(device->path, "/dev/ptmx") == 0;
}

static int create_configured(const struct rootfs *rootfs, const struct spec_device *device,
                             struct error *err)
{
    struct node node = {
        .host_path = device->path,
        .mode = node_type(device) | (device->has_file_mode ? device->file_mode & 07777 : NODE_MODE),
        .number = makedev((unsigned)device->major, (unsigned)device->minor),
    };
    auto_close int dir_fd = -1;
    const char *name = NULL;
    int r;

    r = open_parent(rootfs, device->path, &name, &dir_fd, err);
    if (r < 0)
        return r;
    r = make_node(rootfs, dir_fd, name, &node, err);
    if (r < 0 && r != -EEXIST)
        return r;
    if (r == 1)
        return 0; /* the host's node, with the host's owner and mode */
    return finish_node(dir_fd, name, device, &node, err);
}

int devices_create_configured(const struct rootfs *rootfs, struct error *err)
{
    const struct spec_devices *devices = &rootfs->plan->spec->linux_.devices;
    int r;

    /* A /dev that the configuration binds is used as it is (as runc does): making nodes there would
     * make them on the host. */
    if (rootfs->plan->has_dev_of_config)
        return 0;
    for (size_t i = 0; i < devices->count; i++) {
        if (is_terminal_maker(&devices->items[i]))
            continue;
        r = create_configured(rootfs, &devices->items[i], err);
        if (r < 0)
            return error_prefix(err, r, "linux.devices[%zu] '%s'", i, devices->items[i].path);
    }
    return 0;
}

int devices_open_null(struct rootfs *rootfs, int *ret_fd, struct error *err)
{
    const struct node node = {
        .mode = S_IFCHR,
        .number = makedev(NULL_MAJOR, NULL_MINOR),
    };
    auto_close int fd = -1;
    struct stat status;
    int r;

    if (rootfs->null_fd < 0) {
        r = path_open_in_root(rootfs->root_fd, "dev/null", O_PATH | O_NOFOLLOW, 0, &fd, err);
        if (r < 0)
            return r;
        if (fstat(fd, &status) < 0)
            return error_errno(err, "look at /dev/null");
        /* An image or a volume may have put anything there (CVE-2025-31133). */
        if (!is_node(&status, &node))
            return error_set(err, ENODEV, "/dev/null of the container is not the null device");
        rootfs->null_fd = take_fd(&fd);
    }
    *ret_fd = rootfs->null_fd;
    return 0;
}
