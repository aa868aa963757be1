#include "image/store_private.h"

#include <assert.h>
#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* A thread of its own compresses the tar and writes the blob, which takes about as long as all
 * else: reading the files, making those of the unpacked layer and the digest of the tar. Its pieces
 * are a ring: those that are full are the thread's, in their order; the one behind them is being
 * filled. */

/* gzip, which whoever reads images reads: umoci 0.4, Docker before 23 and containerd before 1.5
 * know no zstd. ISA-L makes it as fast as zstd makes its default, a tenth larger. */
#define LAYER_LEVEL        2
#define LAYER_BUFFER_BYTES ISAL_DEF_LVL2_DEFAULT

/* What it makes depends on the pieces that it is given; with pieces of one length two layers of one
 * tar are the same bytes. */
#define PIECE_BYTES (128 << 10)
#define PIECES_MAX  16

struct piece {
    size_t length;
    uint8_t bytes[PIECE_BYTES];
};

struct layer_writer {
    /* The caller's. */
    struct piece *filling; /* NULL: it has none yet */
    struct hash *hash;     /* of the tar */

    /* The thread's. */
    struct blob_writer *blob;
    struct isal_zstream stream;
    uint8_t output[PIECE_BYTES], buffer[LAYER_BUFFER_BYTES];

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    bool is_ended;   /* nothing follows what is full */
    bool is_dropped; /* nobody wants the layer any more */
    size_t first;    /* of the full pieces */
    size_t full;
    int result; /* the thread's; once it failed it takes the pieces for nothing */
    struct error error;

    struct piece pieces[PIECES_MAX];
};

/* --- the thread ------------------------------------------------------------------------------- */

static int compress_piece(struct layer_writer *writer, struct piece *piece, bool is_last,
                          struct error *err)
{
    struct isal_zstream *stream = &writer->stream;
    int r;

    stream->next_in = piece->bytes;
    stream->avail_in = (uint32_t)piece->length;
    stream->end_of_stream = is_last;
    do {
        stream->next_out = writer->output;
        stream->avail_out = sizeof(writer->output);
        r = isal_deflate(stream);
        if (r != COMP_OK)
            return error_set(err, EIO, "compress a layer: igzip's error %d", r);
        r = blob_writer_add(writer->blob, writer->output,
                            sizeof(writer->output) - stream->avail_out, err);
        if (r < 0)
            return r;
    } while (stream->avail_out == 0);
    return 0;
}

/* The next full piece; NULL: there is none any more. */
static struct piece *piece_wait(struct layer_writer *writer, bool *ret_is_last)
{
    struct piece *piece = NULL;

    (void)pthread_mutex_lock(&writer->lock);
    while (writer->full == 0 && !writer->is_ended)
        (void)pthread_cond_wait(&writer->changed, &writer->lock);
    if (writer->full > 0 && !writer->is_dropped)
        piece = &writer->pieces[writer->first];
    *ret_is_last = writer->is_ended && writer->full == 1;
    (void)pthread_mutex_unlock(&writer->lock);
    return piece;
}

static void piece_done(struct layer_writer *writer, int r, const struct error *why)
{
    (void)pthread_mutex_lock(&writer->lock);
    writer->first = (writer->first + 1) % PIECES_MAX;
    writer->full--;
    if (r < 0) {
        writer->result = r;
        writer->error = *why;
    }
    (void)pthread_cond_signal(&writer->changed);
    (void)pthread_mutex_unlock(&writer->lock);
}

static void *compress(void *context)
{
    struct layer_writer *writer = context;
    struct error err = { 0 };
    struct piece *piece;
    bool is_last;
    int r = 0;

    while ((piece = piece_wait(writer, &is_last)) != NULL) {
        if (r == 0)
            r = compress_piece(writer, piece, is_last, &err);
        piece_done(writer, r, &err);
    }
    return NULL;
}

/* Signals are for the thread that started it. */
static int start_thread(struct layer_writer *writer, struct error *err)
{
    sigset_t all, before;
    int code;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&writer->thread, NULL, compress, writer);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0)
        return error_set(err, code, "start a thread that compresses a layer: %s", strerror(code));
    writer->has_thread = true;
    return 0;
}

/* What is full is compressed still, unless it is dropped. */
static int end_thread(struct layer_writer *writer, bool is_dropped, struct error *err)
{
    if (writer->has_thread) {
        (void)pthread_mutex_lock(&writer->lock);
        writer->is_ended = true;
        writer->is_dropped = is_dropped;
        (void)pthread_cond_signal(&writer->changed);
        (void)pthread_mutex_unlock(&writer->lock);
        (void)pthread_join(writer->thread, NULL);
        writer->has_thread = false;
    }
    return writer->result < 0 ? error_set(err, -writer->result, "%s", writer->error.message) : 0;
}

/* --- the caller ------------------------------------------------------------------------------- */

int layer_writer_open(struct image_store *store, struct layer_writer **ret_writer,
                      struct error *err)
{
    AUTO(layer_writer) struct layer_writer *writer = xcalloc(1, sizeof(*writer));
    int r;

    assert(ret_writer != NULL);

    (void)pthread_mutex_init(&writer->lock, NULL); /* with default attributes these do not fail */
    (void)pthread_cond_init(&writer->changed, NULL);
    r = blob_writer_open(store, "sha256", &writer->blob, err);
    if (r < 0)
        return r;
    writer->hash = hash_open("sha256");
    isal_deflate_init(&writer->stream);
    writer->stream.gzip_flag = IGZIP_GZIP;
    writer->stream.level = LAYER_LEVEL;
    writer->stream.level_buf = writer->buffer;
    writer->stream.level_buf_size = sizeof(writer->buffer);
    r = start_thread(writer, err);
    if (r < 0)
        return r;
    *ret_writer = take_ptr(&writer);
    return 0;
}

/* Waits for a piece that can be filled. */
static int piece_take(struct layer_writer *writer, struct error *err)
{
    int r;

    (void)pthread_mutex_lock(&writer->lock);
    while (writer->full == PIECES_MAX)
        (void)pthread_cond_wait(&writer->changed, &writer->lock);
    writer->filling = &writer->pieces[(writer->first + writer->full) % PIECES_MAX];
    writer->filling->length = 0;
    r = writer->result;
    if (r < 0)
        r = error_set(err, -r, "%s", writer->error.message);
    (void)pthread_mutex_unlock(&writer->lock);
    return r;
}

static void piece_give(struct layer_writer *writer, bool is_last)
{
    hash_add(writer->hash, writer->filling->bytes, writer->filling->length);
    (void)pthread_mutex_lock(&writer->lock);
    writer->filling = NULL;
    writer->full++;
    writer->is_ended = is_last;
    (void)pthread_cond_signal(&writer->changed);
    (void)pthread_mutex_unlock(&writer->lock);
}

int layer_writer_add(struct layer_writer *writer, const void *tar, size_t length, struct error *err)
{
    const uint8_t *bytes = tar;
    int r;

    assert(writer != NULL);
    assert(writer->has_thread);

    while (length > 0) {
        size_t room, taken;

        r = writer->filling != NULL ? 0 : piece_take(writer, err);
        if (r < 0)
            return r;
        room = PIECE_BYTES - writer->filling->length;
        taken = length < room ? length : room;
        memcpy(writer->filling->bytes + writer->filling->length, bytes, taken);
        writer->filling->length += taken;
        bytes += taken;
        length -= taken;
        if (writer->filling->length == PIECE_BYTES)
            piece_give(writer, false);
    }
    return 0;
}

int layer_writer_finish(struct layer_writer *writer, struct image_descriptors *layers,
                        struct digest *ret_diff_id, struct error *err)
{
    struct image_descriptor *layer;
    struct digest digest;
    uint64_t size;
    int r;

    assert(writer != NULL);
    assert(layers != NULL);
    assert(ret_diff_id != NULL);

    r = writer->filling != NULL ? 0 : piece_take(writer, err);
    if (r < 0)
        return r;
    piece_give(writer, true);
    r = end_thread(writer, false, err);
    if (r < 0)
        return r;
    r = blob_writer_finish(writer->blob, NULL, &digest, &size, err);
    if (r < 0)
        return r;
    layer = image_descriptors_add(layers);
    layer->media_type = xstrdup(MEDIA_OCI_LAYER_GZIP);
    layer->digest = digest;
    layer->digest_text = xstrdup(digest.text);
    layer->size = size;
    hash_finish(writer->hash, ret_diff_id);
    return 0;
}

void layer_writer_free(struct layer_writer *writer)
{
    if (writer == NULL)
        return;
    (void)end_thread(writer, true, NULL); /* what became of it says nothing to anyone */
    (void)pthread_cond_destroy(&writer->changed);
    (void)pthread_mutex_destroy(&writer->lock);
    blob_writer_free(writer->blob);
    hash_free(writer->hash);
    free(writer);
}
