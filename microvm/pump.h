#ifndef MICROVM_PUMP_H
#define MICROVM_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/event.h"
#include "microvm/channel.h"

/* A descriptor on one side, a stream of the channel on the other: from the descriptor into the
 * stream (input), or from the stream to the descriptor (output). Descriptors may be shared with
 * other processes, so O_NONBLOCK is not set on them. */

struct pump;

/** Called after the pump has put something into the channel's output. */
typedef void pump_flush(void *context);

/**
 * @fd        taken; closed with the pump, or when one side has ended
 * @is_input  what is read from @fd is sent
 */
int pump_open(struct event_loop *loop, struct channel *channel, uint32_t stream, int fd,
              bool is_input, pump_flush *flush, void *context, struct pump **ret_pump,
              struct error *err);
/** NULL is fine. What an output has not written yet is lost. */
void pump_free(struct pump *pump);
DEFINE_AUTO(pump)

uint32_t pump_stream(const struct pump *pump);
/** Input: the stream has room again. */
int pump_room(struct pump *pump, struct error *err);
/** Input: reads what is there now, as far as there is room, then ends the stream: whoever wrote it
 * is gone. Others who go on writing are not followed: it reads no more than was there at the first
 * call. @ret_is_ended false: more is there than room. */
int pump_drain(struct pump *pump, bool *ret_is_ended, struct error *err);
/** Input: ends the stream at once. */
void pump_end(struct pump *pump);
bool pump_has_ended(const struct pump *pump);
/** Output: bytes that arrived on the stream. */
int pump_write(struct pump *pump, const void *bytes, size_t length, struct error *err);
/** Output: nothing more arrives; the descriptor is closed when all is written. */
int pump_finish(struct pump *pump, struct error *err);
/** Output: whether bytes wait to be written; NULL: none do. */
bool pump_is_busy(const struct pump *pump);
/** Output: those bytes, borrowed until the next call; returns how many. NULL: none. */
size_t pump_waiting(const struct pump *pump, const void **ret_bytes);

#endif
