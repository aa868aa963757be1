#include "engine/engine.h"

#include <assert.h>
#include <errno.h>

#include "base/path.h"
#include "base/process.h"
#include "engine/engine_private.h"

/* Merging a large image takes a second or so, once; finding what was made takes one small file. So
 * `berth` finds, and berth-image makes. */

static int list_keys(const struct strings *layers, struct strings *keys, struct error *err)
{
    for (size_t i = 0; i < layers->count; i++) {
        char *key = layer_key_from_path(layers->items[i]);

        if (key == NULL)
            return error_set(err, EINVAL, "'%s' is no layer of the store", layers->items[i]);
        strings_take(keys, key);
    }
    return 0;
}

static int make(struct engine *engine, const struct strings *keys, struct error *err)
{
    AUTO_CLEAR(strings) struct strings line = { 0 };
    auto_free char *program = NULL;
    int status;
    int r;

    r = process_find_helper("berth-image", &program, err);
    if (r < 0)
        return r;
    strings_add(&line, program);
    strings_addf(&line, "--data=%s", engine->data_path);
    strings_addf(&line, "--run=%s", engine->run_path);
    strings_add(&line, "flatten");
    strings_add(&line, "--");
    strings_add_all(&line, keys);
    r = process_run(&line, (const int[]){ -1, -1, 2 }, &status, err);
    if (r == 0 && status != 0)
        r = error_set(err, EIO, "the image could not be made one file"); /* it has said why */
    return r;
}

int engine_flatten(struct engine *engine, const struct strings *layers, char **ret_path,
                   struct error *err)
{
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    auto_free char *path = NULL;
    int r;

    assert(engine != NULL);
    assert(layers != NULL);
    assert(ret_path != NULL);

    r = list_keys(layers, &keys, err);
    if (r < 0)
        return r;
    r = erofs_find(engine->data_fd, &keys, &path, err);
    if (r == -ENOENT) {
        r = make(engine, &keys, err);
        if (r == 0)
            r = erofs_find(engine->data_fd, &keys, &path, err);
    }
    if (r == 0)
        *ret_path = path_join(engine->data_path, path);
    return r;
}
