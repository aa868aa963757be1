#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine_private.h"
#include "engine/group.h"
#include "engine/record.h"
#include "engine/settings_limits.h"

/* Groups and the containers in them, as a tree: the names come from the records, the numbers from
 * the kernel. */

#define DEFAULT_WEIGHT 100 /* of v2 */

/* A container that may be running: the kernel knows. */
struct member {
    char *name, *id, *cgroup_path;
    uint64_t cpu_shares;
};
struct members {
    struct member *items;
    size_t count;
};

struct growth {
    struct engine *engine;
    struct strings names; /* of all groups, as groups_list() sorts them */
    struct members members;
    struct group_nodes *nodes;
};

static void growth_clear(struct growth *growth)
{
    for (size_t i = 0; i < growth->members.count; i++) {
        free(growth->members.items[i].name);
        free(growth->members.items[i].id);
        free(growth->members.items[i].cgroup_path);
    }
    free(growth->members.items);
    strings_clear(&growth->names);
}

void group_nodes_clear(struct group_nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) {
        free(nodes->items[i].name);
        free(nodes->items[i].id);
    }
    free(nodes->items);
    *nodes = (struct group_nodes){ 0 };
}

static int compare_members(const void *left, const void *right)
{
    return strcmp(((const struct member *)left)->name, ((const struct member *)right)->name);
}

static int list_members(struct growth *growth, struct error *err)
{
    AUTO_CLEAR(strings) struct strings ids = { 0 };
    struct members *members = &growth->members;
    int r;

    r = engine_container_ids(growth->engine, &ids, err);
    if (r < 0)
        return r;
    members->items = xcalloc(ids.count + 1, sizeof(*members->items));
    for (size_t i = 0; i < ids.count; i++) {
        AUTO(record) struct record *record = NULL;

        if (record_read(growth->engine, ids.items[i], &record, NULL) < 0)
            continue; /* removed just now, or damaged: `ps` tells */
        members->items[members->count++] = (struct member){
            .name = take_ptr(&record->name),
            .id = take_ptr(&record->id),
            .cgroup_path = take_ptr(&record->cgroup_path),
            .cpu_shares = record->settings.cpu_shares,
        };
    }
    qsort(members->items, members->count, sizeof(*members->items), compare_members);
    return 0;
}

/* What the kernel holds; false: it has no such cgroup. */
static bool look(struct engine *engine, const char *path, struct group_node *node)
{
    AUTO(cgroup) struct cgroup *cgroup = NULL;

    if (cgroup_open(runtime_cgroups(engine->runtime), path, &cgroup, NULL) < 0 ||
        cgroup_usage(cgroup, &node->usage, NULL) < 0)
        return false;
    cgroup_shares_read(cgroup, &node->held);
    node->is_made = true;
    return true;
}

/* Takes the node. */
static void add_node(struct group_nodes *nodes, const struct group_node *node)
{
    nodes->items = xrealloc(nodes->items, nodes->count + 1, sizeof(*nodes->items));
    nodes->items[nodes->count++] = *node;
}

static void add_members(struct growth *growth, const char *path, size_t parent)
{
    size_t length = strlen(path);

    for (size_t i = 0; i < growth->members.count; i++) {
        const struct member *member = &growth->members.items[i];
        struct group_node node = { .parent = parent, .cpu_shares = member->cpu_shares };

        if (member->cgroup_path == NULL || strncmp(member->cgroup_path, path, length) != 0 ||
            member->cgroup_path[length] != '/' ||
            strchr(member->cgroup_path + length + 1, '/') != NULL ||
            !look(growth->engine, member->cgroup_path, &node))
            continue;
        node.name = xstrdup(member->name);
        node.id = xstrdup(member->id);
        add_node(growth->nodes, &node);
    }
}

/* What a group will have once the kernel has its cgroup. */
static void foretell(const struct cgroup_resources *resources, bool is_v2, struct group_node *node)
{
    const struct cgroup_cpu *cpu = &resources->cpu;
    const struct cgroup_memory *memory = &resources->memory;

    node->held.is_cpu_v2 = is_v2;
    node->held.quota_us = cpu->has_quota && cpu->quota > 0 ? (uint64_t)cpu->quota : UINT64_MAX;
    node->held.period_us = cpu->has_period ? cpu->period : LIMITS_CPU_PERIOD_US;
    node->held.has_io_weight = resources->block_io.has_weight;
    node->held.io_weight = resources->block_io.weight;
    node->usage.memory_limit_bytes =
        memory->has_limit && memory->limit > 0 ? (uint64_t)memory->limit : UINT64_MAX;
    node->usage.pids_limit =
        resources->pids.has_limit ? (uint64_t)resources->pids.limit : UINT64_MAX;
}

static int add_group(struct growth *growth, const char *name, size_t parent, struct error *err)
{
    struct engine *engine = growth->engine;
    AUTO(group) struct group *group = NULL;
    auto_free char *path = group_name_path(name);
    struct group_node node = { .parent = parent };
    int r;

    r = group_read(engine, name, &group, err);
    if (r < 0)
        return r;
    node.cpu_shares = group->settings.cpu_shares;
    if (!look(engine, path, &node)) {
        AUTO_CLEAR(limits) struct cgroup_resources resources = { 0 };

        r = settings_limits_plan(engine, &group->settings, &resources, NULL, err);
        if (r < 0)
            return error_prefix(err, r, "cgroup '%s'", name);
        foretell(&resources,
                 cgroup_system_layout(runtime_cgroups(engine->runtime)) == CGROUP_LAYOUT_V2, &node);
    }
    node.name = xstrdup(name);
    add_node(growth->nodes, &node);
    return 0;
}

static int add_groups(struct growth *growth, const char *above, size_t parent, struct error *err)
{
    for (size_t i = 0; i < growth->names.count; i++) {
        const char *name = growth->names.items[i];
        auto_free char *own_parent = group_name_parent(name);
        auto_free char *path = group_name_path(name);
        size_t index = growth->nodes->count;
        int r;

        if (!text_equal(own_parent, above))
            continue;
        r = add_group(growth, name, parent, err);
        if (r == -ENOENT) /* removed just now */
            continue;
        if (r == 0)
            r = add_groups(growth, name, index, err);
        if (r < 0)
            return r;
        add_members(growth, path, index);
    }
    return 0;
}

static double weight_of(const struct group_node *node)
{
    if (node->is_made && node->held.has_cpu_weight)
        return (double)node->held.cpu_weight;
    return node->held.is_cpu_v2 ? (double)node->cpu_shares * DEFAULT_WEIGHT / LIMITS_CPU_SHARES
                                : (double)node->cpu_shares;
}

void group_nodes_share(struct group_nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++)
        if (nodes->items[i].cpu_shares == 0)
            nodes->items[i].cpu_shares = LIMITS_CPU_SHARES;
    for (size_t i = 0; i < nodes->count; i++) {
        double sum = 0;

        for (size_t k = 0; k < nodes->count; k++)
            if (nodes->items[k].parent == nodes->items[i].parent)
                sum += weight_of(&nodes->items[k]);
        nodes->items[i].cpu_share = sum > 0 ? weight_of(&nodes->items[i]) / sum : 0;
    }
}

int group_nodes_cut(struct group_nodes *nodes, const char *name)
{
    size_t first = 0, end;

    while (first < nodes->count &&
           (nodes->items[first].id != NULL || strcmp(nodes->items[first].name, name) != 0))
        first++;
    if (first == nodes->count)
        return -ENOENT;
    end = first + 1;
    while (end < nodes->count && nodes->items[end].parent != GROUP_NO_PARENT &&
           nodes->items[end].parent >= first)
        end++;
    for (size_t i = 0; i < nodes->count; i++) {
        if (i >= first && i < end)
            continue;
        free(nodes->items[i].name);
        free(nodes->items[i].id);
    }
    memmove(nodes->items, nodes->items + first, (end - first) * sizeof(*nodes->items));
    nodes->count = end - first;
    nodes->items[0].parent = GROUP_NO_PARENT;
    for (size_t i = 1; i < nodes->count; i++)
        nodes->items[i].parent -= first;
    return 0;
}

static int grow(struct growth *growth, struct error *err)
{
    int r;

    r = engine_need_runtime(growth->engine, err);
    if (r == 0)
        r = groups_list(growth->engine, &growth->names, err);
    if (r == 0)
        r = list_members(growth, err);
    if (r == 0)
        r = add_groups(growth, NULL, GROUP_NO_PARENT, err);
    if (r < 0)
        return r;
    add_members(growth, BERTH_CGROUP, GROUP_NO_PARENT);
    group_nodes_share(growth->nodes);
    return 0;
}

int engine_group_tree(struct engine *engine, const char *text, struct group_nodes *ret_nodes,
                      struct error *err)
{
    AUTO_CLEAR(group_nodes) struct group_nodes nodes = { 0 };
    AUTO_CLEAR(growth) struct growth growth = { .engine = engine, .nodes = &nodes };
    auto_free char *name = NULL;
    int r = 0;

    if (text != NULL)
        r = group_name_parse(text, &name, err);
    if (r == 0)
        r = grow(&growth, err);
    if (r < 0)
        return r;
    if (name != NULL && group_nodes_cut(&nodes, name) < 0)
        return error_set(err, ENOENT, "there is no cgroup '%s'", name);
    *ret_nodes = nodes;
    nodes = (struct group_nodes){ 0 };
    return 0;
}

/* --- inspect ---------------------------------------------------------------------------------- */

static int fill_report(struct engine *engine, const char *name, struct group_report *report,
                       struct error *err)
{
    AUTO_CLEAR(strings) struct strings all = { 0 };
    int r;

    r = groups_list(engine, &all, err);
    for (size_t i = 0; r == 0 && i < all.count; i++) {
        auto_free char *parent = group_name_parent(all.items[i]);

        if (text_equal(parent, name))
            strings_add(&report->groups, all.items[i]);
    }
    return r < 0 ? r : group_containers(engine, name, false, &report->containers, err);
}

int engine_group_inspect(struct engine *engine, const char *text, char **ret_json,
                         struct error *err)
{
    AUTO(group) struct group *group = NULL;
    AUTO(cgroup) struct cgroup *cgroup = NULL;
    AUTO_CLEAR(cgroup_details) struct cgroup_details details = { 0 };
    struct group_report report = { 0 };
    auto_free char *name = NULL;
    auto_free char *path = NULL;
    int r;

    r = group_name_parse(text, &name, err);
    if (r == 0)
        r = group_read(engine, name, &group, err);
    if (r == -ENOENT)
        return error_set(err, ENOENT, "there is no cgroup '%s'", name);
    if (r == 0)
        r = engine_need_runtime(engine, err);
    if (r < 0)
        return r;
    path = group_name_path(name);
    report.name = name;
    report.path = path;
    report.settings = &group->settings;
    if (cgroup_open(runtime_cgroups(engine->runtime), path, &cgroup, NULL) == 0 &&
        cgroup_details(cgroup, &details, NULL) == 0) {
        report.is_made = true;
        report.usage = &details.usage;
        report.details = &details;
    }
    r = fill_report(engine, name, &report, err);
    if (r == 0)
        *ret_json = encode_text(&group_report_object, &report, ENCODE_COMPACT);
    strings_clear(&report.groups);
    strings_clear(&report.containers);
    return r;
}
