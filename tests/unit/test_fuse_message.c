#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "microvm/fuse_message.h"

struct message {
    _Alignas(8) uint8_t bytes[1024];
    size_t length;
};

static struct message message_of(uint32_t opcode, const void *arguments, size_t size)
{
    struct message message = { 0 };
    struct fuse_in_header header = { .opcode = opcode, .nodeid = FUSE_ROOT_ID, .unique = 7 };

    header.len = (uint32_t)(sizeof(header) + size);
    message.length = header.len;
    memcpy(message.bytes, &header, sizeof(header));
    if (size > 0)
        memcpy(message.bytes + sizeof(header), arguments, size);
    return message;
}

static int parse(const struct message *message, uint64_t flags, struct fuse_request *request)
{
    return fuse_message_parse(message->bytes, message->length, flags, request);
}

static void a_length_is_known_from_four_bytes_on(void **state)
{
    struct message message = message_of(FUSE_LOOKUP, "name", 5);

    (void)state;
    assert_int_equal(fuse_message_length(message.bytes, 0), 0);
    assert_int_equal(fuse_message_length(message.bytes, 3), 0);
    assert_int_equal(fuse_message_length(message.bytes, 4), 45);
}

static void a_length_that_no_message_has_is_refused(void **state)
{
    const uint32_t wrong[] = { 0, 39, FUSE_MESSAGE_MAX + 1, UINT32_MAX };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        uint8_t bytes[4];

        memcpy(bytes, &wrong[i], sizeof(bytes));
        assert_int_equal(fuse_message_length(bytes, sizeof(bytes)), -EBADMSG);
    }
}

static void a_name_is_one_component_that_ends_the_message(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        int result;
    } rows[] = {
        { "name", 5, 0 },
        { "..a", 4, 0 },
        { "", 0, -EINVAL },
        { "", 1, -EINVAL },
        { ".", 2, -EINVAL },
        { "..", 3, -EINVAL },
        { "/", 2, -EINVAL },
        { "a/b", 4, -EINVAL },
        { "../b", 5, -EINVAL },
        { "name", 4, -EINVAL },        /* without its end */
        { "name\0more", 10, -EINVAL }, /* a name in a name */
    };
    char name[NAME_MAX + 2];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct message message = message_of(FUSE_LOOKUP, rows[i].bytes, rows[i].size);
        struct fuse_request request;
        int r = parse(&message, 0, &request);

        if (r != rows[i].result)
            fail_msg("row %zu: %d", i, r);
    }
    memset(name, 'x', sizeof(name));
    name[NAME_MAX] = '\0';
    {
        struct message message = message_of(FUSE_LOOKUP, name, NAME_MAX + 1);
        struct fuse_request request;

        assert_int_equal(parse(&message, 0, &request), 0);
    }
    name[NAME_MAX] = 'x';
    name[NAME_MAX + 1] = '\0';
    {
        struct message message = message_of(FUSE_LOOKUP, name, NAME_MAX + 2);
        struct fuse_request request;

        assert_int_equal(parse(&message, 0, &request), -ENAMETOOLONG);
    }
}

static void two_names_follow_their_arguments(void **state)
{
    struct {
        struct fuse_rename2_in in;
        char names[8];
    } rename = { { .newdir = 9 }, "old\0new" };
    struct message message = message_of(FUSE_RENAME2, &rename, sizeof(rename.in) + 8);
    struct fuse_request request;

    (void)state;
    assert_int_equal(parse(&message, 0, &request), 0);
    assert_int_equal(request.in.rename2.newdir, 9);
    assert_string_equal(request.names[0], "old");
    assert_string_equal(request.names[1], "new");
    assert_true(request.changes);
    assert_true(request.has_reply);
    memcpy(rename.names, "old\0a/b", 8);
    message = message_of(FUSE_RENAME2, &rename, sizeof(rename.in) + 8);
    assert_int_equal(parse(&message, 0, &request), -EINVAL);
}

static void the_target_of_a_link_may_be_any_text(void **state)
{
    struct message message = message_of(FUSE_SYMLINK, "name\0../../etc/passwd", 22);
    struct fuse_request request;

    (void)state;
    assert_int_equal(parse(&message, 0, &request), 0);
    assert_string_equal(request.names[1], "../../etc/passwd");
}

static void data_have_just_the_length_that_was_said(void **state)
{
    struct {
        struct fuse_write_in in;
        char data[8];
    } write = { { .size = 8 }, "12345678" };
    struct message message = message_of(FUSE_WRITE, &write, sizeof(write));
    struct fuse_request request;

    (void)state;
    assert_int_equal(parse(&message, 0, &request), 0);
    assert_int_equal(request.data_length, 8);
    assert_memory_equal(request.data, "12345678", 8);
    for (uint32_t size = 0; size < 12; size++) {
        write.in.size = size;
        message = message_of(FUSE_WRITE, &write, sizeof(write));
        assert_int_equal(parse(&message, 0, &request), size == 8 ? 0 : -EINVAL);
    }
    write.in.size = UINT32_MAX;
    message = message_of(FUSE_WRITE, &write, sizeof(write));
    assert_int_equal(parse(&message, 0, &request), -EINVAL);
}

static void a_list_to_forget_has_as_many_entries_as_it_says(void **state)
{
    struct {
        struct fuse_batch_forget_in in;
        struct fuse_forget_one ones[2];
    } forget = { .in.count = 2 };
    struct message message = message_of(FUSE_BATCH_FORGET, &forget, sizeof(forget));
    struct fuse_request request;

    (void)state;
    assert_int_equal(parse(&message, 0, &request), 0);
    assert_false(request.has_reply);
    forget.in.count = 3;
    message = message_of(FUSE_BATCH_FORGET, &forget, sizeof(forget));
    assert_int_equal(parse(&message, 0, &request), -EINVAL);
    /* Times the size of one, it is 2 in 32 bits. */
    forget.in.count = 0x10000002;
    message = message_of(FUSE_BATCH_FORGET, &forget, sizeof(forget));
    assert_int_equal(parse(&message, 0, &request), -EINVAL);
}

static void an_attribute_has_the_form_that_was_agreed_upon(void **state)
{
    struct {
        uint32_t size, flags;
        char rest[12];
    } old = { 2, 0, "user.x\0ab" };
    struct message message = message_of(FUSE_SETXATTR, &old, 8 + 9);
    struct fuse_request request;

    (void)state;
    assert_int_equal(parse(&message, 0, &request), 0);
    assert_string_equal(request.names[0], "user.x");
    assert_memory_equal(request.data, "ab", 2);
    assert_int_equal(request.in.setxattr.setxattr_flags, 0);
    assert_int_equal(parse(&message, FUSE_SETXATTR_EXT, &request), -EINVAL);
}

static void an_old_init_is_shorter(void **state)
{
    struct fuse_init_in in = { .major = 7, .minor = 31, .flags2 = 5 };
    struct message message = message_of(FUSE_INIT, &in, 16);
    struct fuse_request request;

    (void)state;
    assert_int_equal(parse(&message, 0, &request), 0);
    assert_int_equal(request.in.init.minor, 31);
    assert_int_equal(request.in.init.flags2, 0);
    message = message_of(FUSE_INIT, &in, sizeof(in));
    assert_int_equal(parse(&message, 0, &request), 0);
    assert_int_equal(request.in.init.flags2, 5);
    message = message_of(FUSE_INIT, &in, 15);
    assert_int_equal(parse(&message, 0, &request), -EINVAL);
}

static void what_is_not_served_is_told_so_with_its_header(void **state)
{
    const uint32_t unknown[] = { 0,          7,          19,        FUSE_IOCTL,
                                 FUSE_POLL,  FUSE_BMAP,  CUSE_INIT, FUSE_SETUPMAPPING,
                                 UINT32_MAX, 0x01000000, 52 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
        struct message message = message_of(unknown[i], NULL, 0);
        struct fuse_request request;

        assert_int_equal(parse(&message, 0, &request), -ENOSYS);
        assert_int_equal(request.header.unique, 7);
        assert_true(request.has_reply);
        assert_null(fuse_message_name(unknown[i]));
    }
}

static void each_operation_refuses_to_be_cut_short_and_to_go_on(void **state)
{
    (void)state;
    for (uint32_t opcode = 1; opcode <= FUSE_TMPFILE; opcode++) {
        static const uint8_t zeroes[256];
        struct fuse_request request;

        if (fuse_message_name(opcode) == NULL || opcode == FUSE_TMPFILE)
            continue;
        /* At most one of all lengths can be right, for INIT two. */
        for (size_t size = 0, accepted = 0; size < sizeof(zeroes); size++) {
            struct message message = message_of(opcode, zeroes, size);

            accepted += parse(&message, FUSE_SETXATTR_EXT, &request) == 0;
            if (accepted > (opcode == FUSE_INIT ? 2 : 1))
                fail_msg("%s takes more than one length", fuse_message_name(opcode));
        }
    }
}

static void a_header_that_contradicts_the_message_is_refused(void **state)
{
    struct message message = message_of(FUSE_LOOKUP, "name", 5);
    struct fuse_request request;

    (void)state;
    message.bytes[0]++;
    assert_int_equal(parse(&message, 0, &request), -EINVAL);
    message = message_of(FUSE_LOOKUP, "name", 5);
    message.bytes[offsetof(struct fuse_in_header, total_extlen)] = 1;
    assert_int_equal(parse(&message, 0, &request), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_is_known_from_four_bytes_on),
        cmocka_unit_test(a_length_that_no_message_has_is_refused),
        cmocka_unit_test(a_name_is_one_component_that_ends_the_message),
        cmocka_unit_test(two_names_follow_their_arguments),
        cmocka_unit_test(the_target_of_a_link_may_be_any_text),
        cmocka_unit_test(data_have_just_the_length_that_was_said),
        cmocka_unit_test(a_list_to_forget_has_as_many_entries_as_it_says),
        cmocka_unit_test(an_attribute_has_the_form_that_was_agreed_upon),
        cmocka_unit_test(an_old_init_is_shorter),
        cmocka_unit_test(what_is_not_served_is_told_so_with_its_header),
        cmocka_unit_test(each_operation_refuses_to_be_cut_short_and_to_go_on),
        cmocka_unit_test(a_header_that_contradicts_the_message_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
