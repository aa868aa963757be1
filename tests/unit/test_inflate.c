#include "unionfs/inflate.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include "base/fd.h"
#include "base/text.h"

static const struct inflate_limits no_limits = { .bytes_max = UINT64_MAX,
                                                 .ratio_max = UINT64_MAX,
                                                 .ratio_from_bytes = UINT64_MAX };

/* --- making input ----------------------------------------------------------------------------- */

/* Bytes that neither repeat nor are random: like a file's. */
static void add_sample(struct text *text, size_t length, uint32_t seed)
{
    for (size_t i = 0; i < length; i++) {
        char byte;

        seed = seed * 1664525u + 1013904223u;
        byte = (char)(seed >> 28 < 10 ? 'a' : (int)(seed >> 24));
        text_add_bytes(text, &byte, 1);
    }
}

static void add_gzip(struct text *text, const char *bytes, size_t length)
{
    size_t room = length * 2 + 4096;
    auto_free uint8_t *out = xcalloc(1, room);
    struct isal_zstream stream;

    isal_deflate_stateless_init(&stream);
    stream.gzip_flag = IGZIP_GZIP;
    stream.next_in = (uint8_t *)bytes;
    stream.avail_in = (uint32_t)length;
    stream.end_of_stream = 1;
    stream.next_out = out;
    stream.avail_out = (uint32_t)room;
    assert_int_equal(isal_deflate_stateless(&stream), COMP_OK);
    text_add_bytes(text, out, stream.total_out);
}

static void add_zstd(struct text *text, const char *bytes, size_t length)
{
    size_t room = ZSTD_compressBound(length);
    auto_free char *out = xcalloc(1, room);
    size_t size = ZSTD_compress(out, room, bytes, length, 3);

    assert_false(ZSTD_isError(size));
    text_add_bytes(text, out, size);
}

static int to_file(const char *bytes, size_t length)
{
    int fd = memfd_create("input", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, bytes, length, "input", NULL), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* --- reading it ------------------------------------------------------------------------------- */

static int read_all(const char *bytes, size_t length, const struct inflate_limits *limits,
                    struct text *ret_text, struct digest *ret_digest, struct error *err)
{
    auto_close int fd = to_file(bytes, length);
    AUTO(hash) struct hash *hash = hash_open("sha256");
    AUTO(inflate) struct inflate *inflate = NULL;
    const void *block;
    ssize_t size;
    struct blob_input input = blob_input_whole(fd);
    int r = inflate_open(&input, limits, hash, &inflate, err);

    if (r < 0)
        return r;
    while ((size = inflate_read(inflate, &block, err)) > 0)
        text_add_bytes(ret_text, block, (size_t)size);
    if (size == 0 && ret_digest != NULL)
        hash_finish(hash, ret_digest);
    return (int)size;
}

static void check_gives(const struct text *input, const struct text *expected)
{
    struct text output = { 0 };
    struct digest digest, expected_digest;
    struct error err = { 0 };

    if (read_all(input->data, input->length, &no_limits, &output, &digest, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(output.length, expected->length);
    if (output.length > 0)
        assert_memory_equal(output.data, expected->data, expected->length);
    hash_bytes("sha256", expected->data, expected->length, &expected_digest);
    assert_string_equal(digest.text, expected_digest.text);
    text_clear(&output);
}

static void check_fails(const struct text *input, int code, const char *message)
{
    struct text output = { 0 };
    struct error err = { 0 };

    assert_int_equal(read_all(input->data, input->length, &no_limits, &output, NULL, &err), code);
    if (strncmp(err.message, message, strlen(message)) != 0)
        fail_msg("'%s' instead of '%s'", err.message, message);
    text_clear(&output);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void plain_bytes_come_as_they_are(void **state)
{
    static const size_t lengths[] = { 0, 1, 511, 262143, 262144, 262145, 1000000 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        struct text sample = { 0 };

        text_add(&sample, "");
        add_sample(&sample, lengths[i], 1);
        check_gives(&sample, &sample);
        text_clear(&sample);
    }
}

static void gzip_members_of_every_size_join(void **state)
{
    struct text input = { 0 }, expected = { 0 };

    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        size_t start = expected.length;

        /* Also empty ones, and ones that end at every place in the 256 KiB of a block. */
        add_sample(&expected, i % 7 == 0 ? 0 : (size_t)i * i % 9973, i);
        add_gzip(&input, expected.data == NULL ? "" : expected.data + start,
                 expected.length - start);
    }
    check_gives(&input, &expected);
    text_clear(&input);
    text_clear(&expected);
}

static void gzip_members_that_end_at_a_block_border_join(void **state)
{
    (void)state;
    for (size_t before = 0; before < 24; before++) {
        struct text input = { 0 }, expected = { 0 }, filler = { 0 };

        /* A first member of random bytes, so that its size is near that of a block. */
        add_sample(&expected, 200000, 7);
        add_gzip(&input, expected.data, expected.length);
        text_add(&filler, "");
        while (input.length + filler.length + 18 + before < 262144) {
            /* Zeros are allowed between members. */
            text_add_bytes(&filler, "", 1);
        }
        text_add_bytes(&input, filler.data, filler.length);
        size_t start = expected.length;

        add_sample(&expected, before, 9);
        add_gzip(&input, expected.data + start, before);
        start = expected.length;
        add_sample(&expected, 5000, 10);
        add_gzip(&input, expected.data + start, 5000);
        check_gives(&input, &expected);
        text_clear(&input);
        text_clear(&expected);
        text_clear(&filler);
    }
}

static void zeros_behind_gzip_are_padding_and_other_bytes_are_not(void **state)
{
    struct text input = { 0 }, expected = { 0 };
    char zeros[3000] = { 0 };

    (void)state;
    add_sample(&expected, 1000, 3);
    add_gzip(&input, expected.data, expected.length);
    text_add_bytes(&input, zeros, sizeof(zeros));
    check_gives(&input, &expected);
    text_add(&input, "x");
    check_fails(&input, -EBADMSG, "garbage behind the gzip data");
    text_clear(&input);
    text_clear(&expected);
}

static void a_gzip_file_cut_anywhere_is_noticed(void **state)
{
    struct text input = { 0 }, expected = { 0 };

    (void)state;
    add_sample(&expected, 3000, 4);
    add_gzip(&input, expected.data, expected.length);
    for (size_t length = 2; length < input.length; length++) {
        struct text cut = { 0 };

        text_add_bytes(&cut, input.data, length);
        check_fails(&cut, -EBADMSG, "the gzip data ends too early");
        text_clear(&cut);
    }
    text_clear(&input);
    text_clear(&expected);
}

static void a_wrong_checksum_is_noticed(void **state)
{
    struct text input = { 0 }, expected = { 0 };

    (void)state;
    add_sample(&expected, 3000, 4);
    add_gzip(&input, expected.data, expected.length);
    input.data[input.length - 6] ^= 1;
    check_fails(&input, -EBADMSG, "damaged gzip data");
    text_clear(&input);
    text_clear(&expected);
}

static void zstd_frames_join_and_skippable_ones_are_skipped(void **state)
{
    struct text input = { 0 }, expected = { 0 };

    (void)state;
    text_add_bytes(&input, "\x50\x2a\x4d\x18\x05\x00\x00\x00hello", 13);
    for (uint32_t i = 0; i < 100; i++) {
        size_t start = expected.length;

        add_sample(&expected, (size_t)i * i * 13, i);
        add_zstd(&input, expected.data == NULL ? "" : expected.data + start,
                 expected.length - start);
        text_add_bytes(&input,
                       "\x5f\x2a\x4d\x18\x03\x00\x00\x00"
                       "abc",
                       11);
    }
    check_gives(&input, &expected);
    text_clear(&input);
    text_clear(&expected);
}

static void a_zstd_file_cut_or_damaged_is_noticed(void **state)
{
    struct text input = { 0 }, expected = { 0 }, cut = { 0 };

    (void)state;
    add_sample(&expected, 100000, 4);
    add_zstd(&input, expected.data, expected.length);
    text_add_bytes(&cut, input.data, input.length / 2);
    check_fails(&cut, -EBADMSG, "the zstd data ends too early");
    text_add(&input, "garbage");
    check_fails(&input, -EBADMSG, "damaged zstd data");
    text_clear(&input);
    text_clear(&expected);
    text_clear(&cut);
}

static void other_compressions_are_named(void **state)
{
    struct text xz = { 0 }, bzip2 = { 0 };

    (void)state;
    text_add_bytes(&xz,
                   "\xfd"
                   "7zXZ\0\0",
                   7);
    check_fails(&xz, -EPROTONOSUPPORT, "compressed with xz; layers are plain, gzip or zstd");
    text_add(&bzip2, "BZh91AY");
    check_fails(&bzip2, -EPROTONOSUPPORT, "compressed with bzip2; layers are plain");
    text_clear(&xz);
    text_clear(&bzip2);
}

static void the_limit_on_bytes_is_exact(void **state)
{
    const struct inflate_limits exact = { .bytes_max = 1000,
                                          .ratio_max = UINT64_MAX,
                                          .ratio_from_bytes = UINT64_MAX };
    struct text sample = { 0 }, output = { 0 };
    struct error err = { 0 };

    (void)state;
    add_sample(&sample, 1001, 1);
    assert_int_equal(read_all(sample.data, 1000, &exact, &output, NULL, &err), 0);
    assert_int_equal(read_all(sample.data, 1001, &exact, &output, NULL, &err), -EFBIG);
    assert_string_equal(err.message, "larger than 1000 bytes when unpacked");
    text_clear(&sample);
    text_clear(&output);
}

static void a_bomb_is_stopped_early(void **state)
{
    const struct inflate_limits limits = { .bytes_max = UINT64_MAX,
                                           .ratio_max = 100,
                                           .ratio_from_bytes = 1 << 20 };
    size_t length = 32u << 20;
    auto_free char *zeros = xcalloc(1, length);
    struct text gzip = { 0 }, zstd = { 0 }, output = { 0 };
    struct error err = { 0 };

    (void)state;
    add_gzip(&gzip, zeros, length);
    assert_int_equal(read_all(gzip.data, gzip.length, &limits, &output, NULL, &err), -EFBIG);
    assert_string_equal(err.message, "unpacks to more than 100 times its size");
    assert_true(output.length < 20u << 20);
    text_clear(&output);
    add_zstd(&zstd, zeros, length);
    assert_int_equal(read_all(zstd.data, zstd.length, &limits, &output, NULL, &err), -EFBIG);
    assert_true(output.length < 4u << 20);
    text_clear(&gzip);
    text_clear(&zstd);
    text_clear(&output);
}

static void a_pipe_with_short_reads_is_fine(void **state)
{
    struct text sample = { 0 }, input = { 0 };
    struct digest digest, expected;
    const void *block;
    ssize_t size;
    int fds[2];

    (void)state;
    add_sample(&sample, 20000, 1);
    add_gzip(&input, sample.data, sample.length);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fd_write_all(fds[1], input.data, input.length, "pipe", NULL), 0);
    close(fds[1]);

    AUTO(hash) struct hash *hash = hash_open("sha256");
    AUTO(inflate) struct inflate *inflate = NULL;
    struct blob_input source = blob_input_whole(fds[0]);
    assert_int_equal(inflate_open(&source, &no_limits, hash, &inflate, NULL), 0);
    size = inflate_read(inflate, &block, NULL);
    assert_true(size > 0);
    assert_int_equal(inflate_drain(inflate, NULL), 0);
    hash_finish(hash, &digest);
    hash_bytes("sha256", sample.data, sample.length, &expected);
    assert_string_equal(digest.text, expected.text);
    close(fds[0]);
    text_clear(&sample);
    text_clear(&input);
}

/* --- a file that grows ------------------------------------------------------------------------ */

struct growing {
    int fd, growth_fd;
    const struct text *bytes;
};

static void *write_slowly(void *context)
{
    const struct growing *growing = context;
    size_t at = 0;

    for (size_t step = 1; at < growing->bytes->length; step += 7777) {
        size_t left = growing->bytes->length - at;
        uint64_t more = step < left ? step : left;

        assert_int_equal(pwrite(growing->fd, growing->bytes->data + at, more, (off_t)at), more);
        assert_int_equal(write(growing->growth_fd, &more, sizeof(more)), sizeof(more));
        at += more;
    }
    return NULL;
}

static void a_file_that_grows_is_read_to_the_end_of_the_blob(void **state)
{
    auto_close int fd = memfd_create("grows", MFD_CLOEXEC);
    auto_close int growth_fd = eventfd(0, EFD_CLOEXEC);
    struct text sample = { 0 }, bytes = { 0 }, output = { 0 };
    struct growing growing = { fd, growth_fd, &bytes };
    AUTO(inflate) struct inflate *inflate = NULL;
    const void *block;
    pthread_t writer;
    ssize_t size;

    (void)state;
    add_sample(&sample, 3000000, 1);
    add_gzip(&bytes, sample.data, sample.length);
    struct blob_input input = { .fd = fd, .growth_fd = growth_fd, .size = bytes.length };
    assert_int_equal(pthread_create(&writer, NULL, write_slowly, &growing), 0);
    assert_int_equal(inflate_open(&input, &no_limits, NULL, &inflate, NULL), 0);
    while ((size = inflate_read(inflate, &block, NULL)) > 0)
        text_add_bytes(&output, block, (size_t)size);
    assert_int_equal(size, 0);
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(output.length, sample.length);
    assert_memory_equal(output.data, sample.data, sample.length);
    text_clear(&sample);
    text_clear(&bytes);
    text_clear(&output);
}

static void a_file_that_is_shorter_than_was_said_is_an_error(void **state)
{
    auto_close int fd = to_file("abc", 3);
    auto_close int growth_fd = eventfd(5, EFD_CLOEXEC);
    struct blob_input input = { .fd = fd, .growth_fd = growth_fd, .size = 10 };
    AUTO(inflate) struct inflate *inflate = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(inflate_open(&input, &no_limits, NULL, &inflate, &err), -EBADMSG);
    assert_string_equal(err.message, "the layer's file ends after 3 bytes");
}

static void a_file_that_grows_beyond_its_size_is_an_error(void **state)
{
    auto_close int fd = to_file("abc", 3);
    auto_close int growth_fd = eventfd(11, EFD_CLOEXEC);
    struct blob_input input = { .fd = fd, .growth_fd = growth_fd, .size = 10 };
    AUTO(inflate) struct inflate *inflate = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(inflate_open(&input, &no_limits, NULL, &inflate, &err), -EBADMSG);
    assert_string_equal(err.message, "the layer grew beyond its 10 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_bytes_come_as_they_are),
        cmocka_unit_test(gzip_members_of_every_size_join),
        cmocka_unit_test(gzip_members_that_end_at_a_block_border_join),
        cmocka_unit_test(zeros_behind_gzip_are_padding_and_other_bytes_are_not),
        cmocka_unit_test(a_gzip_file_cut_anywhere_is_noticed),
        cmocka_unit_test(a_wrong_checksum_is_noticed),
        cmocka_unit_test(zstd_frames_join_and_skippable_ones_are_skipped),
        cmocka_unit_test(a_zstd_file_cut_or_damaged_is_noticed),
        cmocka_unit_test(other_compressions_are_named),
        cmocka_unit_test(the_limit_on_bytes_is_exact),
        cmocka_unit_test(a_bomb_is_stopped_early),
        cmocka_unit_test(a_pipe_with_short_reads_is_fine),
        cmocka_unit_test(a_file_that_grows_is_read_to_the_end_of_the_blob),
        cmocka_unit_test(a_file_that_is_shorter_than_was_said_is_an_error),
        cmocka_unit_test(a_file_that_grows_beyond_its_size_is_an_error),
    };

    return cmocka_run_group_tests_name("inflate", tests, NULL, NULL);
}
