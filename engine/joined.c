#include "engine/joined.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/auto.h"
#include "engine/bundle.h"
#include "engine/record.h"

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

int joined_check(const struct settings *settings, struct error *err)
{
    const struct {
        const char *option, *file;
        const struct strings *values;
    } rows[] = {
        { "--add-host", "hosts", &settings->add_hosts },
        { "--dns", "resolv.conf", &settings->dns },
        { "--dns-search", "resolv.conf", &settings->dns_search },
        { "--dns-option", "resolv.conf", &settings->dns_options },
    };

    for (size_t i = 0; joined_id(settings) != NULL && i < ARRAY_SIZE(rows); i++)
        if (rows[i].values->count > 0)
            return error_set(err, EINVAL,
                             "%s: with --network container:NAME a container shares the other's "
                             "/etc/%s: give it there",
                             rows[i].option, rows[i].file);
    return 0;
}

int joined_share_files(struct engine *engine, const struct settings *settings, int dir_fd,
                       struct error *err)
{
    static const char *const names[] = { "hosts", "resolv.conf" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        auto_free char *path = xasprintf("containers/%s/%s", joined_id(settings), names[i]);
        int r;

        if (linkat(engine->data_fd, path, dir_fd, names[i], 0) == 0)
            continue;
        r = error_errno(err, "share '%s/%s'", engine->data_path, path);
        r = container_explain_removal(engine, joined_id(settings), r, err);
        return error_prefix(err, r, "--network");
    }
    return 0;
}
