#include "cli/image_make.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/tar_writer.h"

/* A root like docker's busybox image has it: everything in /bin, one program with many names. */

#define PROGRAM_MAX  (32u << 20)
#define APPLETS_MAX  (256u << 10) /* bytes of the list */
#define PACKAGE_HINT "install a static one: `apt-get install busybox-static` (Debian, Ubuntu)"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
                             "bin:x:2:2:bin:/bin:/bin/false\n"
                             "sys:x:3:3:sys:/dev:/bin/false\n"
                             "sync:x:4:100:sync:/bin:/bin/sync\n"
                             "mail:x:8:8:mail:/var/spool/mail:/bin/false\n"
                             "www-data:x:33:33:www-data:/var/www:/bin/false\n"
                             "operator:x:37:37:Operator:/var:/bin/false\n"
                             "nobody:x:65534:65534:nobody:/home:/bin/false\n";
static const char group[] = "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\n"
                            "disk:x:6:\nlp:x:7:\nmail:x:8:\nkmem:x:9:\nwheel:x:10:root\n"
                            "cdrom:x:11:\ndialout:x:18:\nfloppy:x:19:\nvideo:x:28:\naudio:x:29:\n"
                            "tape:x:32:\nwww-data:x:33:\noperator:x:37:\nutmp:x:43:\n"
                            "plugdev:x:46:\nstaff:x:50:\nlock:x:54:\nnetdev:x:82:\nusers:x:100:\n"
                            "nobody:x:65534:\n";
static const char shadow[] = "root:*:::::::\n";
static const char release[] = "ID=busybox\nNAME=\"BusyBox\"\nPRETTY_NAME=\"BusyBox\"\n";

struct root_entry {
    struct tar_entry entry;
    const char *content;
};

#define DIRECTORY(name_, mode_)                                                                    \
    {                                                                                              \
        { .name = (name_), .type = TAR_DIRECTORY, .mode = (mode_) }, NULL                          \
    }
#define FILE_OF(name_, mode_, content_)                                                            \
    {                                                                                              \
        { .name = (name_), .type = TAR_FILE, .mode = (mode_), .size = sizeof(content_) - 1 },      \
            (content_)                                                                             \
    }

/* Sorted; bin/ comes before it. */
static const struct root_entry entries[] = {
    DIRECTORY("dev/", 0755),
    DIRECTORY("etc/", 0755),
    FILE_OF("etc/group", 0644, group),
    FILE_OF("etc/os-release", 0644, release),
    FILE_OF("etc/passwd", 0644, passwd),
    FILE_OF("etc/shadow", 0600, shadow),
    { { .name = "home/", .type = TAR_DIRECTORY, .mode = 0755, .uid = 65534, .gid = 65534 }, NULL },
    DIRECTORY("proc/", 0755),
    DIRECTORY("root/", 0700),
    DIRECTORY("sys/", 0755),
    DIRECTORY("tmp/", 01777),
    DIRECTORY("usr/", 0755),
    DIRECTORY("usr/bin/", 0755),
    { { .name = "usr/bin/env", .type = TAR_SYMLINK, .mode = 0777, .link = "../../bin/env" }, NULL },
    DIRECTORY("usr/sbin/", 0755),
    DIRECTORY("var/", 0755),
    DIRECTORY("var/spool/", 0755),
    { { .name = "var/spool/mail/", .type = TAR_DIRECTORY, .mode = 0755, .uid = 8, .gid = 8 },
      NULL },
    DIRECTORY("var/www/", 0755),
};

bool elf_is_static(const void *bytes, size_t length)
{
    Elf64_Ehdr header;
    Elf64_Phdr segment;

    if (length < sizeof(header))
        return false;
    memcpy(&header, bytes, sizeof(header));
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_phentsize != sizeof(segment))
        return false;
    for (size_t i = 0; i < header.e_phnum; i++) {
        uint64_t offset;

        if (__builtin_add_overflow(header.e_phoff, (uint64_t)(i * sizeof(segment)), &offset) ||
            offset > length || length - offset < sizeof(segment))
            return false;
        memcpy(&segment, (const char *)bytes + offset, sizeof(segment));
        if (segment.p_type == PT_INTERP)
            return false;
    }
    return header.e_phnum > 0;
}

static int write_entry(struct layer_writer *layer, const struct tar_entry *entry,
                       const void *content, struct error *err)
{
    static const char zeros[TAR_BLOCK];
    AUTO_CLEAR(text) struct text header = { 0 };
    int r;

    tar_entry_format(entry, &header);
    r = layer_writer_add(layer, header.data, header.length, err);
    if (r == 0 && entry->size > 0)
        r = layer_writer_add(layer, content, entry->size, err);
    if (r == 0)
        r = layer_writer_add(layer, zeros, tar_padding(entry->size), err);
    return r;
}

static int write_bin(struct layer_writer *layer, const void *program, size_t length,
                     const struct strings *applets, int64_t epoch, struct error *err)
{
    struct tar_entry root = { .name = "./", .type = TAR_DIRECTORY, .mode = 0755, .time = epoch };
    struct tar_entry directory = {
        .name = "bin/", .type = TAR_DIRECTORY, .mode = 0755, .time = epoch
    };
    struct tar_entry busybox = {
        .name = "bin/busybox", .type = TAR_FILE, .mode = 0755, .size = length, .time = epoch
    };
    int r;

    r = write_entry(layer, &root, NULL, err);
    if (r == 0)
        r = write_entry(layer, &directory, NULL, err);
    if (r == 0)
        r = write_entry(layer, &busybox, program, err);
    for (size_t i = 0; r == 0 && i < applets->count; i++) {
        auto_free char *name = xasprintf("bin/%s", applets->items[i]);
        struct tar_entry link = {
            .name = name, .type = TAR_LINK, .mode = 0755, .time = epoch, .link = "bin/busybox"
        };

        r = write_entry(layer, &link, NULL, err);
    }
    return r;
}

int busybox_root_write(struct layer_writer *layer, const void *program, size_t length,
                       const struct strings *applets, int64_t epoch, struct error *err)
{
    static const char end[TAR_END_BYTES];
    int r;

    assert(layer != NULL);
    assert(applets != NULL);

    r = write_bin(layer, program, length, applets, epoch, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(entries); i++) {
        struct tar_entry entry = entries[i].entry;

        entry.time = epoch;
        r = write_entry(layer, &entry, entries[i].content, err);
    }
    return r == 0 ? layer_writer_add(layer, end, sizeof(end), err) : r;
}

static int find_program(char **ret_path, char **ret_bytes, size_t *ret_length, struct error *err)
{
    static const char *const paths[] = { "/bin/busybox", "/usr/bin/busybox", "/sbin/busybox" };
    const char *dynamic = NULL;
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        auto_free char *bytes = NULL;
        size_t length;

        r = file_read(AT_FDCWD, paths[i], PROGRAM_MAX, &bytes, &length, err);
        if (r == -ENOENT)
            continue;
        if (r < 0)
            return r;
        if (elf_is_static(bytes, length)) {
            *ret_path = xstrdup(paths[i]);
            *ret_bytes = take_ptr(&bytes);
            *ret_length = length;
            return 0;
        }
        dynamic = paths[i];
    }
    if (dynamic != NULL)
        return error_set(err, ENOEXEC, "'%s' needs shared libraries; " PACKAGE_HINT, dynamic);
    return error_set(err, ENOENT, "there is no busybox on this machine; " PACKAGE_HINT);
}

static bool applet_is_valid(const char *name)
{
    return name[0] != '\0' && strlen(name) < 64 && strpbrk(name, "/ \t\r") == NULL &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "busybox") != 0;
}

static int list_applets(const char *path, struct strings *ret_applets, struct error *err)
{
    AUTO_CLEAR(strings) struct strings arguments = { 0 };
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    auto_free char *text = NULL;
    auto_close int out = -1;
    auto_close int in = -1;
    int fds[2], status, r;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    in = fds[0];
    out = fds[1];
    strings_add(&arguments, path);
    strings_add(&arguments, "--list");
    r = process_spawn(&arguments, (const int[3]){ -1, out, STDERR_FILENO }, &pid, err);
    if (r < 0)
        return r;
    auto_close_cleanup(&out);
    out = -1;
    r = fd_read_all(in, APPLETS_MAX, "the list of busybox' applets", &text, NULL, err);
    auto_close_cleanup(&in); /* ends one that writes on */
    in = -1;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return error_errno(err, "wait for '%s'", path);
    }
    if (r < 0)
        return r;
    if (process_exit_status(status) != 0)
        return error_set(err, EIO, "'%s --list' ended with status %d", path,
                         process_exit_status(status));
    strings_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.count; i++) {
        if (applet_is_valid(lines.items[i]) && !strings_contains(ret_applets, lines.items[i]))
            strings_add(ret_applets, lines.items[i]);
    }
    strings_sort(ret_applets);
    if (!strings_contains(ret_applets, "sh"))
        return error_set(err, EINVAL, "'%s' has no shell; " PACKAGE_HINT, path);
    return 0;
}

int image_make_busybox(struct image_make *make, struct image_config *config, struct strings *tags,
                       struct error *err)
{
    AUTO_CLEAR(strings) struct strings applets = { 0 };
    auto_free char *path = NULL;
    auto_free char *program = NULL;
    size_t length = 0;
    int r;

    progress_update("Making busybox", 0, 0, make->progress);
    r = find_program(&path, &program, &length, err);
    if (r == 0)
        r = list_applets(path, &applets, err);
    if (r == 0)
        r = busybox_root_write(make->layer, program, length, &applets, make->epoch, err);
    if (r < 0)
        return r;
    strings_add(&config->cmd, "sh");
    strings_add(&config->env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    config->created_by = xstrdup("berth image make busybox");
    if (tags->count == 0)
        strings_add(tags, "busybox:latest");
    return 0;
}
