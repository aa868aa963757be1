#include "cgroups/limits.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/cgroup.h"
#include "cgroups/device_filter.h"

/* Limits of a cgroup in use: what each file says is read before the first write, so that all can be
 * taken back when one write fails. */

/* "8:16" */
static bool is_device_number(const char *text)
{
    size_t major = strspn(text, "0123456789");
    size_t minor;

    if (major == 0 || text[major] != ':')
        return false;
    minor = strspn(text + major + 1, "0123456789");
    return minor > 0 && text[major + 1 + minor] == '\0';
}

/* The line that begins with a word, as a copy; NULL: none does. */
static char *find_line(const char *text, const char *word)
{
    size_t length = strlen(word);

    for (const char *line = text; *line != '\0';) {
        const char *end = strchrnul(line, '\n');

        if (strncmp(line, word, length) == 0 && line[length] == ' ')
            return xstrndup(line, (size_t)(end - line));
        line = *end == '\0' ? end : end + 1;
    }
    return NULL;
}

/* What a file that has no line for a device had for it. */
static char *device_default(const char *file, const char *device)
{
    if (text_equal(file, "io.max"))
        return xasprintf("%s rbps=max wbps=max riops=max wiops=max", device);
    return xasprintf("%s %s", device, strstr(file, "throttle") != NULL ? "0" : "default");
}

char *limits_undo_value(const char *file, const char *value, const char *text)
{
    auto_free char *word = xstrndup(value, strcspn(value, " "));
    char *line;

    if (text_equal(file, "memory.oom_control"))
        return text_starts(text, "oom_kill_disable ")
                   ? xstrndup(text + strlen("oom_kill_disable "), 1)
                   : NULL;
    line = find_line(text, word);
    if (line != NULL)
        return line;
    if (is_device_number(word))
        return device_default(file, word);
    line = find_line(text, "default");
    if (line != NULL)
        return line;
    if (strchr(text, '\n') != NULL)
        return NULL;
    /* A write of no bytes would not reach the file. */
    return xstrdup(text[0] != '\0' ? text : "\n");
}

/* Of two weights one may not have been taken, and so cannot be written back. */
static bool is_weight(const char *file)
{
    return strstr(file, "weight") != NULL && !text_starts(file, "cpu.");
}

static void add_undo(const struct cgroup *cgroup, const struct cgroup_write *write,
                     struct cgroup_writes *undo)
{
    const struct cgroup_hierarchy *hierarchy =
        write->controller == CGROUP_UNIFIED ? cgroup_system_v2(cgroup->system)
                                            : cgroup_system_find(cgroup->system, write->controller);
    auto_free char *text = NULL;
    char *value;

    if (hierarchy == NULL || cgroup_file_read(cgroup, hierarchy, write->file, &text) < 0)
        return; /* not there, or only to be written: nothing to take back */
    value = limits_undo_value(write->file, write->value, text);
    if (value == NULL)
        return;
    undo->items = xrealloc(undo->items, undo->count + 1, sizeof(*undo->items));
    undo->items[undo->count++] = (struct cgroup_write){
        .controller = write->controller,
        .file = xstrdup(write->file),
        .value = value,
        .is_optional = is_weight(write->file),
    };
}

/* In the reverse order of the plan, as some files depend on others: cpu.shares on cpu.idle. */
static void plan_undo(const struct cgroup *cgroup, const struct cgroup_writes *writes,
                      struct cgroup_writes *ret_undo)
{
    for (size_t i = writes->count; i > 0; i--)
        add_undo(cgroup, &writes->items[i - 1], ret_undo);
}

static int take_back(const struct cgroup *cgroup, const struct cgroup_writes *undo, int r,
                     struct error *err)
{
    struct error undo_error = { 0 };

    if (limits_write(cgroup, undo, &undo_error) < 0)
        return error_prefix(err, r, "%s, when this failed and was taken back", undo_error.message);
    return r;
}

int cgroup_update(struct cgroup *cgroup, const struct cgroup_resources *resources,
                  const struct cgroup_device_rules *old_devices, struct error *err)
{
    AUTO_CLEAR(cgroup_writes) struct cgroup_writes writes = { 0 };
    AUTO_CLEAR(cgroup_writes) struct cgroup_writes undo = { 0 };
    int r;

    r = limits_prepare(cgroup, resources, &writes, err);
    if (r == 0)
        r = device_filter_check(cgroup, &resources->devices, err);
    if (r < 0)
        return r;
    plan_undo(cgroup, &writes, &undo);
    r = limits_write(cgroup, &writes, err);
    if (r < 0)
        return take_back(cgroup, &undo, r, err);
    r = device_filter_replace(cgroup, &resources->devices, err);
    if (r == 0)
        return 0;
    if (old_devices != NULL)
        (void)device_filter_replace(cgroup, old_devices, NULL); /* the first failure tells more */
    return take_back(cgroup, &undo, r, err);
}
