#include "runtime/root_move.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/file.h"

/* A moved root lies over the old one, whose mounts all stay. A full procfs or sysfs among them
 * would be a permission: the kernel lets a user namespace mount a new, unmasked one as long as such
 * a one is visible in the mount namespace (user_namespaces(7), mount_namespaces(7)). So they go. */

/* Turns \040 into a blank, in place (proc_pid_mountinfo(5)). */
static void unescape(char *path)
{
    char *to = path;

    for (const char *from = path; *from != '\0';) {
        if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
            *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

static bool is_below(const char *path, const char *root_path)
{
    size_t length = strlen(root_path);

    return strncmp(path, root_path, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* The mount point in "36 35 0:29 / /proc rw,... shared:1 - proc proc rw" when the mount is a proc
 * or sysfs; the caller frees it. NULL: it is another one. */
static char *kernel_mount_point(const char *line, size_t length)
{
    auto_free char *text = xstrndup(line, length);
    char *separator = strstr(text, " - "), *rest = NULL, *word = NULL;
    const char *type;

    if (separator == NULL)
        return NULL;
    *separator = '\0';
    type = separator + strlen(" - ");
    if (strncmp(type, "proc ", 5) != 0 && strncmp(type, "sysfs ", 6) != 0)
        return NULL;
    for (int i = 0; i < 5; i++) {
        word = strtok_r(i == 0 ? text : NULL, " ", &rest);
        if (word == NULL)
            return NULL;
    }
    unescape(word);
    return xstrdup(word);
}

void root_move_plan(const char *mountinfo, const char *root_path, struct strings *ret_paths)
{
    struct strings found = { 0 };

    assert(mountinfo != NULL);
    assert(root_path != NULL);

    for (const char *line = mountinfo; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        auto_free char *path = kernel_mount_point(line, length);

        if (path != NULL && !is_below(path, root_path))
            strings_add(&found, path);
        line += length + (line[length] == '\n');
    }
    for (size_t i = found.count; i > 0; i--)
        strings_add(ret_paths, found.items[i - 1]);
    strings_clear(&found);
}

static int hide(const char *path, struct error *err)
{
    /* Else it would go from the host, too, where the old root is shared with it. */
    if (mount(NULL, path, NULL, MS_SLAVE | MS_REC, NULL) < 0)
        return errno == ENOENT || errno == EINVAL /* gone with one above it */
                   ? 0
                   : error_errno(err, "shut '%s' off from the host", path);
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return 0;
    if (errno != EINVAL && errno != EPERM)
        return error_errno(err, "detach '%s' of the old root", path);
    /* Locked, because it came with a user namespace that is not ours: covered, it counts no more.
     */
    if (mount("tmpfs", path, "tmpfs", 0, "size=0,nr_inodes=1") < 0)
        return error_errno(err, "cover '%s' of the old root", path);
    return 0;
}

static int hide_kernel_mounts(struct error *err)
{
    auto_free char *mountinfo = NULL;
    struct strings paths = { 0 };
    char root_path[PATH_MAX];
    int r;

    if (getcwd(root_path, sizeof(root_path)) == NULL)
        return error_errno(err, "find the root's path");
    r = file_read_kernel(AT_FDCWD, "/proc/self/mountinfo", &mountinfo, err);
    if (r < 0)
        return r;
    root_move_plan(mountinfo, root_path, &paths);
    for (size_t i = 0; i < paths.count && r >= 0; i++)
        r = hide(paths.items[i], err);
    strings_clear(&paths);
    return r;
}

int root_move_child(struct error *err)
{
    int r = hide_kernel_mounts(err);

    if (r < 0)
        return error_prefix(err, r, "--no-pivot");
    if (mount(".", "/", NULL, MS_MOVE, NULL) < 0)
        return error_errno(err, "move the root over '/'");
    if (chroot(".") < 0)
        return error_errno(err, "chroot");
    return 0;
}
