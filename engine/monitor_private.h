#ifndef ENGINE_MONITOR_PRIVATE_H
#define ENGINE_MONITOR_PRIVATE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/fuse_root.h"
#include "engine/monitor_client.h"
#include "engine/monitor_log.h"
#include "engine/record.h"
#include "engine/slirp.h"
#include "runtime/runtime.h"

/* monitor.c: the states and the loop; monitor_start.c: making the container and its streams;
 * monitor_io.c: streams and clients. */

#define MONITOR_CLIENTS_MAX 64

enum monitor_state {
    MONITOR_RUNNING,
    MONITOR_WAITING_TO_RESTART,
    MONITOR_ENDED,
};

struct monitor {
    struct engine *engine;
    const char *id;
    struct record *record;
    struct spec *spec;           /* without its seccomp profile once the container runs */
    struct container *container; /* NULL between two runs */
    struct monitor_log *log;     /* NULL: log driver "none" */
    struct life life;
    enum monitor_state state;
    pid_t pid;
    int exit_status;
    int claim_fd, listen_fd, signal_fd, directory_fd;
    int output_fds[2]; /* stdout and stderr; with a terminal only the first: its master */
    int stdin_fd;      /* -1: closed or none */
    struct slirp slirp;
    struct fuse_root fuse_root;
    int root_status; /* from wait(2): how the program ended that gave the root; 0: well, or not */
    int terminal_fd, slave_fd; /* borrowed from output_fds[0]; the slave is kept open, see there */
    struct client *clients[MONITOR_CLIENTS_MAX];
    size_t client_count;
    bool is_stopping;
    uint64_t started_ms;  /* monotonic, as the next one */
    uint64_t deadline_ms; /* of the restart, or of killing; 0: none */
    uint32_t restart_delay_ms;
};

/** Milliseconds of CLOCK_MONOTONIC. */
uint64_t monitor_now_ms(void);

/** Creates and starts the container with new streams, or from its checkpoint. On error nothing is
 * left. */
int monitor_start(struct monitor *monitor, bool is_restored, struct error *err);

/** Reads one piece of the container's output, and returns its length; 0 none now, -1 the stream
 * ended. */
int monitor_read_output(struct monitor *monitor, size_t index);
/** Reads what is left of a container whose processes are dead, however much others write. */
void monitor_drain_output(struct monitor *monitor);
/** And lets the program end that was its network. */
void monitor_close_streams(struct monitor *monitor);
/** Passes queued input on to the container. */
void monitor_write_input(struct monitor *monitor);
bool monitor_has_input(const struct monitor *monitor);
/** Whether a client has yet to take earlier output. */
bool monitor_is_held_up(const struct monitor *monitor);

void monitor_add_client(struct monitor *monitor, int fd);
/** Reads and handles the messages of one client. */
void monitor_read_client(struct monitor *monitor, struct client *client);
void monitor_remove_dead_clients(struct monitor *monitor);
/** Sends EXIT to clients; @only_next: those that wait for the next exit. */
void monitor_tell_exit(struct monitor *monitor, bool only_next);

#endif
