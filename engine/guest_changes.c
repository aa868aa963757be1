#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/guest_files.h"

/* What a guest says of its files. It can say what it likes: that its files are others than they are
 * harms nobody; but a path has to be one, and a sentence has to be one line. */

#define PATH_BYTES_MAX 65536 /* with its letter and zero byte */
#define CODE_MAX       4095

struct list {
    char bytes[PATH_BYTES_MAX];
    size_t used;
    uint64_t total;
};

/* --- changes ---------------------------------------------------------------------------------- */

/* "a/b": names between single slashes, neither of which is "." or "..". */
static bool is_path(const char *path)
{
    while (true) {
        size_t length = strcspn(path, "/");

        if (length == 0 || (length == 1 && path[0] == '.') ||
            (length == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        if (path[length] == '\0')
            return true;
        path += length + 1;
    }
}

static int take_change(const char *line, change_function *function, void *context,
                       struct error *err)
{
    static const struct {
        char letter;
        enum change_kind kind;
    } kinds[] = { { 'C', CHANGE_MODIFIED }, { 'A', CHANGE_ADDED }, { 'D', CHANGE_DELETED } };
    struct change change = { .parent_fd = -1, .fd = -1 };

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (line[0] != kinds[i].letter)
            continue;
        change.kind = kinds[i].kind;
        change.path = line + 1;
        change.name = strrchr(line, '/') != NULL ? strrchr(line, '/') + 1 : line + 1;
        return is_path(change.path)
                   ? function(&change, context, err)
                   : error_set(err, EBADMSG, "the guest lists a path that no file can have");
    }
    return error_set(err, EBADMSG, "the guest lists a change of an unknown kind");
}

/* Takes the whole lines that are there. */
static int take_lines(struct list *list, change_function *function, void *context,
                      struct error *err)
{
    const char *at = list->bytes, *end;
    int r = 0;

    while (r == 0 && (end = memchr(at, '\0', (size_t)(list->bytes + list->used - at))) != NULL) {
        r = take_change(at, function, context, err);
        at = end + 1;
    }
    list->used -= (size_t)(at - list->bytes);
    memmove(list->bytes, at, list->used);
    return r;
}

int guest_changes_read(int fd, change_function *function, void *context, struct error *err)
{
    auto_free struct list *list = xcalloc(1, sizeof(*list));
    ssize_t length;
    int r = 0;

    assert(function != NULL);

    while (r == 0) {
        if (list->used == sizeof(list->bytes))
            return error_set(err, EBADMSG, "the guest lists a path that is too long");
        length = read(fd, list->bytes + list->used, sizeof(list->bytes) - list->used);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return error_errno(err, "read the guest's list of changes");
        if (length == 0)
            return list->used == 0 ? 0 : error_set(err, EBADMSG, "the guest's list ends early");
        list->used += (size_t)length;
        list->total += (uint64_t)length;
        if (list->total > GUEST_CHANGES_BYTES_MAX)
            return error_set(err, EFBIG, "the guest lists more than %u MiB of changes",
                             GUEST_CHANGES_BYTES_MAX >> 20);
        r = take_lines(list, function, context, err);
    }
    return r;
}

/* --- reports ---------------------------------------------------------------------------------- */

/* Caller frees. */
static char *one_line(const char *text)
{
    char *line = xstrdup(text);

    for (char *at = line; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 127)
            *at = '?';
    }
    return line;
}

static int take_error(const char *text, struct error *err)
{
    char *rest = NULL;
    long code = strtol(text, &rest, 10);
    auto_free char *line = one_line(*rest == ' ' ? rest + 1 : rest);

    return error_set(err, code > 0 && code <= CODE_MAX ? (int)code : EIO, "%s",
                     *line != '\0' ? line : "the guest does not say why");
}

int guest_report_parse(const char *report, size_t length, struct strings *ret_warnings,
                       struct error *err)
{
    const char *at = report, *end;

    while ((end = memchr(at, '\0', (size_t)(report + length - at))) != NULL) {
        if (*at == INNER_REPORT_ERROR)
            return take_error(at + 1, err);
        if (*at == INNER_REPORT_WARNING && ret_warnings != NULL) {
            auto_free char *line = one_line(at + 1);

            strings_add(ret_warnings, line);
        }
        at = end + 1;
    }
    return 0;
}
