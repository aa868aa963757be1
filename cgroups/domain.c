#include "cgroups/domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "cgroups/cgroup_system.h"

/* A v2 group is a domain: it has processes, or it passes controllers on, never both ("No Internal
 * Process Constraint"). But one with processes may pass on the controllers that also work on
 * threads, such as cpu and pids: it thereby becomes "domain threaded", and whoever makes a group
 * below finds it "domain invalid", fit for threads only ("Threads"). So the kernel takes a write
 * that makes the next container impossible; this file knows before, and explains afterwards. See
 * cgroup-v2.rst. */

static char *read_file(const struct cgroup_hierarchy *v2, const char *relative, const char *file)
{
    auto_free char *path = path_join(relative[0] == '\0' ? "." : relative, file);
    char *text = NULL;
    int r = file_read_kernel(v2->fd, path, &text, NULL);

    return r < 0 ? NULL : text;
}

/* "domain", "domain threaded", "domain invalid", "threaded"; the machine's root has no type. */
static char *read_type(const struct cgroup_hierarchy *v2, const char *relative)
{
    char *type = read_file(v2, relative, "cgroup.type");

    return type != NULL ? type : xstrdup("domain");
}

static bool has_processes(const struct cgroup_hierarchy *v2, const char *relative)
{
    auto_free char *processes = read_file(v2, relative, "cgroup.procs");

    return !text_is_empty(processes);
}

bool domain_may_pass_on(const struct cgroup_hierarchy *v2, const char *relative)
{
    auto_free char *type = read_file(v2, relative, "cgroup.type");

    return type == NULL || (text_equal(type, "domain") && !has_processes(v2, relative));
}

/* --- why -----------------------------------------------------------------------------------------
 */

/* The group above; NULL above the root. Caller frees. */
static char *parent_of(const char *relative)
{
    const char *slash = strrchr(relative, '/');

    if (relative[0] == '\0')
        return NULL;
    return slash != NULL ? xstrndup(relative, (size_t)(slash - relative)) : xstrdup("");
}

static bool lists(const struct cgroup_hierarchy *v2, const char *relative, const char *file,
                  const char *controller)
{
    auto_free char *list = read_file(v2, relative, file);

    return list != NULL && cgroup_list_contains(list, ' ', controller);
}

/* @relative: the lowest group that has the controller itself. */
static char *explain_not_passed(const struct cgroup_hierarchy *v2, const char *relative,
                                const char *controller)
{
    auto_free char *type = read_type(v2, relative);

    if (!text_equal(type, "domain"))
        return xasprintf(
            "/%s above it does not pass the controller on, as it is a place of threads "
            "(its cgroup.type is '%s'): choose another parent",
            relative, type);
    if (has_processes(v2, relative))
        return xasprintf("/%s above it does not pass the controller on, as it has processes of its "
                         "own: move them into a cgroup below it, or choose another parent",
                         relative);
    return xasprintf("/%s above it does not pass the controller on: write '+%s' into its "
                     "cgroup.subtree_control",
                     relative, controller);
}

char *domain_held_back(const struct cgroup_hierarchy *v2, const char *relative,
                       const char *controller)
{
    auto_free char *path = xstrdup(relative);
    char *parent;

    if (!lists(v2, "", "cgroup.controllers", controller) ||
        lists(v2, relative, "cgroup.controllers", controller))
        return NULL;
    while ((parent = parent_of(path)) != NULL) {
        free(path);
        path = parent;
        if (lists(v2, path, "cgroup.controllers", controller))
            break;
    }
    return explain_not_passed(v2, path, controller);
}

/* Below a place of threads every group that was not made one itself is invalid. */
static char *explain_invalid(const struct cgroup_hierarchy *v2, const char *relative)
{
    auto_free char *path = parent_of(relative);
    auto_free char *type = NULL;
    char *parent;

    while (path != NULL) {
        free(type);
        type = read_type(v2, path);
        parent = text_equal(type, "domain invalid") ? parent_of(path) : NULL;
        if (parent == NULL)
            break;
        free(path);
        path = parent;
    }
    if (path == NULL || text_equal(type, "domain"))
        return NULL;
    return xasprintf(
        "it takes no process (its cgroup.type is 'domain invalid'), because /%s above it "
        "is '%s': %schoose another parent",
        path, type,
        has_processes(v2, path) ? "move the processes of that one into a cgroup below "
                                  "it and empty its cgroup.subtree_control, or "
                                : "");
}

char *domain_refusal(const struct cgroup_hierarchy *v2, const char *relative)
{
    auto_free char *type = read_type(v2, relative);
    auto_free char *passed = read_file(v2, relative, "cgroup.subtree_control");

    if (text_equal(type, "threaded"))
        return xstrdup(
            "it takes single threads only (its cgroup.type is 'threaded'): choose a cgroup "
            "that is not among threads");
    if (text_equal(type, "domain invalid"))
        return explain_invalid(v2, relative);
    if (!text_is_empty(passed))
        return xasprintf(
            "it takes no process, because it passes controllers on (%s) to the cgroups "
            "below it: choose one of these",
            passed);
    return NULL;
}
