#ifndef TESTS_UNIT_CGROUP_TREE_H
#define TESTS_UNIT_CGROUP_TREE_H

#include <fcntl.h>
#include <linux/magic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/text.h"

/* A folder that stands for /sys/fs/cgroup. Linked with --wrap=fstatfs, a folder in it is a "mount"
 * when its mode says so: 0751 v1, 0752 v2. Include it after <cmocka.h>. */

struct cgroup_tree {
    char root[64];
    struct strings made; /* in order, to be removed from the end */
};

int __wrap_fstatfs(int fd, struct statfs *info);
int __wrap_fstatfs(int fd, struct statfs *info)
{
    struct stat file;

    if (fstat(fd, &file) < 0)
        return -1;
    memset(info, 0, sizeof(*info));
    if ((file.st_mode & 0777) == 0751)
        info->f_type = CGROUP_SUPER_MAGIC;
    else if ((file.st_mode & 0777) == 0752)
        info->f_type = CGROUP2_SUPER_MAGIC;
    return 0;
}

static inline void cgroup_tree_make(struct cgroup_tree *tree)
{
    *tree = (struct cgroup_tree){ .root = "/tmp/berth-test-XXXXXX" };
    assert_non_null(mkdtemp(tree->root));
}

/* Also makes the folders above; @name "" is the root. */
static inline void cgroup_tree_add_folder(struct cgroup_tree *tree, const char *name, mode_t mode)
{
    auto_free char *path = path_join(tree->root, name);

    for (char *slash = path + strlen(tree->root) + 1; *slash != '\0'; slash++) {
        char *end = strchrnul(slash, '/');
        char saved = *end;

        *end = '\0';
        if (mkdir(path, 0755) == 0)
            strings_add(&tree->made, path);
        *end = saved;
        slash = end - (saved == '\0');
    }
    assert_int_equal(chmod(path, mode), 0);
}

static inline void cgroup_tree_add_file(struct cgroup_tree *tree, const char *name,
                                        const char *content)
{
    auto_free char *path = path_join(tree->root, name);
    auto_free char *folder = xstrndup(name, (size_t)(strrchr(name, '/') - name));
    auto_free char *folder_path = path_join(tree->root, folder);

    if (access(folder_path, F_OK) < 0)
        cgroup_tree_add_folder(tree, folder, 0755);
    assert_int_equal(
        file_replace(AT_FDCWD, path, content, strlen(content), 0644, FILE_SYNC_NONE, NULL), 0);
    strings_add(&tree->made, path);
}

static inline void cgroup_tree_remove(struct cgroup_tree *tree)
{
    for (size_t i = tree->made.count; i > 0; i--)
        (void)remove(tree->made.items[i - 1]);
    (void)rmdir(tree->root);
    strings_clear(&tree->made);
}

#endif
