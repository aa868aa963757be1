#include "base/tar_reader.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/tar_ustar.h"

/* Tars are written by tar_writer.h, damaged here and there, and read again. */

static const char zeros[TAR_END_BYTES];

static void add(struct text *tar, const struct tar_entry *entry, const char *content)
{
    tar_entry_format(entry, tar);
    if (entry->type != TAR_FILE)
        return;
    text_add_bytes(tar, content, entry->size);
    text_add_bytes(tar, zeros, tar_padding(entry->size));
}

static int tar_file(const struct text *tar)
{
    int fd = memfd_create("tar", MFD_CLOEXEC);

    assert_int_equal(write(fd, tar->data, tar->length), tar->length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* The number of entries, or an error. */
static int read_all(const struct text *tar, struct error *err)
{
    auto_close int fd = tar_file(tar);
    AUTO(tar_reader) struct tar_reader *reader = tar_reader_open(fd);
    struct tar_entry entry;
    int count = 0, r;

    while ((r = tar_reader_next(reader, &entry, err)) > 0)
        count++;
    return r < 0 ? r : count;
}

static void what_the_writer_writes_is_read_as_it_was(void **state)
{
    auto_free char *deep = xasprintf("%0150d/%0160d/\xc3\xa4\xff", 1, 2);
    auto_free char *link = xasprintf("../%0200d", 3);
    const struct tar_attribute attributes[] = { { "security.capability", "\0\n=\1", 4 },
                                                { "user.empty", "", 0 } };
    const struct tar_entry entries[] = {
        { .name = "./", .type = TAR_DIRECTORY, .mode = 0755, .time = 7 },
        { .name = "a/b", .type = TAR_FILE, .mode = 06755, .size = 5, .uid = 1, .gid = 2 },
        { .name = deep, .type = TAR_FILE, .uid = 4294967294u, .gid = 3000000000u, .time = -5 },
        { .name = "later",
          .type = TAR_FILE,
          .time = 1ll << 40,
          .attributes = attributes,
          .attribute_count = 2 },
        { .name = "second", .type = TAR_FILE, .time = 1700000000, .time_ns = 1 },
        { .name = "before", .type = TAR_FILE, .time = -1, .time_ns = 999999999 },
        { .name = "long before", .type = TAR_FILE, .time = INT64_MIN, .time_ns = 10 },
        { .name = "first", .type = TAR_FILE, .time = INT64_MIN },
        { .name = "link", .type = TAR_SYMLINK, .mode = 0777, .link = link, .time_ns = 5 },
        { .name = "hard", .type = TAR_LINK, .link = "a/b" },
        { .name = "null", .type = TAR_CHARACTER, .device_major = 1, .device_minor = 3 },
        { .name = "disk", .type = TAR_DEVICE, .device_major = 259, .device_minor = 9999999 },
        { .name = "fifo", .type = TAR_FIFO, .mode = 0620 },
    };
    AUTO_CLEAR(text) struct text tar = { 0 };
    AUTO(tar_reader) struct tar_reader *reader = NULL;
    auto_close int fd = -1;
    struct error err = { 0 };
    struct tar_entry entry;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
        add(&tar, &entries[i], "hello");
    text_add_bytes(&tar, zeros, sizeof(zeros));
    fd = tar_file(&tar);
    reader = tar_reader_open(fd);
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
        const struct tar_entry *wanted = &entries[i];
        const void *bytes;
        uint64_t offset;
        size_t length;

        if (tar_reader_next(reader, &entry, &err) != 1)
            fail_msg("%s: %s", wanted->name, err.message);
        assert_string_equal(entry.name, wanted->name);
        assert_int_equal(entry.type, wanted->type);
        assert_int_equal(entry.mode, wanted->mode);
        assert_int_equal(entry.uid, wanted->uid);
        assert_int_equal(entry.gid, wanted->gid);
        assert_int_equal(entry.size, wanted->size);
        assert_int_equal(entry.time, wanted->time);
        assert_int_equal(entry.time_ns, wanted->time_ns);
        assert_int_equal(entry.part_count, 0);
        assert_int_equal(entry.device_major, wanted->device_major);
        assert_int_equal(entry.device_minor, wanted->device_minor);
        assert_true(text_equal(entry.link, wanted->link));
        assert_int_equal(entry.attribute_count, wanted->attribute_count);
        for (size_t j = 0; j < entry.attribute_count; j++) {
            assert_string_equal(entry.attributes[j].name, attributes[j].name);
            assert_int_equal(entry.attributes[j].length, attributes[j].length);
            assert_memory_equal(entry.attributes[j].value, attributes[j].value,
                                attributes[j].length);
        }
        if (i != 1)
            continue;
        assert_int_equal(tar_reader_read(reader, &bytes, &length, &offset, &err), 1);
        assert_int_equal(offset, 0);
        assert_int_equal(length, 5);
        assert_memory_equal(bytes, "hello", 5);
        assert_int_equal(tar_reader_read(reader, &bytes, &length, &offset, &err), 0);
    }
    assert_int_equal(tar_reader_next(reader, &entry, &err), 0);
    assert_int_equal(tar_reader_next(reader, &entry, &err), 0);
}

/* "0123456789" in four parts, one of which is empty; then a file that is nothing but a hole. */
static void parts_of_a_file_are_read_at_their_places(void **state)
{
    static const struct tar_part parts[] = { { 0, 4 }, { 100, 0 }, { 1000, 5 }, { 1ull << 50, 1 } };
    static const struct tar_part nothing[] = { { 77, 0 } };
    static const struct {
        uint64_t offset;
        const char *text;
    } expected[] = { { 0, "0123" }, { 1000, "45678" }, { 1ull << 50, "9" } };
    const struct tar_entry entries[] = {
        { .name = "holes", .type = TAR_FILE, .size = 1ull << 60, .parts = parts, .part_count = 4 },
        { .name = "hole", .type = TAR_FILE, .size = 77, .parts = nothing, .part_count = 1 },
    };
    AUTO_CLEAR(text) struct text tar = { 0 };
    AUTO(tar_reader) struct tar_reader *reader = NULL;
    auto_close int fd = -1;
    struct tar_entry entry;
    const void *bytes;
    uint64_t offset;
    size_t length;

    (void)state;
    tar_entry_format(&entries[0], &tar);
    text_add(&tar, "0123456789");
    text_add_bytes(&tar, zeros, tar_padding(10));
    tar_entry_format(&entries[1], &tar);
    text_add_bytes(&tar, zeros, sizeof(zeros));
    fd = tar_file(&tar);
    reader = tar_reader_open(fd);
    assert_int_equal(tar_reader_next(reader, &entry, NULL), 1);
    assert_int_equal(entry.size, 1ull << 60);
    assert_int_equal(entry.part_count, 4);
    assert_memory_equal(entry.parts, parts, sizeof(parts));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_int_equal(tar_reader_read(reader, &bytes, &length, &offset, NULL), 1);
        assert_int_equal(offset, expected[i].offset);
        assert_int_equal(length, strlen(expected[i].text));
        assert_memory_equal(bytes, expected[i].text, length);
    }
    assert_int_equal(tar_reader_read(reader, &bytes, &length, &offset, NULL), 0);
    assert_int_equal(tar_reader_next(reader, &entry, NULL), 1);
    assert_int_equal(entry.size, 77);
    assert_int_equal(entry.part_count, 1);
    assert_int_equal(tar_reader_read(reader, &bytes, &length, &offset, NULL), 0);
    assert_int_equal(tar_reader_next(reader, &entry, NULL), 0);
}

static void content_that_nobody_reads_is_skipped(void **state)
{
    const struct tar_entry big = { .name = "big", .type = TAR_FILE, .size = 200001 };
    const struct tar_entry next = { .name = "next", .type = TAR_FILE };
    auto_free char *content = xcalloc(1, big.size);
    AUTO_CLEAR(text) struct text tar = { 0 };
    struct error err = { 0 };

    (void)state;
    add(&tar, &big, content);
    add(&tar, &next, "");
    text_add_bytes(&tar, zeros, sizeof(zeros));
    assert_int_equal(read_all(&tar, &err), 2);
}

/* --- what is refused -------------------------------------------------------------------------- */

/* A header with one field changed and a right checksum. */
static void change(struct text *tar, size_t at, const char *bytes, size_t length)
{
    const struct tar_entry entry = { .name = "name", .type = TAR_FILE, .mode = 0644 };

    tar_entry_format(&entry, tar);
    memcpy(tar->data + at, bytes, length);
    tar_ustar_set_checksum((struct tar_ustar *)tar->data);
    text_add_bytes(tar, zeros, sizeof(zeros));
}

static void each_field_of_a_header_is_checked(void **state)
{
    static const struct {
        size_t at;
        const char *bytes;
        size_t length;
        const char *message;
    } rows[] = {
        { offsetof(struct tar_ustar, magic), "ustar ", 6, "a header is missing" },
        { offsetof(struct tar_ustar, mode), "0000-44", 7, "a number is none" },
        { offsetof(struct tar_ustar, uid), "\x80\0\0\0\0\0\1", 7, "a number is none" },
        { offsetof(struct tar_ustar, size), "777777777777", 12, "a number is too long" },
        { offsetof(struct tar_ustar, type), "7", 1, "an entry is of an unknown type" },
        { offsetof(struct tar_ustar, type), "g", 1, "an entry is of an unknown type" },
        { offsetof(struct tar_ustar, type), "1", 1,
          "a link has no target, or something else has "
          "one" },
        { offsetof(struct tar_ustar, link), "x", 1,
          "a link has no target, or something else has "
          "one" },
        { offsetof(struct tar_ustar, name), "\0\0\0\0", 4, "an entry has no name" },
        { offsetof(struct tar_ustar, type), "x", 1, "an extended header is empty or too long" },
        { offsetof(struct tar_ustar, size), "00000001000", 11, "it ends early" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *message = xasprintf("not a good tar archive: %s", rows[i].message);
        AUTO_CLEAR(text) struct text tar = { 0 };
        struct error err = { 0 };

        change(&tar, rows[i].at, rows[i].bytes, rows[i].length);
        assert_int_equal(read_all(&tar, &err), -EBADMSG);
        if (strcmp(err.message, message) != 0)
            fail_msg("row %zu: %s", i, err.message);
    }
}

static void a_wrong_checksum_and_every_early_end_are_told(void **state)
{
    const struct tar_attribute attribute = { "user.a", "value", 5 };
    const struct tar_entry entry = {
        .name = "file", .type = TAR_FILE, .size = 3, .attributes = &attribute, .attribute_count = 1
    };
    AUTO_CLEAR(text) struct text tar = { 0 };
    struct error err = { 0 };
    size_t whole;

    (void)state;
    add(&tar, &entry, "abc");
    text_add_bytes(&tar, zeros, sizeof(zeros));
    whole = tar.length;
    for (tar.length = 0; tar.length < whole; tar.length += 37)
        assert_int_equal(read_all(&tar, &err), -EBADMSG);
    tar.length = whole;
    assert_int_equal(read_all(&tar, &err), 1);
    tar.data[0] ^= 1;
    assert_int_equal(read_all(&tar, &err), -EBADMSG);
    assert_string_equal(err.message, "not a good tar archive: a header is damaged");
}

static void records_are_checked(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *message;
    } rows[] = {
        { "x path=a\n", 9, "a record has no length" },
        { "99 path=a\n", 10, "a record has no length" },
        { "4 =\n", 4, "a record is unknown" },
        { "3 a\n", 4, "a record has no length" },
        { "9 path+a\n", 9, "a record has no value" },
        { "10 path=a ", 10, "a record has no length" },
        { "12 path=a\0b\n", 12, "a name has a zero byte" },
        { "12 pa\0th=ab\n", 12, "the name of a record has a zero byte" },
        { "9 uid=-1\n", 9, "a number of a record is none" },
        { "18 uid=4294967296\n", 18, "a number of a record is none" },
        { "11 size=-1\n", 11, "a number of a record is none" },
        { "16 SCHILY.xattr=\n", 17, "a record has no length" },
        { "18 SCHILY.xattr.=\n", 18, "an attribute without a name, or too many of them" },
        { "22 GNU.sparse.major=1\n", 22, "a record is unknown" },
        { "17 mtime=1.00000\n", 17, "a time is none" },
        { "21 mtime=1.00000000-\n", 21, "a time is none" },
        { "21 mtime=1.12345\000"
          "789\n",
          21, "a time is none" },
        { "20 mtime=.123456789\n", 20, "a number of a record is none" },
        { "41 mtime=-9223372036854775808.000000001\n", 40, "a record has no length" },
        { "40 mtime=-9223372036854775808.000000001\n", 40, "a number of a record is none" },
        { "21 GNU.sparse.size=9\n", 21,
          "a file has parts without a size, or a size without parts" },
        { "22 GNU.sparse.map=0,0\n", 22,
          "a file has parts without a size, or a size without parts" },
        { "20 GNU.sparse.map=0\n", 20, "a file has no good parts, or too many" },
        { "24 GNU.sparse.map=0,0,1\n", 24, "a file has no good parts, or too many" },
        { "22 GNU.sparse.map=0,a\n", 22, "a number of a record is none" },
        { "21 GNU.sparse.map=,0\n", 21, "a number of a record is none" },
        { "22 GNU.sparse.map=0\0000\n", 22, "a number has a zero byte" },
        { "38 GNU.sparse.map=0,9223372036854775808\n", 40, "a record has no length" },
        { "40 GNU.sparse.map=0,9223372036854775808\n", 40, "a number of a record is none" },
        { "21 GNU.sparse.size=9\n26 GNU.sparse.map=5,0,4,0\n", 47,
          "the parts of a file are not in order, or not in it" },
        { "21 GNU.sparse.size=9\n26 GNU.sparse.map=4,2,5,1\n", 47,
          "the parts of a file are not in order, or not in it" },
        { "21 GNU.sparse.size=9\n22 GNU.sparse.map=4,6\n", 43,
          "the parts of a file are not in order, or not in it" },
        { "21 GNU.sparse.size=9\n23 GNU.sparse.map=10,0\n", 44,
          "the parts of a file are not in order, or not in it" },
        { "21 GNU.sparse.size=9\n22 GNU.sparse.map=4,5\n", 43,
          "the parts of a file are not its content" },
        { "8 path=\n", 8, "an entry has no name" },
        { "14 linkpath=x\n", 14, "a link has no target, or something else has one" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *message = xasprintf("not a good tar archive: %s", rows[i].message);
        auto_free char *size = xasprintf("%011zo", rows[i].length);
        const struct tar_entry entry = { .name = "name", .type = TAR_FILE };
        AUTO_CLEAR(text) struct text tar = { 0 };
        struct error err = { 0 };

        tar_entry_format(&entry, &tar);
        memcpy(tar.data + offsetof(struct tar_ustar, type), "x", 1);
        memcpy(tar.data + offsetof(struct tar_ustar, size), size, 11);
        tar_ustar_set_checksum((struct tar_ustar *)tar.data);
        text_add_bytes(&tar, rows[i].bytes, rows[i].length);
        text_add_bytes(&tar, zeros, tar_padding(rows[i].length));
        tar_entry_format(&entry, &tar);
        text_add_bytes(&tar, zeros, sizeof(zeros));
        assert_int_equal(read_all(&tar, &err), -EBADMSG);
        if (strcmp(err.message, message) != 0)
            fail_msg("row %zu: %s", i, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_writer_writes_is_read_as_it_was),
        cmocka_unit_test(parts_of_a_file_are_read_at_their_places),
        cmocka_unit_test(content_that_nobody_reads_is_skipped),
        cmocka_unit_test(each_field_of_a_header_is_checked),
        cmocka_unit_test(a_wrong_checksum_and_every_early_end_are_told),
        cmocka_unit_test(records_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
