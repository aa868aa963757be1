#include "runtime/seccomp_profile.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

/* Compiled filters, one file each: header, the whole text that the filter was made from, program.
 * The file's name is a hash of the text, but the text itself decides, so a collision costs a
 * compilation and nothing else. The program has a checksum against a file that a crash left half
 * written. Files come by rename, so readers need no lock. */

#define CACHE_MAGIC     "berthBPF"
#define CACHE_VERSION   1u
#define CACHE_FILE_MAX  (2u << 20)
#define CACHE_FILES_MAX 64 /* more profiles than that, and the cache starts anew */
#define NAME_LENGTH     16 /* hexadecimal digits of the hash */

struct cache_header {
    char magic[8];
    uint32_t version;
    uint32_t architecture; /* that we run on */
    uint32_t text_length;
    uint32_t count;    /* instructions */
    uint64_t checksum; /* of the program */
};

/* Each text with its zero byte, each list with its length before it: two different profiles never
 * give the same bytes. */
static void add_string(struct text *text, const char *string)
{
    const char *present = string != NULL ? string : "";

    text_add_bytes(text, present, strlen(present) + 1);
}

static void add_number(struct text *text, uint64_t number)
{
    text_add_bytes(text, &number, sizeof(number));
}

static void add_strings(struct text *text, const struct strings *list)
{
    add_number(text, list->count);
    for (size_t i = 0; i < list->count; i++)
        add_string(text, list->items[i]);
}

static void add_rule(struct text *text, const struct spec_syscall *rule)
{
    add_strings(text, &rule->names);
    add_string(text, rule->action);
    add_number(text, rule->has_errno_ret);
    add_number(text, rule->errno_ret);
    add_number(text, rule->args.count);
    for (size_t i = 0; i < rule->args.count; i++) {
        const struct spec_seccomp_arg *arg = &rule->args.items[i];

        add_number(text, arg->index);
        add_number(text, arg->value);
        add_number(text, arg->value_two);
        add_string(text, arg->op);
    }
}

void seccomp_cache_text(const struct spec_seccomp *profile, struct text *ret_text)
{
    const struct scmp_version *library = seccomp_version();

    add_string(ret_text, BERTH_VERSION);
    add_number(ret_text, library->major);
    add_number(ret_text, library->minor);
    add_number(ret_text, library->micro);
    add_string(ret_text, profile->default_action);
    add_number(ret_text, profile->has_default_errno_ret);
    add_number(ret_text, profile->default_errno_ret);
    add_strings(ret_text, &profile->architectures);
    add_number(ret_text, profile->refuses_unknown_names);
    add_number(ret_text, profile->syscalls.count);
    for (size_t i = 0; i < profile->syscalls.count; i++)
        add_rule(ret_text, &profile->syscalls.items[i]);
}

/* Whoever can write here decides what containers may call. */
static bool is_trusted(int cache_fd)
{
    struct stat status;

    return cache_fd >= 0 && fstat(cache_fd, &status) == 0 && S_ISDIR(status.st_mode) &&
           status.st_uid == geteuid() && (status.st_mode & 022) == 0;
}

static void name_of(const struct text *text, char ret_name[NAME_LENGTH + 1])
{
    (void)snprintf(ret_name, NAME_LENGTH + 1, "%016" PRIx64, text_hash(text->data, text->length));
}

static bool is_valid(const char *file, size_t length, const struct text *text,
                     struct cache_header *ret_header)
{
    struct cache_header header;
    const char *program = NULL;
    size_t program_bytes;

    if (length < sizeof(header))
        return false;
    memcpy(&header, file, sizeof(header));
    if (memcmp(header.magic, CACHE_MAGIC, sizeof(header.magic)) != 0 ||
        header.version != CACHE_VERSION || header.architecture != seccomp_arch_native() ||
        header.text_length != text->length || header.count == 0 || header.count > BPF_MAXINSNS)
        return false;
    program_bytes = header.count * sizeof(struct sock_filter);
    if (length != sizeof(header) + header.text_length + program_bytes)
        return false;
    program = file + sizeof(header) + header.text_length;
    *ret_header = header;
    return memcmp(file + sizeof(header), text->data, text->length) == 0 &&
           text_hash(program, program_bytes) == header.checksum;
}

int seccomp_cache_find(int cache_fd, const struct text *text, struct seccomp_program *ret_program)
{
    auto_free char *file = NULL;
    struct cache_header header;
    char name[NAME_LENGTH + 1];
    size_t length = 0;

    if (!is_trusted(cache_fd))
        return 0;
    name_of(text, name);
    if (file_read(cache_fd, name, CACHE_FILE_MAX, &file, &length, NULL) < 0 ||
        !is_valid(file, length, text, &header))
        return 0;
    ret_program->items = xmemdup(file + sizeof(header) + header.text_length,
                                 header.count * sizeof(struct sock_filter));
    ret_program->count = header.count;
    return 1;
}

static bool is_cache_name(const char *name)
{
    return strlen(name) == NAME_LENGTH && strspn(name, "0123456789abcdef") == NAME_LENGTH;
}

/* Profiles that change with each container would fill the directory without end. */
static void limit_files(int cache_fd)
{
    auto_close int own_fd = openat(cache_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = own_fd >= 0 ? fdopendir(own_fd) : NULL;
    struct strings names = { 0 };
    struct dirent *entry = NULL;

    if (directory == NULL)
        return;
    (void)take_fd(&own_fd); /* closedir() closes it */
    while ((entry = readdir(directory)) != NULL) {
        if (is_cache_name(entry->d_name))
            strings_add(&names, entry->d_name);
    }
    (void)closedir(directory);
    for (size_t i = 0; names.count >= CACHE_FILES_MAX && i < names.count; i++)
        (void)unlinkat(cache_fd, names.items[i], 0); /* someone else may have been faster */
    strings_clear(&names);
}

void seccomp_cache_store(int cache_fd, const struct text *text,
                         const struct seccomp_program *program)
{
    const size_t program_bytes = program->count * sizeof(struct sock_filter);
    struct cache_header header = {
        .magic = CACHE_MAGIC,
        .version = CACHE_VERSION,
        .architecture = seccomp_arch_native(),
        .text_length = (uint32_t)text->length,
        .count = (uint32_t)program->count,
        .checksum = text_hash(program->items, program_bytes),
    };
    char name[NAME_LENGTH + 1];
    struct text file = { 0 };
    struct error err = { 0 };

    if (!is_trusted(cache_fd) || text->length > CACHE_FILE_MAX / 2)
        return;
    limit_files(cache_fd);
    name_of(text, name);
    text_add_bytes(&file, &header, sizeof(header));
    text_add_bytes(&file, text->data, text->length);
    text_add_bytes(&file, program->items, program_bytes);
    if (file_replace(cache_fd, name, file.data, file.length, 0600, FILE_SYNC_NONE, &err) < 0)
        log_debug("seccomp filter is not cached: %s", err.message);
    text_clear(&file);
}
