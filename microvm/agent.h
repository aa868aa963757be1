#ifndef MICROVM_AGENT_H
#define MICROVM_AGENT_H

#include "base/event.h"
#include "microvm/agent_message.h"
#include "microvm/pump.h"
#include "runtime/runtime.h"

/* What the files of the agent share. It is PID 1 of the guest: what it cannot do, nobody else can,
 * so whatever fails is told to berth-vmm, which ends the machine. */

#define AGENT_ROOT   "/rootfs" /* the container's root is put together here */
#define AGENT_BUNDLE "/bundle"
/* Of an image's root: */
#define AGENT_IMAGE "/layers/image"
#define AGENT_DISK  "/layers/upper" /* a tmpfs, or the container's disk */
#define AGENT_UPPER AGENT_DISK "/upper"
#define AGENT_WORK  AGENT_DISK "/work"

/* --- agent_boot.c ----------------------------------------------------------------------------- */

/** Mounts what a process of the guest needs, and goes from the initramfs into a tmpfs: nobody can
 * pivot_root(2) away from an initramfs. @ret_initramfs_fd: the directory that was the root. */
int agent_boot(int *ret_initramfs_fd, struct error *err);
/** Opens a console port, once the kernel has found it; it blocks until its host is there. */
int agent_open_port(unsigned number, int *ret_fd, struct error *err);

/* --- agent_modules.c -------------------------------------------------------------------------- */

/**
 * Loads the kernel modules that a feature needs, in their order, as the line "FEATURE: FILE..." of
 * modules.list names them. A feature without a line is built in.
 *
 * @initramfs_fd  modules.list is there, and what it names
 */
int agent_load_modules(int initramfs_fd, const char *feature, struct error *err);

/* --- agent_setup.c ---------------------------------------------------------------------------- */

/** Time, random numbers, files, network, shares, root: what comes before the container. */
int agent_set_up(int initramfs_fd, const struct agent_setup *setup, struct error *err);
/** Of a machine that was saved while its container ran: time, random numbers, network. */
int agent_set_up_again(const struct agent_setup *setup, struct error *err);
int agent_set_time(uint64_t time_ns, struct error *err);
/** Writes back what is in memory, and switches the machine off. Does not return. */
void agent_power_off(void) __attribute__((noreturn));

/* --- agent_network.c -------------------------------------------------------------------------- */

int agent_set_up_network(const struct agent_interfaces *interfaces, struct error *err);
/** Gives the interfaces, which were set up before, the addresses that they have now. */
int agent_change_network(const struct agent_interfaces *interfaces, struct error *err);

/* --- agent_process.c -------------------------------------------------------------------------- */

struct agent_process {
    struct agent_process *next;
    uint32_t number;
    pid_t pid;
    int terminal_fd;         /* master, for its size; -1: none */
    struct pump *input;      /* into the process */
    struct pump *outputs[2]; /* of the process */
    bool has_exited;
    bool pauses; /* the container, as long as it runs */
    uint8_t status;
};

struct agent {
    int initramfs_fd;
    int port_fd;
    struct event_loop *loop;
    struct event_source *port_source;
    bool waits_for_port; /* to take more output */
    bool is_frozen;      /* nothing is sent until berth-vmm says so */
    struct channel *channel;
    struct runtime *runtime;
    struct container *container; /* NULL: not started */
    struct agent_process *processes;
    unsigned pauses; /* how many processes want the container paused */
};

/** Sends what the channel has to send, as far as the port takes it. */
void agent_flush(void *agent);
void agent_start_container(struct agent *agent, const struct agent_message *message);
void agent_start_process(struct agent *agent, const struct agent_message *message);
/** Starts work on the container's files, as a process. */
void agent_start_files(struct agent *agent, const struct agent_message *message);
struct agent_process *agent_find_process(struct agent *agent, uint32_t number);
void agent_resize(struct agent_process *process, uint32_t rows, uint32_t columns);
/** Takes the children that ended; tells of those that are known when their output is out. */
int agent_reap(struct agent *agent, struct error *err);
/** What arrives for, or is possible on, a process's stream. */
int agent_stream_data(struct agent *agent, uint32_t stream, const void *bytes, size_t length,
                      struct error *err);
int agent_stream_end(struct agent *agent, uint32_t stream, struct error *err);
int agent_stream_room(struct agent *agent, uint32_t stream, struct error *err);

/* --- agent_files.c ---------------------------------------------------------------------------- */

/**
 * Makes a child that does work on the container's files with these standard streams.
 *
 * @json        struct inner_files
 * @ret_pauses  the container is paused, until agent_files_resume()
 */
int agent_files_spawn(struct agent *agent, const char *json, const int stdio[3], pid_t *ret_pid,
                      bool *ret_pauses, struct error *err);
void agent_files_resume(struct agent *agent);

/* --- agent_answer.c --------------------------------------------------------------------------- */

/** Answers to berth-vmm's questions; @ret_text is the caller's to free. */
typedef int agent_answer(struct agent *agent, const struct agent_message *message, char **ret_text,
                         struct error *err);
/** A line for each process: "PID UID COMMAND...", as the container sees them. */
agent_answer agent_answer_processes;
/** JSON: cpu_ns, memory_bytes, memory_inactive_file_bytes, pids, oom_kills of its cgroup. */
agent_answer agent_answer_usage;
agent_answer agent_answer_update, agent_answer_clock;

#endif
