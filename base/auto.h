#ifndef BASE_AUTO_H
#define BASE_AUTO_H

#include <stdarg.h>
#include <stddef.h>

/* Ownership by scope: declare a thing with its release at the top of its block.
 *
 *     auto_free char *path = NULL;
 *     auto_close int fd = -1;
 *     AUTO(spec) struct spec *spec = NULL;      with DEFINE_AUTO(spec) beside spec_free()
 *
 * take_ptr(&p) and take_fd(&fd) give the thing away and leave NULL or -1. */
#define auto_free  __attribute__((cleanup(auto_free_cleanup)))
#define auto_close __attribute__((cleanup(auto_close_cleanup)))
#define AUTO(noun) __attribute__((cleanup(noun##_free_cleanup)))

/* For a type `struct noun` released by `void noun_free(struct noun *)`. */
#define DEFINE_AUTO(noun)                                                                          \
    static inline void noun##_free_cleanup(struct noun **pointer)                                  \
    {                                                                                              \
        noun##_free(*pointer);                                                                     \
    }

/* For a `struct noun` kept by value and released by `void noun_clear(struct noun *)`. */
#define AUTO_CLEAR(noun) __attribute__((cleanup(noun##_clear)))

#define take_ptr(pointer) ((__typeof__(*(pointer)))take_ptr_value((void *)(pointer)))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

void auto_free_cleanup(void *pointer);
void auto_close_cleanup(int *fd);
void *take_ptr_value(void *pointer);

/** Gives a descriptor away: returns *fd and leaves -1. */
int take_fd(int *fd);

/* Running out of memory ends the process with one sentence and status 125, so
 * these never return NULL. xcalloc checks count * size for overflow. */
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *pointer, size_t count, size_t size);
void *xmemdup(const void *bytes, size_t length);
char *xstrdup(const char *text); /* NULL gives NULL */
char *xstrndup(const char *text, size_t length);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

#endif
