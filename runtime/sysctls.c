#include "runtime/sysctls.h"

#include <errno.h>
#include <string.h>

#include "runtime/procfs.h"

/* Which namespace a setting belongs to; a name that ends with "/" means all below it. */
static const struct sysctl_scope {
    const char *name;
    const char *namespace_;
} sysctl_scopes[] = {
    { "kernel/msgmax", "ipc" },      { "kernel/msgmnb", "ipc" },
    { "kernel/msgmni", "ipc" },      { "kernel/sem", "ipc" },
    { "kernel/shmall", "ipc" },      { "kernel/shmmax", "ipc" },
    { "kernel/shmmni", "ipc" },      { "kernel/shm_rmid_forced", "ipc" },
    { "kernel/msg_next_id", "ipc" }, { "kernel/sem_next_id", "ipc" },
    { "kernel/shm_next_id", "ipc" }, { "kernel/auto_msgmni", "ipc" },
    { "fs/mqueue/", "ipc" },         { "net/", "network" },
    { "kernel/domainname", "uts" },  { "user/", "user" },
};

/* "net.ipv4.ip_forward" -> "net/ipv4/ip_forward". As in sysctl(8) the first separator decides:
 * after a "/" a dot is part of a name ("net/ipv4/conf/eth0.100/forwarding"), and with dots a "/"
 * stands for a dot inside of a name. */
static char *setting_path(const char *key)
{
    char *path = xstrdup(key);
    size_t first = strcspn(path, "./");

    if (path[first] != '.')
        return path;
    for (char *c = path; *c != '\0'; c++) {
        if (*c == '.')
            *c = '/';
        else if (*c == '/')
            *c = '.';
    }
    return path;
}

static const struct sysctl_scope *find_scope(const char *path)
{
    for (size_t i = 0; i < ARRAY_SIZE(sysctl_scopes); i++) {
        const char *name = sysctl_scopes[i].name;

        if (text_ends(name, "/") ? text_starts(path, name) : strcmp(path, name) == 0)
            return &sysctl_scopes[i];
    }
    return NULL;
}

static bool has_odd_component(const char *path)
{
    struct strings parts = { 0 };
    bool is_odd = false;

    strings_split(&parts, path, '/');
    for (size_t i = 0; i < parts.count; i++)
        is_odd |= parts.items[i][0] == '\0' || strcmp(parts.items[i], ".") == 0 ||
                  strcmp(parts.items[i], "..") == 0;
    strings_clear(&parts);
    return is_odd;
}

static int check_one(const struct spec *spec, const char *key, struct error *err)
{
    auto_free char *path = setting_path(key);
    const struct sysctl_scope *scope = find_scope(path);

    if (has_odd_component(path))
        return error_set(err, EINVAL, "linux.sysctl: '%s' is not the name of a setting", key);
    if (strcmp(path, "kernel/hostname") == 0)
        return error_set(err, EINVAL, "linux.sysctl: '%s' is set by the member 'hostname'", key);
    if (scope == NULL)
        return error_set(err, EINVAL,
                         "linux.sysctl: '%s' belongs to no namespace, it would change the host",
                         key);
    if (spec_find_namespace(spec, scope->namespace_) == NULL)
        return error_set(err, EINVAL, "linux.sysctl: '%s' needs the container's own %s namespace",
                         key, scope->namespace_);
    return 0;
}

int sysctls_check(const struct spec *spec, struct error *err)
{
    const struct string_map *settings = &spec->linux_.sysctl;
    int r;

    for (size_t i = 0; i < settings->count; i++) {
        r = check_one(spec, settings->items[i].key, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int sysctls_apply(const struct spec *spec, int proc_fd, struct error *err)
{
    const struct string_map *settings = &spec->linux_.sysctl;
    int r;

    for (size_t i = 0; i < settings->count; i++) {
        auto_free char *path = setting_path(settings->items[i].key);
        auto_free char *file = xasprintf("sys/%s", path);

        r = procfs_write(proc_fd, file, settings->items[i].value, err);
        if (r < 0)
            return error_prefix(err, r, "sysctl %s", settings->items[i].key);
    }
    return 0;
}
