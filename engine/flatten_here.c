#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "base/path.h"
#include "base/staging.h"
#include "engine/engine_private.h"
#include "engine/provision.h"

struct report {
    engine_progress *function;
    void *context;
};

static void tell(uint64_t bytes_done, uint64_t bytes_total, void *context)
{
    const struct report *report = context;

    if (report->function != NULL)
        report->function("Making one file of the image", bytes_done, bytes_total, report->context);
}

int engine_flatten_here(struct engine *engine, const struct strings *keys,
                        engine_progress *progress, void *context, char **ret_path,
                        struct error *err)
{
    struct report report = { .function = progress, .context = context };
    struct erofs_watch watch = { .progress = tell, .context = &report };
    auto_free char *path = NULL;
    int lock_fd = -1;
    int r;

    assert(engine != NULL);
    assert(keys != NULL);
    assert(ret_path != NULL);

    r = engine_need_images(engine, err);
    if (r == 0)
        r = layers_lock(engine->data_fd, false, UINT32_MAX, &lock_fd, err);
    if (r < 0)
        return r;
    r = erofs_ensure(engine->data_fd, keys, &watch, &path, err);
    (void)close(lock_fd); /* releases the lock */
    if (r == -ENOSPC || r == -EDQUOT)
        provision_discard(engine, r);
    if (r == 0)
        *ret_path = path_join(engine->data_path, path);
    return r;
}
