#include <errno.h>
#include <sched.h>

#include "base_test.h"
#include "runtime/criu_message.h"

/* The bytes were compared with those that CRIU's own Python binding makes of the same members;
 * where it orders them otherwise, that has no meaning. */

static void assert_encodes(const struct criu_request *request, const char *bytes, size_t length)
{
    struct text text = { 0 };

    criu_request_encode(request, &text);
    assert_int_equal(text.length, length);
    assert_memory_equal(text.data, bytes, length);
    text_clear(&text);
}
#define ASSERT_ENCODES(request, bytes) assert_encodes(request, bytes, sizeof(bytes) - 1)

static void a_request_without_options_is_its_type(void **state)
{
    const struct criu_request version = { .type = CRIU_VERSION, .keep_open = true };
    const struct criu_request answer = { .type = CRIU_NOTIFY, .notify_success = true };
    const struct criu_request features = {
        .type = CRIU_FEATURE_CHECK,
        .asks_mem_track = true,
        .asks_lazy_pages = true,
    };

    (void)state;
    ASSERT_ENCODES(&version, "\x08\x0a\x20\x01");
    ASSERT_ENCODES(&answer, "\x08\x06\x18\x01");
    ASSERT_ENCODES(&features, "\x08\x09\x2a\x04\x08\x01\x10\x01");
}

static void options_that_are_not_given_are_left_out(void **state)
{
    const struct criu_options options = CRIU_OPTIONS_NONE;
    const struct criu_request request = { .type = CRIU_DUMP, .options = &options };

    (void)state;
    ASSERT_ENCODES(&request, "\x08\x01\x12\x00");
}

static void numbers_of_every_length_are_encoded(void **state)
{
    struct criu_options options = CRIU_OPTIONS_NONE;
    const struct criu_request request = { .type = CRIU_DUMP, .options = &options };

    (void)state;
    options.images_dir_fd = 0;
    options.pid = 300;
    options.empty_ns = CLONE_NEWNET;
    options.manage_cgroups_mode = CRIU_CGROUPS_IGNORE;
    ASSERT_ENCODES(&request, "\x08\x01\x12\x0f"
                             "\x08\x00"
                             "\x10\xac\x02"
                             "\x90\x02\x00"
                             "\xb0\x02\x80\x80\x80\x80\x04");
}

static void texts_lists_and_messages_are_encoded(void **state)
{
    struct criu_options options = CRIU_OPTIONS_NONE;
    const struct criu_request request = { .type = CRIU_RESTORE, .options = &options };

    (void)state;
    options.log_file = "l";
    options.rst_sibling = true;
    options.cgroup_root = "/c";
    options.page_server_address = xstrdup("h");
    options.page_server_port = 27;
    string_map_set(&options.ext_mnt, "/k", "/v");
    string_map_set(&options.join_ns, "ipc", "/p");
    strings_add(&options.external, "net[1]:n");
    criu_options_add_descriptor(&options, "pipe:[7]", 2);
    ASSERT_ENCODES(&request, "\x08\x02\x12\x45"
                             "\x52\x01l"
                             "\xd0\x01\x01"
                             "\x5a\x05\x0a\x01h\x10\x1b"
                             "\xba\x01\x08\x0a\x02/k\x12\x02/v"
                             "\xca\x01\x04\x12\x02/c"
                             "\xda\x01\x0c\x0a\x08pipe:[7]\x10\x02"
                             "\xaa\x02\x08net[1]:n"
                             "\xba\x02\x09\x0a\x03ipc\x12\x02/p");
    criu_options_clear(&options);
    assert_null(options.page_server_address);
    assert_int_equal(options.inherit_fd.count, 0);
}

#define DECODE(bytes, response, err) criu_response_decode(bytes, sizeof(bytes) - 1, response, err)

static void a_notice_has_its_name_and_its_process(void **state)
{
    struct criu_response response;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(
        DECODE("\x08\x06\x10\x01\x2a\x11\x0a\x0cpost-restore\x10\xac\x02", &response, &err), 0);
    assert_int_equal(response.type, CRIU_NOTIFY);
    assert_true(response.is_success);
    assert_string_equal(response.script, "post-restore");
    assert_int_equal(response.pid, 300);
}

static void a_version_is_one_number(void **state)
{
    struct criu_response response;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(DECODE("\x08\x0a\x10\x01\x52\x06\x08\x03\x10\x11\x20\x01", &response, &err),
                     0);
    assert_int_equal(response.version, 31701);
    /* The unstable branch has no sublevel, but a text that is passed over. */
    assert_int_equal(DECODE("\x08\x0a\x10\x01\x52\x07\x08\x04\x10\x02\x1a\x01g", &response, &err),
                     0);
    assert_int_equal(response.version, 40200);
}

static void a_failure_keeps_its_errno_and_no_process(void **state)
{
    struct criu_response response;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(DECODE("\x08\x02\x10\x00\x22\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                            "\x38\x11",
                            &response, &err),
                     0);
    assert_false(response.is_success);
    assert_int_equal(response.pid, 0);
    assert_int_equal(response.error_number, EEXIST);
}

static void damaged_answers_are_refused_and_write_nothing(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *message;
    } rows[] = {
        { "", 0, "CRIU's answer lacks its type or its result" },
        { "\x08\x02", 2, "CRIU's answer lacks its type or its result" },
        { "\x08\x02\x10", 3, "CRIU's answer of 3 bytes is cut or damaged" },
        { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11,
          "CRIU's answer of 11 bytes is cut or damaged" },
        { "\x08\x06\x10\x01\x2a\x7f\x0a", 7, "CRIU's answer of 7 bytes is cut or damaged" },
        { "\x08\x06\x10\x01\x2a\x02\x0a\x7f", 8, "member 5 of CRIU's answer is damaged" },
        { "\x08\x06\x10\x01\x0b", 5, "CRIU's answer of 5 bytes is cut or damaged" },
        { "\x08\x0a\x10\x01\x52\x03\x10\xe8\x07", 9, "member 10 of CRIU's answer is damaged" },
        { "\x08\x02\x10\x01\x22\x06\x08\x80\x80\x80\x80\x10", 12,
          "CRIU's answer has an impossible process id" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct criu_response response = { .type = 77 };
        struct error err = { 0 };

        if (criu_response_decode(rows[i].bytes, rows[i].length, &response, &err) != -EBADMSG)
            fail_msg("row %zu is taken", i);
        assert_string_equal(err.message, rows[i].message);
        assert_int_equal(response.type, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_without_options_is_its_type),
        cmocka_unit_test(options_that_are_not_given_are_left_out),
        cmocka_unit_test(numbers_of_every_length_are_encoded),
        cmocka_unit_test(texts_lists_and_messages_are_encoded),
        cmocka_unit_test(a_notice_has_its_name_and_its_process),
        cmocka_unit_test(a_version_is_one_number),
        cmocka_unit_test(a_failure_keeps_its_errno_and_no_process),
        cmocka_unit_test(damaged_answers_are_refused_and_write_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
