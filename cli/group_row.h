#ifndef CLI_GROUP_ROW_H
#define CLI_GROUP_ROW_H

#include <stdbool.h>

#include "base/text.h"
#include "cli/listing.h"
#include "engine/engine.h"

/* One row of `cgroup ls`; pure. */

#define GROUP_TABLE                                                                                \
    "{{.Tree}}\t{{.CPUs}}\t{{.CPUShares}}\t{{.SharePerc}}\t{{.MemUsage}}\t{{.PIDs}}\t"             \
    "{{.IOWeight}}\t{{.OOMKills}}"

extern const struct listing_column group_columns[];

/* How the tree is drawn. */
struct group_style {
    bool is_unicode; /* lines of box drawing characters, else of ASCII */
    bool has_color;
    bool is_whole; /* --no-trunc */
};

/** The style for standard output: terminals alone get more than ASCII, by locale and NO_COLOR. */
struct group_style group_style_choose(void);
/** Its pure half. @locale, @no_color: values of variables, NULL when not set. */
struct group_style group_style_plan(bool is_terminal, const char *terminal, const char *locale,
                                    const char *no_color);

/**
 * The lines before a node's name, "" for one without a parent: "│  ├─ ". Caller frees.
 */
char *group_tree_lines(const struct group_nodes *nodes, size_t index, bool is_unicode);

void group_row_format(const struct group_nodes *nodes, size_t index,
                      const struct group_style *style, struct string_map *fields);

#endif
