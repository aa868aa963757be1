#ifndef ENGINE_SLIRP_H
#define ENGINE_SLIRP_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"

/* A network by slirp4netns(1): a program outside of the container that does, with ordinary sockets,
 * what the container sends through its interface. It needs no rights outside, so an ordinary user
 * has it too. The container is 10.0.2.100, its gateway 10.0.2.2, its name server 10.0.2.3; the
 * machine's own loopback cannot be reached. */

#define SLIRP_NETWORK "slirp4netns"

/** Why it cannot be used here: a sentence; NULL: it can. Caller frees. */
char *slirp_find_obstacle(void);

/** The words of its command line for a process's network namespace; pure. It says on standard
 * output that it is ready, and ends when its standard input does. */
void slirp_plan(const char *program, pid_t pid, struct strings *ret_command);

/** The name server's file for the container, from the machine's; pure. Caller frees. */
char *slirp_plan_resolv_conf(const char *host_text);

/**
 * Gives the network namespace of a process its network, and returns when it is there.
 *
 * @ret_fd  the program ends when this is closed; it is the caller's child
 */
int slirp_start(pid_t pid, int *ret_fd, struct error *err);

#endif
