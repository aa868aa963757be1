#include "cgroups/scope.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Names of units and slices, systemd.unit(5) and systemd.slice(5). */

#define UNIT_NAME_MAX 255

static int check_unit(const char *unit, struct error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789:-_.\\@";

    if (strlen(unit) > UNIT_NAME_MAX)
        return error_set(err, EINVAL, "the unit name is longer than %d bytes", UNIT_NAME_MAX);
    if (unit[strspn(unit, allowed)] != '\0' || unit[0] == '.' || unit[0] == '-')
        return error_set(err, EINVAL,
                         "'%s' is no name of a systemd unit: letters, digits and :-_.\\@ are "
                         "allowed, not beginning with a dot or a minus",
                         unit);
    return 0;
}

int scope_slice_path(const char *slice, char **ret_path, struct error *err)
{
    AUTO_CLEAR(strings) struct strings parts = { 0 };
    AUTO_CLEAR(text) struct text path = { 0 };
    AUTO_CLEAR(text) struct text prefix = { 0 };
    auto_free char *name = NULL;
    bool is_valid;

    assert(slice != NULL);
    assert(ret_path != NULL);

    if (text_equal(slice, "-.slice")) {
        *ret_path = xstrdup("/");
        return 0;
    }
    is_valid = text_ends(slice, ".slice") && check_unit(slice, NULL) == 0;
    if (is_valid) {
        name = xstrndup(slice, strlen(slice) - strlen(".slice"));
        strings_split(&parts, name, '-');
    }
    for (size_t i = 0; i < parts.count && is_valid; i++) {
        is_valid = parts.items[i][0] != '\0';
        text_addf(&path, "/%s%s.slice", prefix.length > 0 ? prefix.data : "", parts.items[i]);
        text_addf(&prefix, "%s-", parts.items[i]);
    }
    if (!is_valid)
        return error_set(err, EINVAL, "'%s' is no name of a slice, such as a-b.slice", slice);
    *ret_path = text_take(&path);
    return 0;
}

static int check_slice(const char *slice, struct error *err)
{
    auto_free char *path = NULL;

    return scope_slice_path(slice, &path, err);
}

int scope_name_parse(const char *cgroups_path, const char *id, bool is_user, char **ret_slice,
                     char **ret_unit, struct error *err)
{
    AUTO_CLEAR(strings) struct strings parts = { 0 };
    const char *slice = is_user ? "user.slice" : "system.slice";
    const char *prefix = "runc";
    const char *name = id;
    auto_free char *unit = NULL;
    int r;

    assert(id != NULL);
    assert(ret_slice != NULL);
    assert(ret_unit != NULL);

    if (!text_is_empty(cgroups_path)) {
        strings_split(&parts, cgroups_path, ':');
        if (parts.count != 3)
            return error_set(err, EINVAL,
                             "'%s' is not slice:prefix:name, as the systemd cgroup manager needs "
                             "it",
                             cgroups_path);
        slice = parts.items[0][0] != '\0' ? parts.items[0] : slice;
        prefix = parts.items[1];
        name = parts.items[2][0] != '\0' ? parts.items[2] : name;
    }
    if (text_ends(name, ".slice"))
        return error_set(err, EINVAL, "'%s' names a slice, and a slice takes no processes", name);
    r = check_slice(slice, err);
    if (r < 0)
        return r;
    unit = prefix[0] != '\0' ? xasprintf("%s-%s.scope", prefix, name) : xasprintf("%s.scope", name);
    r = check_unit(unit, err);
    if (r < 0)
        return r;
    *ret_slice = xstrdup(slice);
    *ret_unit = take_ptr(&unit);
    return 0;
}
