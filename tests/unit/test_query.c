#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "engine/query.h"
#include "engine/volumes.h"
#include "runtime/runtime.h"

static void status_is_computed_from_what_is_seen(void **state)
{
    static const struct life never = { 0 };
    static const struct life going = { .started = 10 };
    static const struct life again = { .started = 10, .finished = 5 };
    static const struct life ended = { .started = 10, .finished = 12 };
    static const struct life stopped = { .started = 10, .finished = 12, .was_stopped = true };
    static const struct settings once = { 0 };
    static const struct settings always = { .restart = RESTART_ALWAYS };
    static const struct life quick = {
        .started = 10, .started_ns = 1, .finished = 10, .finished_ns = 2
    };
    static const struct {
        bool is_claimed;
        int runtime;
        const struct life *life;
        const struct settings *settings;
        const char *status;
    } rows[] = {
        { false, -1, &never, &always, "created" },
        { false, -1, &ended, &always, "exited" },
        { false, -1, &going, &always, "exited" }, /* its monitor was killed */
        { true, -1, &never, &always, "created" },
        { true, CONTAINER_CREATED, &never, &always, "created" },
        { true, CONTAINER_RUNNING, &going, &always, "running" },
        { true, CONTAINER_PAUSED, &going, &always, "paused" },
        { true, -1, &going, &always, "running" }, /* just ending */
        { true, -1, &again, &always, "running" },
        { true, CONTAINER_STOPPED, &going, &always, "running" },
        { true, -1, &ended, &always, "restarting" },
        { true, -1, &quick, &always, "restarting" },
        /* Its end is recorded, or another command has the claim: it never restarts. */
        { true, -1, &ended, &once, "exited" },
        { true, -1, &stopped, &always, "exited" },
        { true, CONTAINER_RUNNING, &going, &once, "running" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        print_message("row %zu\n", i);
        assert_string_equal(container_condition_name(rows[i].is_claimed, rows[i].runtime,
                                                     rows[i].life, rows[i].settings),
                            rows[i].status);
    }
}

static void a_volume_is_shown_with_dockers_members(void **state)
{
    struct string_pair label = { .key = (char *)"a", .value = (char *)"b" };
    struct volume_view view = { .name = (char *)"data",
                                .mountpoint = (char *)"/d/volumes/data/_data",
                                .created = (char *)"2026-01-02T03:04:05Z",
                                .driver = (char *)"local",
                                .scope = (char *)"local" };
    auto_free char *text = encode_text(&volume_view_object, &view, ENCODE_COMPACT);
    auto_free char *labelled = NULL;

    (void)state;
    view.labels = (struct string_map){ .items = &label, .count = 1 };
    labelled = encode_text(&volume_view_object, &view, ENCODE_COMPACT);
    assert_non_null(strstr(labelled, "\"Labels\":{\"a\":\"b\"}"));
    assert_string_equal(text, "{\"CreatedAt\":\"2026-01-02T03:04:05Z\",\"Driver\":\"local\","
                              "\"Labels\":null,\"Mountpoint\":\"/d/volumes/data/_data\","
                              "\"Name\":\"data\",\"Options\":null,\"Scope\":\"local\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_is_computed_from_what_is_seen),
        cmocka_unit_test(a_volume_is_shown_with_dockers_members),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
