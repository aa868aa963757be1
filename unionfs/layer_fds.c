#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/path.h"
#include "unionfs/unionfs.h"

static int open_one(int base_fd, const char *path, int flags, int *ret_fd, struct error *err)
{
    if (base_fd != AT_FDCWD)
        return path_open_beneath(base_fd, path, flags | O_DIRECTORY, 0, ret_fd, err);
    *ret_fd = open(path, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd < 0 ? error_errno(err, "open it") : 0;
}

int layer_fds_open(int base_fd, const struct strings *paths, int flags, struct layer_fds *ret_fds,
                   struct error *err)
{
    AUTO_CLEAR(layer_fds) struct layer_fds fds = { 0 };

    assert(paths != NULL);
    assert(ret_fds != NULL);

    fds.items = xcalloc(paths->count + 1, sizeof(*fds.items));
    for (size_t i = 0; i < paths->count; i++) {
        int r = open_one(base_fd, paths->items[i], flags, &fds.items[fds.count], err);

        if (r < 0)
            return error_prefix(err, r, "layer '%s'", paths->items[i]);
        fds.count++;
    }
    *ret_fds = fds;
    fds = (struct layer_fds){ 0 };
    return 0;
}

void layer_fds_clear(struct layer_fds *fds)
{
    for (size_t i = 0; i < fds->count; i++)
        (void)close(fds->items[i]); /* only read */
    free(fds->items);
    *fds = (struct layer_fds){ 0 };
}
