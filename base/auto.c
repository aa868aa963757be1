#include "base/auto.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void auto_free_cleanup(void *pointer)
{
    void *value;

    memcpy(&value, pointer, sizeof(value));
    free(value);
}

void auto_close_cleanup(int *fd)
{
    /* Cleanup runs between a failed call and its report: errno stays. */
    int saved = errno;

    if (*fd >= 0)
        (void)close(*fd); /* nothing can be done about it here; the descriptor is gone anyway */
    errno = saved;
}

void *take_ptr_value(void *pointer)
{
    void *value;
    void *none = NULL;

    memcpy(&value, pointer, sizeof(value));
    memcpy(pointer, &none, sizeof(none));
    return value;
}

int take_fd(int *fd)
{
    int value = *fd;

    *fd = -1;
    return value;
}

static void __attribute__((noreturn)) end_without_memory(void)
{
    static const char sentence[] = "berth: out of memory\n";
    ssize_t written = write(STDERR_FILENO, sentence, sizeof(sentence) - 1);

    (void)written; /* the status says it as well */
    _exit(125);
}

void *xcalloc(size_t count, size_t size)
{
    void *pointer = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

    if (pointer == NULL)
        end_without_memory();
    return pointer;
}

void *xrealloc(void *pointer, size_t count, size_t size)
{
    void *grown = reallocarray(pointer, count > 0 ? count : 1, size > 0 ? size : 1);

    if (grown == NULL)
        end_without_memory();
    return grown;
}

void *xmemdup(const void *bytes, size_t length)
{
    void *copy = malloc(length > 0 ? length : 1);

    if (copy == NULL)
        end_without_memory();
    if (length > 0)
        memcpy(copy, bytes, length);
    return copy;
}

char *xstrdup(const char *text)
{
    return text == NULL ? NULL : xmemdup(text, strlen(text) + 1);
}

char *xstrndup(const char *text, size_t length)
{
    char *copy;

    if (text == NULL)
        return NULL;
    copy = strndup(text, length);
    if (copy == NULL)
        end_without_memory();
    return copy;
}

char *xvasprintf(const char *format, va_list arguments)
{
    char *text = NULL;

    /* It fails for lack of memory and for results above 2 GiB, which is the same thing. */
    if (vasprintf(&text, format, arguments) < 0)
        end_without_memory();
    return text;
}

char *xasprintf(const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = xvasprintf(format, arguments);
    va_end(arguments);
    return text;
}
