#include "tests/unit/base_test.h"

#include "runtime/cgroup_owner.h"

#define CGROUP    "{\"type\":\"cgroup\"}"
#define USER      ",{\"type\":\"user\"}"
#define MAPS(map) "\"uidMappings\":[" map "],\"gidMappings\":[" map "],"
#define RANGE     "{\"containerID\":0,\"hostID\":100000,\"size\":65536}"
#define TWO                                                                                        \
    "{\"containerID\":0,\"hostID\":1000,\"size\":1},"                                              \
    "{\"containerID\":1,\"hostID\":200000,\"size\":1000}"
#define MOUNT(source, destination, options)                                                        \
    "{\"destination\":\"" destination "\",\"type\":\"cgroup\",\"source\":\"" source                \
    "\",\"options\":[" options "]}"
#define WRITABLE MOUNT("cgroup", "/sys/fs/cgroup", "\"nosuid\",\"rw\"")

#define NOBODY (-1)

static const struct {
    const char *namespaces, *maps, *mounts;
    uint32_t uid;
    int64_t owner;
} rows[] = {
    { CGROUP USER, MAPS(RANGE), WRITABLE, 0, 100000 },
    { CGROUP USER, MAPS(RANGE), WRITABLE, 65535, 165535 },
    { CGROUP USER, MAPS(TWO), WRITABLE, 0, 1000 },
    { CGROUP USER, MAPS(TWO), WRITABLE, 7, 200006 },
    { CGROUP USER, MAPS(RANGE), MOUNT("cgroup", "/sys/fs/cgroup", ""), 0, 100000 },
    { CGROUP, "", WRITABLE, 1000, 1000 },
    { CGROUP ",{\"type\":\"user\",\"path\":\"/u\"}", MAPS(RANGE), WRITABLE, 0, 100000 },
    /* not mapped, or not told how */
    { CGROUP USER, MAPS(RANGE), WRITABLE, 65536, NOBODY },
    { CGROUP USER, MAPS(TWO), WRITABLE, 1001, NOBODY },
    { CGROUP ",{\"type\":\"user\",\"path\":\"/u\"}", "", WRITABLE, 0, NOBODY },
    /* root's already */
    { CGROUP, "", WRITABLE, 0, NOBODY },
    /* no cgroup namespace of its own */
    { "{\"type\":\"pid\"}" USER, MAPS(RANGE), WRITABLE, 0, NOBODY },
    { "{\"type\":\"cgroup\",\"path\":\"/c\"}" USER, MAPS(RANGE), WRITABLE, 0, NOBODY },
    /* nothing to write to */
    { CGROUP USER, MAPS(RANGE), MOUNT("cgroup", "/sys/fs/cgroup", "\"nosuid\",\"ro\""), 0, NOBODY },
    { CGROUP USER, MAPS(RANGE), MOUNT("cgroup", "/sys/fs/cgroup", "\"rro\""), 0, NOBODY },
    { CGROUP USER, MAPS(RANGE), MOUNT("cgroup", "/cgroup", ""), 0, NOBODY },
    { CGROUP USER, MAPS(RANGE), MOUNT("/sys/fs/cgroup", "/sys/fs/cgroup", ""), 0, NOBODY },
    { CGROUP USER, MAPS(RANGE), "", 0, NOBODY },
};

static void the_owner_is_who_runs_in_a_writable_cgroup_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *json = xasprintf(
            "{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\","
            "\"args\":[\"x\"],\"user\":{\"uid\":%u,\"gid\":0}},\"mounts\":[%s],"
            "\"linux\":{%s\"namespaces\":[{\"type\":\"mount\"},%s]}}",
            rows[i].uid, rows[i].mounts, rows[i].maps, rows[i].namespaces);
        AUTO(spec) struct spec *spec = NULL;
        uint32_t uid = 42;
        struct error err = { 0 };

        if (spec_decode(json, strlen(json), &spec, &err) < 0)
            fail_msg("row %zu: %s", i, err.message);
        if (cgroup_owner_plan(spec, &uid) != (rows[i].owner != NOBODY))
            fail_msg("row %zu: the other answer", i);
        if (uid != (rows[i].owner != NOBODY ? rows[i].owner : 42))
            fail_msg("row %zu: %u", i, uid);
    }
}

static void a_bundle_without_a_process_gives_its_cgroup_to_nobody(void **state)
{
    static const char json[] =
        "{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\"},\"mounts\":[" WRITABLE
        "],\"linux\":{\"namespaces\":[{\"type\":\"mount\"}," CGROUP "]}}";
    AUTO(spec) struct spec *spec = NULL;
    uint32_t uid = 0;

    (void)state;
    assert_int_equal(spec_decode(json, strlen(json), &spec, NULL), 0);
    assert_false(cgroup_owner_plan(spec, &uid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_is_who_runs_in_a_writable_cgroup_of_its_own),
        cmocka_unit_test(a_bundle_without_a_process_gives_its_cgroup_to_nobody),
    };

    return cmocka_run_group_tests_name("cgroup owner", tests, NULL, NULL);
}
