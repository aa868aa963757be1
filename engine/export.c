#include "engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/container_visit.h"
#include "engine/engine_private.h"

/* Of the child that reads, the parent learns what was left out by a file in memory. */

#define WARNING_BYTES_MAX (1u << 20)

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
    AUTO_CLEAR(text) struct text text = { 0 };
    const struct change_source source = { .upper_fd = root_fd };
    const struct pack_options options = {
        .sink = write_bytes, .context = context, .latest = INT64_MAX, .warnings = &warnings
    };
    const struct export *export = context;
    int r;

    r = pack_changes(&source, &options, err);
    for (size_t i = 0; r == 0 && i < warnings.count; i++) {
        text_add(&text, warnings.items[i]);
        text_add_bytes(&text, "", 1);
    }
    /* Lost, they cost a sentence and no file. */
    (void)fd_write_all(export->warnings_fd, text.data, text.length, "warnings", NULL);
    return r;
}

static void take_warnings(int fd, struct strings *ret_warnings)
{
    auto_free char *text = NULL;
    size_t length = 0;

    if (lseek(fd, 0, SEEK_SET) < 0 ||
        fd_read_all(fd, WARNING_BYTES_MAX, "warnings", &text, &length, NULL) < 0)
        return;
    for (const char *at = text; at < text + length; at += strlen(at) + 1)
        strings_add(ret_warnings, at);
}

int engine_export(struct engine *engine, const char *id, int out_fd, struct strings *ret_warnings,
                  struct error *err)
{
    struct export export = { .out_fd = out_fd };
    auto_close int warnings_fd = memfd_create("warnings", MFD_CLOEXEC);
    int r;

    assert(engine != NULL);
    assert(ret_warnings != NULL);

    if (warnings_fd < 0)
        return error_errno(err, "make a file in memory");
    export.warnings_fd = warnings_fd;
    r = container_visit(engine, id, VISIT_ROOT, export_child, &export, err);
    if (r == 0)
        take_warnings(warnings_fd, ret_warnings);
    return r;
}
