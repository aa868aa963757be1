#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "microvm/vm_config.h"

#define BEGIN                                                                                      \
    "{\"memory_bytes\":268435456,\"cpus\":2,\"backend\":\"kvm\",\"kernel\":\"/vm/vmlinux\","       \
    "\"modules\":\"/vm/modules.cpio\",\"agent\":\"/vm/berth-agent\","
#define IMAGE "\"root\":{\"type\":\"erofs\",\"path\":\"/vm/root.erofs\"}"

#define GUEST "\n{\"a\":[1]}"

static int decode(const char *json, struct vm_config **ret_config, struct error *err)
{
    auto_free char *text = xasprintf("%s" GUEST, json);

    return vm_config_decode(text, strlen(text), ret_config, err);
}

static void a_config_comes_out_as_it_went_in(void **state)
{
    static const char json[] =
        BEGIN IMAGE ",\"shares\":[{\"tag\":\"share0\",\"path\":\"/share/0\",\"read_only\":true}],"
                    "\"files\":[{\"path\":\"/files/hosts\",\"content\":\"127.0.0.1 localhost\\n\","
                    "\"mode\":420}],\"console\":\"log\"}";
    AUTO(vm_config) struct vm_config *config = NULL;
    AUTO(vm_config) struct vm_config *again = NULL;
    auto_free char *text = NULL;

    (void)state;
    assert_int_equal(decode(json, &config, NULL), 0);
    text = vm_config_encode(config);
    assert_int_equal(vm_config_decode(text, strlen(text), &again, NULL), 0);
    assert_int_equal(again->memory_bytes, 256 << 20);
    assert_int_equal(again->cpus, 2);
    assert_string_equal(again->root.path, "/vm/root.erofs");
    assert_string_equal(again->shares.items[0].tag, "share0");
    assert_true(again->shares.items[0].is_read_only);
    assert_string_equal(again->files.items[0].content, "127.0.0.1 localhost\n");
    assert_string_equal(again->guest, "{\"a\":[1]}");
    assert_false(again->has_terminal);
}

static void what_berth_vmm_would_stumble_over_is_refused(void **state)
{
    static const struct {
        const char *json, *sentence;
    } rows[] = {
        { BEGIN "\"root\":{\"type\":\"erofs\"}}", "root.path: is missing" },
        { BEGIN "\"root\":{\"type\":\"share\",\"share\":\"x\"}}",
          "root.share: there is no such share" },
        { BEGIN "\"root\":{\"type\":\"erofs\",\"path\":\"/r\",\"upper\":\"disk\"}}",
          "root.disk: is missing" },
        { BEGIN IMAGE ",\"files\":[{\"path\":\"/etc/passwd\",\"content\":\"\",\"mode\":1}]}",
          "files.path: '/etc/passwd' is not below /files" },
        { BEGIN IMAGE ",\"files\":[{\"path\":\"/files/../x\",\"content\":\"\",\"mode\":1}]}",
          "files.path: '/files/../x' is not below /files" },
        { BEGIN IMAGE ",\"shares\":[{\"tag\":\"a/b\",\"path\":\"/share/0\"}]}",
          "shares.tag 'a/b' is not valid: 2 to 128 of the characters a-z, A-Z, 0-9, '_', '.' and "
          "'-', the first a letter or digit" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct vm_config *config = NULL;
        struct error err = { 0 };

        assert_int_equal(decode(rows[i].json, &config, &err), -EINVAL);
        assert_null(config);
        if (strcmp(err.message, rows[i].sentence) != 0)
            print_error("row %zu: %s\n", i, err.message);
        assert_string_equal(err.message, rows[i].sentence);
    }
}

static void a_config_without_a_spec_is_refused(void **state)
{
    static const char machine[] = BEGIN IMAGE "}";
    struct vm_config *config = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(vm_config_decode(machine, strlen(machine), &config, &err), -EINVAL);
    assert_null(config);
    assert_string_equal(err.message, "config.json of the VM: has no second line, the guest's spec");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_config_comes_out_as_it_went_in),
        cmocka_unit_test(what_berth_vmm_would_stumble_over_is_refused),
        cmocka_unit_test(a_config_without_a_spec_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
