#include <errno.h>
#include <stdbool.h>

#include <seccomp.h>

#include "base/log.h"
#include "base/sandbox.h"

static int add_calls(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++) {
        /* Negative: a call that this architecture does not have. */
        if (calls[i] >= 0)
            r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    }
    return r;
}

int sandbox_filter(const int *calls, size_t count, int (*add_rules)(void *filter),
                   struct error *err)
{
    scmp_filter_ctx filter;
    int r;

    if (SANDBOX_HAS_SANITIZERS)
        return 0;
    filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return error_set(err, ENOMEM, "make a seccomp filter");
    r = add_calls(filter, calls, count);
    if (r == 0 && add_rules != NULL)
        r = add_rules(filter);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    if (r == -ENOSYS || r == -EOPNOTSUPP) {
        log_debug("no seccomp filters here: the sandbox goes on without");
        return 0;
    }
    return r < 0 ? error_set(err, -r, "load the seccomp filter") : 0;
}
