#ifndef RUNTIME_LSM_H
#define RUNTIME_LSM_H

#include <stdbool.h>

#include "base/error.h"
#include "runtime/spec.h"

/* Which security modules this machine has. */
struct lsm_host {
    bool has_apparmor, has_selinux;
};
void lsm_host_read(struct lsm_host *ret_host);

struct lsm_plan {
    char *apparmor_command; /* "exec PROFILE"; NULL: none */
    char *selinux_label;    /* NULL: none */
};

/** What has to be written for profile and label of a process; pure. -EOPNOTSUPP: the machine does
 * not have the module, and a program must not run without the confinement that was asked for. */
int lsm_plan(const struct spec_process *process, const struct lsm_host *host,
             struct lsm_plan *ret_plan, struct error *err);
void lsm_plan_clear(struct lsm_plan *plan);
/** Writes it for the next exec of the calling process; while it still is what it was. */
int lsm_apply_child(const struct lsm_plan *plan, struct error *err);
/** Gives keyrings that the calling process makes the label, or ends that. */
int lsm_label_keys_child(const struct lsm_plan *plan, bool is_begin, struct error *err);

#endif
