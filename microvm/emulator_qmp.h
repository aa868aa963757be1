#ifndef MICROVM_EMULATOR_QMP_H
#define MICROVM_EMULATOR_QMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

/* QEMU's control channel (QMP): a line of JSON each way. Only what saves a machine, starts one
 * from a saved one, or changes how much memory it has is asked. What QEMU says is checked as a
 * guest's words are: the emulator may have been taken over by its guest. */

#define QMP_LINE_MAX 65536

/* A line of QEMU's; what it does not have is NULL. */
struct qmp_error {
    char *desc;
};
struct qmp_data {
    char *status;
};
struct qmp_message {
    char *greeting; /* JSON of "QMP" */
    char *answer;   /* JSON of "return" */
    struct qmp_error *error;
    char *event;
    struct qmp_data *data; /* of an event */
};
int qmp_message_decode(const char *line, size_t length, struct qmp_message **ret_message,
                       struct error *err);
void qmp_message_free(struct qmp_message *message);
DEFINE_AUTO(qmp_message)
/** @answer  to query-balloon */
int qmp_balloon_decode(const char *answer, uint64_t *ret_bytes, struct error *err);

struct qmp;

/** @fd  our end of the channel; taken */
struct qmp *qmp_new(int fd);
void qmp_free(struct qmp *qmp);
DEFINE_AUTO(qmp)

/**
 * Runs commands, each a whole JSON text, until one fails; the first call waits for QEMU's greeting.
 *
 * @commands  ends with NULL
 * @fd        goes with the first of them; -1: none
 */
int qmp_run(struct qmp *qmp, const char *const *commands, int fd, struct error *err);
/** Bytes of memory that the guest has, without what it has given back. */
int qmp_find_memory(struct qmp *qmp, uint64_t *ret_bytes, struct error *err);
/** Waits for the end of a migration, after qmp_run() has begun it. */
int qmp_wait_migrated(struct qmp *qmp, struct error *err);

#endif
