#include "image/store_private.h"

#include <assert.h>
#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* gzip, which whoever reads images reads: umoci 0.4, Docker before 23 and containerd before 1.5
 * know no zstd. ISA-L makes it as fast as zstd makes its default, a tenth larger. */
#define LAYER_LEVEL        2
#define LAYER_BUFFER_BYTES ISAL_DEF_LVL2_DEFAULT

/* What it makes depends on the pieces that it is given; with pieces of one length two layers of one
 * tar are the same bytes. */
#define PIECE_BYTES (128 << 10)

struct layer_writer {
    struct blob_writer *blob;
    struct hash *hash; /* of the tar */
    struct isal_zstream stream;
    size_t piece_length;
    uint8_t piece[PIECE_BYTES], output[PIECE_BYTES], buffer[LAYER_BUFFER_BYTES];
};

int layer_writer_open(struct image_store *store, struct layer_writer **ret_writer,
                      struct error *err)
{
    AUTO(layer_writer) struct layer_writer *writer = xcalloc(1, sizeof(*writer));
    int r;

    assert(ret_writer != NULL);

    r = blob_writer_open(store, "sha256", &writer->blob, err);
    if (r < 0)
        return r;
    writer->hash = hash_open("sha256");
    isal_deflate_init(&writer->stream);
    writer->stream.gzip_flag = IGZIP_GZIP;
    writer->stream.level = LAYER_LEVEL;
    writer->stream.level_buf = writer->buffer;
    writer->stream.level_buf_size = sizeof(writer->buffer);
    *ret_writer = take_ptr(&writer);
    return 0;
}

static int compress_piece(struct layer_writer *writer, bool is_last, struct error *err)
{
    struct isal_zstream *stream = &writer->stream;
    int r;

    stream->next_in = writer->piece;
    stream->avail_in = (uint32_t)writer->piece_length;
    stream->end_of_stream = is_last;
    writer->piece_length = 0;
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

int layer_writer_add(struct layer_writer *writer, const void *tar, size_t length, struct error *err)
{
    const uint8_t *bytes = tar;
    int r = 0;

    assert(writer != NULL);
    hash_add(writer->hash, tar, length);
    while (length > 0 && r == 0) {
        size_t room = PIECE_BYTES - writer->piece_length;
        size_t taken = length < room ? length : room;

        memcpy(writer->piece + writer->piece_length, bytes, taken);
        writer->piece_length += taken;
        bytes += taken;
        length -= taken;
        if (writer->piece_length == PIECE_BYTES)
            r = compress_piece(writer, false, err);
    }
    return r;
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

    r = compress_piece(writer, true, err);
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
    blob_writer_free(writer->blob);
    hash_free(writer->hash);
    free(writer);
}
