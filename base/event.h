#ifndef BASE_EVENT_H
#define BASE_EVENT_H

#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

/* One epoll loop: descriptors and what to call when they are ready. */

struct event_loop;
struct event_source;

/** Called with the epoll events that are ready. A negative result ends the loop with that error. */
typedef int event_handler(struct event_source *source, uint32_t events, void *context,
                          struct error *err);

int event_loop_open(struct event_loop **ret_loop, struct error *err);
/** Frees the loop and its sources; closes none of their descriptors. */
void event_loop_free(struct event_loop *loop);
DEFINE_AUTO(event_loop)

/** Watches @fd (borrowed) for @events (EPOLLIN...). The source belongs to the loop. */
int event_loop_add(struct event_loop *loop, int fd, uint32_t events, event_handler *handler,
                   void *context, struct event_source **ret_source, struct error *err);
/** Changes what is watched; 0 pauses the source. */
int event_source_set(struct event_source *source, uint32_t events, struct error *err);
int event_source_fd(const struct event_source *source);
/** Stops watching; safe inside any handler. Does not close the descriptor. NULL is fine. */
void event_source_remove(struct event_source *source);

/** Runs until event_loop_stop() or an error. Returns what was given to event_loop_stop(). */
int event_loop_run(struct event_loop *loop, struct error *err);
void event_loop_stop(struct event_loop *loop, int result);

/** Opens a timer of CLOCK_MONOTONIC (timerfd), non-blocking and close-on-exec. */
int event_open_timer(int *ret_fd, struct error *err);
/** Sets it to expire after @first_ms, then each @interval_ms; 0, 0 stops it. */
int event_set_timer(int fd, uint64_t first_ms, uint64_t interval_ms, struct error *err);
/** Blocks @signals (ends with 0) and opens a signalfd for them, non-blocking and close-on-exec. */
int event_open_signals(const int *signals, int *ret_fd, struct error *err);

#endif
