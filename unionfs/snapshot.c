#include "unionfs/unionfs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "unionfs/snapshot_root.h"

/* The root directory of a container is its upper directory's, as overlayfs sees it. So the upper
 * gets mode, owner and times of the topmost layer whose tar had an entry for the root; a layer
 * without one has the times 0 there (tree.c), like most that `docker build` makes. */

void snapshot_clear(struct snapshot *snapshot)
{
    strings_clear(&snapshot->lower);
    free(snapshot->upper);
    free(snapshot->work);
    *snapshot = (struct snapshot){ 0 };
}

void snapshot_mount_options(const struct snapshot *snapshot, struct strings *ret_options)
{
    assert(snapshot != NULL);
    assert(ret_options != NULL);

    for (size_t i = 0; i < snapshot->lower.count; i++)
        strings_addf(ret_options, "lowerdir+=%s", snapshot->lower.items[i]);
    if (snapshot->upper != NULL) {
        strings_addf(ret_options, "upperdir=%s", snapshot->upper);
        strings_addf(ret_options, "workdir=%s", snapshot->work);
        if (snapshot->is_volatile)
            strings_add(ret_options, "volatile");
    }
    /* An upper that was copied or used under another path must not be refused, and none must
     * depend on its lower layers by redirect or metacopy. */
    strings_add(ret_options, "index=off");
    strings_add(ret_options, "metacopy=off");
    strings_add(ret_options, "redirect_dir=nofollow");
    if (snapshot->has_user_attributes)
        strings_add(ret_options, "userxattr");
}

bool snapshot_root_is_told(const struct stat *status)
{
    return status->st_mtim.tv_sec != 0 || status->st_mtim.tv_nsec != 0 || status->st_uid != 0 ||
           status->st_gid != 0 || (status->st_mode & 07777) != SNAPSHOT_ROOT_MODE;
}

/* The topmost root with an entry of its own; an ordinary one when there is none. */
static int find_root(const struct snapshot *snapshot, struct stat *ret_st, struct error *err)
{
    struct stat st;

    for (size_t i = 0; i < snapshot->lower.count; i++) {
        if (stat(snapshot->lower.items[i], &st) < 0)
            return error_errno(err, "look at layer '%s'", snapshot->lower.items[i]);
        if (snapshot_root_is_told(&st)) {
            *ret_st = st;
            return 0;
        }
    }
    *ret_st = (struct stat){ .st_mode = SNAPSHOT_ROOT_MODE };
    return 0;
}

int snapshot_create_upper(int container_fd, const struct snapshot *snapshot, struct error *err)
{
    auto_close int upper_fd = -1;
    struct stat st = { 0 };
    int r;

    assert(snapshot != NULL);

    r = find_root(snapshot, &st, err);
    if (r < 0)
        return r;
    if (mkdirat(container_fd, "upper", 0700) < 0 || mkdirat(container_fd, "work", 0700) < 0)
        return error_errno(err, "make the writable directory");
    r = path_open_beneath(container_fd, "upper", O_RDONLY | O_DIRECTORY, 0, &upper_fd, err);
    if (r < 0)
        return r;
    if ((st.st_uid != 0 || st.st_gid != 0) && fchown(upper_fd, st.st_uid, st.st_gid) < 0)
        return error_errno(err, "set the owner of the root directory");
    if (fchmod(upper_fd, st.st_mode & 07777) < 0)
        return error_errno(err, "set the mode of the root directory");
    if (st.st_mtim.tv_sec != 0 || st.st_mtim.tv_nsec != 0) {
        const struct timespec times[2] = { st.st_atim, st.st_mtim };

        if (futimens(upper_fd, times) < 0)
            return error_errno(err, "set the times of the root directory");
    }
    return 0;
}
