#include "cli/group_row.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"

#define NONE     "-"
#define ID_SHORT 12

#define BOLD  "\033[1m"
#define RED   "\033[31m"
#define PLAIN "\033[0m"

const struct listing_column group_columns[] = {
    { "Tree", "CGROUP" },
    { "Name", "NAME" },
    { "Kind", "KIND" },
    { "ID", "CONTAINER ID" },
    { "Parent", "PARENT" },
    { "CPUs", "CPUS" },
    { "CPUShares", "SHARES" },
    { "SharePerc", "SHARE" },
    { "CPUTime", "CPU TIME" },
    { "MemUsage", "MEM USAGE / LIMIT" },
    { "MemPerc", "MEM %" },
    { "PIDs", "PIDS / LIMIT" },
    { "IOWeight", "IO WEIGHT" },
    { "OOMKills", "OOM KILLS" },
    { 0 },
};

/* --- how it is drawn -------------------------------------------------------------------------- */

struct group_style group_style_plan(bool is_terminal, const char *terminal, const char *locale,
                                    const char *no_color)
{
    bool is_utf8 = locale != NULL &&
                   (strcasestr(locale, "utf-8") != NULL || strcasestr(locale, "utf8") != NULL);
    bool is_dumb = text_is_empty(terminal) || strcmp(terminal, "dumb") == 0;

    return (struct group_style){
        .is_unicode = is_terminal && is_utf8,
        .has_color = is_terminal && !is_dumb && text_is_empty(no_color),
    };
}

struct group_style group_style_choose(void)
{
    static const char *const variables[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    const char *locale = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(variables) && text_is_empty(locale); i++)
        locale = getenv(variables[i]);
    return group_style_plan(isatty(STDOUT_FILENO) == 1, getenv("TERM"), locale, getenv("NO_COLOR"));
}

static bool is_last(const struct group_nodes *nodes, size_t index)
{
    for (size_t i = index + 1; i < nodes->count; i++)
        if (nodes->items[i].parent == nodes->items[index].parent)
            return false;
    return true;
}

char *group_tree_lines(const struct group_nodes *nodes, size_t index, bool is_unicode)
{
    static const struct {
        const char *branch, *last, *line, *space;
    } styles[] = { { "|- ", "`- ", "|  ", "   " }, { "├─ ", "└─ ", "│  ", "   " } };
    char *lines = xstrdup("");

    for (size_t node = index; nodes->items[node].parent != GROUP_NO_PARENT;
         node = nodes->items[node].parent) {
        bool ends = is_last(nodes, node);
        auto_free char *behind = lines;

        lines =
            xasprintf("%s%s",
                      node == index ? (ends ? styles[is_unicode].last : styles[is_unicode].branch)
                      : ends        ? styles[is_unicode].space
                                    : styles[is_unicode].line,
                      behind);
    }
    return lines;
}

/* --- fields ----------------------------------------------------------------------------------- */

/* In the tree a group goes by the last part of its name, with a slash, and a container by its own.
 */
static void add_tree(const struct group_nodes *nodes, size_t index, const struct group_style *style,
                     struct string_map *fields)
{
    const struct group_node *node = &nodes->items[index];
    const char *slash = node->parent != GROUP_NO_PARENT ? strrchr(node->name, '/') : NULL;
    const char *name = slash != NULL && node->id == NULL ? slash + 1 : node->name;
    bool is_bold = style->has_color && node->id == NULL;
    auto_free char *lines = group_tree_lines(nodes, index, style->is_unicode);
    auto_free char *tree = xasprintf("%s%s%s%s%s", lines, is_bold ? BOLD : "", name,
                                     node->id == NULL ? "/" : "", is_bold ? PLAIN : "");

    string_map_set(fields, "Tree", tree);
}

static void set_number(struct string_map *fields, const char *field, uint64_t value)
{
    auto_free char *text = xasprintf("%" PRIu64, value);

    string_map_set(fields, field, text);
}

/* "0.5", "1.25": as --cpus takes it. */
static char *format_cpus(const struct cgroup_shares *held)
{
    char *text;
    size_t length;

    if (held->quota_us == UINT64_MAX || held->period_us == 0)
        return xstrdup(NONE);
    text = xasprintf("%.3f", (double)held->quota_us / (double)held->period_us);
    length = strlen(text);
    while (text[length - 1] == '0')
        text[--length] = '\0';
    if (text[length - 1] == '.')
        text[--length] = '\0';
    return text;
}

static void add_cpu(const struct group_node *node, struct string_map *fields)
{
    auto_free char *cpus = format_cpus(&node->held);
    auto_free char *share = xasprintf("%.1f%%", node->cpu_share * 100);
    auto_free char *time =
        node->usage.has_cpu ? xasprintf("%.2fs", (double)node->usage.cpu_ns / 1e9) : xstrdup(NONE);

    string_map_set(fields, "CPUs", cpus);
    set_number(fields, "CPUShares", node->cpu_shares);
    string_map_set(fields, "SharePerc", share);
    string_map_set(fields, "CPUTime", time);
}

static void add_memory(const struct group_node *node, struct string_map *fields)
{
    const struct cgroup_usage *usage = &node->usage;
    uint64_t used = usage->memory_bytes > usage->memory_inactive_file_bytes
                        ? usage->memory_bytes - usage->memory_inactive_file_bytes
                        : usage->memory_bytes;
    bool is_limited =
        usage->memory_limit_bytes != UINT64_MAX && (usage->has_memory || !node->is_made);
    auto_free char *used_text = usage->has_memory ? text_format_size_binary(used) : xstrdup(NONE);
    auto_free char *limit =
        is_limited ? text_format_size_binary(usage->memory_limit_bytes) : xstrdup(NONE);
    auto_free char *both = xasprintf("%s / %s", used_text, limit);
    auto_free char *percent =
        is_limited && usage->has_memory && usage->memory_limit_bytes > 0
            ? xasprintf("%.2f%%", (double)used * 100 / (double)usage->memory_limit_bytes)
            : xstrdup(NONE);

    string_map_set(fields, "MemUsage", both);
    string_map_set(fields, "MemPerc", percent);
}

static void add_pids(const struct group_node *node, struct string_map *fields)
{
    const struct cgroup_usage *usage = &node->usage;
    bool is_limited = usage->pids_limit != UINT64_MAX && (usage->has_pids || !node->is_made);
    auto_free char *used = usage->has_pids ? xasprintf("%" PRIu64, usage->pids) : xstrdup(NONE);
    auto_free char *limit = is_limited ? xasprintf("%" PRIu64, usage->pids_limit) : xstrdup(NONE);
    auto_free char *both = xasprintf("%s / %s", used, limit);

    string_map_set(fields, "PIDs", both);
}

static void add_oom_kills(const struct group_node *node, const struct group_style *style,
                          struct string_map *fields)
{
    const struct cgroup_usage *usage = &node->usage;
    bool is_red = style->has_color && usage->oom_kills > 0;
    /* Of a group, none may mean that they are forgotten. */
    bool is_known = usage->has_memory &&
                    (node->id != NULL || usage->has_past_oom_kills || usage->oom_kills > 0);
    auto_free char *text = is_known ? xasprintf("%s%" PRIu64 "%s", is_red ? RED : "",
                                                usage->oom_kills, is_red ? PLAIN : "")
                                    : xstrdup(NONE);

    string_map_set(fields, "OOMKills", text);
}

void group_row_format(const struct group_nodes *nodes, size_t index,
                      const struct group_style *style, struct string_map *fields)
{
    const struct group_node *node = &nodes->items[index];
    bool is_group = node->id == NULL;
    auto_free char *id = is_group          ? xstrdup("")
                         : style->is_whole ? xstrdup(node->id)
                                           : xstrndup(node->id, ID_SHORT);

    add_tree(nodes, index, style, fields);
    string_map_set(fields, "Name", node->name);
    string_map_set(fields, "Kind", is_group ? "cgroup" : "container");
    string_map_set(fields, "ID", id);
    string_map_set(fields, "Parent",
                   node->parent == GROUP_NO_PARENT ? "" : nodes->items[node->parent].name);
    add_cpu(node, fields);
    add_memory(node, fields);
    add_pids(node, fields);
    if (node->held.has_io_weight)
        set_number(fields, "IOWeight", node->held.io_weight);
    else
        string_map_set(fields, "IOWeight", NONE);
    add_oom_kills(node, style, fields);
}
