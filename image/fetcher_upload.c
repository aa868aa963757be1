#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "image/fetcher.h"

int upload_begin(struct job *job, struct error *err)
{
    struct stat status;

    if (job->fd < 0 || fstat(job->fd, &status) < 0)
        return error_set(err, EBADMSG, "there is nothing to send");
    job->source_size = (uint64_t)status.st_size;
    return 0;
}

void upload_prepare(struct job *job)
{
    (void)job;
}

void upload_answered(struct job *job)
{
    struct error failure = { 0 };
    int r = job_refusal(job, &failure);

    job_finish(job, r, &failure);
}
