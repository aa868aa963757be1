#include "runtime/process_setup.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

#include "base/text.h"

static const char *const rlimit_names[] = {
    "RLIMIT_AS",
    "RLIMIT_CORE",
    "RLIMIT_CPU",
    "RLIMIT_DATA",
    "RLIMIT_FSIZE",
    "RLIMIT_LOCKS",
    "RLIMIT_MEMLOCK",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_NOFILE",
    "RLIMIT_NPROC",
    "RLIMIT_RSS",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
    "RLIMIT_SIGPENDING",
    "RLIMIT_STACK",
    NULL,
};

/* In the order of rlimit_names. */
static const int rlimit_numbers[] = {
    RLIMIT_AS,      RLIMIT_CORE,     RLIMIT_CPU,        RLIMIT_DATA,   RLIMIT_FSIZE, RLIMIT_LOCKS,
    RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_NICE,       RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RSS,
    RLIMIT_RTPRIO,  RLIMIT_RTTIME,   RLIMIT_SIGPENDING, RLIMIT_STACK,
};
_Static_assert(ARRAY_SIZE(rlimit_numbers) + 1 == ARRAY_SIZE(rlimit_names), "one number each");

static int find_number(const char *name)
{
    for (size_t i = 0; rlimit_names[i] != NULL; i++) {
        if (strcmp(rlimit_names[i], name) == 0)
            return rlimit_numbers[i];
    }
    return -1;
}

static int check_one(const struct spec_rlimits *rlimits, size_t index, struct error *err)
{
    const struct spec_rlimit *rlimit = &rlimits->items[index];

    if (find_number(rlimit->type) < 0) {
        const char *near = text_nearest(rlimit_names, rlimit->type);

        return error_set(err, EINVAL, "process.rlimits[%zu].type: unknown limit '%s'%s%s", index,
                         rlimit->type, near != NULL ? ", did you mean " : "",
                         near != NULL ? near : "");
    }
    if (rlimit->soft > rlimit->hard)
        return error_set(err, EINVAL,
                         "process.rlimits[%zu].soft: %" PRIu64 " is above the hard limit %" PRIu64,
                         index, rlimit->soft, rlimit->hard);
    for (size_t i = 0; i < index; i++) {
        if (strcmp(rlimits->items[i].type, rlimit->type) == 0)
            return error_set(err, EINVAL, "process.rlimits[%zu].type: '%s' is there twice", index,
                             rlimit->type);
    }
    return 0;
}

int rlimits_check(const struct spec_rlimits *rlimits, struct error *err)
{
    int r;

    assert(rlimits != NULL);

    for (size_t i = 0; i < rlimits->count; i++) {
        r = check_one(rlimits, i, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int explain_refusal(const struct spec_rlimit *rlimit, int number, struct error *err)
{
    struct rlimit present = { 0 };

    (void)getrlimit(number, &present); /* cannot fail for a number that setrlimit(2) knows */
    return error_set(err, EPERM,
                     "set %s to %" PRIu64 ":%" PRIu64
                     ": Operation not permitted (the hard limit is "
                     "%" PRIu64 ", and raising it needs CAP_SYS_RESOURCE%s)",
                     rlimit->type, rlimit->soft, rlimit->hard, (uint64_t)present.rlim_max,
                     number == RLIMIT_NOFILE ? " and a fs.nr_open that is as high" : "");
}

static int apply_one(const struct spec_rlimit *rlimit, int number, uint64_t soft, struct error *err)
{
    const struct rlimit value = { .rlim_cur = soft, .rlim_max = rlimit->hard };

    if (setrlimit((__rlimit_resource_t)number, &value) == 0)
        return 0;
    if (errno == EPERM)
        return explain_refusal(rlimit, number, err);
    return error_errno(err, "set %s to %" PRIu64 ":%" PRIu64, rlimit->type, rlimit->soft,
                       rlimit->hard);
}

int rlimits_apply(const struct spec_rlimits *rlimits, struct error *err)
{
    int r = 0;

    assert(rlimits != NULL);

    for (size_t i = 0; i < rlimits->count && r == 0; i++) {
        const struct spec_rlimit *rlimit = &rlimits->items[i];
        int number = find_number(rlimit->type);
        uint64_t soft = rlimit->soft;

        if (number == RLIMIT_NOFILE && soft < RLIMIT_NOFILE_ROOM) {
            if (rlimit->hard < RLIMIT_NOFILE_ROOM)
                continue;
            soft = RLIMIT_NOFILE_ROOM;
        }
        r = apply_one(rlimit, number, soft, err);
    }
    return r;
}

int rlimits_apply_low_nofile(const struct spec_rlimits *rlimits, struct error *err)
{
    int r = 0;

    assert(rlimits != NULL);

    for (size_t i = 0; i < rlimits->count && r == 0; i++) {
        const struct spec_rlimit *rlimit = &rlimits->items[i];

        if (rlimit->soft < RLIMIT_NOFILE_ROOM && find_number(rlimit->type) == RLIMIT_NOFILE)
            r = apply_one(rlimit, RLIMIT_NOFILE, rlimit->soft, err);
    }
    return r;
}
