#include "cli/image_program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"
#include "base/path.h"
#include "base/staging.h"
#include "cli/listing.h"
#include "image/kernel.h"

/* berth vm kernel: import, ls, rm. */

#define KERNELS_TABLE "{{.Name}}\t{{.Source}}\t{{.CreatedAt}}\t{{.Size}}"

/* --- packages ------------------------------------------------------------------------------------
 */

static int check_package(const char *package, struct error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-.+~";

    /* It becomes an argument: no option, no path, no version. */
    if (package[0] < 'a' || package[0] > 'z' || strspn(package, letters) != strlen(package))
        return error_set(err, EINVAL, "--package: '%s' is not the name of a package", package);
    return 0;
}

/* Output of a command, "" when it failed. */
static char *output_of(const struct strings *command)
{
    auto_free char *text = NULL;
    auto_close int in = -1;
    auto_close int out = -1;
    int fds[2], status = -1;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return xstrdup("");
    in = fds[0];
    out = fds[1];
    if (process_spawn(command, (const int[3]){ -1, out, -1 }, &pid, NULL) < 0)
        return xstrdup("");
    auto_close_cleanup(&out);
    out = -1;
    (void)fd_read_all(in, 1u << 20, "apt-cache's answer", &text, NULL, NULL); /* then "" */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return text != NULL && status == 0 ? take_ptr(&text) : xstrdup("");
}

/* linux-image-cloud-amd64 has no kernel itself, but depends on the package that has the newest. */
static char *resolve_package(const char *package)
{
    static const char prefix[] = "Depends: linux-image-";
    AUTO_CLEAR(strings) struct strings command = { 0 };
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    auto_free char *text = NULL;

    strings_add(&command, "apt-cache");
    strings_add(&command, "depends");
    strings_add(&command, package);
    text = output_of(&command);
    strings_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.count; i++) {
        const char *found = strstr(lines.items[i], prefix);

        if (found != NULL && strchr(found, '<') == NULL)
            return xstrdup(found + strlen("Depends: "));
    }
    return xstrdup(package);
}

struct download {
    int dir_fd;
    const char *package;
};

/* In a child, as it changes the directory: apt-get writes into the current one. */
static int download_child(void *context, struct error *err)
{
    const struct download *download = context;
    AUTO_CLEAR(strings) struct strings command = { 0 };
    int status = 0, r;

    if (fchdir(download->dir_fd) < 0)
        return error_errno(err, "enter the staging directory");
    strings_add(&command, "apt-get");
    strings_add(&command, "-q");
    /* The directory is root's alone. */
    strings_add(&command, "-oAPT::Sandbox::User=root");
    strings_add(&command, "download");
    strings_add(&command, download->package);
    r = process_run(&command, (const int[3]){ -1, -1, STDERR_FILENO }, &status, err);
    if (r == 0 && status != 0)
        return error_set(err, EIO,
                         "apt-get could not download %s; when it does not know the package, "
                         "`apt-get update` may help",
                         download->package);
    return r;
}

/* The only file of the directory; caller frees. */
static int find_file(int dir_fd, char **ret_path, struct error *err)
{
    DIR *directory = fdopendir(fcntl(dir_fd, F_DUPFD_CLOEXEC, 3));
    const struct dirent *entry;
    char path[FD_PATH_MAX];

    if (directory == NULL)
        return error_errno(err, "read the staging directory");
    while (*ret_path == NULL && (entry = readdir(directory)) != NULL) {
        if (text_ends(entry->d_name, ".deb"))
            *ret_path = path_join(fd_path(dir_fd, path), entry->d_name);
    }
    (void)closedir(directory); /* was only read */
    return *ret_path == NULL ? error_set(err, ENOENT, "apt-get left no package") : 0;
}

static int import_package(int data_fd, const char *package, const char *name, char **ret_name,
                          struct error *err)
{
    AUTO(staging) struct staging *staging = NULL;
    auto_free char *resolved = NULL;
    auto_free char *path = NULL;
    struct download download;
    int r;

    r = check_package(package, err);
    if (r == 0)
        r = staging_create(data_fd, &staging, err);
    if (r < 0)
        return r;
    resolved = resolve_package(package);
    download = (struct download){ staging->fd, resolved };
    r = process_call_in_child(download_child, &download, err);
    if (r == 0)
        r = find_file(staging->fd, &path, err);
    if (r == 0)
        r = kernel_import(data_fd, path, name, resolved, NULL, ret_name, err);
    return r;
}

/* --- commands ------------------------------------------------------------------------------------
 */

static int import(int data_fd, const struct arguments *arguments, struct error *err)
{
    const char *package = arguments_text(arguments, "package");
    const char *name = arguments_text(arguments, "name");
    const char *modules = arguments_text(arguments, "modules");
    const char *file = arguments->words[1];
    auto_free char *imported = NULL;
    int r;

    if ((package == NULL) == (file == NULL) || arguments->word_count > 2)
        return error_set(err, EINVAL, "name one file, or a package with --package");
    if (package != NULL && modules != NULL)
        return error_set(err, EINVAL, "--modules: a package has its own");
    r = package != NULL ? import_package(data_fd, package, name, &imported, err)
                        : kernel_import(data_fd, file, name, file, modules, &imported, err);
    if (r == 0)
        (void)puts(imported);
    return r;
}

static int list(int data_fd, const struct arguments *arguments, struct error *err)
{
    static const struct listing_column columns[] = {
        { "Name", "NAME" },
        { "Release", "RELEASE" },
        { "Source", "SOURCE" },
        { "Digest", "DIGEST" },
        { "CreatedAt", "CREATED AT" },
        { "Size", "SIZE" },
        { 0 },
    };
    AUTO_CLEAR(kernels) struct kernels kernels = { 0 };
    AUTO_CLEAR(listing) struct listing listing = { 0 };
    int r;

    if (arguments->word_count > 1)
        return error_set(err, EINVAL, "'%s' is one word too many", arguments->words[1]);
    r = listing_open(arguments_text(arguments, "format"), KERNELS_TABLE, columns, &listing, err);
    if (r == 0)
        r = kernel_list(data_fd, &kernels, err);
    for (size_t i = 0; i < kernels.count && r == 0; i++) {
        const struct kernel *kernel = &kernels.items[i];
        AUTO_CLEAR(string_map) struct string_map fields = { 0 };
        auto_free char *size = text_format_size(kernel->bytes);

        string_map_set(&fields, "Name", kernel->name);
        string_map_set(&fields, "Release", kernel->release);
        string_map_set(&fields, "Source", kernel->source != NULL ? kernel->source : "");
        string_map_set(&fields, "Digest", kernel->digest != NULL ? kernel->digest : "");
        string_map_set(&fields, "CreatedAt", kernel->created != NULL ? kernel->created : "");
        string_map_set(&fields, "Size", size);
        r = listing_add(&listing, &fields, NULL, err);
    }
    return r == 0 ? listing_print(&listing, err) : r;
}

static int remove_all(int data_fd, const struct arguments *arguments, struct error *err)
{
    int r = 0;

    if (arguments->word_count < 2)
        return error_set(err, EINVAL, "name a kernel; `berth vm kernel ls` lists them");
    for (size_t i = 1; i < arguments->word_count && r == 0; i++) {
        r = kernel_remove(data_fd, arguments->words[i], err);
        if (r == 0)
            (void)puts(arguments->words[i]);
    }
    return r;
}

static const struct {
    const char *word;
    int (*run)(int data_fd, const struct arguments *arguments, struct error *err);
} actions[] = {
    { "import", import },
    { "ls", list },
    { "rm", remove_all },
};

int command_vm_kernel(const struct arguments *arguments, void *context)
{
    struct engine *engine;
    struct error err = { 0 };
    int r = -EINVAL;

    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        if (!text_equal(actions[i].word, arguments->words[0]))
            continue;
        r = image_program_engine(context, &engine, &err);
        if (r == 0)
            r = actions[i].run(engine_data_fd(engine), arguments, &err);
        if (r < 0)
            return image_program_failed("vm kernel", &err);
        return image_program_printed();
    }
    (void)error_set(&err, EINVAL, "'%s' is not import, ls or rm", arguments->words[0]);
    return image_program_failed("vm kernel", &err);
}
