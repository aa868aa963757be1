#include "engine/layer_queue.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/engine_private.h"
#include "unionfs/unionfs.h"

/* A layer may be unpacked in any order, but one whose tree depends on those below is finished after
 * them. A job holds the lock of its layer from its start to its end, so the rule of
 * layer_job_start() decides what may be waited for: while blobs arrive, nothing is; and later, when
 * only layers are left that others are at, the jobs that cannot be finished without those are
 * dropped first. So nobody waits who holds something. To drop little, nothing is begun while others
 * are known to be at this image. */

#define JOBS_MIN     2 /* one writes files while the other decompresses */
#define JOBS_ARRIVAL 4 /* while blobs arrive, most of them wait for bytes */
#define JOBS_MAX     8
#define PROGRESS_MS  100

enum item_state {
    ITEM_ABSENT, /* not a byte of its blob is there */
    ITEM_READY,  /* it could be unpacked, or the next bytes of it */
    ITEM_RUNNING,
    ITEM_ENDED,  /* unpacked, with the right diff id; not visible */
    ITEM_FAILED, /* which is its blob's fault, unless that turns out to be right */
    ITEM_DONE,
};

struct item {
    struct layer_queue *queue;
    size_t index;
    enum item_state state;
    bool is_verified; /* the blob */
    bool was_there;   /* unpacked by somebody else */
    struct digest blob, diff_id;
    char *media_type;
    uint64_t size, bytes; /* of the blob; bytes: so many are in the file */
    int fd;               /* -1: not open */
    struct layer_job *job;
    struct event_source *source;
    struct error failure;
    char *key; /* DONE */
};

struct layer_queue {
    struct engine *engine;
    struct layer_queue_options options;
    struct item *items;
    size_t count, running;
    size_t jobs_max;
    bool is_alone; /* layer_queue_run() drives the loop */
    bool is_busy;  /* somebody else is at one of the layers */
    int timer_fd;
    struct event_source *timer;
};

/* --- items ------------------------------------------------------------------------------------ */

/* Back to where nothing was done. */
static void item_reset(struct item *item)
{
    if (item->state == ITEM_RUNNING)
        item->queue->running--;
    event_source_remove(item->source);
    item->source = NULL;
    layer_job_free(item->job);
    item->job = NULL;
    item->state = item->is_verified ? ITEM_READY : ITEM_ABSENT;
}

static void item_close(struct item *item)
{
    if (item->fd >= 0)
        (void)close(item->fd); /* only read */
    item->fd = -1;
}

static int item_failed(const struct item *item, int r, struct error *err)
{
    return error_prefix(err, r, "layer %zu of %zu", item->index + 1, item->queue->count);
}

/* Of a blob that still arrives, others tell. */
static void item_tell(const struct item *item, enum layer_step step, uint64_t done)
{
    const struct layers_watch *watch = &item->queue->options.watch;
    struct layer_progress progress = {
        .index = item->index, .step = step, .done = done, .total = item->size
    };

    if (watch->layer != NULL)
        watch->layer(&progress, watch->context);
}

static int advance(struct layer_queue *queue, struct error *err);

/* Of a blob that may be wrong a failure says nothing yet. A full disk does. */
static int item_fail(struct item *item, int r, const struct error *failure, struct error *err)
{
    if (item->is_verified || r == -ENOSPC || r == -EDQUOT) {
        (void)error_set(err, -r, "%s", failure->message);
        return item_failed(item, r, err);
    }
    log_debug("layer %zu: %s; its blob is not verified yet", item->index + 1, failure->message);
    item_reset(item);
    item->state = ITEM_FAILED;
    item->failure = *failure;
    return 0;
}

static int report_handler(struct event_source *source, uint32_t events, void *context,
                          struct error *err)
{
    struct item *item = context;
    struct layer_queue *queue = item->queue;
    struct error failure = { 0 };
    int r;

    (void)events;
    event_source_remove(source);
    item->source = NULL;
    r = layer_job_wait(item->job, &failure); /* it only writes its report now */
    if (r < 0) {
        (void)error_prefix(&failure, r, "layer %s", item->diff_id.text);
        r = item_fail(item, r, &failure, err);
    } else {
        item->state = ITEM_ENDED;
        queue->running--;
        r = advance(queue, err);
    }
    if (queue->is_alone)
        event_loop_stop(queue->options.loop, 0);
    return r;
}

static int item_source(struct item *item, struct layer_source *ret_source, struct error *err)
{
    int r;

    if (item->fd < 0) {
        r = blob_open(engine_images(item->queue->engine), &item->blob, &item->fd, err);
        if (r < 0)
            return r;
    } else if (lseek(item->fd, 0, SEEK_SET) < 0) {
        return error_errno(err, "go to the blob's begin");
    }
    *ret_source = (struct layer_source){
        .blob_fd = item->fd,
        .diff_id = item->diff_id,
        .media_type = item->media_type,
        .size_bytes = item->size,
        .is_growing = !item->is_verified,
        .warnings = item->queue->options.warnings,
    };
    return 0;
}

/* 1: it was started, 0: somebody else is at it. */
static int item_start(struct item *item, bool is_waiting, struct error *err)
{
    struct layer_queue *queue = item->queue;
    AUTO_CLEAR(strings) struct strings below = { 0 };
    struct layer_source source;
    int r;

    for (size_t i = 0; i < item->index; i++)
        strings_add(&below, queue->items[i].diff_id.text);
    r = item_source(item, &source, err);
    if (r == 0)
        r = layer_job_start(engine_data_fd(queue->engine), &source, &below, is_waiting, &item->job,
                            err);
    if (r == -EAGAIN && !is_waiting) {
        queue->is_busy = true;
        return 0;
    }
    if (r == 0 && layer_job_fd(item->job) < 0) { /* it is there already */
        item->state = ITEM_ENDED;
        item->was_there = true;
        return 1;
    }
    if (r == 0 && source.is_growing)
        r = layer_job_feed(item->job, item->bytes, err);
    if (r == 0)
        r = event_loop_add(queue->options.loop, layer_job_fd(item->job), EPOLLIN, report_handler,
                           item, &item->source, err);
    if (r < 0)
        return item_failed(item, r, err);
    item->state = ITEM_RUNNING;
    queue->running++;
    return 1;
}

static int item_finish(struct item *item, struct error *err)
{
    int r = layer_job_finish(item->job, NULL, &item->key, err);

    if (r < 0)
        return item_failed(item, r, err);
    layer_job_free(item->job);
    item->job = NULL;
    item_close(item);
    item->state = ITEM_DONE;
    item_tell(item, item->was_there && item->bytes == 0 ? LAYER_EXISTS : LAYER_READY, item->size);
    item->queue->is_busy = false; /* it may have been this one: of a layer that is there twice */
    return 0;
}

/* --- the queue -------------------------------------------------------------------------------- */

static int finish_items(struct layer_queue *queue, struct error *err)
{
    bool is_lowest = true; /* all below are done */

    for (size_t i = 0; i < queue->count; i++) {
        struct item *item = &queue->items[i];
        int r = 0;

        if (item->state == ITEM_ENDED && item->is_verified &&
            (is_lowest || !layer_job_needs_below(item->job)))
            r = item_finish(item, err);
        if (r < 0)
            return r;
        is_lowest = is_lowest && item->state == ITEM_DONE;
    }
    return 0;
}

static int start_items(struct layer_queue *queue, struct error *err)
{
    size_t max = queue->jobs_max;

    if (!queue->is_alone && max < JOBS_ARRIVAL)
        max = JOBS_ARRIVAL;
    for (size_t i = 0; i < queue->count && queue->running < max && !queue->is_busy; i++) {
        struct item *item = &queue->items[i];
        int r = 0;

        if (item->state == ITEM_READY)
            r = item_start(item, false, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int advance(struct layer_queue *queue, struct error *err)
{
    int r = start_items(queue, err);

    return r < 0 ? r : finish_items(queue, err);
}

int layer_queue_feed(struct layer_queue *queue, size_t index, int fd, uint64_t bytes,
                     struct error *err)
{
    struct item *item = &queue->items[index];
    int r = 0;

    assert(index < queue->count);

    if (item->state == ITEM_DONE || item->is_verified)
        return 0;
    if (bytes < item->bytes)
        item_reset(item);
    item->bytes = bytes;
    if (bytes == 0)
        return 0;
    if (item->fd < 0) {
        item->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (item->fd < 0)
            return error_errno(err, "keep the blob's file open");
    }
    if (item->state == ITEM_ABSENT)
        item->state = ITEM_READY;
    if (item->state == ITEM_RUNNING)
        r = layer_job_feed(item->job, bytes, err);
    return r < 0 ? item_failed(item, r, err) : start_items(queue, err);
}

int layer_queue_verify(struct layer_queue *queue, size_t index, struct error *err)
{
    struct item *item = &queue->items[index];

    assert(index < queue->count);

    item->is_verified = true;
    if (item->state == ITEM_FAILED)
        return item_fail(item, -item->failure.code, &item->failure, err);
    if (item->state == ITEM_ABSENT)
        item->state = ITEM_READY;
    return advance(queue, err);
}

static int timer_handler(struct event_source *source, uint32_t events, void *context,
                         struct error *err)
{
    struct layer_queue *queue = context;
    uint64_t expirations;

    (void)source;
    (void)events;
    (void)err;
    if (read(queue->timer_fd, &expirations, sizeof(expirations)) < 0)
        return 0; /* it is only a display */
    for (size_t i = 0; i < queue->count; i++) {
        const struct item *item = &queue->items[i];

        if (item->state == ITEM_RUNNING && item->is_verified)
            item_tell(item, LAYER_UNPACKING, layer_job_done(item->job));
    }
    return 0;
}

static int start_timer(struct layer_queue *queue, struct error *err)
{
    int r;

    if (queue->options.watch.layer == NULL)
        return 0;
    r = event_open_timer(&queue->timer_fd, err);
    if (r == 0)
        r = event_set_timer(queue->timer_fd, PROGRESS_MS, PROGRESS_MS, err);
    return r < 0 ? r
                 : event_loop_add(queue->options.loop, queue->timer_fd, EPOLLIN, timer_handler,
                                  queue, &queue->timer, err);
}

static size_t count_processors(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (size_t)CPU_COUNT(&set);
}

static int add_items(struct layer_queue *queue, const struct image_descriptors *layers,
                     const struct strings *diff_ids, struct error *err)
{
    queue->items = xcalloc(layers->count + 1, sizeof(*queue->items));
    for (size_t i = 0; i < layers->count; i++) {
        struct item *item = &queue->items[i];
        int r;

        item->queue = queue;
        item->index = i;
        item->blob = layers->items[i].digest;
        item->size = layers->items[i].size;
        item->media_type = xstrdup(layers->items[i].media_type);
        item->fd = -1;
        queue->count++;
        r = digest_parse(diff_ids->items[i], &item->diff_id, err);
        if (r < 0)
            return item_failed(item, r, err);
    }
    return 0;
}

int layer_queue_open(struct engine *engine, const struct image_descriptors *layers,
                     const struct strings *diff_ids, const struct layer_queue_options *options,
                     struct layer_queue **ret_queue, struct error *err)
{
    AUTO(layer_queue) struct layer_queue *queue = xcalloc(1, sizeof(*queue));
    size_t processors = count_processors();
    int r;

    assert(options->loop != NULL);
    assert(ret_queue != NULL);

    queue->engine = engine;
    queue->options = *options;
    queue->timer_fd = -1;
    queue->jobs_max = processors < JOBS_MIN   ? JOBS_MIN
                      : processors > JOBS_MAX ? JOBS_MAX
                                              : processors;
    if (layers->count != diff_ids->count)
        return error_set(err, EINVAL, "%zu layers but %zu diff ids", layers->count,
                         diff_ids->count);
    r = add_items(queue, layers, diff_ids, err);
    if (r == 0)
        r = start_timer(queue, err);
    if (r < 0)
        return r;
    *ret_queue = take_ptr(&queue);
    return 0;
}

void layer_queue_free(struct layer_queue *queue)
{
    if (queue == NULL)
        return;
    event_source_remove(queue->timer);
    if (queue->timer_fd >= 0)
        (void)close(queue->timer_fd);
    for (size_t i = 0; i < queue->count; i++) {
        struct item *item = &queue->items[i];

        item_reset(item);
        item_close(item);
        free(item->media_type);
        free(item->key);
    }
    free(queue->items);
    free(queue);
}

/* --- the rest of the work --------------------------------------------------------------------- */

static struct item *first_undone(struct layer_queue *queue)
{
    for (size_t i = 0; i < queue->count; i++) {
        if (queue->items[i].state != ITEM_DONE)
            return &queue->items[i];
    }
    return NULL;
}

/* Others are at all that is left to begin. Their locks are waited for by whoever holds none. */
static int wait_for_others(struct layer_queue *queue, struct item *first, struct error *err)
{
    int r;

    for (size_t i = 0; i < queue->count; i++) {
        if (queue->items[i].state == ITEM_ENDED)
            item_reset(&queue->items[i]);
    }
    queue->is_busy = false;
    r = item_start(first, true, err);
    return r < 0 ? r : 0;
}

int layer_queue_run(struct layer_queue *queue, struct strings *ret_keys, struct error *err)
{
    struct item *first;
    int r = 0;

    queue->is_alone = true;
    queue->is_busy = false;
    for (size_t i = 0; r == 0 && i < queue->count; i++)
        r = layer_queue_verify(queue, i, err);
    while (r == 0 && (first = first_undone(queue)) != NULL) {
        if (queue->running > 0)
            r = event_loop_run(queue->options.loop, err);
        else if (first->state == ITEM_READY)
            r = wait_for_others(queue, first, err);
        if (r == 0)
            r = advance(queue, err);
    }
    queue->is_alone = false;
    if (r < 0)
        return r;
    for (size_t i = 0; ret_keys != NULL && i < queue->count; i++)
        strings_take(ret_keys, take_ptr(&queue->items[i].key));
    return 0;
}
