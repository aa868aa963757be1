#include "unionfs/erofs_store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/staging.h"
#include "unionfs/layer_store.h"

/* DATA/erofs as it lies on disk: looking up and removing. Making is erofs_make.c, which needs much
 * more. */

#define LAYERS_BYTES_MAX (1u << 20)

char *erofs_layers_format(const struct strings *layers)
{
    AUTO_CLEAR(text) struct text text = { 0 };

    text_add(&text, EROFS_FORMAT "\n");
    for (size_t i = 0; i < layers->count; i++)
        text_addf(&text, "%s\n", layers->items[i]);
    return text_take(&text);
}

char *erofs_key(const struct strings *layers)
{
    auto_free char *text = erofs_layers_format(layers);

    return xasprintf("%016llx", (unsigned long long)text_hash(text, strlen(text)));
}

int erofs_find(int data_fd, const struct strings *layers, char **ret_path, struct error *err)
{
    auto_free char *key = erofs_key(layers);
    auto_free char *expected = erofs_layers_format(layers);
    auto_free char *path = xasprintf(EROFS_FOLDER "/%s/layers", key);
    auto_free char *found = NULL;
    int r;

    r = file_read(data_fd, path, LAYERS_BYTES_MAX, &found, NULL, err);
    if (r < 0)
        return r;
    if (!text_equal(found, expected))
        return error_set(err, ENOENT, "'%s' was made of other layers", path);
    *ret_path = xasprintf(EROFS_FOLDER "/%s/" EROFS_NAME, key);
    return 0;
}

int erofs_read_layers(int data_fd, const char *key, struct strings *ret_layers, struct error *err)
{
    auto_free char *path = xasprintf(EROFS_FOLDER "/%s/layers", key);
    auto_free char *text = NULL;
    int r;

    r = file_read(data_fd, path, LAYERS_BYTES_MAX, &text, NULL, err);
    if (r < 0)
        return r;
    if (!text_starts(text, EROFS_FORMAT "\n"))
        return error_set(err, ENOENT, "'%s' is of another berth", path);
    strings_split(ret_layers, text + sizeof(EROFS_FORMAT), '\n');
    if (ret_layers->count > 0)
        strings_remove(ret_layers, ret_layers->count - 1); /* behind the last line */
    return 0;
}

int erofs_list(int data_fd, struct strings *ret_keys, struct error *err)
{
    return layer_store_list_names(data_fd, EROFS_FOLDER, ret_keys, err);
}

int erofs_usage(int data_fd, const char *key, struct disk_usage *ret_usage, struct error *err)
{
    auto_free char *path = path_join(EROFS_FOLDER, key);
    struct disk_usage usage = { 0 };
    int r = disk_usage_add(data_fd, path, &usage, err);

    if (r == 0)
        *ret_usage = usage;
    return r;
}

int erofs_delete(int data_fd, const char *key, struct error *err)
{
    auto_free char *path = path_join(EROFS_FOLDER, key);
    int r = staging_trash(data_fd, data_fd, path, err);

    return r < 0 ? error_prefix(err, r, "remove '%s'", path) : 0;
}
