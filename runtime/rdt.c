#include "runtime/rdt.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "runtime/container.h"

#define RDT_ROOT      "/sys/fs/resctrl"
#define RDT_MAGIC     0x7655821 /* RDTGROUP_SUPER_MAGIC (linux/magic.h) */
#define RDT_NAME_MAX  255
#define MONITOR_GROUP "mon_groups"

/* --- deciding --------------------------------------------------------------------------------- */

static bool is_class_name(const char *name)
{
    /* The kernel's own names stand beside the classes. */
    static const char *const taken[] = { ".", "..", "info", "mon_data", MONITOR_GROUP };

    for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
        if (strcmp(name, taken[i]) == 0)
            return false;
    }
    return name[0] != '\0' && strlen(name) <= RDT_NAME_MAX && strpbrk(name, "/\n") == NULL;
}

static void add_lines(struct strings *lines, const char *text, const char *left_out)
{
    struct strings parts = { 0 };

    if (text == NULL)
        return;
    strings_split(&parts, text, '\n');
    for (size_t i = 0; i < parts.count; i++) {
        const char *line = parts.items[i] + strspn(parts.items[i], " \t");

        if (line[0] != '\0' && (left_out == NULL || !text_starts(line, left_out)))
            strings_add(lines, line);
    }
    strings_clear(&parts);
}

/* Each line of @text, which may be NULL: lines are compared by their resource later. */
static int check_lines(const char *text, const char *member, struct error *err)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    add_lines(&lines, text, NULL);
    for (size_t i = 0; i < lines.count; i++) {
        const char *colon = strchr(lines.items[i], ':');

        if (colon == NULL || colon == lines.items[i])
            return error_set(err, EINVAL, "linux.intelRdt.%s: '%s' is not RESOURCE:ID=VALUE;...",
                             member, lines.items[i]);
    }
    return 0;
}

int rdt_check(const struct spec_intel_rdt *rdt, struct error *err)
{
    int r;

    /* "/" is the class that everything is in that has none of its own. */
    if (rdt->clos_id != NULL && strcmp(rdt->clos_id, "/") != 0 && !is_class_name(rdt->clos_id))
        return error_set(err, EINVAL, "linux.intelRdt.closID: '%s' is not the name of a class",
                         rdt->clos_id);
    r = check_lines(rdt->l3_cache_schema, "l3CacheSchema", err);
    if (r == 0)
        r = check_lines(rdt->mem_bw_schema, "memBwSchema", err);
    for (size_t i = 0; i < rdt->schemata.count && r == 0; i++)
        r = check_lines(rdt->schemata.items[i], "schemata", err);
    return r;
}

/* memBwSchema wins over a bandwidth line of l3CacheSchema, as the specification says. */
static void add_schemata(struct strings *lines, const struct spec_intel_rdt *rdt)
{
    add_lines(lines, rdt->l3_cache_schema, text_is_empty(rdt->mem_bw_schema) ? NULL : "MB:");
    add_lines(lines, rdt->mem_bw_schema, NULL);
    for (size_t i = 0; i < rdt->schemata.count; i++)
        add_lines(lines, rdt->schemata.items[i], NULL);
}

struct rdt_plan *rdt_plan(const struct spec_intel_rdt *rdt, const char *id)
{
    struct rdt_plan *plan = xcalloc(1, sizeof(*plan));
    bool is_root = text_equal(rdt->clos_id, "/");

    plan->group = xstrdup(is_root ? "." : text_is_empty(rdt->clos_id) ? id : rdt->clos_id);
    add_schemata(&plan->schemata, rdt);
    plan->must_exist = is_root || (!text_is_empty(rdt->clos_id) && plan->schemata.count == 0);
    if (rdt->enable_monitoring || rdt->enable_cmt || rdt->enable_mbm)
        plan->monitor = xasprintf("%s/" MONITOR_GROUP "/%s", plan->group, id);
    return plan;
}

void rdt_plan_free(struct rdt_plan *plan)
{
    if (plan == NULL)
        return;
    strings_clear(&plan->schemata);
    free(plan->group);
    free(plan->monitor);
    free(plan);
}

/* "0=0ff" -> "0=ff": masks are compared as the numbers they are; bandwidth has no zeros in front.
 */
static char *clean_value(const char *item)
{
    struct text clean = { 0 };
    const char *equal;

    for (const char *c = item; *c != '\0'; c++) {
        if (*c != ' ' && *c != '\t')
            text_add_bytes(&clean, c, 1);
    }
    text_add(&clean, ""); /* never NULL */
    equal = clean.data == NULL ? NULL : strchr(clean.data, '=');
    if (equal != NULL) {
        size_t start = (size_t)(equal - clean.data) + 1;
        size_t zeros = strspn(clean.data + start, "0");

        if (clean.data[start + zeros] == '\0' && zeros > 0)
            zeros--;
        memmove(clean.data + start, clean.data + start + zeros,
                strlen(clean.data + start + zeros) + 1);
    }
    return text_take(&clean);
}

static void split_items(struct strings *items, const char *line)
{
    struct strings parts = { 0 };

    strings_split(&parts, strchr(line, ':') + 1, ';');
    for (size_t i = 0; i < parts.count; i++) {
        auto_free char *item = clean_value(parts.items[i]);

        if (item[0] != '\0')
            strings_take(items, take_ptr(&item));
    }
    strings_clear(&parts);
}

/* Every item of @wanted is in @line, which is of the same resource. */
static bool line_has(const char *line, const char *wanted)
{
    size_t prefix = (size_t)(strchr(wanted, ':') - wanted) + 1;
    struct strings have = { 0 }, want = { 0 };
    bool has_all = true;

    if (strncmp(line, wanted, prefix) != 0)
        return false;
    split_items(&have, line);
    split_items(&want, wanted);
    for (size_t i = 0; i < want.count; i++)
        has_all &= strings_contains(&have, want.items[i]);
    strings_clear(&have);
    strings_clear(&want);
    return has_all;
}

bool rdt_lines_match(const struct strings *lines, const char *schemata)
{
    struct strings existing = { 0 };
    bool do_match = true;

    add_lines(&existing, schemata, NULL);
    for (size_t i = 0; i < lines->count && do_match; i++) {
        bool is_there = false;

        for (size_t j = 0; j < existing.count && !is_there; j++)
            is_there = line_has(existing.items[j], lines->items[i]);
        do_match = is_there;
    }
    strings_clear(&existing);
    return do_match;
}

/* --- doing ------------------------------------------------------------------------------------ */

int rdt_open(int *ret_root_fd, struct error *err)
{
    auto_close int fd = open(RDT_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct statfs file_system;

    if (fd >= 0 && fstatfs(fd, &file_system) < 0)
        return error_errno(err, "look at " RDT_ROOT);
    if (fd < 0 || file_system.f_type != RDT_MAGIC)
        return error_set(err, EOPNOTSUPP,
                         "linux.intelRdt: no resctrl file system is mounted on " RDT_ROOT
                         " (mount -t resctrl resctrl " RDT_ROOT ", where kernel and processor "
                         "have it)");
    *ret_root_fd = take_fd(&fd);
    return 0;
}

static bool is_there(int root_fd, const char *path)
{
    return faccessat(root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int rdt_find_missing(const struct rdt_plan *plan, int root_fd, char **ret_group, char **ret_monitor,
                     struct error *err)
{
    bool has_group = is_there(root_fd, plan->group);

    *ret_group = *ret_monitor = NULL;
    if (!has_group && plan->must_exist)
        return error_set(err, ENOENT,
                         "linux.intelRdt.closID: there is no class '%s', and no schemata are given "
                         "to make it with",
                         plan->group);
    if (!has_group)
        *ret_group = xstrdup(plan->group);
    else if (plan->monitor != NULL && !is_there(root_fd, plan->monitor))
        *ret_monitor = xstrdup(plan->monitor);
    return 0;
}

/* What the kernel says of the last failure, in words. */
static int explain(int root_fd, int r, struct error *err)
{
    auto_free char *words = NULL;

    if (file_read_kernel(root_fd, "info/last_cmd_status", &words, NULL) < 0 || words[0] == '\0' ||
        strcmp(words, "ok") == 0)
        return r;
    return error_set(err, -r, "%s (%s)", words, strerror(-r));
}

static int write_schemata(int root_fd, int group_fd, const struct strings *lines, struct error *err)
{
    auto_free char *joined = strings_join(lines, "\n");
    auto_free char *text = xasprintf("%s\n", joined);
    int r;

    if (lines->count == 0)
        return 0;
    r = file_write_kernel(group_fd, "schemata", text, err);
    if (r < 0)
        r = explain(root_fd, r, err);
    return r < 0 ? error_prefix(err, r, "linux.intelRdt: schemata '%s'", joined) : 0;
}

static int compare_schemata(const struct rdt_plan *plan, int group_fd, struct error *err)
{
    auto_free char *schemata = NULL;
    int r;

    if (plan->schemata.count == 0)
        return 0;
    r = file_read_kernel(group_fd, "schemata", &schemata, err);
    if (r < 0)
        return error_prefix(err, r, "linux.intelRdt: class '%s'", plan->group);
    if (!rdt_lines_match(&plan->schemata, schemata))
        return error_set(err, EEXIST,
                         "linux.intelRdt: the class '%s' is there already with other schemata",
                         plan->group);
    return 0;
}

/* @made  its name, as it is to be ours; NULL afterwards when it is not */
static int make_directory(int root_fd, const char *path, char **made, struct error *err)
{
    int r = 0;

    if (mkdirat(root_fd, path, 0755) == 0)
        return 0;
    if (errno != EEXIST)
        r = explain(root_fd, error_errno(err, "linux.intelRdt: make '%s'", path), err);
    free(take_ptr(made));
    return r;
}

static int add_process(int root_fd, const char *directory, pid_t pid, struct error *err)
{
    auto_free char *path = path_join(directory, "tasks");
    auto_free char *value = xasprintf("%d", pid);
    int r = file_write_kernel(root_fd, path, value, err);

    if (r < 0)
        r = explain(root_fd, r, err);
    return r < 0 ? error_prefix(err, r, "linux.intelRdt: put process %d into '%s'", pid, directory)
                 : 0;
}

/* Makes the class and fills it, or finds it as it has to be. */
static int provide_class(const struct rdt_plan *plan, int root_fd, char **group, struct error *err)
{
    auto_close int group_fd = -1;
    int r;

    if (*group != NULL) {
        r = make_directory(root_fd, plan->group, group, err);
        if (r < 0)
            return r;
    }
    group_fd = openat(root_fd, plan->group, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (group_fd < 0)
        return error_errno(err, "linux.intelRdt: open class '%s'", plan->group);
    return *group != NULL ? write_schemata(root_fd, group_fd, &plan->schemata, err)
                          : compare_schemata(plan, group_fd, err);
}

/* Between programs that change it by more than one file (kernel, filesystems/resctrl.rst): else a
 * class that another create has just made would be compared before it has its schemata. */
static int lock_tree(int root_fd, struct error *err)
{
    if (flock(root_fd, LOCK_EX) < 0)
        return error_errno(err, "lock " RDT_ROOT);
    return 0;
}

int rdt_apply(const struct rdt_plan *plan, int root_fd, pid_t pid, char **group, char **monitor,
              struct error *err)
{
    bool was_new = *group != NULL;
    int r;

    r = lock_tree(root_fd, err);
    if (r < 0) {
        free(take_ptr(group)); /* never made */
        return r;
    }
    r = provide_class(plan, root_fd, group, err);
    if (r == 0)
        r = add_process(root_fd, plan->group, pid, err);
    if (r < 0 || plan->monitor == NULL)
        return r;
    /* In a class of our own it goes with the class. */
    if (was_new && *group == NULL)
        *monitor = xstrdup(plan->monitor);
    r = make_directory(root_fd, plan->monitor, monitor, err);
    return r < 0 ? r : add_process(root_fd, plan->monitor, pid, err);
}

int rdt_remove(int root_fd, const char *path, struct error *err)
{
    if (unlinkat(root_fd, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return error_errno(err, "remove the class '%s' from " RDT_ROOT, path);
    return 0;
}

/* Takes back what a failed rdt_apply() made, so that the next update begins anew. */
static int forget_new(struct container *container, int root_fd)
{
    struct state *state = &container->state;
    int r = 0;

    if (state->rdt_monitor != NULL)
        r = rdt_remove(root_fd, state->rdt_monitor, NULL);
    if (r == 0 && state->rdt_group != NULL)
        r = rdt_remove(root_fd, state->rdt_group, NULL);
    if (r < 0)
        return r;
    free(take_ptr(&state->rdt_monitor));
    free(take_ptr(&state->rdt_group));
    return state_write(container->dir_fd, state, NULL);
}

static int apply_new(struct container *container, const struct rdt_plan *plan, int root_fd,
                     struct error *err)
{
    struct state *state = &container->state;
    bool was_new;
    int r;

    r = rdt_find_missing(plan, root_fd, &state->rdt_group, &state->rdt_monitor, err);
    if (r < 0)
        return r;
    r = state_write(container->dir_fd, state, err);
    if (r < 0)
        return r;
    was_new = state->rdt_group != NULL;
    r = rdt_apply(plan, root_fd, state->pid, &state->rdt_group, &state->rdt_monitor, err);
    if (r < 0) {
        (void)forget_new(container, root_fd); /* else `delete` does it */
        return r;
    }
    return was_new && state->rdt_group == NULL ? state_write(container->dir_fd, state, err) : 0;
}

int rdt_change(struct container *container, int root_fd, const char *l3_cache_schema,
               const char *mem_bw_schema, struct error *err)
{
    struct spec_intel_rdt changed = { .l3_cache_schema = (char *)l3_cache_schema,
                                      .mem_bw_schema = (char *)mem_bw_schema };
    AUTO(rdt_plan) struct rdt_plan *plan = NULL;
    auto_close int group_fd = -1;
    const struct spec *spec = NULL;
    int r;

    r = container_spec(container, &spec, err);
    if (r < 0)
        return r;
    if (spec->linux_.intel_rdt != NULL)
        changed.clos_id = spec->linux_.intel_rdt->clos_id;
    r = rdt_check(&changed, err);
    if (r < 0)
        return r;
    plan = rdt_plan(&changed, container->state.id);
    if (spec->linux_.intel_rdt == NULL && container->state.rdt_group == NULL)
        return apply_new(container, plan, root_fd, err);
    group_fd = openat(root_fd, plan->group, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (group_fd < 0)
        return error_errno(err, "linux.intelRdt: open class '%s'", plan->group);
    r = lock_tree(root_fd, err);
    return r < 0 ? r : write_schemata(root_fd, group_fd, &plan->schemata, err);
}

int rdt_update(struct container *container, const char *l3_cache_schema, const char *mem_bw_schema,
               struct error *err)
{
    auto_close int root_fd = -1;
    int r = rdt_open(&root_fd, err);

    return r < 0 ? r : rdt_change(container, root_fd, l3_cache_schema, mem_bw_schema, err);
}
