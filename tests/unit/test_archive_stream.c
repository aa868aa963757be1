#include "image/archive_stream.h"

#include <errno.h>
#include <sys/mman.h>

#include "image/archive_name.h"
#include "tests/unit/base_test.h"

#define SHA256 "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

/* A stream as berth-archive might send it, at offset 0. */
struct scene {
    struct archive_sender sender;
};

static int scene_open(void **state)
{
    struct scene *scene = xcalloc(1, sizeof(*scene));

    scene->sender.fd = memfd_create("stream", MFD_CLOEXEC);
    *state = scene;
    return scene->sender.fd < 0 ? -1 : 0;
}

static int scene_close(void **state)
{
    struct scene *scene = *state;

    (void)close(scene->sender.fd);
    free(scene);
    return 0;
}

static struct archive_stream *read_back(struct scene *scene)
{
    assert_int_equal(lseek(scene->sender.fd, 0, SEEK_SET), 0);
    return archive_stream_open(scene->sender.fd, archive_name_matters);
}

/* Reads until something is wrong, or the end. */
static int read_all(struct scene *scene, struct error *err)
{
    AUTO(archive_stream) struct archive_stream *stream = read_back(scene);
    struct archive_event event = { 0 };
    int r = 0;

    while (r == 0 && event.frame != ARCHIVE_FRAME_END)
        r = archive_stream_next(stream, &event, err);
    return r;
}

static void add_bytes(struct scene *scene, const void *bytes, size_t length)
{
    assert_int_equal(write(scene->sender.fd, bytes, length), length);
}

static void add_frame(struct scene *scene, uint32_t type, uint64_t taken, const void *payload,
                      size_t length)
{
    const struct archive_frame_header header = { type, (uint32_t)length, taken };

    add_bytes(scene, &header, sizeof(header));
    add_bytes(scene, payload, length);
}

/* --- what is sent arrives --------------------------------------------------------------------- */

static void what_is_sent_arrives(void **state)
{
    struct scene *scene = *state;
    AUTO(archive_stream) struct archive_stream *stream = NULL;
    struct archive_event event;

    scene->sender.taken = 512;
    assert_int_equal(archive_send_file(&scene->sender, "a/b.json", 5, NULL), 0);
    scene->sender.taken = 1000;
    assert_int_equal(archive_send_data(&scene->sender, "abc", 3, NULL), 0);
    assert_int_equal(archive_send_data(&scene->sender, "de", 2, NULL), 0);
    assert_int_equal(archive_send_progress(&scene->sender, NULL), 0); /* not much: no frame */
    scene->sender.taken = 3u << 20;
    assert_int_equal(archive_send_progress(&scene->sender, NULL), 0);
    assert_int_equal(archive_send_link(&scene->sender, "l.tar", "a/l.tar", NULL), 0);
    assert_int_equal(archive_send_end(&scene->sender, NULL), 0);
    stream = read_back(scene);

    assert_int_equal(archive_stream_next(stream, &event, NULL), 0);
    assert_int_equal(event.frame, ARCHIVE_FRAME_FILE);
    assert_string_equal(event.name, "a/b.json");
    assert_int_equal(event.size, 5);
    assert_int_equal(event.taken, 512);
    assert_int_equal(archive_stream_next(stream, &event, NULL), 0);
    assert_int_equal(event.frame, ARCHIVE_FRAME_DATA);
    assert_int_equal(event.length, 3);
    assert_memory_equal(event.bytes, "abc", 3);
    assert_int_equal(archive_stream_next(stream, &event, NULL), 0);
    assert_int_equal(event.length, 2);
    assert_int_equal(archive_stream_next(stream, &event, NULL), 0);
    assert_int_equal(event.frame, ARCHIVE_FRAME_PROGRESS);
    assert_int_equal(event.taken, 3u << 20);
    assert_int_equal(archive_stream_next(stream, &event, NULL), 0);
    assert_int_equal(event.frame, ARCHIVE_FRAME_LINK);
    assert_string_equal(event.name, "l.tar");
    assert_string_equal(event.link, "a/l.tar");
    assert_int_equal(archive_stream_next(stream, &event, NULL), 0);
    assert_int_equal(event.frame, ARCHIVE_FRAME_END);
}

static void a_failure_is_its_sentence_in_one_line_of_text(void **state)
{
    struct scene *scene = *state;
    struct error failure = { .code = EFBIG, .message = "too\nlarge \033[31mred" };
    struct error err = { 0 };

    archive_send_failure(&scene->sender, &failure);
    assert_int_equal(read_all(scene, &err), -EFBIG);
    assert_string_equal(err.message, "too\\x0alarge \\x1b[31mred");
}

static void a_failure_has_no_code_that_means_something_else(void **state)
{
    static const int codes[] = { EPIPE, ENOENT, ENOSPC, -1, 0, 100000 };

    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        struct scene *scene = *state;
        struct error failure = { .code = codes[i], .message = "no" };
        struct error err = { 0 };

        assert_int_equal(ftruncate(scene->sender.fd, 0), 0);
        assert_int_equal(lseek(scene->sender.fd, 0, SEEK_SET), 0);
        archive_send_failure(&scene->sender, &failure);
        assert_int_equal(read_all(scene, &err), -EBADMSG);
        assert_string_equal(err.message, "no");
    }
}

static void a_stream_that_is_cut_anywhere_ends_early(void **state)
{
    struct scene *scene = *state;
    off_t length;

    assert_int_equal(archive_send_file(&scene->sender, "a.json", 5, NULL), 0);
    assert_int_equal(archive_send_data(&scene->sender, "abcde", 5, NULL), 0);
    assert_int_equal(archive_send_link(&scene->sender, "l.tar", "m.tar", NULL), 0);
    assert_int_equal(archive_send_end(&scene->sender, NULL), 0);
    assert_int_equal(read_all(scene, NULL), 0);
    for (length = lseek(scene->sender.fd, 0, SEEK_END) - 1; length >= 0; length--) {
        struct error err = { 0 };

        assert_int_equal(ftruncate(scene->sender.fd, length), 0);
        assert_int_equal(read_all(scene, &err), -EPIPE);
        assert_string_equal(err.message, "read the archive: berth-archive ended early");
    }
}

/* --- what must not be sent -------------------------------------------------------------------- */

#define SIZE_OF(bytes) bytes "\0\0\0\0\0\0\0"

static const struct {
    const char *payload;
    size_t length;
    uint32_t type;
    const char *message;
} bad_frames[] = {
    { "", 0, 0, "a frame of an unknown type" },
    { "", 0, 7, "a frame of an unknown type" },
    { "", 0, UINT32_MAX, "a frame of an unknown type" },
    { "", 0, ARCHIVE_FRAME_FILE, "a frame of a wrong length" },
    { "", 0, ARCHIVE_FRAME_LINK, "a frame of a wrong length" },
    { "", 0, ARCHIVE_FRAME_DATA, "a frame of a wrong length" },
    { "", 0, ARCHIVE_FRAME_FAILED, "a frame of a wrong length" },
    { "x", 1, ARCHIVE_FRAME_END, "a frame of a wrong length" },
    { "x", 1, ARCHIVE_FRAME_PROGRESS, "a frame of a wrong length" },
    { "x", 1, ARCHIVE_FRAME_DATA, "more bytes than a file has" },
    { SIZE_OF("\0"), 8, ARCHIVE_FRAME_FILE, "a file without a name" },
    { SIZE_OF("\0") "a.json\0", 15, ARCHIVE_FRAME_FILE, "a name with a zero byte" },
    { SIZE_OF("\0") "\0", 9, ARCHIVE_FRAME_FILE, "a name with a zero byte" },
    { "\0\0\0\0\0\0\0\x80"
      "a.json",
      14, ARCHIVE_FRAME_FILE, "a size that no file has" },
    { SIZE_OF("\0") "../a.json", 17, ARCHIVE_FRAME_FILE, "a name that is not clean" },
    { SIZE_OF("\0") "/etc/a.json", 19, ARCHIVE_FRAME_FILE, "a name that is not clean" },
    { SIZE_OF("\0") "a//b.json", 17, ARCHIVE_FRAME_FILE, "a name that is not clean" },
    { SIZE_OF("\0") "etc/passwd", 18, ARCHIVE_FRAME_FILE, "a file that does not matter" },
    { "a.json", 6, ARCHIVE_FRAME_LINK, "a link without a target" },
    { "a.json\0b\0c", 10, ARCHIVE_FRAME_LINK, "a name with a zero byte" },
    { "\0b.json", 7, ARCHIVE_FRAME_LINK, "a name that is empty or too long" },
    { "a.json\0../b", 11, ARCHIVE_FRAME_LINK, "a name that is not clean" },
    { "etc/x\0b.json", 12, ARCHIVE_FRAME_LINK, "a file that does not matter" },
    { "\x05\0\0\0", 4, ARCHIVE_FRAME_FAILED, "no reason for its failure" },
    { "\x05\0\0\0\0", 5, ARCHIVE_FRAME_FAILED, "no reason for its failure" },
};

static void assert_refused(struct scene *scene, const char *message, size_t row)
{
    struct error err = { 0 };
    int r = read_all(scene, &err);

    if (r != -EBADMSG || strstr(err.message, message) == NULL)
        fail_msg("%zu: %d '%s', not '%s'", row, r, err.message, message);
}

static void what_must_not_be_sent_is_refused(void **state)
{
    struct scene *scene = *state;

    for (size_t i = 0; i < ARRAY_SIZE(bad_frames); i++) {
        assert_int_equal(ftruncate(scene->sender.fd, 0), 0);
        assert_int_equal(lseek(scene->sender.fd, 0, SEEK_SET), 0);
        add_frame(scene, bad_frames[i].type, 0, bad_frames[i].payload, bad_frames[i].length);
        assert_refused(scene, bad_frames[i].message, i);
    }
}

static void lengths_that_are_too_large_are_refused_before_anything_is_read(void **state)
{
    static const struct archive_frame_header headers[] = {
        { ARCHIVE_FRAME_FILE, 2 * ARCHIVE_NAME_MAX + 2, 0 },
        { ARCHIVE_FRAME_LINK, UINT32_MAX, 0 },
        { ARCHIVE_FRAME_FAILED, 2 * ARCHIVE_NAME_MAX + 2, 0 },
        { ARCHIVE_FRAME_DATA, ARCHIVE_FRAME_DATA_MAX + 1, 0 },
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        assert_int_equal(ftruncate(scene->sender.fd, 0), 0);
        assert_int_equal(lseek(scene->sender.fd, 0, SEEK_SET), 0);
        add_bytes(scene, &headers[i], sizeof(headers[i]));
        assert_refused(scene, "a frame of a wrong length", i);
    }
}

static void a_name_of_more_than_the_maximum_is_refused(void **state)
{
    struct scene *scene = *state;
    char name[ARCHIVE_NAME_MAX + 2];

    memset(name, 'a', sizeof(name));
    memcpy(name, "blobs/", 6);
    name[ARCHIVE_NAME_MAX + 1] = '\0';
    assert_int_equal(archive_send_file(&scene->sender, name, 0, NULL), 0);
    assert_refused(scene, "a name that is empty or too long", 0);
}

/* A file of 5 bytes, then other things than its 5 bytes. */
static const struct {
    uint32_t type;
    const char *payload;
    size_t length;
    const char *message;
} after_file[] = {
    { ARCHIVE_FRAME_DATA, "abcdef", 6, "more bytes than a file has" },
    { ARCHIVE_FRAME_END, "", 0, "fewer bytes than a file has" },
    { ARCHIVE_FRAME_LINK, "a.tar\0b.tar", 11, "fewer bytes than a file has" },
    { ARCHIVE_FRAME_FILE, SIZE_OF("\0") "b.tar", 13, "fewer bytes than a file has" },
};

static void a_file_has_as_many_bytes_as_it_says(void **state)
{
    struct scene *scene = *state;

    for (size_t i = 0; i < ARRAY_SIZE(after_file); i++) {
        assert_int_equal(ftruncate(scene->sender.fd, 0), 0);
        assert_int_equal(lseek(scene->sender.fd, 0, SEEK_SET), 0);
        assert_int_equal(archive_send_file(&scene->sender, "blobs/sha256/" SHA256, 5, NULL), 0);
        add_frame(scene, after_file[i].type, 0, after_file[i].payload, after_file[i].length);
        assert_refused(scene, after_file[i].message, i);
    }
}

static void the_count_of_what_was_read_never_falls(void **state)
{
    struct scene *scene = *state;

    add_frame(scene, ARCHIVE_FRAME_PROGRESS, 1000, "", 0);
    add_frame(scene, ARCHIVE_FRAME_PROGRESS, 999, "", 0);
    assert_refused(scene, "that it took less than before", 0);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(what_is_sent_arrives),
        SCENE_TEST(a_failure_is_its_sentence_in_one_line_of_text),
        SCENE_TEST(a_failure_has_no_code_that_means_something_else),
        SCENE_TEST(a_stream_that_is_cut_anywhere_ends_early),
        SCENE_TEST(what_must_not_be_sent_is_refused),
        SCENE_TEST(lengths_that_are_too_large_are_refused_before_anything_is_read),
        SCENE_TEST(a_name_of_more_than_the_maximum_is_refused),
        SCENE_TEST(a_file_has_as_many_bytes_as_it_says),
        SCENE_TEST(the_count_of_what_was_read_never_falls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
