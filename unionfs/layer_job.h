#ifndef UNIONFS_LAYER_JOB_H
#define UNIONFS_LAYER_JOB_H

#include "unionfs/unionfs.h"

/* A job whose files the caller makes, in place of berth-unpack. */

/**
 * @warnings  what was left out; borrowed; NULL: nobody is told
 * @ret_root_fd  the empty directory that becomes the layer; the job's
 */
int layer_job_start_empty(int data_fd, const struct strings *below, struct strings *warnings,
                          struct layer_job **ret_job, int *ret_root_fd, struct error *err);
/** Says what was made; then layer_job_finish(). @result: with the diff id; the caller's. */
void layer_job_take(struct layer_job *job, const struct unpack_result *result);

#endif
