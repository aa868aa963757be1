/* Any bytes as config.json: what is accepted is planned, without a system call. No step may leave
 * the root by its name, whatever a mount's destination was. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/path.h"
#include "runtime/mount_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_step(const struct spec *spec, const struct mount_step *step)
{
    auto_free char *destination = xasprintf("/%s", step->destination);
    char name[MOUNT_STEP_NAME_MAX];

    assert(path_is_normal(destination));
    assert(step->index == MOUNT_STEP_IMPLIED || step->index < spec->mounts.count);
    assert(step->source != NULL && step->mount_fd == -1);
    assert(step->kind != MOUNT_BIND || step->source[0] == '/');
    assert(strlen(mount_step_name(step, name)) < sizeof(name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(spec) struct spec *spec = NULL;
    AUTO(rootfs_plan) struct rootfs_plan *plan = NULL;
    struct error err = { 0 };

    if (spec_decode((const char *)data, size, &spec, NULL) < 0 || spec->root == NULL)
        return 0;
    if (rootfs_plan(spec, "/bundle", &plan, &err) < 0) {
        assert(err.message[0] != '\0' && plan == NULL);
        return 0;
    }
    assert(plan->root_path[0] == '/');
    for (size_t i = 0; i < plan->step_count; i++)
        check_step(spec, &plan->steps[i]);
    return 0;
}
