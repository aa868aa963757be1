#include "unionfs/layer_path.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* The text while it is built: components with a slash between, and where each begins. */
struct build {
    char *text;
    size_t length;
    uint16_t starts[LAYER_DEPTH_MAX];
    size_t depth;
};

static int add_component(struct build *build, const char *component, size_t length,
                         struct error *err)
{
    if (length > LAYER_COMPONENT_MAX)
        return error_set(err, ENAMETOOLONG, "has a component of more than %d bytes",
                         LAYER_COMPONENT_MAX);
    if (build->depth == LAYER_DEPTH_MAX)
        return error_set(err, ENAMETOOLONG, "is deeper than %d directories", LAYER_DEPTH_MAX);
    if (build->length + 1 + length + 1 > LAYER_PATH_MAX)
        return error_set(err, ENAMETOOLONG, "is longer than %d bytes", LAYER_PATH_MAX - 1);

    if (build->depth > 0)
        build->text[build->length++] = '/';
    build->starts[build->depth++] = (uint16_t)build->length;
    memcpy(build->text + build->length, component, length);
    build->length += length;
    return 0;
}

static int drop_component(struct build *build, struct error *err)
{
    if (build->depth == 0)
        return error_set(err, EINVAL, "leads outside of the layer");
    build->depth--;
    build->length = build->starts[build->depth];
    if (build->length > 0)
        build->length--; /* the slash */
    return 0;
}

int layer_path_parse(const char *name, struct layer_path *ret_path, struct error *err)
{
    struct build build = { .text = ret_path->text };
    int r;

    assert(name != NULL);
    assert(ret_path != NULL);

    if (*name == '\0')
        return error_set(err, EINVAL, "has no name");
    for (const char *at = name; *at != '\0';) {
        size_t length = strcspn(at, "/");

        r = 0;
        if (length == 2 && at[0] == '.' && at[1] == '.')
            r = drop_component(&build, err);
        else if (length > 0 && !(length == 1 && at[0] == '.'))
            r = add_component(&build, at, length, err);
        if (r < 0)
            return r;
        at += length;
        at += strspn(at, "/");
    }

    build.text[build.length] = '\0';
    if (build.depth <= 1) {
        /* Directly below the root: an empty parent stands behind the base. */
        ret_path->base = build.text;
        ret_path->parent = build.text + build.length;
        return 0;
    }
    build.text[build.starts[build.depth - 1] - 1] = '\0';
    ret_path->parent = build.text;
    ret_path->base = build.text + build.starts[build.depth - 1];
    return 0;
}

char *layer_path_format(const struct layer_path *path, char *buffer)
{
    assert(path != NULL);

    (void)snprintf(buffer, LAYER_PATH_MAX, "%s%s%s", path->parent, *path->parent == '\0' ? "" : "/",
                   path->base);
    return buffer;
}

char *layer_path_escape(const char *path)
{
    struct text text = { 0 };

    assert(path != NULL);

    for (; *path != '\0'; path++) {
        uint8_t byte = (uint8_t)*path;

        if (byte >= 0x80 || byte == '%')
            text_addf(&text, "%%%02x", byte);
        else
            text_add_bytes(&text, path, 1);
    }
    return text_take(&text);
}

char *layer_path_unescape(const char *text)
{
    char *path = xstrdup(text);
    char *end = path;

    assert(text != NULL);

    for (; *text != '\0'; text++) {
        unsigned byte;

        if (*text == '%' && sscanf(text + 1, "%2x", &byte) == 1 && byte != 0) {
            *end++ = (char)byte;
            text += 2;
        } else {
            *end++ = *text;
        }
    }
    *end = '\0';
    return path;
}
