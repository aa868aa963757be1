#include "unionfs/unionfs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/disk_usage.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/process.h"
#include "base/staging.h"
#include "unionfs/layer_inherit.h"
#include "unionfs/layer_job.h"
#include "unionfs/layer_store.h"
#include "unionfs/tree_compare.h"
#include "unionfs/unpack_report.h"

/* How a layer comes into being. Under a lock of its diff id, berth-unpack fills staging/fs; the
 * digest is compared; what depends on the layers below is copied from them; meta is written; and
 * one rename makes DATA/layers/<key> appear.
 *
 * Nothing of this is synced, since one syncfs(2) for all layers of an image (layers_sync) costs a
 * fraction of one for each. A power cut in between could leave a layer with empty files, so until
 * then DATA/layers/.unsynced/<key> holds the boot id, and a layer that a former boot left unsynced
 * is unpacked again by whoever asks for it. */

#define PROGRESS_MS 100

struct layer_job {
    int data_fd, layers_fd;
    struct layer_source source;
    struct strings below;
    struct staging *staging;
    int fs_fd;
    int lock_fd;
    char *lock_name; /* below DATA/locks */
    char *key;       /* set: the layer is there */
    pid_t pid;       /* of berth-unpack; 0: none */
    int report_fd;
    int growth_fd; /* eventfd: how many bytes more are in the file; -1: it does not grow */
    uint64_t fed;  /* bytes that berth-unpack knows of */
    bool is_ended; /* report and diff_id are there */
    struct unpack_report report;
    struct digest diff_id; /* of what was unpacked */
};

/* --- layers that no sync followed ------------------------------------------------------------- */

static int read_boot_id(char **ret_boot_id, struct error *err)
{
    return file_read_kernel(AT_FDCWD, "/proc/sys/kernel/random/boot_id", ret_boot_id, err);
}

static int mark_unsynced(int layers_fd, const char *key, struct error *err)
{
    auto_free char *name = xasprintf(UNSYNCED "/%s", key);
    auto_free char *boot_id = NULL;
    int r;

    r = read_boot_id(&boot_id, err);
    if (r < 0)
        return r;
    if (mkdirat(layers_fd, UNSYNCED, 0700) < 0 && errno != EEXIST)
        return error_errno(err, "make the directory '%s'", UNSYNCED);
    return file_replace(layers_fd, name, boot_id, strlen(boot_id), 0600, FILE_SYNC_NONE, err);
}

/* Whether a former boot left this layer without a sync: 1, 0 or an error. */
static int is_doubtful(int layers_fd, const char *key, struct error *err)
{
    auto_free char *name = xasprintf(UNSYNCED "/%s", key);
    auto_free char *marked = NULL;
    auto_free char *boot_id = NULL;
    int r;

    r = file_read(layers_fd, name, 256, &marked, NULL, err);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    r = read_boot_id(&boot_id, err);
    if (r < 0)
        return r;
    return text_equal(marked, boot_id) ? 0 : 1;
}

/* --- jobs ------------------------------------------------------------------------------------- */

static void job_unlock(struct layer_job *job)
{
    if (job->lock_fd < 0)
        return;
    (void)unlinkat(job->data_fd, job->lock_name, 0); /* held, so nobody else counts on it */
    (void)close(job->lock_fd);
    job->lock_fd = -1;
}

void layer_job_free(struct layer_job *job)
{
    if (job == NULL)
        return;
    if (job->pid > 0) {
        (void)kill(job->pid, SIGKILL); /* our own child, not waited for yet */
        while (waitpid(job->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (job->report_fd >= 0)
        (void)close(job->report_fd);
    if (job->growth_fd >= 0)
        (void)close(job->growth_fd);
    if (job->fs_fd >= 0)
        (void)close(job->fs_fd);
    staging_free(job->staging);
    job_unlock(job);
    if (job->layers_fd >= 0)
        (void)close(job->layers_fd);
    object_clear(&unpack_report_object, &job->report);
    strings_clear(&job->below);
    free(job->lock_name);
    free(job->key);
    free(job);
}

static int job_lock(struct layer_job *job, bool is_waiting, struct error *err)
{
    if (mkdirat(job->data_fd, "locks", 0700) < 0 && errno != EEXIST)
        return error_errno(err, "make the directory 'locks'");
    job->lock_name = xasprintf("locks/layer-%s", digest_hex(&job->source.diff_id));
    return file_lock(job->data_fd, job->lock_name, true, is_waiting ? UINT32_MAX : 0, &job->lock_fd,
                     err);
}

/* Looks for the finished layer; a doubtful one is removed. 0: there (job->key), -ENOENT: not. */
static int job_find(struct layer_job *job, struct error *err)
{
    auto_free char *key = NULL;
    int r;

    r = layer_find(job->data_fd, &job->source.diff_id, &job->below, &key, err);
    if (r < 0)
        return r;
    r = is_doubtful(job->layers_fd, key, err);
    if (r < 0)
        return r;
    if (r == 0) {
        job->key = take_ptr(&key);
        return 0;
    }
    log_debug("layer %s: unpacked before the last boot and not synced, once more", key);
    r = layer_delete(job->data_fd, key, err);
    return r < 0 ? r : -ENOENT;
}

/* Without close-on-exec, for this one child; nothing else is started meanwhile. */
static int hand_on(int fd, struct strings *arguments, int *ret_fd, struct error *err)
{
    int inherited = fcntl(fd, F_DUPFD, 3);

    if (inherited < 0)
        return error_errno(err, "hand on a descriptor");
    strings_addf(arguments, "%d", inherited);
    *ret_fd = inherited;
    return 0;
}

/* Starts berth-unpack with the blob as its input and a pipe as its output. */
static int job_spawn(struct layer_job *job, struct error *err)
{
    AUTO_CLEAR(strings) struct strings arguments = { 0 };
    auto_free char *program = NULL;
    auto_close int inherited = -1;
    auto_close int growth = -1;
    auto_close int report_in = -1;
    int fds[2];
    int r;

    r = process_find_helper("berth-unpack", &program, err);
    if (r < 0)
        return r;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    job->report_fd = fds[0];
    report_in = fds[1];

    strings_add(&arguments, program);
    r = hand_on(job->fs_fd, &arguments, &inherited, err);
    if (r < 0)
        return r;
    strings_add(&arguments, job->source.diff_id.text[0] == '\0'
                                ? "sha256"
                                : digest_algorithm(&job->source.diff_id));
    strings_add(&arguments, job->below.count == 0 ? "bottom" : "above");
    if (job->growth_fd >= 0) {
        r = hand_on(job->growth_fd, &arguments, &growth, err);
        if (r < 0)
            return r;
        strings_addf(&arguments, "%llu", (unsigned long long)job->source.size_bytes);
    }
    return process_spawn(&arguments, (const int[]){ job->source.blob_fd, report_in, 2 }, &job->pid,
                         err);
}

static int job_make_root(struct layer_job *job, struct error *err)
{
    int r;

    r = staging_create(job->data_fd, &job->staging, err);
    if (r < 0)
        return r;
    if (mkdirat(job->staging->fd, "layer", 0755) < 0 ||
        mkdirat(job->staging->fd, "layer/fs", 0755) < 0)
        return error_errno(err, "make the layer's directory");
    r = path_open_beneath(job->staging->fd, "layer/fs", O_RDONLY | O_DIRECTORY, 0, &job->fs_fd,
                          err);
    if (r < 0)
        return r;
    /* What the umask and a parent with the set-group-id bit may have changed. */
    if (fchmod(job->fs_fd, 0755) < 0)
        return error_errno(err, "set the mode of the layer's directory");
    return 0;
}

static int job_begin(struct layer_job *job, struct error *err)
{
    int r;

    r = job_make_root(job, err);
    if (r < 0)
        return r;
    if (job->source.is_growing) {
        job->growth_fd = eventfd(0, EFD_CLOEXEC);
        if (job->growth_fd < 0)
            return error_errno(err, "make an eventfd");
    }
    return job_spawn(job, err);
}

static struct layer_job *job_new(int data_fd, const struct layer_source *source,
                                 const struct strings *below)
{
    struct layer_job *job = xcalloc(1, sizeof(*job));

    job->data_fd = data_fd;
    job->layers_fd = job->fs_fd = job->lock_fd = job->report_fd = job->growth_fd = -1;
    job->source = *source;
    job->source.media_type = NULL; /* borrowed, and checked where a job begins */
    if (below != NULL)
        strings_add_all(&job->below, below);
    return job;
}

static int media_type_check(const char *media_type, struct error *err)
{
    if (media_type != NULL && strstr(media_type, "+encrypted") != NULL)
        return error_set(err, EPROTONOSUPPORT, "encrypted layers (%s) are not supported",
                         media_type);
    return 0;
}

int layer_job_start(int data_fd, const struct layer_source *source, const struct strings *below,
                    bool is_waiting, struct layer_job **ret_job, struct error *err)
{
    AUTO(layer_job) struct layer_job *job = NULL;
    int r;

    assert(source != NULL);
    assert(ret_job != NULL);

    job = job_new(data_fd, source, below);
    r = media_type_check(source->media_type, err);
    if (r == 0)
        r = layers_open(data_fd, &job->layers_fd, err);
    if (r == 0 && source->diff_id.text[0] != '\0') {
        r = job_lock(job, is_waiting, err);
        if (r == 0)
            r = job_find(job, err);
        if (r == 0)
            job_unlock(job);
        else if (r == -ENOENT)
            r = job_begin(job, err);
    } else if (r == 0) {
        r = job_begin(job, err);
    }
    if (r < 0)
        return r;
    *ret_job = take_ptr(&job);
    return 0;
}

int layer_job_start_empty(int data_fd, const struct strings *below, struct strings *warnings,
                          struct layer_job **ret_job, int *ret_root_fd, struct error *err)
{
    const struct layer_source source = { .blob_fd = -1, .warnings = warnings };
    AUTO(layer_job) struct layer_job *job = job_new(data_fd, &source, below);
    int r;

    assert(ret_job != NULL);
    assert(ret_root_fd != NULL);

    r = layers_open(data_fd, &job->layers_fd, err);
    if (r == 0)
        r = job_make_root(job, err);
    if (r < 0)
        return r;
    *ret_root_fd = job->fs_fd;
    *ret_job = take_ptr(&job);
    return 0;
}

int layer_job_feed(struct layer_job *job, uint64_t bytes, struct error *err)
{
    uint64_t more;

    assert(job != NULL);
    assert(bytes >= job->fed);

    more = bytes - job->fed;
    if (job->growth_fd < 0 || more == 0)
        return 0;
    if (write(job->growth_fd, &more, sizeof(more)) < 0)
        return error_errno(err, "tell berth-unpack of more bytes");
    job->fed = bytes;
    return 0;
}

int layer_job_fd(const struct layer_job *job)
{
    return job->report_fd;
}

/* The helper reads through the same open file: its offset is how far it is. */
uint64_t layer_job_done(const struct layer_job *job)
{
    off_t offset = lseek(job->source.blob_fd, 0, SEEK_CUR);

    return offset < 0 ? 0 : (uint64_t)offset;
}

/* Reads the report to the end of the pipe, which is the end of berth-unpack too. */
static int read_report(struct layer_job *job, struct text *report, struct error *err)
{
    char buffer[4096];

    for (;;) {
        struct pollfd wanted = { .fd = job->report_fd, .events = POLLIN };
        int ready = poll(&wanted, 1, job->source.progress == NULL ? -1 : PROGRESS_MS);
        ssize_t length;

        if (ready < 0 && errno != EINTR)
            return error_errno(err, "wait for berth-unpack");
        if (ready <= 0) {
            if (job->source.progress != NULL)
                job->source.progress(layer_job_done(job), job->source.context);
            continue;
        }
        length = read(job->report_fd, buffer, sizeof(buffer));
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return error_errno(err, "read from berth-unpack");
        if (length == 0)
            return 0;
        text_add_bytes(report, buffer, (size_t)length);
        if (report->length > UNPACK_REPORT_BYTES_MAX)
            return error_set(err, EFBIG, "berth-unpack says too much");
    }
}

static int wait_helper(struct layer_job *job, struct error *err)
{
    int status;

    while (waitpid(job->pid, &status, 0) < 0) {
        if (errno != EINTR)
            return error_errno(err, "wait for berth-unpack");
    }
    job->pid = 0;
    if (WIFSIGNALED(status))
        return error_set(err, EIO, "berth-unpack was ended by signal %d", WTERMSIG(status));
    if (status != 0)
        return error_set(err, EIO, "berth-unpack failed with status %d", WEXITSTATUS(status));
    return 0;
}

static void warn_of_devices(struct layer_job *job)
{
    struct unpack_report *report = &job->report;

    if (report->devices_left_out > 0 && job->source.warnings != NULL)
        strings_addf(job->source.warnings,
                     "layer %.19s: without its %llu devices, which only root may make",
                     job->diff_id.text, (unsigned long long)report->devices_left_out);
    report->devices_left_out = 0;
}

static int parse_report(struct layer_job *job, const struct text *text, struct error *err)
{
    const struct digest *expected = &job->source.diff_id;
    struct unpack_report *report = &job->report;
    int r;

    r = decode_text(&unpack_report_object, text->data == NULL ? "" : text->data, text->length,
                    report, "report of berth-unpack", err);
    if (r < 0)
        return r;
    if (report->error != NULL)
        return error_set(err, report->code == 0 ? EIO : (int)(report->code & 0xfff), "%s",
                         report->error);
    r = digest_parse(report->diff_id == NULL ? "" : report->diff_id, &job->diff_id, err);
    if (r < 0)
        return error_prefix(err, r, "report of berth-unpack");
    if (expected->text[0] != '\0' && !digest_equal(expected, &job->diff_id))
        return error_set(err, EBADMSG, "its content has the digest %s", job->diff_id.text);
    warn_of_devices(job);
    return 0;
}

/* Opens the layers below, topmost first. */
static int open_lowers(const struct layer_job *job, int *fds, struct error *err)
{
    AUTO_CLEAR(strings) struct strings below = { 0 };

    for (size_t i = 0; i < job->below.count; i++) {
        struct digest diff_id;
        auto_free char *key = NULL;
        auto_free char *path = NULL;
        int r;

        r = digest_parse(job->below.items[i], &diff_id, err);
        if (r == 0)
            r = layer_find(job->data_fd, &diff_id, &below, &key, err);
        if (r < 0)
            return r;
        path = xasprintf("%s/fs", key);
        r = path_open_beneath(job->layers_fd, path, O_RDONLY | O_DIRECTORY, 0,
                              &fds[job->below.count - 1 - i], err);
        if (r < 0)
            return r;
        strings_add(&below, job->below.items[i]);
    }
    return 0;
}

static int job_inherit(struct layer_job *job, struct error *err)
{
    auto_free int *fds = NULL;
    size_t count = job->below.count;
    int r;

    if (count == 0)
        return 0;
    fds = xcalloc(count, sizeof(*fds));
    for (size_t i = 0; i < count; i++)
        fds[i] = -1;
    r = open_lowers(job, fds, err);
    if (r == 0)
        r = layer_inherit(job->fs_fd, &job->report, fds, count, err);
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]); /* only read */
    }
    return r;
}

/* Told once, since it takes a look at each file: `system df` shall not. */
static int job_count(struct layer_job *job, struct error *err)
{
    struct unpack_report *report = &job->report;
    struct disk_usage usage = { 0 };
    int r = disk_usage_add(job->staging->fd, "layer/fs", &usage, err);

    report->disk_bytes = usage.bytes;
    report->tree_entries = usage.entries;
    report->tree_bytes = usage.file_bytes;
    report->tree_whiteouts = usage.whiteouts;
    report->has_no_links = usage.links == 0;
    return r;
}

static int job_write_meta(struct layer_job *job, const char *key, struct error *err)
{
    struct unpack_report *report = &job->report;
    auto_free char *meta = NULL;
    int r;

    if (report->needs_chain)
        strings_add_all(&report->below, &job->below);
    strings_clear(&report->whiteouts);
    r = job_count(job, err);
    if (r < 0)
        return r;
    meta = encode_text(&unpack_report_object, report, ENCODE_COMPACT);
    r = file_replace(job->staging->fd, "layer/meta", meta, strlen(meta), 0600, FILE_SYNC_NONE, err);
    return r < 0 ? r : mark_unsynced(job->layers_fd, key, err);
}

/* meta, the mark, the rename. */
static int job_publish(struct layer_job *job, struct error *err)
{
    auto_free char *random = text_random_hex(8);
    auto_free char *key = job->report.needs_chain
                              ? xasprintf("%s-%s", digest_hex(&job->diff_id), random)
                              : xstrdup(digest_hex(&job->diff_id));
    int r;

    r = job_write_meta(job, key, err);
    if (r < 0)
        return r;
    if (renameat2(job->staging->fd, "layer", job->layers_fd, key, RENAME_NOREPLACE) < 0)
        return error_errno(err, "rename the layer to '%s'", key);
    job->key = take_ptr(&key);
    return 0;
}

/* What an import brings shows only now that it is unpacked: it may have been there before. */
static int job_identify(struct layer_job *job, struct error *err)
{
    int r;

    job->source.diff_id = job->diff_id;
    r = job_lock(job, true, err);
    if (r == 0)
        r = job_find(job, err);
    return r == -ENOENT ? 0 : r;
}

void layer_job_take(struct layer_job *job, const struct unpack_result *result)
{
    assert(job != NULL);
    assert(result != NULL);

    unpack_report_take(&job->report, result);
    job->diff_id = result->diff_id;
    warn_of_devices(job);
    job->is_ended = true;
}

int layer_job_wait(struct layer_job *job, struct error *err)
{
    struct text text = { 0 };
    int r, ended;

    if (job->key != NULL || job->is_ended)
        return 0;
    r = read_report(job, &text, err);
    if (r < 0)
        (void)kill(job->pid, SIGKILL); /* our own child, not waited for yet */
    ended = wait_helper(job, r == 0 ? err : NULL);
    if (r == 0)
        r = ended;
    if (r == 0)
        r = parse_report(job, &text, err);
    text_clear(&text);
    job->is_ended = r == 0;
    return r;
}

bool layer_job_needs_below(const struct layer_job *job)
{
    return job->key == NULL && (job->report.needs_chain || job->report.whiteouts.count > 0);
}

static int job_complete(struct layer_job *job, struct error *err)
{
    int r;

    r = layer_job_wait(job, err);
    if (r == 0 && job->source.diff_id.text[0] == '\0')
        r = job_identify(job, err);
    if (r == 0 && layer_job_needs_below(job))
        r = job_inherit(job, err);
    if (r == 0 && job->key == NULL)
        r = job_publish(job, err);
    return r;
}

int layer_job_finish(struct layer_job *job, struct digest *ret_diff_id, char **ret_key,
                     struct error *err)
{
    const struct digest *diff_id;
    int r = 0;

    assert(job != NULL);

    diff_id = &job->source.diff_id;
    if (job->key == NULL)
        r = job_complete(job, err);
    if (r < 0)
        return diff_id->text[0] == '\0' ? error_prefix(err, r, "unpack the layer")
                                        : error_prefix(err, r, "layer %s", diff_id->text);
    job_unlock(job);
    if (job->source.progress != NULL)
        job->source.progress(job->source.size_bytes, job->source.context);
    if (ret_diff_id != NULL)
        *ret_diff_id = *diff_id;
    if (ret_key != NULL)
        *ret_key = xstrdup(job->key);
    return 0;
}

int layer_ensure(int data_fd, const struct layer_source *source, const struct strings *below,
                 struct digest *ret_diff_id, char **ret_key, struct error *err)
{
    AUTO(layer_job) struct layer_job *job = NULL;
    int r;

    r = layer_job_start(data_fd, source, below, true, &job, err);
    if (r < 0)
        return r;
    return layer_job_finish(job, ret_diff_id, ret_key, err);
}

/* --- once more ---------------------------------------------------------------------------------
 */

/* Unpacks into staging, whether or not the layer is there. */
static int job_redo(int data_fd, const struct layer_source *source, const struct strings *below,
                    struct layer_job **ret_job, struct error *err)
{
    AUTO(layer_job) struct layer_job *job = job_new(data_fd, source, below);
    int r;

    r = layers_open(data_fd, &job->layers_fd, err);
    if (r == 0)
        r = job_lock(job, true, err);
    if (r == 0)
        r = job_begin(job, err);
    if (r == 0)
        r = layer_job_wait(job, err);
    if (r == 0 && layer_job_needs_below(job))
        r = job_inherit(job, err);
    if (r == 0)
        *ret_job = take_ptr(&job);
    return r;
}

static int compare_with(struct layer_job *job, const char *key, struct error *err)
{
    auto_free char *path = xasprintf("%s/fs", key);
    auto_close int fd = -1;
    int r;

    r = path_open_beneath(job->layers_fd, path, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    return r < 0 ? r : tree_compare(job->fs_fd, fd, err);
}

int layer_compare(int data_fd, const char *key, const struct layer_source *source,
                  const struct strings *below, struct error *err)
{
    AUTO(layer_job) struct layer_job *job = NULL;
    int r;

    r = job_redo(data_fd, source, below, &job, err);
    if (r == 0)
        r = compare_with(job, key, err);
    return r < 0 ? error_prefix(err, r, "layer %.12s", key) : 0;
}

/* What was there is in staging then, and goes with it. */
static int exchange(struct layer_job *job, const char *key, struct error *err)
{
    if (renameat2(job->staging->fd, "layer", job->layers_fd, key, RENAME_EXCHANGE) == 0)
        return 0;
    if (errno == ENOENT &&
        renameat2(job->staging->fd, "layer", job->layers_fd, key, RENAME_NOREPLACE) == 0)
        return 0;
    return error_errno(err, "put it in the damaged one's place");
}

int layer_rebuild(int data_fd, const char *key, const struct layer_source *source,
                  const struct strings *below, struct error *err)
{
    AUTO(layer_job) struct layer_job *job = NULL;
    int r;

    r = job_redo(data_fd, source, below, &job, err);
    if (r == 0)
        r = job_write_meta(job, key, err);
    if (r == 0)
        r = exchange(job, key, err);
    return r < 0 ? error_prefix(err, r, "unpack layer %.12s anew", key) : 0;
}
