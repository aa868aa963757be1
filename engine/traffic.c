#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/engine.h"

/* /proc/PID/net/dev: two lines of titles, then "  eth0:" and 16 numbers for each interface, of
 * which the first are the bytes received and the ninth those sent (proc(5)). */

#define SENT_COLUMN 8

/* Loopback is nobody's traffic, and berth's own taps repeat what the interface beside them has. */
static bool is_counted(const char *name, size_t length)
{
    static const char tap[] = "berth-tap";

    return !(length == 2 && memcmp(name, "lo", 2) == 0) &&
           !(length >= strlen(tap) && memcmp(name, tap, strlen(tap)) == 0);
}

static void add_interface(const char *line, struct traffic *traffic)
{
    const char *name = line + strspn(line, " "), *colon = strchr(line, ':');
    const char *next = colon + 1;

    if (!is_counted(name, (size_t)(colon - name)))
        return;
    for (unsigned column = 0; column <= SENT_COLUMN; column++) {
        char *end;
        uint64_t number = strtoull(next, &end, 10);

        if (end == next)
            return;
        if (column == 0)
            traffic->received_bytes += number;
        if (column == SENT_COLUMN)
            traffic->sent_bytes += number;
        next = end;
    }
}

void traffic_parse(const char *text, struct traffic *ret_traffic)
{
    struct traffic traffic = { 0 };

    assert(text != NULL);
    assert(ret_traffic != NULL);

    while (*text != '\0') {
        auto_free char *line = xstrndup(text, strcspn(text, "\n"));

        if (strchr(line, ':') != NULL)
            add_interface(line, &traffic);
        text += strlen(line);
        text += *text == '\n';
    }
    *ret_traffic = traffic;
}

int engine_traffic(const struct container_view *view, struct traffic *ret_traffic,
                   struct error *err)
{
    auto_free char *path = xasprintf("/proc/%d/net/dev", (int)view->pid);
    auto_free char *text = NULL;
    int r;

    assert(ret_traffic != NULL);

    if (view->pid == 0 || text_equal(view->network, "host")) {
        *ret_traffic = (struct traffic){ 0 };
        return 0;
    }
    r = file_read_kernel(AT_FDCWD, path, &text, err);
    if (r == 0)
        traffic_parse(text, ret_traffic);
    return r;
}
