#include <errno.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "base/text.h"
#include "cli/oci_commands.h"

/* Where the state of containers lies when --root does not say it: /run/berth-oci for root, and for
 * everybody else a folder of his own. Whoever can write there can have any program started with the
 * user's rights, so a folder of somebody else is refused. */

#define OCI_ROOT "/run/berth-oci"

/* Root of a user namespace is an ordinary user outside. As runc, one look at the environment
 * decides whether it is worth to find out. */
static bool is_ordinary_user(void)
{
    const char *user = getenv("USER");

    if (getauxval(AT_EUID) != 0)
        return true;
    return getenv("XDG_RUNTIME_DIR") != NULL && !text_equal(user, "root") &&
           runtime_is_in_user_namespace();
}

static const char advice[] = "give --root, or set XDG_RUNTIME_DIR to a folder of your own";

/* The sticky bit keeps what cleans old files away (XDG base directory specification). */
static int make_folder(const char *path, struct error *err)
{
    if (mkdir(path, 0700 | S_ISVTX) < 0 && errno != EEXIST)
        return error_errno(err, "make the folder of run state '%s'", path);
    return path_check_private(path, "the folder of run state", advice, err);
}

int oci_default_root(char **ret_path, struct error *err)
{
    const char *runtime_folder = getenv("XDG_RUNTIME_DIR");
    auto_free char *path = NULL;
    int r;

    if (!is_ordinary_user()) {
        *ret_path = xstrdup(OCI_ROOT);
        return 0;
    }
    if (!text_is_empty(runtime_folder)) {
        if (runtime_folder[0] != '/')
            return error_set(err, EINVAL, "XDG_RUNTIME_DIR '%s': must be absolute", runtime_folder);
        r = path_check_private(runtime_folder, "XDG_RUNTIME_DIR", advice, err);
        if (r < 0)
            return r;
        path = xasprintf("%s/berth-oci", runtime_folder);
    } else {
        path = xasprintf("/tmp/berth-oci-%u", geteuid());
    }
    r = make_folder(path, err);
    if (r < 0)
        return r;
    *ret_path = take_ptr(&path);
    return 0;
}

int oci_parse_rootless(const char *text, enum rootless_mode *ret_mode, struct error *err)
{
    if (text == NULL || text_equal(text, "auto"))
        *ret_mode = getauxval(AT_EUID) != 0 ? ROOTLESS_TRUE : ROOTLESS_AUTO;
    else if (text_equal(text, "true") || text_equal(text, "1"))
        *ret_mode = ROOTLESS_TRUE;
    else if (text_equal(text, "false") || text_equal(text, "0"))
        *ret_mode = ROOTLESS_FALSE;
    else
        return error_set(err, EINVAL, "--rootless '%s': is neither true, false nor auto", text);
    return 0;
}
