#include "microvm/vm_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/decode.h"
#include "base/path.h"
#include "base/text.h"
#include "microvm/vm_config_objects.h"

#define VM_CONFIG_NAME "config.json of the VM"

static const char *const root_types[] = { "erofs", "share", NULL };
static const char *const upper_types[] = { "tmpfs", "disk", NULL };
static const char *const backends[] = { "kvm", "qemu", NULL };
static const char *const consoles[] = { "none", "log", NULL };

static const struct field share_fields[] = {
    FIELD_OF(struct vm_share, tag, "tag", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct vm_share, path, "path", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct vm_share, is_read_only, "read_only", FIELD_BOOL, 0),
    { 0 },
};
const struct object vm_share_object = { share_fields, sizeof(struct vm_share), 0 };

static const struct field file_fields[] = {
    FIELD_OF(struct vm_file, path, "path", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct vm_file, content, "content", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct vm_file, mode, "mode", FIELD_U32, FIELD_REQUIRED),
    { 0 },
};
const struct object vm_file_object = { file_fields, sizeof(struct vm_file), 0 };

static const struct field root_fields[] = {
    FIELD_WORD(struct vm_root, type, "type", root_types, FIELD_REQUIRED),
    FIELD_OF(struct vm_root, path, "path", FIELD_STRING, 0),
    FIELD_OF(struct vm_root, share, "share", FIELD_STRING, 0),
    FIELD_WORD(struct vm_root, upper, "upper", upper_types, 0),
    FIELD_OF(struct vm_root, disk, "disk", FIELD_STRING, 0),
    FIELD_OF(struct vm_root, upper_bytes, "upper_bytes", FIELD_U64, 0),
    { 0 },
};
const struct object vm_root_object = { root_fields, sizeof(struct vm_root), 0 };

static const struct field config_fields[] = {
    FIELD_OF(struct vm_config, memory_bytes, "memory_bytes", FIELD_U64, FIELD_REQUIRED),
    FIELD_OF(struct vm_config, cpus, "cpus", FIELD_U32, FIELD_REQUIRED),
    FIELD_WORD(struct vm_config, backend, "backend", backends, FIELD_REQUIRED),
    FIELD_OF(struct vm_config, kernel, "kernel", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct vm_config, modules, "modules", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct vm_config, agent, "agent", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct vm_config, fs_program, "fs_program", FIELD_STRING, 0),
    FIELD_OF(struct vm_config, cmdline, "cmdline", FIELD_STRING, 0),
    FIELD_OBJECT(struct vm_config, root, "root", FIELD_STRUCT, &vm_root_object, FIELD_REQUIRED),
    FIELD_OBJECT(struct vm_config, shares, "shares", FIELD_STRUCT, &vm_share_object, FIELD_ARRAY),
    FIELD_WORD(struct vm_config, console, "console", consoles, 0),
    FIELD_OF(struct vm_config, tsc_khz, "tsc_khz", FIELD_U64, 0),
    FIELD_OF(struct vm_config, has_terminal, "terminal", FIELD_BOOL, 0),
    FIELD_OF(struct vm_config, is_warm, "warm", FIELD_BOOL, 0),
    FIELD_OF(struct vm_config, is_restored, "restored", FIELD_BOOL, 0),
    FIELD_OBJECT(struct vm_config, files, "files", FIELD_STRUCT, &vm_file_object, FIELD_ARRAY),
    { 0 },
};
static const struct object config_object = { config_fields, sizeof(struct vm_config),
                                             OBJECT_REFUSE_UNKNOWN };

static bool has_share(const struct vm_config *config, const char *tag)
{
    for (size_t i = 0; i < config->shares.count; i++) {
        if (text_equal(config->shares.items[i].tag, tag))
            return true;
    }
    return false;
}

static int check_root(const struct vm_config *config, struct error *err)
{
    const struct vm_root *root = &config->root;

    if (text_equal(root->type, "erofs") && root->path == NULL)
        return error_set(err, EINVAL, "root.path: is missing");
    if (text_equal(root->type, "share") && !has_share(config, root->share))
        return error_set(err, EINVAL, "root.share: there is no such share");
    if (text_equal(root->upper, "disk") && root->disk == NULL)
        return error_set(err, EINVAL, "root.disk: is missing");
    return 0;
}

static int check(const struct vm_config *config, struct error *err)
{
    if (config->cpus == 0)
        return error_set(err, EINVAL, "cpus: 0 is out of range");
    for (size_t i = 0; i < config->shares.count; i++) {
        const char *tag = config->shares.items[i].tag;

        if (text_check_name("shares.tag", tag, err) < 0)
            return -EINVAL;
    }
    for (size_t i = 0; i < config->files.count; i++) {
        const char *path = config->files.items[i].path;

        if (!text_starts(path, "/files/") || !path_is_normal(path))
            return error_set(err, EINVAL, "files.path: '%s' is not below /files", path);
    }
    return check_root(config, err);
}

int vm_config_decode(const char *text, size_t length, struct vm_config **ret_config,
                     struct error *err)
{
    AUTO(vm_config) struct vm_config *config = xcalloc(1, sizeof(*config));
    const char *end = memchr(text, '\n', length);
    int r;

    if (end == NULL)
        return error_set(err, EINVAL, VM_CONFIG_NAME ": has no second line, the guest's spec");
    r = decode_text(&config_object, text, (size_t)(end - text), config, VM_CONFIG_NAME, err);
    if (r == 0)
        r = check(config, err);
    if (r < 0)
        return r;
    config->guest = xstrndup(end + 1, length - (size_t)(end + 1 - text));
    *ret_config = take_ptr(&config);
    return 0;
}

char *vm_config_encode(const struct vm_config *config)
{
    auto_free char *machine = encode_text(&config_object, config, ENCODE_COMPACT);

    return xasprintf("%s\n%s", machine, config->guest);
}

void vm_config_free(struct vm_config *config)
{
    if (config == NULL)
        return;
    free(config->guest);
    object_clear(&config_object, config);
    free(config);
}
