#ifndef ENGINE_SLIRP_H
#define ENGINE_SLIRP_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"
#include "engine/published_port.h"

/* A network by slirp4netns(1): a program outside of the container that does, with ordinary sockets,
 * what the container sends through its interface. It needs no rights outside, so an ordinary user
 * has it too. The container is 10.0.2.100, its gateway 10.0.2.2, its name server 10.0.2.3; the
 * machine's own loopback cannot be reached. */

#define SLIRP_NETWORK "slirp4netns"

/** Why it cannot be used here: a sentence; NULL: it can. Caller frees. */
char *slirp_find_obstacle(void);

/**
 * The words of its command line for a process's network namespace; pure. It says on descriptor
 * 3 that it is ready, and ends when its standard input does.
 *
 * @api_path  where it takes requests; NULL: nowhere
 */
void slirp_plan(const char *program, pid_t pid, const char *api_path, struct strings *ret_command);

/** The request to let a port of the machine lead into the container; pure. Caller frees. */
char *slirp_plan_request(const struct published_port *port);

/** The name server's file for the container, from the machine's; pure. Caller frees. */
char *slirp_plan_resolv_conf(const char *host_text);

/* The running program: the caller's child, which ends with the descriptor, at the latest when its
 * maker does. */
struct slirp {
    pid_t pid; /* 0: none, or waited for */
    int fd;    /* -1: none */
};
#define SLIRP_NONE ((struct slirp){ .fd = -1 })

/**
 * Gives the network namespace of a process its network, and returns when it is there.
 *
 * @published  ports as published_port_parse() takes them
 * @api_path   for a socket that exists only meanwhile; its folder is the caller's
 */
int slirp_start(pid_t pid, const struct strings *published, const char *api_path,
                struct slirp *ret_slirp, struct error *err);
/** Ends it, so that its ports are free at once; nothing for SLIRP_NONE. */
void slirp_stop(struct slirp *slirp);

#endif
