#include "base/tar_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>

/* libarchive reads what is written here. */

static char *repeated(char c, size_t count)
{
    char *text = xcalloc(count + 1, 1);

    memset(text, c, count);
    return text;
}

static void read_back(const struct tar_entry *entry, struct archive **ret_archive,
                      struct archive_entry **ret_entry, size_t *ret_blocks)
{
    static struct text tar;
    char zeros[TAR_END_BYTES] = { 0 };

    text_clear(&tar);
    tar_entry_format(entry, &tar);
    *ret_blocks = tar.length / TAR_BLOCK;
    assert_int_equal(tar.length % TAR_BLOCK, 0);
    text_add_bytes(&tar, zeros, sizeof(zeros));
    *ret_archive = archive_read_new();
    assert_int_equal(archive_read_support_format_tar(*ret_archive), ARCHIVE_OK);
    assert_int_equal(archive_read_open_memory(*ret_archive, tar.data, tar.length), ARCHIVE_OK);
    assert_int_equal(archive_read_next_header(*ret_archive, ret_entry), ARCHIVE_OK);
}

static void an_ordinary_entry_is_one_block(void **state)
{
    const struct tar_entry entry = {
        .name = "bin/sh", .type = TAR_FILE, .mode = 04755, .uid = 1, .gid = 2, .time = 86400
    };
    struct archive *archive;
    struct archive_entry *found;
    size_t blocks;

    (void)state;
    read_back(&entry, &archive, &found, &blocks);
    assert_int_equal(blocks, 1);
    assert_string_equal(archive_entry_pathname(found), "bin/sh");
    assert_int_equal(archive_entry_mode(found), S_IFREG | 04755);
    assert_int_equal(archive_entry_uid(found), 1);
    assert_int_equal(archive_entry_gid(found), 2);
    assert_int_equal(archive_entry_mtime(found), 86400);
    archive_read_free(archive);
}

static void numbers_that_ustar_cannot_hold_are_in_an_extended_header(void **state)
{
    const struct tar_entry entry = { .name = "f",
                                     .type = TAR_FILE,
                                     .uid = 4000000000u,
                                     .gid = 07777777 + 1,
                                     .size = 9ull << 30,
                                     .time = -2 };
    struct archive *archive;
    struct archive_entry *found;
    size_t blocks;

    (void)state;
    read_back(&entry, &archive, &found, &blocks);
    assert_int_equal(blocks, 3);
    assert_int_equal(archive_entry_uid(found), 4000000000);
    assert_int_equal(archive_entry_gid(found), 07777777 + 1);
    assert_int_equal(archive_entry_size(found), 9ll << 30);
    assert_int_equal(archive_entry_mtime(found), -2);
    archive_read_free(archive);
}

static void times_have_their_fractions(void **state)
{
    static const struct {
        int64_t time;
        uint32_t time_ns;
    } rows[] = { { 0, 1 }, { 1700000000, 123456789 }, { 1ll << 40, 500000000 } };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct tar_entry entry = {
            .name = "f", .type = TAR_FILE, .time = rows[i].time, .time_ns = rows[i].time_ns
        };
        struct archive *archive;
        struct archive_entry *found;
        size_t blocks;

        read_back(&entry, &archive, &found, &blocks);
        assert_int_equal(archive_entry_mtime(found), rows[i].time);
        assert_int_equal(archive_entry_mtime_nsec(found), rows[i].time_ns);
        archive_read_free(archive);
    }
}

/* libarchive 3.6 adds the fraction to what stands before the point, whatever its sign. */
static void before_1970_fractions_count_downwards(void **state)
{
    const struct tar_entry entry = {
        .name = "f", .type = TAR_FILE, .time = -2, .time_ns = 750000000
    };
    AUTO_CLEAR(text) struct text tar = { 0 };

    (void)state;
    tar_entry_format(&entry, &tar);
    assert_string_equal(tar.data + TAR_BLOCK, "22 mtime=-1.250000000\n");
}

static void holes_are_told_as_gnu_tar_does(void **state)
{
    static const struct tar_part parts[] = { { 4096, 1 }, { 1ll << 40, 3 } };
    const struct tar_entry entry = {
        .name = "f", .type = TAR_FILE, .size = 2ull << 40, .parts = parts, .part_count = 2
    };
    struct archive *archive;
    struct archive_entry *found;
    la_int64_t offset, length;
    size_t blocks;

    (void)state;
    assert_int_equal(tar_content_size(&entry), 4);
    read_back(&entry, &archive, &found, &blocks);
    assert_int_equal(archive_entry_size(found), 2ll << 40);
    assert_int_equal(archive_entry_sparse_reset(found), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(archive_entry_sparse_next(found, &offset, &length), ARCHIVE_OK);
        assert_int_equal(offset, parts[i].offset);
        assert_int_equal(length, parts[i].length);
    }
    archive_read_free(archive);
}

static void names_of_any_length_are_kept(void **state)
{
    static const struct {
        size_t directory, file; /* bytes before and behind the slash */
        size_t blocks;
    } rows[] = {
        { 1, 98, 1 },    { 1, 99, 1 },  { 1, 100, 1 },   { 155, 100, 1 },  { 156, 100, 3 },
        { 155, 101, 3 }, { 1, 101, 3 }, { 200, 255, 3 }, { 3000, 255, 9 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *directory = repeated('d', rows[i].directory);
        auto_free char *file = repeated('f', rows[i].file);
        auto_free char *name = xasprintf("%s/%s", directory, file);
        const struct tar_entry entry = { .name = name, .type = TAR_SYMLINK, .link = name };
        struct archive *archive;
        struct archive_entry *found;
        size_t blocks;

        print_message("row %zu\n", i);
        read_back(&entry, &archive, &found, &blocks);
        assert_string_equal(archive_entry_pathname(found), name);
        assert_string_equal(archive_entry_symlink(found), name);
        if (strlen(name) <= 100)
            assert_int_equal(blocks, rows[i].blocks);
        archive_read_free(archive);
    }
}

static void a_long_directory_name_is_not_split_at_its_last_slash(void **state)
{
    auto_free char *base = repeated('d', 100);
    auto_free char *name = xasprintf("%s/", base);
    const struct tar_entry entry = { .name = name, .type = TAR_DIRECTORY };
    struct archive *archive;
    struct archive_entry *found;
    size_t blocks;

    (void)state;
    read_back(&entry, &archive, &found, &blocks);
    assert_string_equal(archive_entry_pathname(found), name);
    archive_read_free(archive);
}

static void attributes_may_hold_any_byte(void **state)
{
    static const char value[] = "\0\1\n=\377";
    const struct tar_attribute attributes[] = { { "security.capability", value, sizeof(value) },
                                                { "user.empty", "", 0 } };
    const struct tar_entry entry = {
        .name = "f", .type = TAR_FILE, .attributes = attributes, .attribute_count = 2
    };
    struct archive *archive;
    struct archive_entry *found;
    const char *name;
    const void *bytes;
    size_t blocks, length;

    (void)state;
    read_back(&entry, &archive, &found, &blocks);
    assert_int_equal(archive_entry_xattr_reset(found), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(archive_entry_xattr_next(found, &name, &bytes, &length), ARCHIVE_OK);
        if (strcmp(name, "user.empty") == 0) {
            assert_int_equal(length, 0);
            continue;
        }
        assert_string_equal(name, "security.capability");
        assert_int_equal(length, sizeof(value));
        assert_memory_equal(bytes, value, length);
    }
    archive_read_free(archive);
}

static void devices_have_their_numbers(void **state)
{
    const struct tar_entry entry = {
        .name = "d", .type = TAR_DEVICE, .device_major = 8, .device_minor = 1048575
    };
    struct archive *archive;
    struct archive_entry *found;
    size_t blocks;

    (void)state;
    read_back(&entry, &archive, &found, &blocks);
    assert_int_equal(blocks, 1);
    assert_int_equal(archive_entry_mode(found) & S_IFMT, S_IFBLK);
    assert_int_equal(archive_entry_rdevmajor(found), 8);
    assert_int_equal(archive_entry_rdevminor(found), 1048575);
    archive_read_free(archive);
}

static void padding_fills_the_last_block(void **state)
{
    (void)state;
    assert_int_equal(tar_padding(0), 0);
    assert_int_equal(tar_padding(1), 511);
    assert_int_equal(tar_padding(511), 1);
    assert_int_equal(tar_padding(512), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_entry_is_one_block),
        cmocka_unit_test(numbers_that_ustar_cannot_hold_are_in_an_extended_header),
        cmocka_unit_test(times_have_their_fractions),
        cmocka_unit_test(before_1970_fractions_count_downwards),
        cmocka_unit_test(holes_are_told_as_gnu_tar_does),
        cmocka_unit_test(names_of_any_length_are_kept),
        cmocka_unit_test(a_long_directory_name_is_not_split_at_its_last_slash),
        cmocka_unit_test(attributes_may_hold_any_byte),
        cmocka_unit_test(devices_have_their_numbers),
        cmocka_unit_test(padding_fills_the_last_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
