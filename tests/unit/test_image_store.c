#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "image/store_private.h"
#include "tests/unit/image_fixture.h"

/* Publishes an image under names ("a:1 b:2"); returns its id. */
static void add_image(struct fixture *fixture, const char *mark, const char *names,
                      struct digest *ret_manifest)
{
    auto_free char *layer = xasprintf("layer of %s", mark);
    auto_free char *config = make_config(layer, mark);
    auto_free char *manifest = make_manifest(config, layer);
    AUTO_CLEAR(strings) struct strings words = { 0 };
    struct digest ignored;

    assert_int_equal(blob_write(fixture->store, layer, strlen(layer), &ignored, NULL), 0);
    assert_int_equal(blob_write(fixture->store, config, strlen(config), &ignored, NULL), 0);
    assert_int_equal(blob_write(fixture->store, manifest, strlen(manifest), ret_manifest, NULL), 0);
    assert_int_equal(image_publish(fixture->store, ret_manifest, 42, NULL), 0);
    strings_split(&words, names, ' ');
    for (size_t i = 0; i < words.count && words.items[i][0] != '\0'; i++) {
        AUTO(reference) struct reference *reference = NULL;

        assert_int_equal(reference_parse(words.items[i], &reference, NULL), 0);
        assert_int_equal(image_tag(fixture->store, ret_manifest, reference, NULL), 0);
    }
}

static char *found_mark(struct fixture *fixture, const char *text)
{
    AUTO(image) struct image *image = NULL;

    if (image_find(fixture->store, text, &image, NULL) < 0)
        return xstrdup("none");
    return xstrdup(image->config.cmd.items[0]);
}

static void assert_finds(struct fixture *fixture, const char *text, const char *mark)
{
    auto_free char *found = found_mark(fixture, text);

    if (strcmp(found, mark) != 0)
        fail_msg("'%s' finds '%s', not '%s'", text, found, mark);
}

static void an_image_is_found_by_name_and_by_id(void **state)
{
    struct fixture *fixture = *state;
    AUTO(image) struct image *image = NULL;
    struct digest one, two;
    char prefix[16];
    auto_free char *by_digest = NULL;

    add_image(fixture, "one", "one:1 example.com/x/one", &one);
    add_image(fixture, "two", "two", &two);
    assert_finds(fixture, "one:1", "one");
    assert_finds(fixture, "docker.io/library/one:1", "one");
    assert_finds(fixture, "example.com/x/one:latest", "one");
    assert_finds(fixture, "two", "two");
    assert_finds(fixture, "one", "none");
    assert_finds(fixture, two.text, "two");
    assert_int_equal(image_find(fixture->store, "one:1", &image, NULL), 0);
    assert_int_equal(image->size_bytes, 42);
    (void)snprintf(prefix, sizeof(prefix), "%.12s", digest_hex(&image->id));
    assert_finds(fixture, prefix, "one");
    assert_finds(fixture, image->id.text, "one");
    by_digest = xasprintf("one@%s", one.text);
    assert_finds(fixture, by_digest, "one");
    by_digest[0] = 't'; /* "tne@": that repository never had it */
    assert_finds(fixture, by_digest, "none");
}

static void a_miss_suggests_the_nearest_name(void **state)
{
    struct fixture *fixture = *state;
    struct image *image = NULL;
    struct error err = { 0 };
    struct digest digest;

    assert_int_equal(image_find(fixture->store, "debian", &image, &err), -ENOENT);
    assert_string_equal(err.message,
                        "No such image: debian; `berth images` lists those that are here");
    add_image(fixture, "d", "debian:bookworm", &digest);
    assert_int_equal(image_find(fixture->store, "debian", &image, &err), -ENOENT);
    assert_string_equal(err.message,
                        "No such image: debian; did you mean 'debian:bookworm'? `berth "
                        "images` lists them");
    assert_int_equal(image_find(fixture->store, "debain", &image, &err), -ENOENT);
    assert_string_equal(err.message,
                        "No such image: debain; did you mean 'debian:bookworm'? `berth "
                        "images` lists them");
    add_image(fixture, "e", "debian", &digest);
    assert_int_equal(image_find(fixture->store, "debain", &image, &err), -ENOENT);
    assert_string_equal(err.message,
                        "No such image: debain; did you mean 'debian'? `berth images` lists them");
}

static void a_name_moves_and_the_old_image_stays(void **state)
{
    struct fixture *fixture = *state;
    AUTO_CLEAR(image_listing) struct image_listing listing = { 0 };
    struct digest one, two;

    add_image(fixture, "one", "x", &one);
    add_image(fixture, "two", "x x:2", &two);
    assert_finds(fixture, "x", "two");
    assert_int_equal(image_list(fixture->store, &listing, NULL), 0);
    assert_int_equal(listing.count, 2);
    for (size_t i = 0; i < listing.count; i++) {
        bool is_two = digest_equal(&listing.items[i].manifest_digest, &two);

        assert_int_equal(listing.items[i].names.count, is_two ? 2 : 0);
        assert_int_equal(listing.items[i].created, 1704164645);
    }
}

static void removing_the_last_name_removes_the_image(void **state)
{
    struct fixture *fixture = *state;
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    struct digest one;

    add_image(fixture, "one", "x:1 x:2", &one);
    assert_int_equal(image_remove(fixture->store, "x:1", false, &lines, NULL), 0);
    assert_int_equal(lines.count, 1);
    assert_string_equal(lines.items[0], "Untagged: x:1");
    assert_finds(fixture, "x:2", "one");
    strings_clear(&lines);
    assert_int_equal(image_remove(fixture->store, "x:2", false, &lines, NULL), 0);
    assert_int_equal(lines.count, 2);
    assert_memory_equal(lines.items[1], "Deleted: sha256:", 16);
    assert_finds(fixture, one.text, "none");
}

static void removing_by_id_wants_force_for_several_names(void **state)
{
    struct fixture *fixture = *state;
    AUTO(image) struct image *image = NULL;
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    struct error err = { 0 };
    struct digest one;

    add_image(fixture, "one", "x:1 y:2", &one);
    assert_int_equal(image_find(fixture->store, "x:1", &image, NULL), 0);
    assert_int_equal(image_remove(fixture->store, image->id.text, false, &lines, &err), -EBUSY);
    assert_non_null(
        strstr(err.message, "has 2 names; remove them one by one, or all with --force"));
    assert_int_equal(lines.count, 0);
    assert_finds(fixture, "y:2", "one");
    assert_int_equal(image_remove(fixture->store, image->id.text, true, &lines, NULL), 0);
    assert_int_equal(lines.count, 3);
    assert_finds(fixture, "y:2", "none");
}

static bool has_blob(struct fixture *fixture, const struct digest *digest)
{
    int fd;

    if (blob_open(fixture->store, digest, &fd, NULL) < 0)
        return false;
    (void)close(fd);
    return true;
}

static void a_blob_that_is_given_up_after_the_end_of_adding_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct blob_writer *writer = NULL;

    assert_int_equal(blob_writer_open(fixture->store, "sha256", &writer, NULL), 0);
    assert_int_equal(blob_writer_add(writer, "bytes", 5, NULL), 0);
    image_store_end_write(fixture->store);
    blob_writer_free(writer);
    assert_int_equal(image_sweep_blobs(fixture->store, false, NULL, NULL), 0);
}

static void a_sweep_keeps_what_images_refer_to(void **state)
{
    struct fixture *fixture = *state;
    AUTO(image) struct image *image = NULL;
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    struct disk_usage swept = { 0 };
    struct digest one, loose;

    add_image(fixture, "one", "x", &one);
    assert_int_equal(blob_write(fixture->store, "loose", 5, &loose, NULL), 0);
    assert_int_equal(image_sweep_blobs(fixture->store, false, NULL, NULL), 1);
    assert_true(has_blob(fixture, &loose)); /* who adds is not done yet */
    fixture_reopen(fixture);
    assert_int_equal(image_sweep_blobs(fixture->store, false, &swept, NULL), 0);
    assert_false(has_blob(fixture, &loose));
    assert_int_equal(swept.file_bytes, 5);
    assert_int_equal(image_find(fixture->store, "x", &image, NULL), 0);
    assert_true(has_blob(fixture, &image->layers.items[0].digest));
    assert_int_equal(image_remove(fixture->store, "x", false, &lines, NULL), 0);
    assert_int_equal(image_sweep_blobs(fixture->store, false, NULL, NULL), 0);
    assert_false(has_blob(fixture, &image->layers.items[0].digest));
    assert_false(has_blob(fixture, &one));
}

static void a_copied_blob_must_have_the_promised_digest_and_size(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest, wrong;
    struct error err = { 0 };
    uint64_t size = 0;
    int pipe_fds[2];

    hash_bytes("sha256", "hello", 5, &digest);
    hash_bytes("sha256", "other", 5, &wrong);
    for (int i = 0; i < 4; i++) {
        const struct digest *expected = i == 0 ? &wrong : &digest;
        uint64_t length = i == 1 ? 4 : i == 2 ? 6 : 5;
        int r;

        assert_int_equal(pipe(pipe_fds), 0);
        assert_int_equal(write(pipe_fds[1], "hello", 5), 5);
        (void)close(pipe_fds[1]);
        r = blob_copy(fixture->store, pipe_fds[0], length, expected, NULL, &size, &err);
        (void)close(pipe_fds[0]);
        assert_int_equal(r, i == 3 ? 0 : -EBADMSG);
        assert_int_equal(has_blob(fixture, &digest), i == 3);
    }
    assert_int_equal(size, 5);
    assert_false(has_blob(fixture, &wrong));
}

static void sha512_blobs_have_a_place_too(void **state)
{
    struct fixture *fixture = *state;
    AUTO(blob_writer) struct blob_writer *writer = NULL;
    struct digest digest, expected;
    auto_free char *text = NULL;
    size_t length;

    hash_bytes("sha512", "hello", 5, &expected);
    assert_int_equal(blob_writer_open(fixture->store, "sha512", &writer, NULL), 0);
    assert_int_equal(blob_writer_add(writer, "hello", 5, NULL), 0);
    assert_int_equal(blob_writer_finish(writer, &expected, &digest, NULL, NULL), 0);
    assert_int_equal(blob_read(fixture->store, &digest, &text, &length, NULL), 0);
    assert_string_equal(text, "hello");
}

static void the_store_is_closed_to_other_users(void **state)
{
    static const char *const paths[] = { "blobs", "blobs/sha256", "images", "names" };
    struct fixture *fixture = *state;
    struct digest digest;
    struct stat status;

    add_image(fixture, "one", "x", &digest);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        assert_int_equal(fstatat(fixture->data_fd, paths[i], &status, 0), 0);
        assert_int_equal(status.st_mode & 0777, 0700);
    }
}

static void a_name_with_a_digest_cannot_be_given(void **state)
{
    struct fixture *fixture = *state;
    AUTO(reference) struct reference *reference = NULL;
    auto_free char *text = NULL;
    struct digest digest;
    struct error err = { 0 };

    add_image(fixture, "one", "x", &digest);
    text = xasprintf("x@%s", digest.text);
    assert_int_equal(reference_parse(text, &reference, NULL), 0);
    assert_int_equal(image_tag(fixture->store, &digest, reference, &err), -EINVAL);
    assert_non_null(strstr(err.message, "a digest cannot be given to an image, only a tag"));
}

static void inspect_shows_null_and_empty_as_docker_does(void **state)
{
    struct fixture *fixture = *state;
    AUTO(image) struct image *image = NULL;
    auto_free char *json = NULL;
    struct digest digest;

    add_image(fixture, "one", "x", &digest);
    assert_int_equal(image_find(fixture->store, "x", &image, NULL), 0);
    json = image_inspect_json(fixture->store, image);
    assert_non_null(strstr(json, "\"RepoTags\": [\n        \"x:latest\"\n    ]"));
    assert_non_null(strstr(json, "\"Entrypoint\": null"));
    assert_non_null(strstr(json, "\"Env\": null"));
    assert_non_null(strstr(json, "\"Labels\": null"));
    assert_non_null(strstr(json, "\"Size\": 42"));
    assert_null(strstr(json, "ExposedPorts"));
}

static void chains_list_diff_ids_lowest_first(void **state)
{
    struct fixture *fixture = *state;
    AUTO_CLEAR(strings) struct strings chains = { 0 };
    auto_free char *expected = digest_of("layer of one", 12);
    struct digest digest;

    add_image(fixture, "one", "x", &digest);
    assert_int_equal(image_chains(fixture->store, &chains, NULL), 0);
    assert_int_equal(chains.count, 1);
    assert_string_equal(chains.items[0], expected);
}

/* Makes a layer of a tar that comes in pieces of this length. */
static void make_layer(struct fixture *fixture, const char *tar, size_t length, size_t piece,
                       struct image_descriptors *layers, struct digest *ret_diff_id)
{
    AUTO(layer_writer) struct layer_writer *writer = NULL;

    assert_int_equal(layer_writer_open(fixture->store, &writer, NULL), 0);
    for (size_t i = 0; i < length; i += piece)
        assert_int_equal(
            layer_writer_add(writer, tar + i, length - i < piece ? length - i : piece, NULL), 0);
    assert_int_equal(layer_writer_finish(writer, layers, ret_diff_id, NULL), 0);
}

static void a_layer_is_the_same_gzip_in_whatever_pieces_its_tar_comes(void **state)
{
    static char tar[(3 << 20) + 77], found[sizeof(tar) + 1];
    static const size_t pieces[] = { sizeof(tar), 1, 512, 128 << 10, (128 << 10) + 1 };
    struct fixture *fixture = *state;
    AUTO_CLEAR(image_descriptors) struct image_descriptors layers = { 0 };
    auto_free char *expected = NULL;
    auto_free char *blob = NULL;
    struct inflate_state inflate;
    size_t length;
    uint32_t random = 1;

    for (size_t i = 0; i < sizeof(tar); i++) {
        random = random * 1103515245 + 12345;
        tar[i] = (char)(i < sizeof(tar) / 2 ? random >> 16 : (random >> 16) % 7);
    }
    expected = digest_of(tar, sizeof(tar));
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        struct digest diff_id;

        make_layer(fixture, tar, sizeof(tar), pieces[i], &layers, &diff_id);
        assert_string_equal(diff_id.text, expected);
        assert_string_equal(layers.items[i].media_type, MEDIA_OCI_LAYER_GZIP);
        assert_string_equal(layers.items[i].digest_text, layers.items[0].digest_text);
        assert_true(layers.items[i].size < sizeof(tar) * 3 / 4);
    }
    assert_int_equal(blob_read(fixture->store, &layers.items[0].digest, &blob, &length, NULL), 0);
    isal_inflate_init(&inflate);
    inflate.crc_flag = ISAL_GZIP;
    inflate.next_in = (uint8_t *)blob;
    inflate.avail_in = (uint32_t)length;
    inflate.next_out = (uint8_t *)found;
    inflate.avail_out = sizeof(found);
    assert_int_equal(isal_inflate(&inflate), ISAL_DECOMP_OK);
    assert_int_equal(inflate.block_state, ISAL_BLOCK_FINISH);
    assert_int_equal(inflate.total_out, sizeof(tar));
    assert_memory_equal(found, tar, sizeof(tar));
}

static bool is_staging_empty(struct fixture *fixture)
{
    auto_close int fd =
        openat(fixture->store->staging->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fdopendir(dup(fd));
    size_t count = 0;

    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count == 2; /* "." and ".." */
}

static void a_layer_that_is_dropped_leaves_nothing(void **state)
{
    static const char tar[4 << 20];
    struct fixture *fixture = *state;
    AUTO(layer_writer) struct layer_writer *writer = NULL;

    for (size_t length = 0; length <= sizeof(tar); length += sizeof(tar) / 2) {
        assert_int_equal(layer_writer_open(fixture->store, &writer, NULL), 0);
        assert_int_equal(layer_writer_add(writer, tar, length, NULL), 0);
        layer_writer_free(take_ptr(&writer));
        assert_true(is_staging_empty(fixture));
    }
}

/* What fails in its thread is told to whoever adds or finishes. */
static void a_layer_that_cannot_be_written_says_why(void **state)
{
    static char tar[1 << 20];
    struct fixture *fixture = *state;
    AUTO_CLEAR(image_descriptors) struct image_descriptors layers = { 0 };
    AUTO(layer_writer) struct layer_writer *writer = NULL;
    struct rlimit before, limit;
    struct digest diff_id;
    struct error err = { 0 };
    int r = 0;

    for (size_t i = 0; i < sizeof(tar); i++)
        tar[i] = (char)(i * i >> 7);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){ 4096, before.rlim_max };
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (size_t rounds = 0; rounds <= 4; rounds += 4) {
        r = layer_writer_open(fixture->store, &writer, &err);
        for (size_t i = 0; r == 0 && i < rounds + 1; i++)
            r = layer_writer_add(writer, tar, sizeof(tar), &err);
        if (r == 0)
            r = layer_writer_finish(writer, &layers, &diff_id, &err);
        assert_int_equal(r, -EFBIG);
        assert_non_null(strstr(err.message, "write a blob: File too large"));
        layer_writer_free(take_ptr(&writer));
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(layers.count, 0);
    assert_true(is_staging_empty(fixture));
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_image_is_found_by_name_and_by_id),
        STORE_TEST(a_miss_suggests_the_nearest_name),
        STORE_TEST(a_name_moves_and_the_old_image_stays),
        STORE_TEST(removing_the_last_name_removes_the_image),
        STORE_TEST(removing_by_id_wants_force_for_several_names),
        STORE_TEST(a_blob_that_is_given_up_after_the_end_of_adding_leaves_nothing),
        STORE_TEST(a_sweep_keeps_what_images_refer_to),
        STORE_TEST(a_copied_blob_must_have_the_promised_digest_and_size),
        STORE_TEST(sha512_blobs_have_a_place_too),
        STORE_TEST(the_store_is_closed_to_other_users),
        STORE_TEST(a_name_with_a_digest_cannot_be_given),
        STORE_TEST(inspect_shows_null_and_empty_as_docker_does),
        STORE_TEST(chains_list_diff_ids_lowest_first),
        STORE_TEST(a_layer_is_the_same_gzip_in_whatever_pieces_its_tar_comes),
        STORE_TEST(a_layer_that_is_dropped_leaves_nothing),
        STORE_TEST(a_layer_that_cannot_be_written_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
