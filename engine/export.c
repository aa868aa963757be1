#include "engine/engine.h"

#include <assert.h>
#include <stdint.h>

#include "base/fd.h"
#include "engine/child_warnings.h"
#include "engine/container_visit.h"

struct export
{
    int out_fd;
    int warnings_fd;
};

static int write_bytes(const void *bytes, size_t length, void *context, struct error *err)
{
    const struct export *export = context;

    return fd_write_all(export->out_fd, bytes, length, "the archive", err);
}

static int export_child(int root_fd, void *context, struct error *err)
{
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    const struct change_source source = { .upper_fd = root_fd };
    const struct pack_options options = {
        .sink = write_bytes, .context = context, .latest = INT64_MAX, .warnings = &warnings
    };
    const struct export *export = context;
    int r;

    r = pack_changes(&source, &options, err);
    child_warnings_write(export->warnings_fd, &warnings);
    return r;
}

int engine_export(struct engine *engine, const char *id, int out_fd, struct strings *ret_warnings,
                  struct error *err)
{
    struct export export = { .out_fd = out_fd };
    auto_close int warnings_fd = -1;
    int r;

    assert(engine != NULL);
    assert(ret_warnings != NULL);

    r = child_warnings_open(&warnings_fd, err);
    if (r < 0)
        return r;
    export.warnings_fd = warnings_fd;
    r = container_visit(engine, id, VISIT_ROOT, export_child, &export, err);
    child_warnings_read(warnings_fd, ret_warnings);
    return r;
}
