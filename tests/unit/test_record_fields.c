#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/record.h"

/* Every member once, with a value of its own: what a table forgets is lost and the texts differ. */
static const char whole[] =
    "{\"name\":\"web\",\"image\":\"i\",\"command\":[\"sh\",\"\"],\"entrypoint\":[\"/e\"],"
    "\"env\":[\"A=1\"],\"labels\":{\"l\":\"v\"},\"annotations\":{\"k\":\"\"},\"user\":\"u\","
    "\"workingDir\":\"/"
    "w\",\"hostname\":\"h\","
    "\"domainname\":\"d\",\"groups\":[\"g\"],\"terminal\":true,\"opensStdin\":true,\"stdinOnce\":"
    "true,"
    "\"attachStdin\":true,\"attachStdout\":true,\"attachStderr\":true,\"remove\":true,\"init\":"
    "true,"
    "\"stopSignal\":\"INT\",\"stopTimeout\":0,\"mounts\":[{\"type\":\"volume\",\"source\":\"s\","
    "\"target\":\"/"
    "t\",\"readonly\":true,\"nocopy\":true,\"createsSource\":true,\"propagation\":\"rslave\","
    "\"options\":[\"size=1\"],\"spec\":\"a:b\",\"volumePath\":\"/v\",\"anonymous\":true}],"
    "\"volumesFrom\":[\"x\"],\"readonly\":true,\"shmBytes\":1,\"devices\":[{\"hostPath\":\"/dev/"
    "a\","
    "\"containerPath\":\"/dev/b\",\"access\":\"r\"}],\"deviceRules\":[\"c 1:* "
    "r\"],\"memory\":2,\"memorySwap\":-1,"
    "\"memoryReservation\":3,\"oomKillDisable\":true,\"oomScoreAdj\":-5,\"pidsLimit\":-1,"
    "\"swappiness\":0,\"nanoCpus\":4,\"cpuShares\":5,\"cpuPeriod\":6,\"cpuQuota\":7,"
    "\"cpuRtPeriod\":8,"
    "\"cpuRtRuntime\":-1,"
    "\"cpusetCpus\":\"0\",\"cpusetMems\":\"1\",\"blkioWeight\":10,\"blkioWeights\":[{\"path\":\"/"
    "p\",\"weight\":0}],\"readBps\":[{\"path\":\"/"
    "p\",\"rate\":1}],"
    "\"writeBps\":[{\"path\":\"/p\",\"rate\":2}],\"readIops\":[{\"path\":\"/p\",\"rate\":3}],"
    "\"writeIops\":[{\"path\":\"/"
    "p\",\"rate\":4}],\"ulimits\":[{\"name\":\"nofile\",\"soft\":0,\"hard\":-1}],"
    "\"cgroupParent\":\"/c\",\"capAdd\":[\"A\"],\"capDrop\":[\"B\"],\"securityOpt\":[\"C\"],"
    "\"privileged\":true,\"network\":\"host\",\"pidMode\":\"host\",\"ipcMode\":\"host\","
    "\"utsMode\":\"host\","
    "\"isolation\":\"microvm\",\"vmKernel\":\"k\",\"vmMemory\":1,\"vmCpus\":2,"
    "\"vmConsole\":\"log\","
    "\"usernsMode\":\"host\",\"sysctls\":{\"a\":\"b\"},\"addHosts\":[\"a:b\"],\"published\":[\"1:"
    "2\"],\"restart\":1,"
    "\"restartMax\":2,\"logDriver\":\"none\",\"logOptions\":{\"max-size\":\"1k\"},\"detachKeys\":"
    "\"a\"}";

static void every_setting_survives_writing_and_reading(void **state)
{
    struct settings settings = { 0 };
    auto_free char *text = NULL;

    (void)state;
    assert_int_equal(
        decode_text(&settings_object, whole, strlen(whole), &settings, "settings", NULL), 0);
    assert_true(settings.has_entrypoint);
    assert_true(settings.has_stop_timeout);
    assert_true(settings.has_swappiness);
    text = encode_text(&settings_object, &settings, ENCODE_COMPACT);
    assert_string_equal(text, whole);
    object_clear(&settings_object, &settings);
}

static void an_empty_entrypoint_differs_from_none(void **state)
{
    AUTO(settings) struct settings *settings = settings_default();
    struct settings copy = { 0 };
    auto_free char *text = NULL;

    (void)state;
    settings->has_entrypoint = true;
    text = encode_text(&settings_object, settings, ENCODE_COMPACT);
    assert_int_equal(decode_text(&settings_object, text, strlen(text), &copy, NULL, NULL), 0);
    assert_true(copy.has_entrypoint);
    assert_int_equal(copy.entrypoint.count, 0);
    assert_int_equal(copy.shm_bytes, 64 << 20);
    object_clear(&settings_object, &copy);
}

static void a_record_without_an_id_is_refused(void **state)
{
    static const char text[] = "{\"name\":\"x\",\"created\":1,\"settings\":{}}";
    struct record record = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_true(decode_text(&record_object, text, strlen(text), &record, "container.json", &err) <
                0);
    assert_non_null(strstr(err.message, "id: is missing"));
}

static void a_life_survives_writing_and_reading(void **state)
{
    static const char text[] =
        "{\"started\":1,\"startedNs\":2,\"finished\":3,\"finishedNs\":4,\"exitStatus\":137,"
        "\"oomKilled\":true,\"stopped\":true,\"restartCount\":5,\"error\":\"e\"}";
    struct life life = { 0 };
    auto_free char *written = NULL;

    (void)state;
    assert_int_equal(decode_text(&life_object, text, strlen(text), &life, NULL, NULL), 0);
    written = encode_text(&life_object, &life, ENCODE_COMPACT);
    assert_string_equal(written, text);
    life_clear(&life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_survives_writing_and_reading),
        cmocka_unit_test(an_empty_entrypoint_differs_from_none),
        cmocka_unit_test(a_record_without_an_id_is_refused),
        cmocka_unit_test(a_life_survives_writing_and_reading),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
