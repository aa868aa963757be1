#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/wire.h"
#include "runtime/container.h"
#include "runtime/hooks.h"

static void ids_that_are_paths_or_empty_are_refused(void **state)
{
    static const char *const bad[] = {
        "", ".", "..", "../x", "a/b", "a b", ".hidden", "a\nb", "ä"
    };
    static const char *const good[] = { "a", "web-1", "a_b+c.d", "0123456789abcdef" };
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (container_id_check(bad[i], &err) != -EINVAL)
            fail_msg("'%s' was accepted", bad[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        if (container_id_check(good[i], &err) != 0)
            fail_msg("'%s' was refused: %s", good[i], err.message);
    }
    assert_int_equal(container_id_check("a/b", &err), -EINVAL);
    assert_non_null(strstr(err.message, "invalid container id 'a/b'"));
}

static void a_state_comes_back_as_it_was_written(void **state)
{
    struct state written = { .oci_version = (char *)"1.0.2",
                             .id = (char *)"x",
                             .bundle = (char *)"/b",
                             .rootfs = (char *)"/b/rootfs",
                             .cgroup = (char *)"/c",
                             .created = (char *)"2026-01-02T03:04:05Z",
                             .pid = 7,
                             .start_time = UINT64_C(1) << 63 };
    struct state read = { 0 };
    auto_free char *json = NULL;
    struct error err = { 0 };

    (void)state;
    string_map_set(&written.annotations, "key", "value");
    json = encode_text(&state_object, &written, ENCODE_COMPACT);
    assert_int_equal(decode_text(&state_object, json, strlen(json), &read, "state.json", &err), 0);
    assert_string_equal(read.id, "x");
    assert_int_equal(read.pid, 7);
    assert_true(read.start_time == written.start_time);
    assert_string_equal(string_map_get(&read.annotations, "key"), "value");
    state_clear(&read);
    string_map_clear(&written.annotations);
}

static void the_state_document_has_what_the_specification_asks_for(void **state)
{
    struct state container = { .oci_version = (char *)"1.0.2",
                               .id = (char *)"x",
                               .bundle = (char *)"/b",
                               .created = (char *)"2026-01-02T03:04:05Z" };
    auto_free char *json = state_format(&container, CONTAINER_CREATED, 42);

    (void)state;
    assert_non_null(strstr(json, "\"status\": \"created\""));
    assert_non_null(strstr(json, "\"pid\": 42"));
    assert_non_null(strstr(json, "\"bundle\": \"/b\""));
    assert_non_null(strstr(json, "\"ociVersion\": \"1.0.2\""));
}

static void exec_joins_what_the_spec_lists_and_no_user_namespace_otherwise(void **state)
{
    struct spec *spec = xcalloc(1, sizeof(*spec));

    (void)state;
    spec_add_namespace(spec, "pid", NULL);
    spec_add_namespace(spec, "mount", NULL);
    spec_add_namespace(spec, "network", "/proc/1/ns/net");
    assert_int_equal(namespaces_exec_flags(spec), CLONE_NEWNS | CLONE_NEWNET);
    spec_free(spec);
}

static void a_namespace_that_cannot_be_opened_is_named(void **state)
{
    struct spec *spec = xcalloc(1, sizeof(*spec));
    struct namespaces_plan plan;
    struct error err = { 0 };

    (void)state;
    spec_add_namespace(spec, "network", "/nowhere/net");
    assert_int_equal(namespaces_open(spec, &plan, &err), -ENOENT);
    assert_non_null(strstr(err.message, "network namespace '/nowhere/net'"));
    spec_free(spec);
}

static void new_and_joined_namespaces_are_kept_apart(void **state)
{
    struct spec *spec = xcalloc(1, sizeof(*spec));
    struct namespaces_plan plan;
    struct error err = { 0 };

    (void)state;
    spec_add_namespace(spec, "mount", NULL);
    spec_add_namespace(spec, "uts", "/proc/self/ns/uts");
    spec_add_namespace(spec, "pid", "/proc/self/ns/pid");
    assert_int_equal(namespaces_open(spec, &plan, &err), 0);
    assert_true(namespaces_are_new(&plan, CLONE_NEWNS));
    assert_false(namespaces_are_new(&plan, CLONE_NEWUTS));
    assert_int_equal(plan.join_count, 2);
    namespaces_close(&plan);
    assert_int_equal(plan.join_count, 0);
    spec_free(spec);
}

static void open_pair(int fds[2])
{
    struct error err = { 0 };

    assert_int_equal(wire_pair(fds, &err), 0);
}

static void an_error_of_the_peer_becomes_the_result(void **state)
{
    struct error sent = { 0 }, received = { 0 };
    int fds[2];

    (void)state;
    open_pair(fds);
    (void)error_set(&sent, ENOENT, "mount x: no such file");
    sync_send_error(fds[0], &sent);
    assert_int_equal(sync_expect(fds[1], SYNC_CREATED, NULL, &received), -ENOENT);
    assert_string_equal(received.message, "mount x: no such file");
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void a_message_out_of_order_is_an_error_that_names_both(void **state)
{
    struct error err = { 0 };
    int fds[2];

    (void)state;
    open_pair(fds);
    assert_int_equal(sync_send(fds[0], SYNC_STARTED, NULL, 0, &err), 0);
    assert_int_equal(sync_expect(fds[1], SYNC_CREATED, NULL, &err), -EPROTO);
    assert_string_equal(err.message, "init sent STARTED instead of CREATED");
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void a_peer_that_died_is_end_of_file(void **state)
{
    struct error err = { 0 };
    int fds[2];

    (void)state;
    open_pair(fds);
    (void)close(fds[0]);
    assert_int_equal(sync_expect(fds[1], SYNC_CREATED, NULL, &err), 0);
    (void)close(fds[1]);
}

static void a_malformed_error_message_is_not_believed(void **state)
{
    struct error err = { 0 };
    int fds[2];

    (void)state;
    open_pair(fds);
    assert_int_equal(wire_send(fds[0], SYNC_ERROR, "short", 5, NULL, 0, &err), 0);
    assert_int_equal(sync_expect(fds[1], SYNC_CREATED, NULL, &err), -EPROTO);
    assert_non_null(strstr(err.message, "malformed error"));
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void a_source_is_a_descriptor_or_the_text_of_a_link(void **state)
{
    struct error err = { 0 };
    char *text = NULL;
    int fds[2], source_fd = -1;

    (void)state;
    open_pair(fds);
    assert_int_equal(sync_send_source(fds[0], STDIN_FILENO, NULL, &err), 0);
    assert_int_equal(sync_receive_source(fds[1], &source_fd, &text, &err), 0);
    assert_true(source_fd >= 0);
    assert_null(text);
    (void)close(source_fd);
    source_fd = -1;
    assert_int_equal(sync_send_source(fds[0], -1, "over/there", &err), 0);
    assert_int_equal(sync_receive_source(fds[1], &source_fd, &text, &err), 0);
    assert_int_equal(source_fd, -1);
    assert_string_equal(text, "over/there");
    free(text);
    /* Where none can be a link. */
    assert_int_equal(sync_send_source(fds[0], -1, "over/there", &err), 0);
    assert_int_equal(sync_receive_source(fds[1], &source_fd, NULL, &err), -EPROTO);
    (void)close(fds[0]);
    assert_int_equal(sync_receive_source(fds[1], &source_fd, &text, &err), -EPIPE);
    assert_string_equal(err.message, "the creator ended before SOURCE");
    (void)close(fds[1]);
}

/* Runs a shell script, and what else is given, as poststart hooks. */
static int run_script(const char *script, struct spec_hook *hooks, size_t count, struct error *err)
{
    struct state container = { .id = (char *)"here", .bundle = (char *)"/usr", .pid = 1 };
    struct spec spec = { .hooks.poststart = { hooks, count } };
    struct strings arguments = { 0 };
    int r;

    strings_add(&arguments, "sh");
    strings_add(&arguments, "-c");
    strings_add(&arguments, script);
    hooks[0].path = (char *)"/bin/sh";
    hooks[0].args = arguments;
    r = hooks_run(&spec, HOOK_POSTSTART, &container, 1, NULL, err);
    strings_clear(&arguments);
    return r;
}

static void hooks_get_the_state_and_a_failing_one_is_named(void **state)
{
    struct spec_hook hooks[2] = { { 0 }, { .path = (char *)"/bin/false" } };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(run_script("grep -q '\"id\": \"here\"' && [ $PWD = /usr ]", hooks, 2, &err),
                     -ECANCELED);
    assert_string_equal(err.message,
                        "error running poststart hook #1: '/bin/false': exit status 1");
}

static void what_a_failing_hook_says_is_told_in_parts(void **state)
{
    struct spec_hook hook = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(run_script("echo one; echo two >&2; exit 3", &hook, 1, &err), -ECANCELED);
    assert_string_equal(err.message, "error running poststart hook #0: '/bin/sh': exit status 3, "
                                     "stdout: one, stderr: two");
    assert_int_equal(run_script("yes | head -c 100000; exit 3", &hook, 1, &err), -ECANCELED);
    assert_true(strlen(err.message) < ERROR_MESSAGE_MAX - 1);
}

static void a_hook_inherits_the_environment_unless_it_has_one(void **state)
{
    static char *variables[] = { (char *)"OWN=1", NULL };
    struct spec_hook hook = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(setenv("BERTH_HOOK_TEST", "1", 1), 0);
    assert_int_equal(run_script("[ \"$BERTH_HOOK_TEST\" = 1 ]", &hook, 1, &err), 0);
    hook.has_env = true;
    assert_int_equal(run_script("[ -z \"$BERTH_HOOK_TEST\" ]", &hook, 1, &err), 0);
    hook.env = (struct strings){ variables, 1 };
    assert_int_equal(run_script("[ \"$OWN$BERTH_HOOK_TEST\" = 1 ]", &hook, 1, &err), 0);
}

static void what_a_hook_leaves_behind_is_not_waited_for(void **state)
{
    struct spec_hook hook = { .has_timeout = true, .timeout = 20 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(run_script("sleep 1 & echo started", &hook, 1, &err), 0);
}

static void a_hook_that_takes_too_long_is_killed(void **state)
{
    struct spec_hook hook = { .has_timeout = true, .timeout = 1 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(run_script("while :; do :; done", &hook, 1, &err), -ETIMEDOUT);
    assert_non_null(strstr(err.message, "did not end within 1 s"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_that_are_paths_or_empty_are_refused),
        cmocka_unit_test(a_state_comes_back_as_it_was_written),
        cmocka_unit_test(the_state_document_has_what_the_specification_asks_for),
        cmocka_unit_test(exec_joins_what_the_spec_lists_and_no_user_namespace_otherwise),
        cmocka_unit_test(a_namespace_that_cannot_be_opened_is_named),
        cmocka_unit_test(new_and_joined_namespaces_are_kept_apart),
        cmocka_unit_test(an_error_of_the_peer_becomes_the_result),
        cmocka_unit_test(a_message_out_of_order_is_an_error_that_names_both),
        cmocka_unit_test(a_peer_that_died_is_end_of_file),
        cmocka_unit_test(a_malformed_error_message_is_not_believed),
        cmocka_unit_test(a_source_is_a_descriptor_or_the_text_of_a_link),
        cmocka_unit_test(hooks_get_the_state_and_a_failing_one_is_named),
        cmocka_unit_test(what_a_failing_hook_says_is_told_in_parts),
        cmocka_unit_test(a_hook_inherits_the_environment_unless_it_has_one),
        cmocka_unit_test(what_a_hook_leaves_behind_is_not_waited_for),
        cmocka_unit_test(a_hook_that_takes_too_long_is_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
