#include "runtime/environment.h"

#include <string.h>
#include <unistd.h>

#include "runtime/user.h"

/* The environment of a process: what its spec says, each name once, and what a runtime adds. */

static bool has_name_of(const char *variable, const char *other)
{
    size_t length = strcspn(variable, "=");

    return strncmp(variable, other, length + 1) == 0;
}

void environment_plan(const struct strings *given, struct strings *ret_env)
{
    for (size_t i = 0; i < given->count; i++) {
        bool is_last = true;

        for (size_t j = i + 1; j < given->count && is_last; j++)
            is_last = !has_name_of(given->items[i], given->items[j]);
        if (is_last)
            strings_add(ret_env, given->items[i]);
    }
}

void environment_complete_child(struct strings *env, uid_t uid, unsigned listen_fds)
{
    if (text_is_empty(strings_variable(env, "HOME"))) {
        auto_free char *home = user_find_home(uid);

        strings_set_variable(env, "HOME", home);
    }
    if (listen_fds > 0) {
        auto_free char *count = xasprintf("%u", listen_fds);
        auto_free char *pid = xasprintf("%d", (int)getpid());

        strings_set_variable(env, "LISTEN_FDS", count);
        strings_set_variable(env, "LISTEN_PID", pid);
    }
}
