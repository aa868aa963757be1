#include "cgroups/cgroup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* Giving a cgroup away: on v2 whoever owns the directory and the files that the kernel names may
 * make groups below it and share out what it has, but not take more (cgroup-v2.rst, "Delegation").
 * On v1 that would not be safe, so it is not done there. */

#define DELEGABLE_FILES "/sys/kernel/cgroup/delegate"

void cgroup_list_delegable(const char *text, struct strings *ret_names)
{
    static const char by_default[] = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads";
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    strings_split(&lines, text != NULL ? text : by_default, '\n');
    for (size_t i = 0; i < lines.count; i++) {
        const char *name = lines.items[i];

        /* Names of files right in the cgroup: "." would be the directory, and ".." the parent. */
        if (name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL)
            strings_add(ret_names, name);
    }
}

int cgroup_give(struct cgroup *cgroup, uint32_t uid, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    auto_free char *text = NULL;
    int fd, r;

    assert(cgroup != NULL);

    if (cgroup_system_layout(cgroup->system) != CGROUP_LAYOUT_V2)
        return 0;
    fd = cgroup_clone_fd(cgroup);
    if (fd < 0)
        return error_errno(err, "open cgroup %s", cgroup->path);
    r = file_read_kernel(AT_FDCWD, DELEGABLE_FILES, &text, err);
    if (r < 0 && r != -ENOENT)
        return r;
    cgroup_list_delegable(text, &names);
    if (fchown(fd, uid, (gid_t)-1) < 0)
        return error_errno(err, "give cgroup %s to user %u", cgroup->path, uid);
    for (size_t i = 0; i < names.count; i++) {
        /* Some belong to controllers that this cgroup lacks. */
        if (fchownat(fd, names.items[i], uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 &&
            errno != ENOENT)
            return error_errno(err, "give %s of cgroup %s to user %u", names.items[i], cgroup->path,
                               uid);
    }
    return 0;
}
