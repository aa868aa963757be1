/* Unpacks any bytes as a layer into a directory that is empty each time, and looks for what got
 * out of it: a directory beside it has to stay as it was. */

#include <assert.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/path.h"
#include "unionfs/unionfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A sparse file may say that it is large, and /dev/shm is memory. */
#define FILE_BYTES_MAX (64 << 20)

static void prepare(void)
{
    const struct rlimit limit = { FILE_BYTES_MAX, FILE_BYTES_MAX };

    (void)setlocale(LC_CTYPE, "C.UTF-8");
    (void)setrlimit(RLIMIT_FSIZE, &limit);
    (void)signal(SIGXFSZ, SIG_IGN);
    umask(0);
}

/* Only "layer" and the two directories above the root that a name could reach. */
static void check_outside(int top_fd)
{
    struct stat top, up;

    assert(fstat(top_fd, &top) == 0 && fstatat(top_fd, "up", &up, 0) == 0);
    assert(top.st_nlink == 3); /* ".", its name, "up" */
    assert(up.st_nlink == 3);  /* ".", its name, "layer" */
    assert((top.st_mode & 07777) == 0700 && (up.st_mode & 07777) == 0700);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char scratch[] = "/dev/shm/berth-fuzz-unpack-XXXXXX";
    struct unpack_result result = { 0 };
    bool is_bottom = size > 0 && (data[size - 1] & 1) != 0;
    auto_close int blob_fd = memfd_create("layer", MFD_CLOEXEC);
    struct blob_input input = blob_input_whole(blob_fd);
    auto_close int top_fd = -1;
    auto_close int root_fd = -1;

    prepare();
    if (mkdtemp(scratch) == NULL)
        abort();
    top_fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (mkdirat(top_fd, "up", 0700) < 0 || mkdirat(top_fd, "up/layer", 0755) < 0)
        abort();
    root_fd = openat(top_fd, "up/layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd_write_all(blob_fd, data, size, "layer", NULL) < 0 || lseek(blob_fd, 0, SEEK_SET) < 0)
        abort();
    (void)unpack_layer(&input, root_fd, "sha256", is_bottom, &result, NULL);
    unpack_result_clear(&result);
    check_outside(top_fd);
    if (path_remove_tree(top_fd, "up", NULL) < 0 || rmdir(scratch) < 0)
        abort();
    return 0;
}
