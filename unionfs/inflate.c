#include "unionfs/inflate.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include "unionfs/blob_input.h"

/* A quarter of a MiB: the block stays in the second-level cache while it is hashed, parsed and
 * written. */
#define BLOCK_BYTES (256u << 10)

/* What a frame may ask of memory (zstd's own default for a decoder): 128 MiB. */
#define ZSTD_WINDOW_LOG_MAX_USED 27

enum kind { KIND_PLAIN, KIND_GZIP, KIND_ZSTD };

struct inflate {
    struct blob_input input;
    enum kind kind;
    struct inflate_limits limits;
    struct hash *hash;
    uint64_t bytes_in, bytes_out;

    uint8_t *in; /* in[in_start, in_end) is not used yet */
    size_t in_start, in_end;
    bool is_at_end; /* of the file */
    uint8_t *out;

    struct inflate_state gzip;
    bool is_in_member; /* gzip: between its header and its trailer */
    ZSTD_DCtx *zstd;
    bool is_in_frame;
};

struct magic {
    const char *bytes;
    size_t length;
    const char *name;
};

static const struct magic foreign_magics[] = {
    { "\xfd"
      "7zXZ\0",
      6, "xz" },
    { "BZh", 3, "bzip2" },
    { "\x04\x22\x4d\x18", 4, "lz4" },
    { "PK\x03\x04", 4, "zip" },
};

/* Fills the input block behind what is left in it. */
static int fill(struct inflate *inflate, struct error *err)
{
    size_t left = inflate->in_end - inflate->in_start;

    if (inflate->in_start > 0 && left > 0)
        memmove(inflate->in, inflate->in + inflate->in_start, left);
    inflate->in_start = 0;
    inflate->in_end = left;

    while (!inflate->is_at_end && inflate->in_end < BLOCK_BYTES) {
        ssize_t length = blob_input_read(&inflate->input, inflate->in + inflate->in_end,
                                         BLOCK_BYTES - inflate->in_end, err);

        if (length < 0)
            return (int)length;
        inflate->is_at_end = length == 0;
        inflate->in_end += (size_t)length;
        inflate->bytes_in += (uint64_t)length;
    }
    return 0;
}

static bool starts_with(const struct inflate *inflate, const void *bytes, size_t length)
{
    return inflate->in_end - inflate->in_start >= length &&
           memcmp(inflate->in + inflate->in_start, bytes, length) == 0;
}

static bool starts_zstd(const struct inflate *inflate)
{
    const uint8_t *in = inflate->in + inflate->in_start;

    if (starts_with(inflate, "\x28\xb5\x2f\xfd", 4))
        return true;
    /* A skippable frame: 0x184D2A50 to 0x184D2A5F, little endian. */
    return inflate->in_end - inflate->in_start >= 4 && (in[0] & 0xf0) == 0x50 && in[1] == 0x2a &&
           in[2] == 0x4d && in[3] == 0x18;
}

static int find_kind(struct inflate *inflate, struct error *err)
{
    if (starts_with(inflate, "\x1f\x8b", 2)) {
        inflate->kind = KIND_GZIP;
        return 0;
    }
    if (starts_zstd(inflate)) {
        inflate->kind = KIND_ZSTD;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(foreign_magics); i++) {
        const struct magic *magic = &foreign_magics[i];

        if (starts_with(inflate, magic->bytes, magic->length))
            return error_set(err, EPROTONOSUPPORT,
                             "compressed with %s; layers are plain, gzip or zstd", magic->name);
    }
    inflate->kind = KIND_PLAIN;
    return 0;
}

int inflate_open(const struct blob_input *input, const struct inflate_limits *limits,
                 struct hash *hash, struct inflate **ret_inflate, struct error *err)
{
    AUTO(inflate) struct inflate *inflate = xcalloc(1, sizeof(*inflate));
    int r;

    assert(input != NULL);
    assert(limits != NULL);
    assert(ret_inflate != NULL);

    inflate->input = *input;
    inflate->limits = *limits;
    inflate->hash = hash;
    inflate->in = xcalloc(1, BLOCK_BYTES);
    r = fill(inflate, err);
    if (r < 0)
        return r;
    r = find_kind(inflate, err);
    if (r < 0)
        return r;

    if (inflate->kind != KIND_PLAIN)
        inflate->out = xcalloc(1, BLOCK_BYTES);
    if (inflate->kind == KIND_ZSTD) {
        inflate->zstd = ZSTD_createDCtx();
        if (inflate->zstd == NULL)
            return error_set(err, ENOMEM, "no memory for zstd");
        (void)ZSTD_DCtx_setParameter(inflate->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX_USED);
    }
    *ret_inflate = take_ptr(&inflate);
    return 0;
}

void inflate_free(struct inflate *inflate)
{
    if (inflate == NULL)
        return;
    ZSTD_freeDCtx(inflate->zstd);
    free(inflate->in);
    free(inflate->out);
    free(inflate);
}

/* At the start of a gzip member or behind the last one: 1 a member begins, 0 the end. Zeros behind
 * a member are padding (tapes, and tools that align to sectors); other bytes are damage. */
static int gzip_begin(struct inflate *inflate, struct error *err)
{
    for (;;) {
        while (inflate->in_start < inflate->in_end && inflate->in[inflate->in_start] == 0)
            inflate->in_start++;
        if (inflate->in_end - inflate->in_start >= 2 || inflate->is_at_end)
            break;
        int r = fill(inflate, err);

        if (r < 0)
            return r;
    }
    if (inflate->in_start == inflate->in_end)
        return 0;
    if (!starts_with(inflate, "\x1f\x8b", 2))
        return error_set(err, EBADMSG, "garbage behind the gzip data");

    isal_inflate_init(&inflate->gzip);
    inflate->gzip.crc_flag = ISAL_GZIP; /* parses the header, checks CRC and length */
    inflate->is_in_member = true;
    return 1;
}

/* Produces up to a block of output from gzip; 0: the end. */
static ssize_t gzip_read(struct inflate *inflate, struct error *err)
{
    struct inflate_state *state = &inflate->gzip;
    size_t produced = 0;
    int r;

    while (produced == 0) {
        if (!inflate->is_in_member) {
            r = gzip_begin(inflate, err);
            if (r <= 0)
                return r;
        }
        if (inflate->in_start == inflate->in_end) {
            r = fill(inflate, err);
            if (r < 0)
                return r;
        }
        bool had_input = inflate->in_start < inflate->in_end;

        state->next_in = inflate->in + inflate->in_start;
        state->avail_in = (uint32_t)(inflate->in_end - inflate->in_start);
        state->next_out = inflate->out;
        state->avail_out = BLOCK_BYTES;
        r = isal_inflate(state);
        if (r < 0 || r > ISAL_OUT_OVERFLOW)
            return error_set(err, EBADMSG, "damaged gzip data (%d)", r);
        inflate->in_start = inflate->in_end - state->avail_in;
        produced = BLOCK_BYTES - state->avail_out;
        if (state->block_state == ISAL_BLOCK_FINISH)
            inflate->is_in_member = false;
        else if (produced == 0 && !had_input)
            return error_set(err, EBADMSG, "the gzip data ends too early");
    }
    return (ssize_t)produced;
}

static ssize_t zstd_read(struct inflate *inflate, struct error *err)
{
    ZSTD_outBuffer out = { inflate->out, BLOCK_BYTES, 0 };

    while (out.pos == 0) {
        if (inflate->in_start == inflate->in_end) {
            int r = fill(inflate, err);

            if (r < 0)
                return r;
        }
        bool had_input = inflate->in_start < inflate->in_end;

        if (!had_input && !inflate->is_in_frame)
            return 0;
        ZSTD_inBuffer in = { inflate->in + inflate->in_start, inflate->in_end - inflate->in_start,
                             0 };
        size_t left = ZSTD_decompressStream(inflate->zstd, &out, &in);

        if (ZSTD_isError(left))
            return error_set(err, EBADMSG, "damaged zstd data: %s", ZSTD_getErrorName(left));
        inflate->in_start += in.pos;
        inflate->is_in_frame = left != 0;
        if (out.pos == 0 && inflate->is_in_frame && !had_input)
            return error_set(err, EBADMSG, "the zstd data ends too early");
    }
    return (ssize_t)out.pos;
}

static ssize_t plain_read(struct inflate *inflate, const void **ret_bytes, struct error *err)
{
    size_t length;

    if (inflate->in_start == inflate->in_end) {
        int r = fill(inflate, err);

        if (r < 0)
            return r;
    }
    length = inflate->in_end - inflate->in_start;
    *ret_bytes = inflate->in + inflate->in_start;
    inflate->in_start = inflate->in_end;
    return (ssize_t)length;
}

static int limits_check(const struct inflate *inflate, struct error *err)
{
    const struct inflate_limits *limits = &inflate->limits;

    if (inflate->bytes_out > limits->bytes_max)
        return error_set(err, EFBIG, "larger than %llu bytes when unpacked",
                         (unsigned long long)limits->bytes_max);
    if (inflate->bytes_out > limits->ratio_from_bytes &&
        inflate->bytes_out / limits->ratio_max > inflate->bytes_in)
        return error_set(err, EFBIG, "unpacks to more than %llu times its size",
                         (unsigned long long)limits->ratio_max);
    return 0;
}

ssize_t inflate_read(struct inflate *inflate, const void **ret_bytes, struct error *err)
{
    ssize_t length;
    int r;

    assert(inflate != NULL);
    assert(ret_bytes != NULL);

    if (inflate->kind == KIND_PLAIN) {
        length = plain_read(inflate, ret_bytes, err);
    } else {
        length = inflate->kind == KIND_GZIP ? gzip_read(inflate, err) : zstd_read(inflate, err);
        *ret_bytes = inflate->out;
    }
    if (length <= 0)
        return length;

    inflate->bytes_out += (uint64_t)length;
    r = limits_check(inflate, err);
    if (r < 0)
        return r;
    if (inflate->hash != NULL)
        hash_add(inflate->hash, *ret_bytes, (size_t)length);
    return length;
}

int inflate_drain(struct inflate *inflate, struct error *err)
{
    const void *bytes;
    ssize_t length;

    do
        length = inflate_read(inflate, &bytes, err);
    while (length > 0);
    return (int)length;
}
