#ifndef ENGINE_MONITOR_WIRE_H
#define ENGINE_MONITOR_WIRE_H

#include <stdint.h>

/* What a monitor and its clients say to each other, over RUN/@monitors/<id>.sock and over the
 * socket pair between a monitor and the process that starts it (base/wire.h frames the messages).
 *
 * The starter is the monitor's first client: START is in its socket before the monitor's first
 * instruction, so that its attachment misses no output. The monitor answers STARTED or ERROR once.
 *
 * Standard input has credit for one message: after STDIN a client sends no further one until it got
 * STDIN_TAKEN. So the monitor can always read a client's other messages (signals, sizes), and needs
 * no more memory than one message for each client. Output waits the other way round: while a
 * client's socket is full, the monitor does not read the container's output. */

enum monitor_message {
    /* client to monitor */
    MONITOR_START = 1, /* struct monitor_attach; only the starter, first */
    MONITOR_ATTACH,    /* struct monitor_attach */
    MONITOR_STDIN,     /* bytes, at most MONITOR_CHUNK_MAX */
    MONITOR_STDIN_END, /* end of file on the client's standard input */
    MONITOR_RESIZE,    /* struct monitor_size */
    MONITOR_SIGNAL,    /* int32_t: for the container's first process */
    MONITOR_STOPPING,  /* a person stops it: do not restart; answered by OK */
    MONITOR_WAIT,      /* uint32_t: enum monitor_wait; answered by EXIT */
    MONITOR_CHANGED,   /* the record has another restart policy; answered by OK */
    MONITOR_PAUSE,     /* answered by OK or ERROR */
    /* monitor to client */
    MONITOR_STARTED = 64, /* text of a warning; mostly none */
    MONITOR_OK,
    MONITOR_ERROR,  /* struct error */
    MONITOR_STDOUT, /* bytes, at most MONITOR_CHUNK_MAX */
    MONITOR_STDERR,
    MONITOR_STDIN_TAKEN, /* the last STDIN was passed on: send more */
    MONITOR_EXIT,        /* int32_t: 0..255 */
};

enum monitor_attach_flag {
    MONITOR_HAS_STDIN = 1 << 0,
    MONITOR_HAS_STDOUT = 1 << 1,
    MONITOR_HAS_STDERR = 1 << 2,
};

enum monitor_wait {
    MONITOR_WAIT_NEXT_EXIT,   /* also when it is restarted after it */
    MONITOR_WAIT_NOT_RUNNING, /* ended for good: recorded, cgroup gone, with --rm removed */
};

struct monitor_attach {
    uint32_t flags;
};
struct monitor_size {
    uint16_t rows, columns;
};

#define MONITOR_CHUNK_MAX 16384

/* Descriptors that the monitor is started with, and its arguments: DATA RUN ID, and a further one
 * when the container goes on from its checkpoint. */
#define MONITOR_RESTORES   "restore"
#define MONITOR_STARTER_FD 3
#define MONITOR_CLAIM_FD   4

#endif
