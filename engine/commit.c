#include "engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/staging.h"
#include "engine/bundle.h"
#include "engine/container_tree.h"
#include "engine/engine_private.h"
#include "engine/guest_files.h"
#include "engine/import_changes.h"
#include "engine/monitor_link.h"
#include "engine/pause_guard.h"
#include "engine/provision.h"

/* A commit reads the container's writable directory once. What it finds goes two ways: as a tar
 * into the layer's blob, compressed by another thread; and as files into the unpacked layer. What a
 * container can still write is never shared with a layer, nor is a tar of our own making read
 * again. What a microVM's guest sends is a tar, of which berth-unpack makes the files. Then config,
 * manifest, one sync, the image's record and its name, as for any image. */

#define GUEST_READ_BYTES 65536

struct commit {
    struct engine *engine;
    const struct commit_options *options;
    struct record *record;
    struct image *image; /* that the container was made of */
    struct image_config config;
    struct image_descriptors layers;
    struct layer_writer *writer;
    struct layer_maker *maker; /* of the files; NULL: berth-unpack makes them */
    struct layer_job *job;
    int job_fd; /* the pipe to berth-unpack */
};

static void commit_clear(struct commit *commit)
{
    auto_close_cleanup(&commit->job_fd);
    layer_job_free(commit->job);
    layer_maker_free(commit->maker);
    layer_writer_free(commit->writer);
    image_descriptors_clear(&commit->layers);
    image_config_clear(&commit->config);
    image_free(commit->image);
    record_free(commit->record);
}

/* --- config ----------------------------------------------------------------------------------- */

static void replace_strings(struct strings *list, const struct strings *with)
{
    strings_clear(list);
    strings_add_all(list, with);
}

static void replace_word(char **word, const char *with)
{
    free(*word);
    *word = text_is_empty(with) ? NULL : xstrdup(with);
}

/* What bundle_merge() gives to this one container is not the image's. */
static void take_environment(struct image_config *config, const struct record *record)
{
    auto_free char *hostname = xasprintf("HOSTNAME=%s", record->hostname);

    strings_clear(&config->env);
    for (size_t i = 0; i < record->env.count; i++) {
        const char *variable = record->env.items[i];

        if (!text_equal(variable, hostname) &&
            !(record->settings.has_terminal && text_equal(variable, "TERM=xterm")))
            strings_add(&config->env, variable);
    }
}

/* As the container was told to run, which is the image's config where nothing else was said. */
static void take_settings(struct image_config *config, const struct record *record)
{
    take_environment(config, record);
    replace_strings(&config->cmd, &record->command);
    replace_strings(&config->entrypoint, &record->entrypoint);
    replace_strings(&config->exposed_ports, &record->exposed_ports);
    replace_word(&config->user, record->user);
    replace_word(&config->working_dir, record->working_dir);
    replace_word(&config->stop_signal, record->stop_signal);
    string_map_clear(&config->labels);
    for (size_t i = 0; i < record->labels.count; i++)
        string_map_set(&config->labels, record->labels.items[i].key, record->labels.items[i].value);
}

/* An image without a full history gets one entry for each of its layers, so that the new one is the
 * last layer's. */
static void complete_history(struct image_config *config)
{
    const struct image_history_item unknown = { .created = config->created };
    size_t layers = 0;

    for (size_t i = 0; i < config->history.count; i++)
        layers += !config->history.items[i].is_empty_layer;
    for (; layers < config->diff_ids.count; layers++)
        image_history_add(&config->history, &unknown);
}

static void add_history(struct commit *commit)
{
    auto_free char *command = strings_join(&commit->record->args, " ");
    struct image_config *config = &commit->config;
    const struct image_history_item item = {
        .created = config->created,
        .created_by = command,
        .author = (char *)commit->options->author,
        .comment = (char *)commit->options->message,
    };

    image_history_add(&config->history, &item);
}

static int describe(struct commit *commit, struct error *err)
{
    const struct commit_options *options = commit->options;
    struct image_config *config = &commit->config;
    struct timespec now;
    int r;

    r = image_build_on(commit->image, config, &commit->layers, err);
    if (r < 0)
        return r;
    complete_history(config);
    take_settings(config, commit->record);
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
    if (now.tv_sec > options->latest)
        now = (struct timespec){ .tv_sec = options->latest };
    free(config->created);
    config->created = text_format_time(now.tv_sec, (uint32_t)now.tv_nsec);
    replace_word(&config->author, options->author);
    for (size_t i = 0; r == 0 && options->changes != NULL && i < options->changes->count; i++) {
        r = import_change_apply(config, options->changes->items[i], err);
        if (r < 0)
            return error_prefix(err, r, "--change '%s'", options->changes->items[i]);
    }
    add_history(commit);
    return 0;
}

/* --- the layer -------------------------------------------------------------------------------- */

static int start_unpacking(struct commit *commit, struct strings *ret_warnings, struct error *err)
{
    struct layer_source source = { 0 };
    auto_close int read_fd = -1;
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    read_fd = fds[0];
    commit->job_fd = fds[1];
    (void)fcntl(commit->job_fd, F_SETPIPE_SZ, 1 << 20); /* a smaller one serves as well */
    source.blob_fd = read_fd;
    source.warnings = ret_warnings;
    return layer_job_start(commit->engine->data_fd, &source, &commit->image->config.diff_ids, true,
                           &commit->job, err);
}

static int pass_on(struct commit *commit, const void *bytes, size_t length, struct error *err)
{
    int r;

    r = fd_write_all(commit->job_fd, bytes, length, "berth-unpack", err);
    return r < 0 ? r : layer_writer_add(commit->writer, bytes, length, err);
}

/* What the guest sends gets no more trust than a layer that is loaded: berth-unpack, in its
 * sandbox, refuses what no layer may be. The processes are paused in the guest, since a paused
 * machine could not answer. */
static int read_guest_files(struct commit *commit, struct strings *ret_warnings, struct error *err)
{
    AUTO_CLEAR(guest_files) struct guest_files files = GUEST_FILES_NONE;
    AUTO_CLEAR(strings) struct strings points = { 0 };
    struct inner_files work = { .work = (char *)INNER_LAYER,
                                .pauses = commit->options->pauses,
                                .latest = commit->options->latest };
    auto_free char *bytes = xcalloc(1, GUEST_READ_BYTES);
    ssize_t length = 1;
    int r;

    container_mount_points(&points);
    work.mount_points = points;
    r = guest_files_open(commit->engine, commit->record, &work, &files, err);
    if (r < 0)
        return r;
    while (r == 0 && length != 0) {
        length = read(files.data_fd, bytes, GUEST_READ_BYTES);
        if (length > 0)
            r = pass_on(commit, bytes, (size_t)length, err);
        else if (length < 0 && errno != EINTR)
            r = error_errno(err, "read from the guest");
    }
    /* When berth-unpack has ended early, it says why. */
    return r == -EPIPE ? r : guest_files_finish(&files, r, ret_warnings, err);
}

static int remains(struct commit *commit, struct error *err)
{
    const char *id = commit->record->id;

    if (engine_has_container(commit->engine, id))
        return 0;
    return error_set(err, ENOENT, "container %.12s was removed while it was read", id);
}

/* By berth-unpack. */
static int make_guest_layer(struct commit *commit, struct strings *ret_warnings,
                            struct digest *ret_diff_id, struct error *err)
{
    struct digest unpacked;
    struct error why = { 0 };
    int r, ended;

    r = start_unpacking(commit, ret_warnings, err);
    if (r == 0)
        r = read_guest_files(commit, ret_warnings, err);
    if (r == 0)
        r = remains(commit, err);
    if (r < 0 && r != -EPIPE)
        return r;
    (void)close(take_fd(&commit->job_fd)); /* the end of the tar */
    /* When it ended early, it says why. */
    ended = layer_job_finish(commit->job, &unpacked, NULL, &why);
    if (ended < 0)
        return error_set(err, -ended, "%s", why.message);
    if (r == 0)
        r = layer_writer_finish(commit->writer, &commit->layers, ret_diff_id, err);
    if (r < 0)
        return r;
    if (!digest_equal(ret_diff_id, &unpacked))
        return error_set(err, EIO, "the layer was unpacked as %s, not as %s", unpacked.text,
                         ret_diff_id->text);
    return 0;
}

static int add_bytes(const void *bytes, size_t length, void *context, struct error *err)
{
    struct commit *commit = context;

    return layer_writer_add(commit->writer, bytes, length, err);
}

static int add_entry(void *context, const struct tar_entry *entry, struct error *err)
{
    return layer_maker_add(((struct commit *)context)->maker, entry, err);
}

static int write_file(void *context, const void *bytes, size_t length, struct error *err)
{
    return layer_maker_write(((struct commit *)context)->maker, bytes, length, err);
}

static int end_file(void *context, struct error *err)
{
    return layer_maker_end_file(((struct commit *)context)->maker, err);
}

static int read_own_files(struct commit *commit, struct strings *ret_warnings, struct error *err)
{
    AUTO_CLEAR(container_changes) struct container_changes changes = { .upper_fd = -1 };
    AUTO_CLEAR(pause_guard) struct pause_guard guard = { .fd = -1 };
    const struct pack_entry_sink entries = { add_entry, write_file, end_file, commit };
    const struct pack_options options = { .sink = add_bytes,
                                          .context = commit,
                                          .entries = &entries,
                                          .is_layer = true,
                                          .latest = commit->options->latest,
                                          .warnings = ret_warnings };
    int r = 0;

    if (commit->options->pauses)
        r = pause_guard_open(commit->engine, commit->record->id, &guard, err);
    if (r == 0)
        r = container_changes_open(commit->engine, commit->record, &changes, err);
    return r < 0 ? r : pack_changes(&changes.source, &options, err);
}

static int make_own_layer(struct commit *commit, struct strings *ret_warnings,
                          struct digest *ret_diff_id, struct error *err)
{
    int r;

    r = layer_maker_open(commit->engine->data_fd, &commit->image->config.diff_ids, ret_warnings,
                         &commit->maker, err);
    if (r == 0)
        r = read_own_files(commit, ret_warnings, err);
    if (r == 0)
        r = remains(commit, err);
    if (r == 0)
        r = layer_writer_finish(commit->writer, &commit->layers, ret_diff_id, err);
    return r < 0 ? r : layer_maker_finish(commit->maker, ret_diff_id, NULL, err);
}

/* Reads, compresses, makes the files. */
static int make_layer(struct commit *commit, struct strings *ret_warnings, struct error *err)
{
    struct digest diff_id;
    int r;

    r = layer_writer_open(engine_images(commit->engine), &commit->writer, err);
    if (r == 0)
        r = bundle_is_vm(&commit->record->settings)
                ? make_guest_layer(commit, ret_warnings, &diff_id, err)
                : make_own_layer(commit, ret_warnings, &diff_id, err);
    if (r == 0)
        strings_add(&commit->config.diff_ids, diff_id.text);
    return r;
}

/* --- the image -------------------------------------------------------------------------------- */

static int publish(struct commit *commit, const struct reference *reference, char **ret_image_id,
                   struct error *err)
{
    struct image_store *store = engine_images(commit->engine);
    AUTO(image) struct image *image = NULL;
    struct digest manifest;
    int r;

    r = image_build(store, &commit->config, &commit->layers, &manifest, err);
    if (r == 0)
        r = image_open(store, &manifest, &image, err);
    if (r == 0)
        r = layers_sync(commit->engine->data_fd, err);
    if (r == 0)
        r = provision_publish(commit->engine, image, reference, err);
    if (r < 0)
        return r;
    *ret_image_id = xstrdup(image->id.text);
    return 0;
}

static int open_image(struct commit *commit, const char *id, struct error *err)
{
    struct image_store *store = engine_images(commit->engine);
    struct digest manifest;
    int r;

    r = record_read(commit->engine, id, &commit->record, err);
    if (r < 0)
        return r;
    r = digest_parse(commit->record->image_manifest, &manifest, err);
    if (r == 0)
        r = image_open(store, &manifest, &commit->image, err);
    if (r == -ENOENT)
        return error_set(err, ENOENT,
                         "its image '%s' was removed, and with it the layers below; load it again",
                         commit->record->image);
    return r;
}

static int commit_locked(struct commit *commit, const char *id, const struct reference *reference,
                         struct strings *ret_warnings, char **ret_image_id, struct error *err)
{
    auto_close int lock_fd = -1;
    int r;

    r = layers_lock(commit->engine->data_fd, false, UINT32_MAX, &lock_fd, err);
    if (r < 0)
        return r;
    r = open_image(commit, id, err);
    if (r == 0)
        r = describe(commit, err);
    if (r == 0)
        r = make_layer(commit, ret_warnings, err);
    if (r == 0)
        r = publish(commit, reference, ret_image_id, err);
    return r;
}

int engine_commit(struct engine *engine, const char *id, const struct commit_options *options,
                  struct strings *ret_warnings, char **ret_image_id, struct error *err)
{
    AUTO_CLEAR(commit)
    struct commit commit = { .engine = engine, .options = options, .job_fd = -1 };
    AUTO(reference) struct reference *reference = NULL;
    auto_close int link_fd = -1;
    int claim_fd = -1;
    int r = 0;

    assert(engine != NULL);
    assert(options != NULL);
    assert(ret_image_id != NULL);

    if (!text_is_empty(options->reference))
        r = reference_parse(options->reference, &reference, err);
    if (r == 0 && reference != NULL && reference->digest != NULL)
        r = error_set(err, EINVAL, "'%s': a name cannot be a digest", options->reference);
    if (r == 0)
        r = engine_need_images(engine, err);
    /* One that does not run must neither start nor be removed meanwhile. */
    if (r == 0)
        r = monitor_link_or_claim(engine, id, CLAIM_WAIT_MS, &claim_fd, &link_fd, err);
    if (r > 0) /* it runs */
        close(take_fd(&link_fd));
    if (r >= 0)
        r = commit_locked(&commit, id, reference, ret_warnings, ret_image_id, err);
    claim_drop(engine, id, &claim_fd);
    if (r < 0)
        provision_discard(engine, r);
    return r;
}
