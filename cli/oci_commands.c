#include "cli/oci_commands.h"

/* What the commands of berth-oci share. */

struct runtime *oci_runtime(struct oci_context *context, struct error *err)
{
    if (context->runtime == NULL && runtime_open(context->root, &context->runtime, err) == 0)
        runtime_set_cgroup_manager(context->runtime, context->cgroup_manager);
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
