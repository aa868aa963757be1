#include "cgroups/device_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroups/cgroup.h"

/* The acting half: devices.allow and devices.deny on v1, bpf(2) on v2. */

#define PROGRAMS_MAX 64 /* attached to one cgroup; the kernel's own limit */

static const char *const list_names[] = { "devices.deny", "devices.allow" };

static int write_rule(const struct cgroup *cgroup, int fd, const struct device_write *rule,
                      struct error *err)
{
    size_t length = strlen(rule->value);
    ssize_t written = write(fd, rule->value, length);

    if (written >= 0)
        return 0;
    if (errno == EINVAL && text_equal(rule->value, "a"))
        return error_set(
            err, EINVAL,
            "change the default of the device rules of cgroup %s: it has cgroups below "
            "it, with which the kernel keeps the default",
            cgroup->path);
    return error_errno(err, "write '%s' to %s of cgroup %s", rule->value,
                       list_names[rule->is_allow], cgroup->path);
}

/* The kernel takes one rule with each write; both files stay open for all of them. */
static int write_rules(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                       const struct device_writes *writes, struct error *err)
{
    auto_close int deny_fd = -1;
    auto_close int allow_fd = -1;
    int r;

    for (size_t i = 0; i < writes->count; i++) {
        int *fd = writes->items[i].is_allow ? &allow_fd : &deny_fd;

        if (*fd < 0) {
            const char *name = list_names[writes->items[i].is_allow];

            r = cgroup_file_open(cgroup, hierarchy, name, O_WRONLY);
            if (r < 0) {
                errno = -r;
                return error_errno(err, "open %s of cgroup %s", name, cgroup->path);
            }
            *fd = r;
        }
        r = write_rule(cgroup, *fd, &writes->items[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int apply_v1(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                    const struct cgroup_device_rules *rules, struct error *err)
{
    AUTO_CLEAR(device_writes) struct device_writes writes = { 0 };
    int r = device_filter_plan_v1(rules, &writes, err);

    return r < 0 ? r : write_rules(cgroup, hierarchy, &writes, err);
}

static int replace_v1(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                      const struct cgroup_device_rules *rules, struct error *err)
{
    AUTO_CLEAR(device_writes) struct device_writes writes = { 0 };
    auto_free char *list = NULL;
    int r;

    r = cgroup_file_read(cgroup, hierarchy, "devices.list", &list);
    if (r < 0) {
        errno = -r;
        return error_errno(err, "read the device rules of cgroup %s", cgroup->path);
    }
    r = device_filter_plan_v1_change(rules, list, &writes, err);
    return r < 0 ? r : write_rules(cgroup, hierarchy, &writes, err);
}

static int call_bpf(int command, union bpf_attr *attributes)
{
    return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static int load_program(const struct device_program *program, struct error *err)
{
    union bpf_attr attributes = { 0 };
    int fd;

    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.expected_attach_type = BPF_CGROUP_DEVICE;
    attributes.insns = (uint64_t)(uintptr_t)program->items;
    attributes.insn_cnt = (uint32_t)program->count;
    attributes.license = (uint64_t)(uintptr_t) "Apache-2.0";
    memcpy(attributes.prog_name, "berth_devices", sizeof("berth_devices"));
    fd = call_bpf(BPF_PROG_LOAD, &attributes);
    if (fd < 0)
        return error_errno(err, "load the device program");
    return fd;
}

static int list_programs(int cgroup_fd, uint32_t ids[PROGRAMS_MAX], struct error *err)
{
    union bpf_attr attributes = { 0 };

    attributes.query.target_fd = (uint32_t)cgroup_fd;
    attributes.query.attach_type = BPF_CGROUP_DEVICE;
    attributes.query.prog_ids = (uint64_t)(uintptr_t)ids;
    attributes.query.prog_cnt = PROGRAMS_MAX;
    if (call_bpf(BPF_PROG_QUERY, &attributes) < 0)
        return error_errno(err, "list the device programs");
    return (int)attributes.query.prog_cnt;
}

static int open_program(uint32_t id)
{
    union bpf_attr attributes = { 0 };

    attributes.prog_id = id;
    return call_bpf(BPF_PROG_GET_FD_BY_ID, &attributes);
}

/* @old_fd: the program that @program_fd takes the place of, in one step; -1: none */
static int attach_program(int cgroup_fd, int program_fd, int old_fd)
{
    union bpf_attr attributes = { 0 };

    attributes.target_fd = (uint32_t)cgroup_fd;
    attributes.attach_bpf_fd = (uint32_t)program_fd;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    /* With this flag the programs of the groups above stay in force as well. */
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    if (old_fd >= 0) {
        attributes.attach_flags |= BPF_F_REPLACE;
        attributes.replace_bpf_fd = (uint32_t)old_fd;
    }
    return call_bpf(BPF_PROG_ATTACH, &attributes);
}

static int detach_program(int cgroup_fd, uint32_t id, struct error *err)
{
    union bpf_attr attributes = { 0 };
    auto_close int fd = open_program(id);

    if (fd < 0 && errno == ENOENT)
        return 0;
    attributes.target_fd = (uint32_t)cgroup_fd;
    attributes.attach_bpf_fd = (uint32_t)fd;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    if (fd < 0 || (call_bpf(BPF_PROG_DETACH, &attributes) < 0 && errno != ENOENT))
        return error_errno(err, "detach the earlier device program");
    return 0;
}

/* Attaches @program_fd (-1: nothing) in the place of all programs that are attached. All attached
 * programs have to allow an access, so earlier ones must not stay. */
static int replace_programs(int cgroup_fd, int program_fd, struct error *err)
{
    uint32_t ids[PROGRAMS_MAX];
    int count = list_programs(cgroup_fd, ids, err);
    int first = 0;

    if (count < 0)
        return count;
    if (program_fd >= 0 && count > 0) {
        auto_close int old_fd = open_program(ids[0]);

        if (old_fd >= 0 && attach_program(cgroup_fd, program_fd, old_fd) == 0)
            first = 1;
    }
    if (program_fd >= 0 && first == 0 && attach_program(cgroup_fd, program_fd, -1) < 0)
        return error_errno(err, "attach the device program");
    for (int i = first; i < count; i++) {
        int r = detach_program(cgroup_fd, ids[i], err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int apply_v2(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                    const struct cgroup_device_rules *rules, struct error *err)
{
    AUTO_CLEAR(device_program) struct device_program program = { 0 };
    auto_close int cgroup_fd = -1;
    auto_close int program_fd = -1;
    int r;

    r = device_filter_plan_v2(rules, &program, err);
    if (r < 0)
        return r;
    cgroup_fd =
        openat(hierarchy->fd, cgroup->relative, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (cgroup_fd < 0)
        return error_errno(err, "open cgroup %s", cgroup->path);
    if (program.count > 0) {
        program_fd = load_program(&program, err);
        if (program_fd < 0)
            return error_prefix(err, program_fd, "limit devices of cgroup %s", cgroup->path);
    }
    r = replace_programs(cgroup_fd, program_fd, err);
    if (r < 0)
        return error_prefix(err, r, "limit devices of cgroup %s", cgroup->path);
    return 0;
}

static int set_rules(struct cgroup *cgroup, const struct cgroup_device_rules *rules, bool is_in_use,
                     struct error *err)
{
    const struct cgroup_hierarchy *hierarchy;

    if (rules->count == 0)
        return 0;
    hierarchy = cgroup_system_find(cgroup->system, CGROUP_DEVICES);
    if (hierarchy == NULL)
        return error_set(err, EOPNOTSUPP,
                         "cannot limit devices: no devices controller is mounted "
                         "below /sys/fs/cgroup");
    if (hierarchy->is_v2)
        return apply_v2(cgroup, hierarchy, rules, err);
    return is_in_use ? replace_v1(cgroup, hierarchy, rules, err)
                     : apply_v1(cgroup, hierarchy, rules, err);
}

int device_filter_apply(struct cgroup *cgroup, const struct cgroup_device_rules *rules,
                        struct error *err)
{
    return set_rules(cgroup, rules, false, err);
}

int device_filter_replace(struct cgroup *cgroup, const struct cgroup_device_rules *rules,
                          struct error *err)
{
    return set_rules(cgroup, rules, true, err);
}

int device_filter_check(struct cgroup *cgroup, const struct cgroup_device_rules *rules,
                        struct error *err)
{
    AUTO_CLEAR(device_writes) struct device_writes writes = { 0 };
    AUTO_CLEAR(device_program) struct device_program program = { 0 };
    const struct cgroup_hierarchy *hierarchy = cgroup_system_find(cgroup->system, CGROUP_DEVICES);
    int r;

    if (rules->count == 0 || hierarchy == NULL)
        return 0; /* nothing to do, or device_filter_apply() tells why it cannot */
    if (hierarchy->is_v2)
        return device_filter_plan_v2(rules, &program, err);
    r = device_filter_plan_v1(rules, &writes, err);
    if (r < 0)
        return r;
    if (writes.count > 0 && writes.items[0].value[0] != 'a')
        return error_set(
            err, EINVAL,
            "devices: begin with a rule for all devices, {\"allow\": false}: on cgroup "
            "v1 nothing else replaces earlier rules");
    return 0;
}
