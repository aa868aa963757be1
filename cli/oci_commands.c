#include "cli/oci_commands.h"

/* What the commands of berth-oci share. */

struct runtime *oci_runtime(struct oci_context *context, struct error *err)
{
    auto_free char *default_root = NULL;

    if (context->runtime != NULL)
        return context->runtime;
    if (context->root == NULL && oci_default_root(&default_root, err) < 0)
        return NULL;
    if (runtime_open(context->root != NULL ? context->root : default_root, &context->runtime, err) <
        0)
        return NULL;
    runtime_set_cgroup_manager(context->runtime, context->cgroup_manager);
    runtime_set_rootless(context->runtime, context->rootless);
    if (context->isolation != NULL)
        runtime_set_isolation(context->runtime, context->isolation);
    return context->runtime;
}

struct container *oci_open_container(const struct arguments *arguments, void *context,
                                     struct error *err)
{
    struct container *container = NULL;
    struct runtime *runtime = oci_runtime(context, err);

    if (runtime == NULL || container_open(runtime, arguments->words[0], &container, err) < 0)
        return NULL;
    return container;
}
