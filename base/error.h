#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stddef.h>

/* Room for one sentence, with its terminating zero. */
#define ERROR_MESSAGE_MAX 1024

/**
 * One failure: a code for programs, a sentence for people.
 *
 * A plain value: no allocation, nothing to release, safe between fork and exec,
 * and sent as it is between berth's processes. Starts as { 0 }.
 */
struct error {
    int code;                        /* positive errno value; 0: no error */
    char message[ERROR_MESSAGE_MAX]; /* printable, no newline, no full stop */
};

/**
 * Starts an error: stores @code and the formatted sentence.
 *
 * Control bytes and the byte 127 in the sentence are written as \xNN, so that
 * nothing from an image or a user reaches the terminal as an escape sequence.
 * A sentence that is too long, as its paths are, loses its middle: "..." stands
 * there, and the reason at its end is kept.
 *
 * @err   may be NULL
 * @code  a positive errno value
 *
 * Returns -code.
 */
int error_set(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** As error_set() with the current errno, whose text is added after ": ". Returns -errno. */
int error_errno(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * Puts what only the caller knows before the sentence: "layer 3 of x: ...".
 *
 * @r  what the failed function returned; stays the result
 *
 * Returns @r.
 */
int error_prefix(struct error *err, int r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
