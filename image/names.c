#include "image/store_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define NAME_FILE_MAX 255 /* as for any file name */

static char *name_path(const char *file_name)
{
    return xasprintf("names/%s", file_name);
}

int name_encode(const struct reference *reference, char **ret_file_name, struct error *err)
{
    struct reference name = *reference;
    auto_free char *text = NULL;

    if (name.digest != NULL) /* it says all, whatever the tag beside it */
        name.tag = NULL;
    text = reference_format(&name);
    if (strlen(text) > NAME_FILE_MAX)
        return error_set(err, ENAMETOOLONG, "image name '%s' is longer than %d bytes", text,
                         NAME_FILE_MAX);
    for (char *c = text; *c != '\0'; c++) {
        if (*c == '/')
            *c = '+';
    }
    *ret_file_name = take_ptr(&text);
    return 0;
}

/* The other direction; NULL when the file is not one of ours. */
static struct reference *name_decode(const char *file_name)
{
    AUTO(reference) struct reference *reference = NULL;
    auto_free char *text = xstrdup(file_name);
    auto_free char *again = NULL;

    for (char *c = text; *c != '\0'; c++) {
        if (*c == '+')
            *c = '/';
    }
    if (reference_parse(text, &reference, NULL) < 0)
        return NULL;
    if (name_encode(reference, &again, NULL) < 0 || strcmp(again, file_name) != 0)
        return NULL;
    return take_ptr(&reference);
}

static int read_file(struct image_store *store, const char *file_name, struct digest *ret_digest,
                     struct error *err)
{
    auto_free char *path = name_path(file_name);
    auto_free char *text = NULL;
    size_t length;
    int r;

    r = file_read(store->data_fd, path, DIGEST_TEXT_MAX + 1, &text, &length, err);
    if (r < 0)
        return r;
    text[strcspn(text, "\n")] = '\0';
    r = digest_parse(text, ret_digest, err);
    if (r < 0)
        return error_prefix(err, r, "file '%s' of the image store", path);
    return 0;
}

int name_read(struct image_store *store, const struct reference *reference,
              struct digest *ret_digest, struct error *err)
{
    auto_free char *file_name = NULL;
    int r;

    r = name_encode(reference, &file_name, err);
    if (r == -ENAMETOOLONG) /* so it was never given */
        return error_set(err, ENOENT, "no such image name");
    if (r < 0)
        return r;
    return read_file(store, file_name, ret_digest, err);
}

int name_write(struct image_store *store, const struct reference *reference,
               const struct digest *digest, struct error *err)
{
    auto_free char *file_name = NULL;
    auto_free char *path = NULL;
    auto_free char *line = xasprintf("%s\n", digest->text);
    auto_close int lock_fd = -1;
    int r;

    r = name_encode(reference, &file_name, err);
    if (r < 0)
        return r;
    r = store_make_directory(store->data_fd, "names", err);
    if (r < 0)
        return r;
    /* A sweep removes unfinished files, so it has to be kept out. */
    r = store->lock_fd >= 0 ? 0 : image_store_lock(store, false, &lock_fd, err);
    if (r < 0)
        return r;
    path = name_path(file_name);
    return file_replace(store->data_fd, path, line, strlen(line), 0600, FILE_SYNC_DATA, err);
}

const struct name *names_find_digest(const struct names *names, const struct reference *reference,
                                     const struct digest *manifest_digest)
{
    for (size_t i = 0; i < names->count; i++) {
        const struct name *name = &names->items[i];

        if (name->reference->digest != NULL && digest_equal(&name->digest, manifest_digest) &&
            reference_is_same_repository(name->reference, reference))
            return name;
    }
    return NULL;
}

bool name_index(struct image_store *store, const struct name *name, struct digest *ret_digest)
{
    struct digest digest;

    if (name->reference->digest == NULL ||
        digest_parse(name->reference->digest, &digest, NULL) < 0 ||
        digest_equal(&digest, &name->digest) || !blob_is_there(store, &digest, UINT64_MAX))
        return false;
    *ret_digest = digest;
    return true;
}

int image_find_index(struct image_store *store, const struct digest *manifest_digest,
                     struct digest *ret_digest, struct error *err)
{
    AUTO_CLEAR(names) struct names names = { 0 };
    int r;

    r = names_list(store, &names, err);
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        if (digest_equal(&names.items[i].digest, manifest_digest) &&
            name_index(store, &names.items[i], ret_digest))
            return 0;
    }
    return r < 0 ? r
                 : error_set(err, ENOENT,
                             "it did not come with an index of several platforms; pull or load it "
                             "with --all-platforms");
}

int name_delete(struct image_store *store, const struct reference *reference, struct error *err)
{
    auto_free char *file_name = NULL;
    auto_free char *path = NULL;
    int r;

    r = name_encode(reference, &file_name, err);
    if (r < 0)
        return r;
    path = name_path(file_name);
    if (unlinkat(store->data_fd, path, 0) < 0 && errno != ENOENT)
        return error_errno(err, "remove file '%s' of the image store", path);
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->familiar, ((const struct name *)b)->familiar);
}

int names_list(struct image_store *store, struct names *ret_names, struct error *err)
{
    AUTO_CLEAR(strings) struct strings files = { 0 };
    struct names names = { 0 };
    int r;

    r = store_list_directory(store->data_fd, "names", &files, err);
    if (r < 0)
        return r;
    names.items = xcalloc(files.count + 1, sizeof(*names.items));
    for (size_t i = 0; i < files.count; i++) {
        struct name *name = &names.items[names.count];

        name->reference = name_decode(files.items[i]);
        if (name->reference == NULL)
            continue;
        r = read_file(store, files.items[i], &name->digest, err);
        names.count++;
        if (r == -ENOENT || r == -EINVAL) { /* removed meanwhile, or damaged: as if not there */
            reference_free(name->reference);
            *name = (struct name){ 0 };
            names.count--;
            continue;
        }
        if (r < 0) {
            names_clear(&names);
            return r;
        }
        name->familiar = reference_format_familiar(name->reference);
    }
    if (names.count > 1)
        qsort(names.items, names.count, sizeof(*names.items), compare_names);
    *ret_names = names;
    return 0;
}

void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        reference_free(names->items[i].reference);
        free(names->items[i].familiar);
    }
    free(names->items);
    *names = (struct names){ 0 };
}
