#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "microvm/microvm.h"

#define KERNELS_FOLDER "kernels"
#define KERNEL_FILE    "kernel.json" /* written last by an import */

struct kernel {
    char *name;
    struct timespec imported;
};

static int compare_kernels(const void *left, const void *right)
{
    const struct timespec *a = &((const struct kernel *)left)->imported;
    const struct timespec *b = &((const struct kernel *)right)->imported;

    if (a->tv_sec != b->tv_sec)
        return a->tv_sec < b->tv_sec ? 1 : -1;
    return a->tv_nsec < b->tv_nsec ? 1 : a->tv_nsec > b->tv_nsec ? -1 : 0;
}

void microvm_list_kernels(const char *data_path, struct strings *ret_names)
{
    auto_free char *path = path_join(data_path, KERNELS_FOLDER);
    DIR *directory = opendir(path);
    struct kernel *kernels = NULL;
    struct dirent *entry;
    size_t count = 0;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        auto_free char *file = path_join(entry->d_name, KERNEL_FILE);
        struct stat status;

        if (entry->d_name[0] == '.' || fstatat(dirfd(directory), file, &status, 0) < 0)
            continue;
        kernels = xrealloc(kernels, count + 1, sizeof(*kernels));
        kernels[count++] = (struct kernel){ xstrdup(entry->d_name), status.st_mtim };
    }
    if (directory != NULL)
        (void)closedir(directory);
    if (count > 0)
        qsort(kernels, count, sizeof(*kernels), compare_kernels);
    for (size_t i = 0; i < count; i++)
        strings_take(ret_names, kernels[i].name);
    free(kernels);
}

int microvm_find_kernel(const char *data_path, const char *name, char **ret_path, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    auto_free char *folder = path_join(data_path, KERNELS_FOLDER);

    microvm_list_kernels(data_path, &names);
    if (names.count == 0 && access(folder, R_OK | X_OK) < 0 && errno == EACCES)
        return error_set(
            err, EACCES,
            "the kernels for microVMs in '%s' may not be read by this user: set "
            "BERTH_DATA to a folder of his own, into which `berth --data DIR --run DIR "
            "vm kernel import` imports one",
            folder);
    if (names.count == 0)
        return error_set(err, ENOENT,
                         "no kernel for microVMs was imported yet: get one by `berth vm kernel "
                         "import --package linux-image-cloud-amd64`");
    if (name != NULL && !strings_contains(&names, name))
        return error_set(err, ENOENT,
                         "no kernel '%s' was imported: `berth vm kernel ls` lists those that were",
                         name);
    *ret_path =
        xasprintf("%s/" KERNELS_FOLDER "/%s", data_path, name != NULL ? name : names.items[0]);
    return 0;
}
