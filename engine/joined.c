#include "engine/joined.h"

#include <errno.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/file.h"
#include "engine/bundle.h"
#include "engine/record.h"

#define FILE_BYTES_MAX (1u << 20)

int joined_resolve(struct engine *engine, const char *option, char **mode, struct error *err)
{
    AUTO(record) struct record *record = NULL;
    auto_free char *id = NULL;
    enum namespace_mode kind;
    const char *name;
    int r;

    r = namespace_mode_parse(option, *mode, &kind, &name, err);
    if (r < 0 || kind != NAMESPACE_CONTAINER)
        return r;
    r = engine_find(engine, name, &id, err);
    if (r == 0)
        r = record_read(engine, id, &record, err);
    if (r < 0)
        return error_prefix(err, r, "%s", option);
    if (bundle_is_vm(&record->settings))
        return error_set(err, EOPNOTSUPP,
                         "%s %s: it is a microVM, with a kernel of its own: nothing can join it",
                         option, *mode);
    free(*mode);
    *mode = xasprintf("container:%s", id);
    return 0;
}

/* NULL: none. */
static const char *joined_id(const struct settings *settings)
{
    enum namespace_mode kind;
    const char *id = NULL;

    if (namespace_mode_parse("--network", settings->network, &kind, &id, NULL) < 0)
        return NULL;
    return id;
}

int joined_hostname(struct engine *engine, const struct settings *settings, char **ret_hostname,
                    struct error *err)
{
    AUTO(record) struct record *record = NULL;
    const char *id = joined_id(settings);
    int r;

    if (id == NULL) {
        *ret_hostname = NULL;
        return 0;
    }
    r = record_read(engine, id, &record, err);
    if (r < 0)
        return error_prefix(err, r, "--network");
    *ret_hostname = xstrdup(record->hostname);
    return 0;
}

int joined_file(struct engine *engine, const struct settings *settings, const char *name,
                char **ret_text, struct error *err)
{
    auto_free char *path = xasprintf("containers/%s/%s", joined_id(settings), name);
    int r = file_read(engine->data_fd, path, FILE_BYTES_MAX, ret_text, NULL, err);

    return r < 0 ? error_prefix(err, r, "--network") : 0;
}
