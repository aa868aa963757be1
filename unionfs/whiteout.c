#include "unionfs/whiteout.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/text.h"

#define META_PREFIX ".wh..wh."

int whiteout_parse(const char *component, const char **ret_name, struct error *err)
{
    const char *name;

    assert(component != NULL);
    assert(ret_name != NULL);

    if (!text_starts(component, WHITEOUT_PREFIX))
        return WHITEOUT_NONE;
    if (text_equal(component, WHITEOUT_OPAQUE_NAME))
        return WHITEOUT_OPAQUE;
    if (text_starts(component, META_PREFIX))
        return WHITEOUT_IGNORED;

    name = component + strlen(WHITEOUT_PREFIX);
    if (*name == '\0' || text_equal(name, ".") || text_equal(name, ".."))
        return error_set(err, EINVAL, "a whiteout of '%s' is not possible", name);
    *ret_name = name;
    return WHITEOUT_NAME;
}
