#include "unionfs/unionfs.h"

#include <assert.h>

#include "unionfs/layer_mark.h"

bool unpack_keeps_attribute(const char *name)
{
    static const char *const kept[] = {
        "security.capability",
        "system.posix_acl_access",
        "system.posix_acl_default",
    };

    assert(name != NULL);

    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        if (text_equal(name, kept[i]))
            return true;
    }
    /* trusted.* and user.overlay.* would steer the overlay mount, the next two fuse-overlayfs;
     * security.selinux is the host's. */
    return text_starts(name, "user.") && !text_starts(name, "user.overlay.") &&
           !text_starts(name, "user.fuseoverlayfs.") && !text_starts(name, "user.containers.") &&
           !text_starts(name, LAYER_MARK_PREFIX);
}
