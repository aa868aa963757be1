#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <limits.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "tests/unit/image_fixture.h"

#define LAYER "this stands for a tar"

/* --- small archives --------------------------------------------------------------------------- */

struct file {
    const char *name, *content, *link;
};

/* Writes a tar of these files (the last has no name), compressed as @filter says; at offset 0. */
static int make_archive(const struct file *files, int filter)
{
    struct archive *archive = archive_write_new();
    FILE *file = tmpfile();
    int fd;

    assert_non_null(file);
    fd = dup(fileno(file));
    (void)fclose(file);
    assert_int_equal(archive_write_add_filter(archive, filter), ARCHIVE_OK);
    assert_int_equal(archive_write_set_format_ustar(archive), ARCHIVE_OK);
    assert_int_equal(archive_write_open_fd(archive, fd), ARCHIVE_OK);
    for (; files->name != NULL; files++) {
        struct archive_entry *entry = archive_entry_new();
        size_t length = files->content != NULL ? strlen(files->content) : 0;

        archive_entry_set_pathname(entry, files->name);
        archive_entry_set_mode(entry, (files->link != NULL ? AE_IFLNK : AE_IFREG) | 0644);
        if (files->link != NULL)
            archive_entry_set_symlink(entry, files->link);
        archive_entry_set_size(entry, (la_int64_t)length);
        assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
        if (length > 0)
            assert_int_equal(archive_write_data(archive, files->content, length), length);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_free(archive), ARCHIVE_OK);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* An OCI layout with one image, as names and contents. */
struct layout_files {
    char *config, *manifest, *index;
    char *config_name, *manifest_name, *layer_name;
};

static char *blob_file(const char *content)
{
    auto_free char *digest = digest_of(content, strlen(content));

    return xasprintf("blobs/sha256/%s", digest + strlen("sha256:"));
}

static char *make_entry(const char *content, const char *media_type, const char *more)
{
    auto_free char *digest = digest_of(content, strlen(content));

    return xasprintf("{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu%s}", media_type, digest,
                     strlen(content), more);
}

static char *make_index(const char *entries)
{
    return xasprintf("{\"schemaVersion\":2,\"manifests\":[%s]}", entries);
}

static void make_layout(const char *mark, const char *more, struct layout_files *ret_files)
{
    auto_free char *entry = NULL;

    ret_files->config = make_config(LAYER, mark);
    ret_files->manifest = make_manifest(ret_files->config, LAYER);
    entry = make_entry(ret_files->manifest, MEDIA_OCI_MANIFEST, more);
    ret_files->index = make_index(entry);
    ret_files->config_name = blob_file(ret_files->config);
    ret_files->manifest_name = blob_file(ret_files->manifest);
    ret_files->layer_name = blob_file(LAYER);
}

static void layout_files_clear(struct layout_files *files)
{
    free(files->config);
    free(files->manifest);
    free(files->index);
    free(files->config_name);
    free(files->manifest_name);
    free(files->layer_name);
}

static int read_files(struct fixture *fixture, const struct file *files, int filter,
                      struct image_archive *ret_archive, struct error *err)
{
    int fd = make_archive(files, filter);
    int r = image_archive_read(fixture->store, fd, false, false, ret_archive, err);

    (void)close(fd);
    return r;
}

/* Fails the test unless the files are refused with this sentence (its beginning). */
static void assert_refused(struct fixture *fixture, const struct file *files, const char *message)
{
    struct image_archive archive = { 0 };
    struct error err = { 0 };

    if (read_files(fixture, files, ARCHIVE_FILTER_NONE, &archive, &err) >= 0)
        fail_msg("taken, instead of: %s", message);
    if (strstr(err.message, message) == NULL)
        fail_msg("'%s', not '%s'", err.message, message);
}

/* --- OCI layouts ------------------------------------------------------------------------------ */

static void an_oci_archive_is_read_with_its_files_in_any_order(void **state)
{
    static const int filters[] = { ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD };
    struct fixture *fixture = *state;
    AUTO_CLEAR(layout_files) struct layout_files layout = { 0 };

    make_layout("m",
                ",\"annotations\":{\""
                "org.opencontainers.image.ref.name\":\"x:1\"}",
                &layout);
    for (size_t i = 0; i < 2 * ARRAY_SIZE(filters); i++) {
        struct file files[] = {
            { layout.layer_name, LAYER, NULL },
            { "./index.json", layout.index, NULL },
            { layout.manifest_name, layout.manifest, NULL },
            { layout.config_name, layout.config, NULL },
            { "unrelated/file", "x", NULL },
            { 0 },
        };
        AUTO_CLEAR(image_archive) struct image_archive archive = { 0 };
        AUTO(image) struct image *image = NULL;
        struct error err = { 0 };

        if (i >= ARRAY_SIZE(filters)) { /* the other way round */
            struct file first = files[0];

            files[0] = files[3];
            files[3] = first;
        }
        if (read_files(fixture, files, filters[i % 3], &archive, &err) < 0)
            fail_msg("%zu: %s", i, err.message);
        assert_int_equal(archive.count, 1);
        assert_string_equal(archive.items[0].names.items[0], "x:1");
        assert_int_equal(
            image_open(fixture->store, &archive.items[0].manifest_digest, &image, NULL), 0);
        assert_string_equal(image->config_json, layout.config);
    }
}

static void a_layout_directory_is_read(void **state)
{
    struct fixture *fixture = *state;
    AUTO_CLEAR(layout_files) struct layout_files layout = { 0 };
    AUTO_CLEAR(image_archive) struct image_archive archive = { 0 };
    struct error err = { 0 };
    int fd;

    make_layout("m", "", &layout);
    assert_int_equal(mkdirat(fixture->data_fd, "in", 0755), 0);
    assert_int_equal(mkdirat(fixture->data_fd, "in/blobs", 0755), 0);
    assert_int_equal(mkdirat(fixture->data_fd, "in/blobs/sha256", 0755), 0);
    fd = openat(fixture->data_fd, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct file files[] = { { "index.json", layout.index, NULL },
                                  { layout.config_name, layout.config, NULL },
                                  { layout.manifest_name, layout.manifest, NULL },
                                  { layout.layer_name, LAYER, NULL } };
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        int file = openat(fd, files[i].name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_int_equal(write(file, files[i].content, strlen(files[i].content)),
                         strlen(files[i].content));
        (void)close(file);
    }
    if (image_archive_read(fixture->store, fd, true, false, &archive, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(archive.count, 1);
    assert_int_equal(archive.items[0].names.count, 0);
    /* A blob that is a link to a file outside is not followed. */
    fixture_reopen(fixture);
    assert_int_equal(image_sweep_blobs(fixture->store, false, NULL, NULL), 0);
    assert_int_equal(unlinkat(fd, layout.layer_name, 0), 0);
    assert_int_equal(symlinkat("/etc/hostname", fd, layout.layer_name), 0);
    image_archive_clear(&archive);
    assert_true(image_archive_read(fixture->store, fd, true, false, &archive, &err) < 0);
    (void)close(fd);
}

static void a_blob_with_another_content_is_refused(void **state)
{
    struct fixture *fixture = *state;
    AUTO_CLEAR(layout_files) struct layout_files layout = { 0 };

    make_layout("m", "", &layout);
    for (int i = 0; i < 3; i++) {
        const struct file files[] = {
            { "index.json", layout.index, NULL },
            { layout.manifest_name, i == 0 ? "x" : layout.manifest, NULL },
            { layout.config_name, i == 1 ? "x" : layout.config, NULL },
            { layout.layer_name, i == 2 ? "x" : LAYER, NULL },
            { 0 },
        };

        assert_refused(fixture, files, "has the content of sha256:2d711642b726b044");
    }
}

static void a_missing_blob_is_named(void **state)
{
    struct fixture *fixture = *state;
    AUTO_CLEAR(layout_files) struct layout_files layout = { 0 };
    auto_free char *message = NULL;

    make_layout("m", "", &layout);
    message = xasprintf("layer 1: '%s' is not in the archive", layout.layer_name);
    assert_refused(fixture,
                   (const struct file[]){ { "index.json", layout.index, NULL },
                                          { layout.manifest_name, layout.manifest, NULL },
                                          { layout.config_name, layout.config, NULL },
                                          { 0 } },
                   message);
}

static void a_wrong_size_in_a_descriptor_is_refused(void **state)
{
    struct fixture *fixture = *state;
    auto_free char *config = make_config(LAYER, "m");
    auto_free char *manifest = make_manifest(config, LAYER);
    auto_free char *digest = digest_of(manifest, strlen(manifest));
    auto_free char *index =
        xasprintf("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" MEDIA_OCI_MANIFEST
                  "\",\"digest\":\"%s\",\"size\":%zu}]}",
                  digest, strlen(manifest) + 1);
    auto_free char *name = blob_file(manifest);

    assert_refused(
        fixture,
        (const struct file[]){ { "index.json", index, NULL }, { name, manifest, NULL }, { 0 } },
        "bytes, its descriptor says");
}

static void an_index_gives_the_image_for_this_machine(void **state)
{
    struct fixture *fixture = *state;
    AUTO_CLEAR(layout_files) struct layout_files layout = { 0 };
    AUTO_CLEAR(image_archive) struct image_archive archive = { 0 };
    auto_free char *ours = NULL;
    auto_free char *entries = NULL;
    auto_free char *nested = NULL;
    auto_free char *top_entry = NULL;
    auto_free char *top = NULL;
    auto_free char *name = NULL;
    auto_free char *platform = xasprintf(",\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}",
                                         platform_architecture());
    auto_free char *foreign =
        make_entry("not there", MEDIA_OCI_MANIFEST,
                   ",\"platform\":{\"os\":\"linux\",\"architecture\":\"mips64le\"}");
    auto_free char *attestation =
        make_entry("nor this", MEDIA_OCI_MANIFEST,
                   ",\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}");
    struct error err = { 0 };

    make_layout("m", "", &layout);
    ours = make_entry(layout.manifest, MEDIA_OCI_MANIFEST, platform);
    entries = xasprintf("%s,%s,%s", attestation, foreign, ours);
    nested = make_index(entries);
    name = blob_file(nested);
    top_entry =
        make_entry(nested, MEDIA_OCI_INDEX,
                   ",\"annotations\":{\"io.containerd.image.name\":\"docker.io/library/y:2\","
                   "\"org.opencontainers.image.ref.name\":\"2\"}");
    top = make_index(top_entry);
    const struct file files[] = {
        { "index.json", top, NULL },
        { name, nested, NULL },
        { layout.manifest_name, layout.manifest, NULL },
        { layout.config_name, layout.config, NULL },
        { layout.layer_name, LAYER, NULL },
        { 0 },
    };
    if (read_files(fixture, files, ARCHIVE_FILTER_NONE, &archive, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(archive.count, 1);
    assert_string_equal(archive.items[0].names.items[0], "y:2");
}

static void an_index_without_this_machine_names_what_it_has(void **state)
{
    struct fixture *fixture = *state;
    auto_free char *one = make_entry(
        "a", MEDIA_OCI_MANIFEST, ",\"platform\":{\"os\":\"linux\",\"architecture\":\"mips64le\"}");
    auto_free char *two =
        make_entry("b", MEDIA_OCI_MANIFEST,
                   ",\"platform\":{\"os\":\"linux\",\"architecture\":\"mips\",\"variant\":\"r2\"}");
    auto_free char *entries = xasprintf("%s,%s", one, two);
    auto_free char *index = make_index(entries);

    assert_refused(fixture, (const struct file[]){ { "index.json", index, NULL }, { 0 } },
                   ", only for linux/mips64le, linux/mips/r2");
}

static void indexes_nested_without_end_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct file files[12] = { 0 };
    char *contents[10], *names[10];
    auto_free char *bottom = xstrdup("{\"schemaVersion\":2,\"manifests\":[]}");
    const char *below = bottom;

    for (int i = 0; i < 10; i++) {
        auto_free char *entry = make_entry(below, MEDIA_OCI_INDEX, "");

        names[i] = blob_file(below);
        files[i] = (struct file){ names[i], below, NULL };
        contents[i] = make_index(entry);
        below = contents[i];
    }
    files[10] = (struct file){ "index.json", contents[9], NULL };
    assert_refused(fixture, files, "indexes are nested more than 4 deep");
    for (int i = 0; i < 10; i++) {
        free(contents[i]);
        free(names[i]);
    }
}

static void a_plain_layer_must_be_the_one_of_the_config(void **state)
{
    struct fixture *fixture = *state;
    auto_free char *config = make_config("another layer", "m");
    auto_free char *manifest = make_manifest(config, LAYER);
    auto_free char *entry = make_entry(manifest, MEDIA_OCI_MANIFEST, "");
    auto_free char *index = make_index(entry);
    auto_free char *config_name = blob_file(config);
    auto_free char *manifest_name = blob_file(manifest);
    auto_free char *layer_name = blob_file(LAYER);

    assert_refused(fixture,
                   (const struct file[]){ { "index.json", index, NULL },
                                          { manifest_name, manifest, NULL },
                                          { config_name, config, NULL },
                                          { layer_name, LAYER, NULL },
                                          { 0 } },
                   "layer 1 is sha256:");
}

static void a_refused_archive_leaves_no_documents_in_the_store(void **state)
{
    struct fixture *fixture = *state;
    AUTO_CLEAR(layout_files) struct layout_files layout = { 0 };
    struct image_archive archive = { 0 };
    struct digest digest;
    auto_free char *text = NULL;
    int fd;

    make_layout("m", "", &layout);
    const struct file files[] = {
        { "index.json", layout.index, NULL },
        { layout.manifest_name, layout.manifest, NULL },
        { layout.layer_name, LAYER, NULL },
        { 0 },
    };
    assert_true(read_files(fixture, files, ARCHIVE_FILTER_NONE, &archive, NULL) < 0);
    text = digest_of(layout.manifest, strlen(layout.manifest));
    assert_int_equal(digest_parse(text, &digest, NULL), 0);
    assert_int_equal(blob_open(fixture->store, &digest, &fd, NULL), -ENOENT);
}

/* --- docker archives -------------------------------------------------------------------------- */

static void a_docker_archive_is_read_with_links_between_layers(void **state)
{
    struct fixture *fixture = *state;
    auto_free char *config = make_config(LAYER, "m");
    AUTO_CLEAR(image_archive) struct image_archive archive = { 0 };
    AUTO(image) struct image *image = NULL;
    struct error err = { 0 };
    const struct file files[] = {
        { "b/layer.tar", NULL, "../a/layer.tar" },
        { "manifest.json",
          "[{\"Config\":\"c.json\",\"RepoTags\":[\"x:1\",\"host.example/y:2\"],"
          "\"Layers\":[\"b/layer.tar\"]}]",
          NULL },
        { "a/layer.tar", LAYER, NULL },
        { "c.json", config, NULL },
        { 0 },
    };

    if (read_files(fixture, files, ARCHIVE_FILTER_GZIP, &archive, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(archive.items[0].names.count, 2);
    assert_int_equal(image_open(fixture->store, &archive.items[0].manifest_digest, &image, NULL),
                     0);
    assert_string_equal(image->config_json, config);
    assert_string_equal(image->layers.items[0].media_type, MEDIA_OCI_LAYER);
}

static const struct {
    const char *manifest, *message;
} bad_docker[] = {
    { "[]", "manifest.json: lists no image" },
    { "{}", "manifest.json: is not a list" },
    { "[{\"Config\":\"c.json\",\"Layers\":[]}]",
      "manifest.json lists 0 layers, config 'c.json' 1 diff ids" },
    { "[{\"Config\":\"../../etc/passwd\",\"Layers\":[]}]",
      "'../../etc/passwd' is not in the archive" },
    { "[{\"Config\":\"c.json\",\"Layers\":[\"loop.tar\"]}]", "'loop.tar' is not in the archive" },
    { "[{\"Config\":\"c.json\",\"Layers\":[\"out.tar\"]}]", "'out.tar' is not in the archive" },
    { "[{\"Config\":\"c.json\",\"Layers\":[\"wrong.tar\"]}]",
      "layer 1: 'wrong.tar' has the digest" },
    { "[{\"Config\":\"0000000000000000000000000000000000000000000000000000000000000000.json\","
      "\"Layers\":[\"a.tar\"]}]",
      "config '0000000000000000000000000000000000000000000000000000000000000000.json' has the "
      "digest" },
};

static void bad_docker_archives_are_refused_with_a_reason(void **state)
{
    struct fixture *fixture = *state;
    auto_free char *config = make_config(LAYER, "m");

    for (size_t i = 0; i < ARRAY_SIZE(bad_docker); i++) {
        const struct file files[] = {
            { "manifest.json", bad_docker[i].manifest, NULL },
            { "c.json", config, NULL },
            { "0000000000000000000000000000000000000000000000000000000000000000.json", config,
              NULL },
            { "a.tar", LAYER, NULL },
            { "wrong.tar", "something else", NULL },
            { "loop.tar", NULL, "loop.tar" },
            { "out.tar", NULL, "/etc/passwd" },
            { 0 },
        };

        assert_refused(fixture, files, bad_docker[i].message);
    }
}

static void what_is_no_image_archive_is_explained(void **state)
{
    struct fixture *fixture = *state;
    AUTO_CLEAR(image_archive) struct image_archive archive = { 0 };
    struct error err = { 0 };
    FILE *file = tmpfile();

    assert_refused(fixture, (const struct file[]){ { "bin/sh", "x", NULL }, { 0 } },
                   "a root file system is taken by `berth import`");
    assert_refused(fixture, (const struct file[]){ { "repositories", "{}", NULL }, { 0 } },
                   "was saved by a docker older than 1.10");
    assert_refused(
        fixture,
        (const struct file[]){ { "version", "1", NULL }, { "manifest.json", "{}", NULL }, { 0 } },
        "is of skopeo's 'dir:' form");
    assert_int_equal(fputs("this is no archive at all, whatever its name says", file) < 0, 0);
    rewind(file);
    assert_int_equal(image_archive_read(fixture->store, fileno(file), false, false, &archive, &err),
                     -EINVAL);
    assert_memory_equal(err.message, "read the archive: ", 18);
    (void)fclose(file);
}

/* --- what berth-archive finds wrong ----------------------------------------------------------- */

static void a_cut_archive_is_refused_in_its_words(void **state)
{
    static const int filters[] = { ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD };
    struct fixture *fixture = *state;
    auto_free char *content = xcalloc(1, 100001);

    memset(content, 'x', 100000);
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
        const struct file files[] = { { "a.json", content, NULL }, { 0 } };
        int fd = make_archive(files, filters[i]);
        struct image_archive archive = { 0 };
        struct error err = { 0 };
        off_t length = lseek(fd, 0, SEEK_END);

        assert_int_equal(ftruncate(fd, filters[i] == ARCHIVE_FILTER_NONE ? 50000 : length - 20), 0);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        if (image_archive_read(fixture->store, fd, false, false, &archive, &err) != -EINVAL ||
            strstr(err.message, "read the archive: ") == NULL)
            fail_msg("%zu: '%s'", i, err.message);
        (void)close(fd);
    }
}

static void bytes_before_the_archive_are_the_callers(void **state)
{
    struct fixture *fixture = *state;
    AUTO_CLEAR(layout_files) struct layout_files layout = { 0 };
    AUTO_CLEAR(image_archive) struct image_archive archive = { 0 };
    struct error err = { 0 };
    char block[512];
    int fd, with_more;
    ssize_t length;

    make_layout("m", "", &layout);
    const struct file files[] = { { "index.json", layout.index, NULL },
                                  { layout.manifest_name, layout.manifest, NULL },
                                  { layout.config_name, layout.config, NULL },
                                  { layout.layer_name, LAYER, NULL },
                                  { 0 } };
    fd = make_archive(files, ARCHIVE_FILTER_NONE);
    with_more = openat(fixture->data_fd, "more", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(with_more, "before", 6), 6);
    while ((length = read(fd, block, sizeof(block))) > 0)
        assert_int_equal(write(with_more, block, (size_t)length), length);
    assert_int_equal(lseek(with_more, 6, SEEK_SET), 6);
    if (image_archive_read(fixture->store, with_more, false, false, &archive, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(archive.count, 1);
    (void)close(fd);
    (void)close(with_more);
}

static void a_missing_program_is_named(void **state)
{
    struct fixture *fixture = *state;
    auto_free char *programs = xstrdup(getenv("BERTH_LIBEXEC"));

    assert_int_equal(setenv("BERTH_LIBEXEC", "/nowhere", 1), 0);
    assert_refused(fixture, (const struct file[]){ { "index.json", "{}", NULL }, { 0 } },
                   "the program berth-archive is neither in '/nowhere'");
    assert_int_equal(setenv("BERTH_LIBEXEC", programs, 1), 0);
}

/* berth-archive is in the build directory, two above this program's. */
static int find_programs(void **state)
{
    char path[PATH_MAX] = "";
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    (void)state;
    for (int i = 0; length > 0 && i < 3; i++)
        *strrchr(path, '/') = '\0';
    return setenv("BERTH_LIBEXEC", path, 1);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_oci_archive_is_read_with_its_files_in_any_order),
        STORE_TEST(a_layout_directory_is_read),
        STORE_TEST(a_blob_with_another_content_is_refused),
        STORE_TEST(a_missing_blob_is_named),
        STORE_TEST(a_wrong_size_in_a_descriptor_is_refused),
        STORE_TEST(an_index_gives_the_image_for_this_machine),
        STORE_TEST(an_index_without_this_machine_names_what_it_has),
        STORE_TEST(indexes_nested_without_end_are_refused),
        STORE_TEST(a_plain_layer_must_be_the_one_of_the_config),
        STORE_TEST(a_refused_archive_leaves_no_documents_in_the_store),
        STORE_TEST(a_docker_archive_is_read_with_links_between_layers),
        STORE_TEST(bad_docker_archives_are_refused_with_a_reason),
        STORE_TEST(what_is_no_image_archive_is_explained),
        STORE_TEST(a_cut_archive_is_refused_in_its_words),
        STORE_TEST(bytes_before_the_archive_are_the_callers),
        STORE_TEST(a_missing_program_is_named),
    };

    return cmocka_run_group_tests(tests, find_programs, NULL);
}
