#include "microvm/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decode.h"
#include "base/file.h"

/* Answers about the container, as texts. */

#define COMMAND_MAX 256 /* bytes of a command line that are shown */

static int check_container(const struct agent *agent, struct error *err)
{
    return agent->container == NULL ? error_set(err, ESRCH, "container not running") : 0;
}

/* --- processes -----------------------------------------------------------------------------------
 */

/* The last word of a line "NAME:\tword\tword" of /proc/PID/status; "?" when there is none. */
static char *status_word(const char *status, const char *name, bool is_last)
{
    const char *line = strstr(status, name);
    size_t length, start = 0, end;

    if (line == NULL)
        return xstrdup("?");
    line += strlen(name);
    length = strcspn(line, "\n");
    while (length > 0 && line[length - 1] == '\t')
        length--;
    for (size_t i = 0; i < length && is_last; i++) {
        if (line[i] == '\t')
            start = i + 1;
    }
    end = start + strcspn(line + start, "\t\n");
    return xstrndup(line + start, end - start);
}

/* One line, whatever the process calls itself. */
static char *command_of(pid_t pid, const char *status)
{
    auto_free char *path = xasprintf("/proc/%d/cmdline", pid);
    auto_free char *text = NULL;
    auto_free char *name = NULL;
    size_t length = 0;

    if (file_read(AT_FDCWD, path, 1 << 20, &text, &length, NULL) < 0 || length == 0) {
        name = status_word(status, "Name:\t", false);
        return xasprintf("[%s]", name);
    }
    if (length > COMMAND_MAX)
        length = COMMAND_MAX;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            text[i] = ' ';
    }
    while (length > 0 && text[length - 1] == ' ')
        length--;
    return xstrndup(text, length);
}

static void add_process_line(pid_t pid, struct text *text)
{
    auto_free char *path = xasprintf("/proc/%d/status", pid);
    auto_free char *status = NULL;
    auto_free char *number = NULL;
    auto_free char *uid = NULL;
    auto_free char *command = NULL;

    if (file_read_kernel(AT_FDCWD, path, &status, NULL) < 0)
        return; /* it has just ended */
    number = status_word(status, "NSpid:\t", true);
    uid = status_word(status, "Uid:\t", false);
    command = command_of(pid, status);
    text_addf(text, "%s %s %s\n", number, uid, command);
}

int agent_answer_processes(struct agent *agent, const struct agent_message *message,
                           char **ret_text, struct error *err)
{
    auto_free pid_t *pids = NULL;
    struct text text = { 0 };
    size_t count = 0;
    int r;

    (void)message;
    r = check_container(agent, err);
    if (r == 0)
        r = container_pids(agent->container, &pids, &count, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        add_process_line(pids[i], &text);
    *ret_text = text_take(&text);
    return 0;
}

/* --- limits --------------------------------------------------------------------------------------
 */

int agent_answer_usage(struct agent *agent, const struct agent_message *message, char **ret_text,
                       struct error *err)
{
    struct cgroup_usage usage = { 0 };
    struct cgroup *cgroup;
    int r;

    (void)message;
    r = check_container(agent, err);
    if (r < 0)
        return r;
    cgroup = container_cgroup(agent->container);
    if (cgroup == NULL)
        return error_set(err, EOPNOTSUPP, "the container has no cgroup in the guest");
    r = cgroup_usage(cgroup, &usage, err);
    if (r < 0)
        return r;
    *ret_text =
        xasprintf("{\"cpu_ns\":%llu,\"memory_bytes\":%llu,\"memory_inactive_file_bytes\":%llu,"
                  "\"pids\":%llu,\"oom_kills\":%llu}",
                  (unsigned long long)usage.cpu_ns, (unsigned long long)usage.memory_bytes,
                  (unsigned long long)usage.memory_inactive_file_bytes,
                  (unsigned long long)usage.pids, (unsigned long long)usage.oom_kills);
    return 0;
}

int agent_answer_update(struct agent *agent, const struct agent_message *message, char **ret_text,
                        struct error *err)
{
    struct cgroup_resources resources = { 0 };
    int r;

    r = check_container(agent, err);
    if (r == 0)
        r = decode_text(&cgroup_resources_object, message->spec, strlen(message->spec), &resources,
                        "resources", err);
    if (r < 0)
        return r;
    r = container_update(agent->container, &resources, err);
    object_clear(&cgroup_resources_object, &resources);
    if (r == 0)
        *ret_text = xstrdup("");
    return r;
}

int agent_answer_clock(struct agent *agent, const struct agent_message *message, char **ret_text,
                       struct error *err)
{
    int r = agent_set_time(message->time_ns, err);

    (void)agent;
    if (r == 0)
        *ret_text = xstrdup("");
    return r;
}
