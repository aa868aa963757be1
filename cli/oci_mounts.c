#include "cli/oci_commands.h"

/* `mounts add` and `mounts remove`: crun's commands, for a list of mounts in a file. */

typedef int mounts_change(struct container *container, const struct spec_mounts *mounts,
                          struct error *err);

static int change_mounts(const struct arguments *arguments, void *context, mounts_change *change)
{
    AUTO(container) struct container *container = NULL;
    AUTO(spec) struct spec *spec = NULL;
    struct error err = { 0 };

    if (spec_read_mounts(arguments->words[1], &spec, &err) < 0)
        return oci_fail(context, &err, 1);
    container = oci_open_container(arguments, context, &err);
    if (container == NULL || change(container, &spec->mounts, &err) < 0)
        return oci_fail(context, &err, 1);
    return 0;
}

int oci_mounts_add(const struct arguments *arguments, void *context)
{
    return change_mounts(arguments, context, container_add_mounts);
}

int oci_mounts_remove(const struct arguments *arguments, void *context)
{
    return change_mounts(arguments, context, container_remove_mounts);
}
