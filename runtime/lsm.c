#include "runtime/lsm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "runtime/procfs.h"

/* What a security module is told about the next exec of this process. It is written through a
 * procfs that is known to be one: in a container's /proc anything may be mounted, and a write that
 * ended up elsewhere would leave the program unconfined (CVE-2019-16884, CVE-2025-52881). */

#define LABEL_BYTES_MAX 4095 /* the kernel takes a page */

void lsm_host_read(struct lsm_host *ret_host)
{
    auto_free char *enabled = NULL;

    *ret_host = (struct lsm_host){ 0 };
    if (file_read_kernel(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", &enabled, NULL) == 0)
        ret_host->has_apparmor = enabled[0] == 'Y';
    ret_host->has_selinux = access("/sys/fs/selinux/enforce", F_OK) == 0;
}

static int check_label(const char *label, const char *member, struct error *err)
{
    if (strlen(label) + strlen("exec ") > LABEL_BYTES_MAX)
        return error_set(err, EINVAL, "%s: is longer than the kernel takes", member);
    for (const char *c = label; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ')
            return error_set(err, EINVAL, "%s: contains a control character", member);
    }
    return 0;
}

int lsm_plan(const struct spec_process *process, const struct lsm_host *host,
             struct lsm_plan *ret_plan, struct error *err)
{
    const char *profile = process->apparmor_profile, *label = process->selinux_label;
    struct lsm_plan plan = { 0 };
    int r;

    if (!text_is_empty(profile)) {
        if (!host->has_apparmor)
            return error_set(err, EOPNOTSUPP,
                             "process.apparmorProfile: this kernel has no AppArmor");
        r = check_label(profile, "process.apparmorProfile", err);
        if (r < 0)
            return r;
    }
    if (!text_is_empty(label)) {
        if (!host->has_selinux)
            return error_set(err, EOPNOTSUPP,
                             "process.selinuxLabel: SELinux is not enabled on this machine");
        r = check_label(label, "process.selinuxLabel", err);
        if (r < 0)
            return r;
        plan.selinux_label = xstrdup(label);
    }
    if (!text_is_empty(profile))
        plan.apparmor_command = xasprintf("exec %s", profile);
    *ret_plan = plan;
    return 0;
}

void lsm_plan_clear(struct lsm_plan *plan)
{
    free(plan->apparmor_command);
    free(plan->selinux_label);
    *plan = (struct lsm_plan){ 0 };
}

static int write_attribute(int proc_fd, const char *name, const char *value, struct error *err)
{
    /* By number: "self" is a link, and links are not followed. */
    auto_free char *path = xasprintf("%d/attr/%s", (int)getpid(), name);

    return procfs_write(proc_fd, path, value, err);
}

int lsm_apply_child(const struct lsm_plan *plan, struct error *err)
{
    auto_close int proc_fd = -1;
    int r;

    if (plan->apparmor_command == NULL && plan->selinux_label == NULL)
        return 0;
    r = procfs_open(false, &proc_fd, err);
    if (r < 0)
        return r;
    if (plan->apparmor_command != NULL) {
        /* Its own directory since Linux 5.8: with several modules "exec" may be another's. */
        r = write_attribute(proc_fd, "apparmor/exec", plan->apparmor_command, err);
        if (r == -ENOENT)
            r = write_attribute(proc_fd, "exec", plan->apparmor_command, err);
        if (r < 0)
            return error_prefix(err, r, "process.apparmorProfile");
    }
    if (plan->selinux_label != NULL) {
        r = write_attribute(proc_fd, "exec", plan->selinux_label, err);
        if (r < 0)
            return error_prefix(err, r, "process.selinuxLabel");
    }
    return 0;
}

int lsm_label_keys_child(const struct lsm_plan *plan, bool is_begin, struct error *err)
{
    auto_close int proc_fd = -1;
    int r;

    if (plan->selinux_label == NULL)
        return 0;
    r = procfs_open(false, &proc_fd, err);
    if (r < 0)
        return r;
    r = write_attribute(proc_fd, "keycreate", is_begin ? plan->selinux_label : "\n", err);
    return r < 0 && r != -ENOENT ? error_prefix(err, r, "process.selinuxLabel") : 0;
}
