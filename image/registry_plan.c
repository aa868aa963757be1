#include "image/registry_plan.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DOCKER_HUB      "docker.io"
#define DOCKER_HUB_HOST "registry-1.docker.io"

bool registry_is_loopback(const char *host)
{
    struct in_addr address;
    auto_free char *name = xstrdup(host);
    char *colon = strrchr(name, ':');

    if (text_starts(name, "[::1]"))
        return name[5] == '\0' || name[5] == ':';
    if (colon != NULL)
        *colon = '\0';
    if (strcmp(name, "localhost") == 0)
        return true;
    return inet_pton(AF_INET, name, &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

void registry_plan_clear(struct registry_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->items[i].host);
        free(plan->items[i].repository);
        free(plan->items[i].key);
    }
    free(plan->items);
    *plan = (struct registry_plan){ 0 };
}

/* One endpoint: "host/repository". */
static int add_endpoint(struct registry_plan *plan, const char *name, bool is_insecure,
                        const struct registry_options *options, struct error *err)
{
    const char *slash = strchr(name, '/');
    auto_free char *host = slash != NULL ? xstrndup(name, (size_t)(slash - name)) : NULL;
    AUTO(reference) struct reference *checked = NULL;

    /* What registries.conf made of the name goes into a URL. */
    if (host == NULL || host[0] == '\0' || !reference_names_registry(name) ||
        reference_parse(name, &checked, NULL) < 0)
        return error_set(err, EINVAL, "registries.conf makes it '%s', which is no image name",
                         name);
    plan->items = xrealloc(plan->items, plan->count + 1, sizeof(*plan->items));
    if (options->tls == REGISTRY_TLS_UNVERIFIED)
        is_insecure = true;
    if (options->tls == REGISTRY_TLS_VERIFIED)
        is_insecure = false;
    plan->items[plan->count++] = (struct registry_endpoint){
        .host = xstrdup(strcmp(checked->registry, DOCKER_HUB) == 0 ? DOCKER_HUB_HOST
                                                                   : checked->registry),
        .repository = xstrdup(checked->repository),
        .key = xstrdup(checked->registry),
        .is_unverified = is_insecure,
        .allows_http = is_insecure || (options->tls == REGISTRY_TLS_CONFIGURED &&
                                       registry_is_loopback(checked->registry)),
    };
    return 0;
}

static bool is_used(const struct registry_entry *entry, const struct registry_mirror *mirror,
                    const struct reference *reference)
{
    if (reference->digest == NULL)
        return mirror->use != MIRROR_DIGESTS && !entry->mirrors_by_digest;
    return mirror->use != MIRROR_TAGS;
}

static int add_mirrors(struct registry_plan *plan, const struct registry_entry *entry,
                       const struct reference *reference, const char *name,
                       const struct registry_options *options, struct error *err)
{
    for (size_t i = 0; i < entry->mirror_count; i++) {
        const struct registry_mirror *mirror = &entry->mirrors[i];
        auto_free char *there = registry_entry_rewrite(entry, mirror->location, name);
        int r;

        if (!is_used(entry, mirror, reference))
            continue;
        r = add_endpoint(plan, there, mirror->is_insecure, options, err);
        if (r < 0)
            return r;
        plan->items[plan->count - 1].is_mirror = true;
    }
    return 0;
}

int registry_plan_make(const struct registries *registries, const struct reference *reference,
                       const struct registry_options *options, bool has_mirrors,
                       struct registry_plan *ret_plan, struct error *err)
{
    AUTO_CLEAR(registry_plan) struct registry_plan plan = { 0 };
    auto_free char *name = NULL;
    auto_free char *there = NULL;
    const struct registry_entry *entry;
    int r = 0;

    assert(registries != NULL);
    assert(reference != NULL);
    assert(ret_plan != NULL);

    name = xasprintf("%s/%s", reference->registry, reference->repository);
    entry = registries_find(registries, name);
    if (entry != NULL && entry->is_blocked)
        return error_set(err, EPERM, "registries.conf blocks '%s'", entry->prefix);
    if (entry != NULL && has_mirrors)
        r = add_mirrors(&plan, entry, reference, name, options, err);
    there = entry != NULL ? registry_entry_rewrite(entry, entry->location, name) : xstrdup(name);
    if (r == 0)
        r = add_endpoint(&plan, there, entry != NULL && entry->is_insecure, options, err);
    if (r < 0)
        return r;
    *ret_plan = plan;
    plan = (struct registry_plan){ 0 };
    return 0;
}

void registries_names(const struct registries *registries, const char *text,
                      struct strings *ret_names)
{
    const char *slash = strrchr(text, '/');
    size_t length =
        strcspn(slash != NULL ? slash : text, ":@") + (slash != NULL ? (size_t)(slash - text) : 0);
    auto_free char *name = xstrndup(text, length);
    const char *alias = string_map_get(&registries->aliases, name);

    if (reference_names_registry(text)) {
        strings_add(ret_names, text);
    } else if (!text_is_empty(alias)) {
        strings_addf(ret_names, "%s%s", alias, text + length);
    } else if (registries->search.count > 0) {
        for (size_t i = 0; i < registries->search.count; i++)
            strings_addf(ret_names, "%s/%s", registries->search.items[i], text);
    } else {
        strings_add(ret_names, text);
    }
}
