#include "microvm/warm_snapshot.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

#define WHOLE_MAX 128
#define STATE_BYTES_MAX                                                                            \
    (64u << 20) /* of a machine with all devices and CPUs; some 100 KiB mostly */

struct warm_snapshot warm_snapshot_empty(void)
{
    return (struct warm_snapshot){ .state_fd = -1, .memory_fd = -1, .whole_fd = -1 };
}

void warm_snapshot_clear(struct warm_snapshot *snapshot)
{
    auto_close_cleanup(&snapshot->state_fd);
    auto_close_cleanup(&snapshot->memory_fd);
    auto_close_cleanup(&snapshot->whole_fd);
    *snapshot = warm_snapshot_empty();
}

/* The memory is not read for it: only where it ends is compared. */
static int describe(const struct warm_snapshot *snapshot, char text[WHOLE_MAX], struct error *err)
{
    auto_free char *state = NULL;
    struct stat memory;
    size_t length = 0;
    int r;

    if (lseek(snapshot->state_fd, 0, SEEK_SET) < 0)
        return error_errno(err, "read the state of the saved machine");
    r = fd_read_all(snapshot->state_fd, STATE_BYTES_MAX, "the state of the saved machine", &state,
                    &length, err);
    if (r < 0)
        return r;
    if (lseek(snapshot->state_fd, 0, SEEK_SET) < 0 || fstat(snapshot->memory_fd, &memory) < 0)
        return error_errno(err, "look at the saved machine");
    (void)snprintf(text, WHOLE_MAX, "state %zu %016llx memory %lld\n", length,
                   (unsigned long long)text_hash(state, length), (long long)memory.st_size);
    return 0;
}

static int open_files(int dir_fd, size_t interfaces, struct warm_snapshot *snapshot,
                      struct error *err)
{
    const struct {
        const char *name;
        int *fd;
    } files[] = {
        { "whole", &snapshot->whole_fd },
        { "state", &snapshot->state_fd },
        { "memory", &snapshot->memory_fd },
    };

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        auto_free char *name = xasprintf("%s.%zu", files[i].name, interfaces);

        *files[i].fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (*files[i].fd < 0)
            return error_errno(err, "open '%s' of the saved machine", name);
    }
    return 0;
}

static int is_whole(const struct warm_snapshot *snapshot, struct error *err)
{
    char kept[WHOLE_MAX] = "", found[WHOLE_MAX] = "";
    ssize_t length = pread(snapshot->whole_fd, kept, sizeof(kept) - 1, 0);
    int r;

    if (length < 0)
        return error_errno(err, "read what the saved machine is");
    if (length == 0)
        return 0;
    r = describe(snapshot, found, err);
    return r < 0 ? r : strcmp(kept, found) == 0;
}

/* From now on nothing can be written to it by way of these descriptors. */
static int reopen_for_reading(int dir_fd, size_t interfaces, struct warm_snapshot *snapshot,
                              struct error *err)
{
    auto_free char *state = xasprintf("state.%zu", interfaces);
    auto_free char *memory = xasprintf("memory.%zu", interfaces);

    warm_snapshot_clear(snapshot);
    snapshot->state_fd = openat(dir_fd, state, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    snapshot->memory_fd = openat(dir_fd, memory, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (snapshot->state_fd < 0 || snapshot->memory_fd < 0)
        return error_errno(err, "open the saved machine");
    snapshot->use = WARM_LOAD;
    return 0;
}

int warm_snapshot_abandon(const struct warm_snapshot *snapshot, struct error *err)
{
    /* The word first: without it the others are nothing. */
    if (ftruncate(snapshot->whole_fd, 0) < 0 || ftruncate(snapshot->state_fd, 0) < 0 ||
        ftruncate(snapshot->memory_fd, 0) < 0)
        return error_errno(err, "empty the files of the saved machine");
    return 0;
}

int warm_snapshot_open(int dir_fd, size_t interfaces, struct warm_snapshot *ret_snapshot,
                       struct error *err)
{
    AUTO_CLEAR(warm_snapshot) struct warm_snapshot snapshot = warm_snapshot_empty();
    int r;

    r = open_files(dir_fd, interfaces, &snapshot, err);
    if (r < 0)
        return r;
    /* Who saves one holds the lock alone until it is whole. */
    if (flock(snapshot.whole_fd, LOCK_EX | LOCK_NB) < 0) {
        r = is_whole(&snapshot, err);
        if (r == 0)
            warm_snapshot_clear(&snapshot);
    } else {
        r = is_whole(&snapshot, err);
        if (r == 0)
            r = warm_snapshot_abandon(&snapshot, err);
        if (r == 0)
            snapshot.use = WARM_SAVE;
    }
    if (r > 0)
        r = reopen_for_reading(dir_fd, interfaces, &snapshot, err);
    if (r < 0)
        return r;
    *ret_snapshot = snapshot;
    snapshot = warm_snapshot_empty();
    return 0;
}

int warm_snapshot_commit(const struct warm_snapshot *snapshot, struct error *err)
{
    char text[WHOLE_MAX];
    int r;

    assert(snapshot->use == WARM_SAVE);
    r = describe(snapshot, text, err);
    if (r < 0)
        return r;
    return fd_write_all(snapshot->whole_fd, text, strlen(text), "what the saved machine is", err);
}
