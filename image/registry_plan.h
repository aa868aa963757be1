#ifndef IMAGE_REGISTRY_PLAN_H
#define IMAGE_REGISTRY_PLAN_H

#include "image/registries.h"

/* Where to look for an image, in order: mirrors, then the registry itself. Decided here, touching
 * nothing. */

struct registry_endpoint {
    char *host;       /* to connect to: "registry-1.docker.io" */
    char *repository; /* there */
    char *key;        /* how credentials name the host: "docker.io" */
    bool is_mirror;
    bool allows_http;
    bool is_unverified;
};
struct registry_plan {
    struct registry_endpoint *items;
    size_t count;
};

/**
 * Plans the endpoints of an image.
 *
 * @has_mirrors  false: the registry itself only, as a push needs it
 *
 * -EPERM: registries.conf blocks it.
 */
int registry_plan_make(const struct registries *registries, const struct reference *reference,
                       const struct registry_options *options, bool has_mirrors,
                       struct registry_plan *ret_plan, struct error *err);
void registry_plan_clear(struct registry_plan *plan);

/** Whether this host may be spoken to without TLS, as docker has it: localhost, 127.0.0.0/8, ::1.
 */
bool registry_is_loopback(const char *host);

#endif
