#ifndef RUNTIME_CRIU_H
#define RUNTIME_CRIU_H

#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/error.h"
#include "runtime/criu_message.h"

/* The program criu as a child: `criu swrk FD` serves requests on a socket that it inherits. What
 * libcriu does is no more than this, so berth needs neither the library nor what it drags in; the
 * program alone has to be installed. */

struct criu {
    pid_t pid;     /* 0: none runs */
    int fd;        /* socket to it; -1 */
    int output_fd; /* what it writes on standard error, when nobody else gets that; -1 */
};
#define CRIU_INITIALIZER                                                                           \
    {                                                                                              \
        .fd = -1, .output_fd = -1                                                                  \
    }

/** Ends it when it still runs; closes all. */
void criu_clear(struct criu *criu);

struct criu_start {
    int stdio[3]; /* of criu, and of what it restores; -1: /dev/null, output kept for criu_fail() */
    /* Runs in the caller while the child waits; NULL: nothing. */
    int (*place)(void *context, pid_t pid, struct error *err);
    void *place_context;
    /* Runs in the child before criu takes its place; NULL: nothing. */
    int (*prepare_child)(const void *context, struct error *err);
    const void *context;
    const int *inherited_fds; /* stay open in criu */
    size_t inherited_count;
};

/**
 * Starts criu. @purpose begins the error: "checkpoint of 'web'".
 *
 * -ENOENT: the program is not installed; the sentence tells how to get it.
 */
int criu_start(const struct criu_start *start, const char *purpose, struct criu *ret_criu,
               struct error *err);

/** One request, one answer, without notifications; a refusal of CRIU's is an error. */
int criu_ask(struct criu *criu, const struct criu_request *request,
             struct criu_response *ret_response, struct error *err);

/* @fd: a descriptor that came along, or -1; the handler may take it (and set -1). A failure is told
 * to CRIU, which then undoes what it did. */
typedef int criu_notify(const struct criu_response *notice, int *fd, void *context,
                        struct error *err);

/** One request with all of its notifications; then CRIU has ended. */
int criu_run(struct criu *criu, const struct criu_request *request, criu_notify *notify,
             void *context, struct criu_response *ret_response, struct error *err);

/* What the installed CRIU and the kernel can do. */
struct criu_probe {
    bool needs_mem_track, needs_lazy_pages;
};
/** Starts a criu for its version and features. -EOPNOTSUPP: too old, or a feature is missing. */
int criu_check(const struct criu_probe *probe, const char *purpose, uint32_t *ret_version,
               struct error *err);

/**
 * Adds the cause to @err, as CRIU tells it in its log or, before it has one, on standard error.
 *
 * @log_dir_fd, @log_dir  where log_file is; @log_dir as users know it
 */
int criu_fail(const struct criu *criu, int code, int log_dir_fd, const char *log_dir,
              const char *log_file, struct error *err);

/** The last error lines of @log that tell something, without time and place in CRIU's source; NULL:
 * there is none. Pure; caller frees. */
char *criu_log_cause(const char *log);

#define CRIU_VERSION_MIN      31500
#define CRIU_DUMP_LOG         "dump.log"
#define CRIU_RESTORE_LOG      "restore.log"
#define CRIU_VERSION_LSM      31600
#define CRIU_VERSION_LOCK     31600
#define CRIU_VERSION_LOCK_NOT 31800

#endif
