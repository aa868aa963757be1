#ifndef ENGINE_DETACH_KEYS_H
#define ENGINE_DETACH_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The keys that leave an attached terminal, "ctrl-p,ctrl-q" unless told otherwise. */

#define DETACH_KEYS_MAX     16
#define DETACH_KEYS_DEFAULT "ctrl-p,ctrl-q"

struct detach_keys {
    unsigned char keys[DETACH_KEYS_MAX];
    size_t count;   /* 0: there is no way to detach */
    size_t matched; /* how many of them were typed last */
};

/** Parses docker's form: single characters and ctrl-a..z, ctrl-@ [ \ ] ^ _, by commas. NULL: the
 * default; "": none. */
int detach_keys_parse(const char *text, struct detach_keys *ret_keys, struct error *err);

/**
 * Takes typed bytes and gives those that go to the container: a beginning of the sequence is held
 * back until it is clear that it is none.
 *
 * @output  room for @length + DETACH_KEYS_MAX bytes
 *
 * Returns how many bytes @output got; *ret_is_detached: the sequence was typed, the rest is
 * dropped.
 */
size_t detach_keys_filter(struct detach_keys *keys, const char *input, size_t length, char *output,
                          bool *ret_is_detached);

#endif
