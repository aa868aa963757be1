#ifndef UNIONFS_LAYER_VIEW_H
#define UNIONFS_LAYER_VIEW_H

#include <stddef.h>

/* What the layers below a new layer show, as overlayfs would merge them. */
struct layer_view {
    int own_fd;           /* fs/ of the new layer, which may hide what is below; borrowed */
    const int *lower_fds; /* fs/ of the layers below, topmost first; borrowed */
    size_t lower_count;
};

/** The directory @path as the layers below show it; -1: they do not. The caller closes it. */
int view_open_directory(const struct layer_view *view, const char *path);
/** Where a symbolic link of the layers below leads; NULL: there is none. Caller frees. */
char *view_read_link(const struct layer_view *view, const char *path);

#endif
