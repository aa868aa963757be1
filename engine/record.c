#include "engine/record.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "engine/engine_private.h"

#define LIFE_FILE          "life.json"
#define CONTAINER_PATH_MAX (sizeof("containers/") + CONTAINER_ID_LENGTH + 32)

static void container_path(const char *id, const char *file, char *ret_path)
{
    (void)snprintf(ret_path, CONTAINER_PATH_MAX, "containers/%.64s%s%s", id,
                   file == NULL ? "" : "/", file == NULL ? "" : file);
}

/* Whoever asks found it a moment ago. */
static int was_removed(const char *id, struct error *err)
{
    return error_set(err, ENOENT, "No such container: %.12s", id);
}

int container_explain_removal(const struct engine *engine, const char *id, int r, struct error *err)
{
    return r == -ENOENT && !engine_has_container(engine, id) ? was_removed(id, err) : r;
}

int container_directory(struct engine *engine, const char *id, int *ret_fd, struct error *err)
{
    char path[CONTAINER_PATH_MAX];

    container_path(id, NULL, path);
    *ret_fd = openat(engine->data_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0 && errno == ENOENT)
        return was_removed(id, err);
    if (*ret_fd < 0)
        return error_errno(err, "open container %.12s", id);
    return 0;
}

int container_lock(struct engine *engine, const char *id, int *ret_fd, struct error *err)
{
    auto_close int fd = -1;
    int r;

    r = container_directory(engine, id, &fd, err);
    if (r < 0)
        return r;
    if (flock(fd, LOCK_EX) < 0)
        return error_errno(err, "lock container %.12s", id);
    *ret_fd = take_fd(&fd);
    return 0;
}

int file_create(int dir_fd, const char *name, const void *bytes, size_t length, mode_t mode,
                struct error *err)
{
    auto_close int fd = -1;

    fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return error_errno(err, "create file '%s'", name);
    /* What others may read is read by users inside, whatever the caller's umask says. */
    if ((mode & 077) != 0 && fchmod(fd, mode) < 0)
        return error_errno(err, "set the mode of file '%s'", name);
    return fd_write_all(fd, bytes, length, name, err);
}

int record_read(struct engine *engine, const char *id, struct record **ret_record,
                struct error *err)
{
    AUTO(record) struct record *record = NULL;
    auto_free char *text = NULL;
    char path[CONTAINER_PATH_MAX];
    size_t length;
    int r;

    assert(ret_record != NULL);

    container_path(id, RECORD_FILE, path);
    r = file_read(engine->data_fd, path, RECORD_BYTES_MAX, &text, &length, err);
    if (r < 0)
        return container_explain_removal(engine, id, r, err);
    record = xcalloc(1, sizeof(*record));
    r = decode_text(&record_object, text, length, record, RECORD_FILE, err);
    if (r < 0)
        return error_prefix(err, r, "container %.12s", id);
    if (!text_equal(record->id, id))
        return error_set(err, EBADMSG, "container %.12s: its record names another id", id);
    *ret_record = take_ptr(&record);
    return 0;
}

int record_write(int dir_fd, const struct record *record, bool is_new, struct error *err)
{
    auto_free char *text = encode_text(&record_object, record, ENCODE_COMPACT);

    if (is_new)
        return file_create(dir_fd, RECORD_FILE, text, strlen(text), 0600, err);
    return file_replace(dir_fd, RECORD_FILE, text, strlen(text), 0600, FILE_SYNC_NONE, err);
}

void record_free(struct record *record)
{
    if (record == NULL)
        return;
    object_clear(&record_object, record);
    free(record);
}

int life_read(struct engine *engine, const char *id, struct life *ret_life, struct error *err)
{
    struct life life = { 0 };
    auto_free char *text = NULL;
    char path[CONTAINER_PATH_MAX];
    size_t length;
    int r;

    container_path(id, LIFE_FILE, path);
    r = file_read(engine->data_fd, path, RECORD_BYTES_MAX, &text, &length, err);
    if (r == -ENOENT && !engine_has_container(engine, id))
        return was_removed(id, err);
    if (r == -ENOENT) {
        *ret_life = life;
        return 0;
    }
    if (r < 0)
        return r;
    r = decode_text(&life_object, text, length, &life, LIFE_FILE, err);
    if (r < 0)
        return error_prefix(err, r, "container %.12s", id);
    *ret_life = life;
    return 0;
}

int life_write(struct engine *engine, const char *id, const struct life *life, struct error *err)
{
    auto_close int dir_fd = -1;
    auto_free char *text = NULL;
    int r;

    r = container_directory(engine, id, &dir_fd, err);
    if (r < 0)
        return r;
    text = encode_text(&life_object, life, ENCODE_COMPACT);
    return file_replace(dir_fd, LIFE_FILE, text, strlen(text), 0600, FILE_SYNC_NONE, err);
}

void life_clear(struct life *life)
{
    object_clear(&life_object, life);
}
