/* berth-fs --socket-fd N --root DIRECTORY [--read-only] [--cache none|auto|always]
 *          [--savable]
 *
 * Serves one directory to the guest of a microVM: FUSE messages over an inherited stream, until its
 * end. Started by berth-vmm, one process for each directory, in a sandbox of its own
 * (fuse_sandbox.h). With --savable its state can move to another one, by requests that berth-vmm
 * lets no guest make (fuse_message.h). Needs /proc: files are opened through /proc/self/fd. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "microvm/fuse_sandbox.h"
#include "microvm/fuse_server.h"

#define DESCRIPTOR_MAX 1000000
/* Each takes some 200 bytes; a guest needs five times that to remember one. */
#define INODES_MAX (1u << 20)

static const char *const cache_words[] = {
    [FUSE_CACHE_NONE] = "none",
    [FUSE_CACHE_AUTO] = "auto",
    [FUSE_CACHE_ALWAYS] = "always",
};

static int cache_parse(const char *word, enum fuse_cache *ret_cache, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(cache_words); i++)
        if (strcmp(word, cache_words[i]) == 0) {
            *ret_cache = (enum fuse_cache)i;
            return 0;
        }
    return error_set(err, EINVAL, "--cache: '%s' is none of none, auto, always", word);
}

static int options_parse(int count, char **arguments, struct fuse_server_options *options,
                         const char **ret_root, struct error *err)
{
    static const struct option known[] = {
        { "socket-fd", required_argument, NULL, 's' }, { "root", required_argument, NULL, 'r' },
        { "read-only", no_argument, NULL, 'o' },       { "cache", required_argument, NULL, 'c' },
        { "savable", no_argument, NULL, 'S' },         { NULL, 0, NULL, 0 },
    };
    uint64_t fd;
    int option;
    int r = 0;

    while (r == 0 && (option = getopt_long(count, arguments, "", known, NULL)) >= 0) {
        switch (option) {
        case 's':
            r = text_parse_u64(optarg, "--socket-fd", DESCRIPTOR_MAX, &fd, err);
            if (r == 0)
                options->socket_fd = (int)fd;
            break;
        case 'r':
            *ret_root = optarg;
            break;
        case 'o':
            options->is_read_only = true;
            break;
        case 'c':
            r = cache_parse(optarg, &options->cache, err);
            break;
        case 'S':
            options->is_savable = true;
            break;
        default:
            r = error_set(err, EINVAL, "it is started by berth-vmm, not by hand");
            break;
        }
    }
    if (r == 0 && (options->socket_fd < 0 || *ret_root == NULL || optind != count))
        r = error_set(err, EINVAL, "it is started by berth-vmm, not by hand");
    return r;
}

static int serve(int count, char **arguments, struct error *err)
{
    struct fuse_server_options options = {
        .socket_fd = -1,
        .fdinfo_fd = -1,
        .cache = FUSE_CACHE_AUTO,
        .inodes_max = INODES_MAX,
    };
    struct fuse_server *server = NULL;
    auto_close int root_fd = -1;
    auto_close int fdinfo_fd = -1;
    const char *root = NULL;
    int r;

    r = options_parse(count, arguments, &options, &root, err);
    if (r < 0)
        return r;
    root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return error_errno(err, "open directory '%s'", root);
    if (access("/proc/self/fd", X_OK) < 0)
        return error_errno(err, "look for /proc/self/fd (mount proc on /proc)");
    if (options.is_savable) {
        fdinfo_fd = open("/proc/self/fdinfo", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fdinfo_fd < 0)
            return error_errno(err, "open /proc/self/fdinfo");
    }
    options.root_fd = root_fd;
    options.fdinfo_fd = fdinfo_fd;
    r = fuse_sandbox_enter(root_fd, fdinfo_fd, &options.descriptors_max, err);
    if (r == 0)
        r = fuse_server_open(&options, &server, err);
    if (r == 0)
        r = fuse_server_run(server, err);
    fuse_server_free(server);
    return r;
}

int main(int count, char **arguments)
{
    struct error err = { 0 };

    log_configure("berth-fs", -1, LOG_PLAIN, false);
    /* Errors of write(2) say it: that the guest is gone, and that a limit of the container's is
     * reached. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    if (fd_open_standard(&err) < 0 || serve(count, arguments, &err) < 0) {
        log_error("%s", err.message);
        return 1;
    }
    return 0;
}
