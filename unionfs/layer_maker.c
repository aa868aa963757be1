#include "unionfs/unionfs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/tar_writer.h"
#include "unionfs/layer_entries.h"
#include "unionfs/layer_job.h"

/* What comes out is what berth-unpack would make of the tar: both give the same entries to
 * layer_entries.c (tests/unit/test_layer_maker.c compares). Here they come from our own walk
 * through a directory, so that nothing has to be parsed. */

struct layer_maker {
    struct layer_job *job;
    struct layer_entries entries;
    mode_t mask;            /* the process's own */
    struct layer_path path; /* of the entry */
    int fd;                 /* the file that is written; -1 */
    uint64_t missing;       /* its bytes that have not come yet */
    uint64_t size;
    struct tree_metadata metadata;
    struct tree_attribute attributes[LAYER_ATTRIBUTES_MAX];
};

int layer_maker_open(int data_fd, const struct strings *below, struct strings *warnings,
                     struct layer_maker **ret_maker, struct error *err)
{
    AUTO(layer_maker) struct layer_maker *maker = xcalloc(1, sizeof(*maker));
    int root_fd, r;

    assert(ret_maker != NULL);

    maker->fd = -1;
    maker->mask = umask(0); /* modes are meant as they are */
    r = layer_job_start_empty(data_fd, below, warnings, &maker->job, &root_fd, err);
    if (r < 0)
        return r;
    layer_entries_open(root_fd, below == NULL || below->count == 0, &maker->entries);
    *ret_maker = take_ptr(&maker);
    return 0;
}

void layer_maker_free(struct layer_maker *maker)
{
    if (maker == NULL)
        return;
    auto_close_cleanup(&maker->fd);
    layer_entries_clear(&maker->entries);
    layer_job_free(maker->job);
    (void)umask(maker->mask);
    free(maker);
}

/* --- entries ---------------------------------------------------------------------------------- */

static int take_metadata(struct layer_maker *maker, const struct tar_entry *entry,
                         struct error *err)
{
    struct tree_metadata metadata = { .mode = entry->mode,
                                      .uid = entry->uid,
                                      .gid = entry->gid,
                                      .attributes = maker->attributes,
                                      .attribute_count = entry->attribute_count };

    if (entry->attribute_count > LAYER_ATTRIBUTES_MAX)
        return error_set(err, E2BIG, "has more than %d attributes", LAYER_ATTRIBUTES_MAX);
    metadata.times[0].tv_sec = metadata.times[1].tv_sec = entry->time;
    for (size_t i = 0; i < entry->attribute_count; i++)
        maker->attributes[i] =
            (struct tree_attribute){ entry->attributes[i].name, entry->attributes[i].value,
                                     entry->attributes[i].length };
    maker->metadata = metadata;
    return 0;
}

static int begin_file(struct layer_maker *maker, const struct tar_entry *entry, struct error *err)
{
    maker->size = maker->missing = entry->size;
    return layer_entries_add_file(&maker->entries, &maker->path, (int64_t)entry->size,
                                  &maker->metadata, &maker->fd, err);
}

static int add_entry(struct layer_maker *maker, const struct tar_entry *entry, struct error *err)
{
    struct layer_entries *entries = &maker->entries;
    mode_t type = entry->type == TAR_FIFO ? S_IFIFO : entry->type == TAR_DEVICE ? S_IFBLK : S_IFCHR;
    int r;

    r = layer_entries_begin(entries, entry->name, &maker->path, err);
    if (r == 0)
        r = layer_entries_hide(entries, &maker->path, err);
    if (r != 0)
        return r < 0 ? r : 0;
    if (entry->type == TAR_LINK)
        return layer_entries_add_link(entries, &maker->path, entry->link, err);
    r = take_metadata(maker, entry, err);
    if (r < 0)
        return r;
    switch (entry->type) {
    case TAR_FILE:
        return begin_file(maker, entry, err);
    case TAR_DIRECTORY:
        return tree_add_directory(entries->tree, &maker->path, &maker->metadata, err);
    case TAR_SYMLINK:
        return layer_entries_add_symlink(entries, &maker->path, entry->link, &maker->metadata, err);
    default:
        return layer_entries_add_node(entries, &maker->path, type, entry->device_major,
                                      entry->device_minor, &maker->metadata, err);
    }
}

int layer_maker_add(struct layer_maker *maker, const struct tar_entry *entry, struct error *err)
{
    int r;

    assert(maker != NULL);
    assert(maker->fd < 0);
    assert(entry != NULL);

    r = add_entry(maker, entry, err);
    return r < 0 ? layer_entries_blame(entry->name, r, err) : 0;
}

int layer_maker_write(struct layer_maker *maker, const void *bytes, size_t length,
                      struct error *err)
{
    assert(maker != NULL);
    assert(length <= maker->missing);

    maker->missing -= length;
    return fd_write_all(maker->fd, bytes, length, "a file of the layer", err);
}

int layer_maker_end_file(struct layer_maker *maker, struct error *err)
{
    auto_close int fd = -1;

    assert(maker != NULL);

    fd = take_fd(&maker->fd);
    if (maker->missing > 0 && ftruncate(fd, (off_t)maker->size) < 0)
        return error_errno(err, "set the size of a file of the layer");
    return tree_finish_file(fd, &maker->metadata, err);
}

/* --- the end ---------------------------------------------------------------------------------- */

int layer_maker_finish(struct layer_maker *maker, const struct digest *diff_id, char **ret_key,
                       struct error *err)
{
    struct unpack_result result;
    int r;

    assert(maker != NULL);
    assert(maker->fd < 0);
    assert(diff_id != NULL);

    r = layer_entries_finish(&maker->entries, &result, err);
    if (r < 0)
        return error_prefix(err, r, "make the layer");
    result.diff_id = *diff_id;
    layer_job_take(maker->job, &result);
    unpack_result_clear(&result);
    return layer_job_finish(maker->job, NULL, ret_key, err);
}
