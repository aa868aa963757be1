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
    }
    free(plan->items);
    *plan = (struct registry_plan){ 0 };
}

static struct registry_endpoint *add_endpoint(struct registry_plan *plan, const char *host,
                                              const char *repository, bool is_insecure,
                                              const struct registry_options *options)
{
    struct registry_endpoint *endpoint;

    plan->items = xrealloc(plan->items, plan->count + 1, sizeof(*plan->items));
    endpoint = &plan->items[plan->count++];
    if (options->tls == REGISTRY_TLS_UNVERIFIED)
        is_insecure = true;
    if (options->tls == REGISTRY_TLS_VERIFIED)
        is_insecure = false;
    *endpoint = (struct registry_endpoint){
        .host = xstrdup(strcmp(host, DOCKER_HUB) == 0 ? DOCKER_HUB_HOST : host),
        .repository = xstrdup(repository),
        .is_unverified = is_insecure,
        .allows_http =
            is_insecure || (options->tls == REGISTRY_TLS_CONFIGURED && registry_is_loopback(host)),
    };
    return endpoint;
}

int registry_plan_make(const struct reference *reference, const struct registry_options *options,
                       struct registry_plan *ret_plan, struct error *err)
{
    struct registry_plan plan = { 0 };

    (void)err;
    assert(reference != NULL);
    assert(ret_plan != NULL);

    (void)add_endpoint(&plan, reference->registry, reference->repository, false, options);
    *ret_plan = plan;
    return 0;
}
