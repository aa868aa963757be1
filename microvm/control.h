#ifndef MICROVM_CONTROL_H
#define MICROVM_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* control.sock of a VM, in RUN/<id>/vm/run: further processes, and questions about the guest. Each
 * connection asks for one process, or for any number of answers.
 *
 * Who comes before berth-vmm listens waits for it, as long as berth-vmm's process is there. -ESRCH:
 * it has ended. */

#define CONTROL_SOCKET     "control.sock"
#define CONTROL_SOCKET_NEW CONTROL_SOCKET ".new" /* until it listens */
#define CONTROL_SPEC_MAX   (8u << 20)

/* In place of berth-vmm's pidfd, in the jail: it is the first process there, so all others end as
 * it ends. */
#define CONTROL_SAME_END (-1)

enum control_type {
    /* client: struct control_exec; descriptors: a memfd with the process as JSON, then its
     * standard streams */
    CONTROL_EXEC = 1,
    CONTROL_SIGNAL,  /* client: int32_t */
    CONTROL_RESIZE,  /* client: struct control_size */
    CONTROL_ASK,     /* client: struct control_question, text of JSON behind it */
    CONTROL_STARTED, /* berth-vmm: nothing */
    CONTROL_FAILED,  /* berth-vmm: struct error; also the answer to CONTROL_ASK */
    CONTROL_EXITED,  /* berth-vmm: uint32_t status; the last message */
    CONTROL_ANSWER,  /* berth-vmm: text */
    CONTROL_FILES,   /* client: as CONTROL_EXEC, with the work as JSON (files_work.h) */
    CONTROL_SAVE,    /* client: struct control_save; descriptors: files for the machine's state, its
                      * memory and the session. After the answer it stands until the client goes */
};

struct control_size {
    uint32_t rows, columns;
};
struct control_exec {
    struct control_size size;
};

struct control_save {
    uint32_t keeps_output; /* what the container wrote and nobody has read yet goes along */
};

enum control_question_type {
    CONTROL_PROCESSES, /* a line for each process of the container: "PID UID COMMAND..." */
    CONTROL_USAGE,     /* JSON: what the guest's cgroup used */
    CONTROL_UPDATE,    /* with the new resources as JSON; answer: nothing */
    CONTROL_MEMORY,    /* bytes to have back from the guest; answer: those that it has given */
    CONTROL_CLOCK,     /* sets the guest's clock; answer: nothing */
};
struct control_question {
    uint32_t type;
};

/**
 * `berth-vmm exec`: runs a process in the guest with the caller's streams, and ends with its
 * status.
 *
 * @process_json  OCI process object
 * @has_terminal  its terminal is standard input's, too
 *
 * Returns the exit status, or an error; -ENOENT, -EACCES: the program.
 */
int control_exec_run(const char *process_json, bool has_terminal, struct error *err);

/**
 * Starts work on the guest's files; it ends with the connection.
 *
 * @dir_fd     directory of control.sock
 * @vmm_pidfd  of berth-vmm, or CONTROL_SAME_END
 * @json       struct inner_files
 * @stdio      its standard streams; the caller closes its own copies
 * @ret_fd     the connection, for control_files_finish()
 */
int control_files_start(int dir_fd, int vmm_pidfd, const char *json, const int stdio[3],
                        int *ret_fd, struct error *err);
/** Waits for its exit status. */
int control_files_finish(int fd, int *ret_status, struct error *err);

/**
 * Saves a running VM (saved_session.h).
 *
 * @vmm_pidfd  of berth-vmm, or CONTROL_SAME_END
 * @fds        empty and writable: state, memory, session
 * @ret_fd     the machine stands until this is closed
 *
 * -EBUSY: something is in the middle that cannot be saved.
 */
int control_save(int dir_fd, int vmm_pidfd, const int fds[3], bool keeps_output, int *ret_fd,
                 struct error *err);

/**
 * Asks a running VM.
 *
 * @dir_fd      directory of control.sock
 * @vmm_pidfd   of berth-vmm, or CONTROL_SAME_END
 * @text        JSON that goes with the question; NULL: none
 * @ret_answer  the caller frees it
 */
int control_ask(int dir_fd, int vmm_pidfd, enum control_question_type type, const char *text,
                char **ret_answer, struct error *err);

/**
 * Has a guest give memory back, or lets it have some again, and waits until it has given it.
 *
 * @bytes      what it is to have given in all
 * @old_bytes  the same before: what it goes back to when it cannot give so much
 *
 * -ENOMEM: the guest needs its memory.
 */
int control_take_memory(int dir_fd, int vmm_pidfd, uint64_t bytes, uint64_t old_bytes,
                        struct error *err);

#endif
