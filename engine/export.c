#include "engine/engine.h"

#include <assert.h>
#include <stdint.h>

#include "base/fd.h"
#include "engine/bundle.h"
#include "engine/child_warnings.h"
#include "engine/container_visit.h"
#include "engine/guest_files.h"

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

/* What the guest sends is read as a tar of ours and written as one: nothing else gets through. */
static int pack_guest(int fd, struct export *export, struct error *err)
{
    AUTO_CLEAR(extract_input) struct extract_input input = { 0 };
    const struct pack_options options = { .sink = write_bytes, .context = export };

    extract_input_open_tar(fd, &input);
    return pack_entries(&input, &options, err);
}

static int export_guest(struct engine *engine, const struct record *record, struct export *export,
                        struct strings *ret_warnings, struct error *err)
{
    AUTO_CLEAR(guest_files) struct guest_files files = GUEST_FILES_NONE;
    const struct inner_files work = { .work = (char *)INNER_ROOT };
    int r;

    r = guest_files_open(engine, record, &work, &files, err);
    if (r < 0)
        return r;
    r = pack_guest(files.data_fd, export, err);
    return guest_files_finish(&files, r, ret_warnings, err);
}

static int export_here(struct engine *engine, const char *id, struct export *export,
                       struct strings *ret_warnings, struct error *err)
{
    auto_close int warnings_fd = -1;
    int r;

    r = child_warnings_open(&warnings_fd, err);
    if (r < 0)
        return r;
    export->warnings_fd = warnings_fd;
    r = container_visit(engine, id, VISIT_ROOT, export_child, export, err);
    child_warnings_read(warnings_fd, ret_warnings);
    return r;
}

int engine_export(struct engine *engine, const char *id, int out_fd, struct strings *ret_warnings,
                  struct error *err)
{
    AUTO(record) struct record *record = NULL;
    struct export export = { .out_fd = out_fd };
    int r;

    assert(engine != NULL);
    assert(ret_warnings != NULL);

    r = record_read(engine, id, &record, err);
    if (r < 0)
        return r;
    return bundle_is_vm(&record->settings)
               ? export_guest(engine, record, &export, ret_warnings, err)
               : export_here(engine, id, &export, ret_warnings, err);
}
