#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "microvm/emulator_plan.h"

static const struct emulator_files files_with_initrd = { 13, -1, -1 };

static struct machine_config small_machine(void)
{
    struct machine_config config = machine_config_empty();

    config.memory_bytes = 128 << 20;
    config.cpus = 2;
    config.kernel_fd = 10;
    config.root_fd = 11;
    config.agent_fd = 12;
    return config;
}

static bool has_words(const struct strings *arguments, const char *option, const char *value)
{
    for (size_t i = 0; i + 1 < arguments->count; i++) {
        if (text_equal(arguments->items[i], option) && text_equal(arguments->items[i + 1], value))
            return true;
    }
    return false;
}

static void a_machine_gets_its_files_and_ports_by_descriptor(void **state)
{
    const struct machine_config config = small_machine();
    AUTO_CLEAR(emulator_plan) struct emulator_plan plan = { 0 };
    static const int kept[] = { 10, 13, 11, 12 };

    (void)state;
    emulator_plan(&config, "/usr/bin/qemu", &files_with_initrd, 2000000, &plan);
    assert_string_equal(plan.arguments.items[0], "/usr/bin/qemu");
    assert_true(has_words(&plan.arguments, "-m", "size=131072k"));
    assert_true(has_words(&plan.arguments, "-smp", "2"));
    assert_true(has_words(&plan.arguments, "-kernel", "/proc/self/fd/10"));
    assert_true(has_words(&plan.arguments, "-initrd", "/proc/self/fd/13"));
    assert_true(has_words(&plan.arguments, "-append",
                          MACHINE_CMDLINE " console= reboot=t "
                                          "tsc_early_khz=2000000 tsc=reliable"));
    assert_true(has_words(&plan.arguments, "-serial", "none"));
    assert_true(has_words(&plan.arguments, "-chardev", "socket,id=port1,fd=12"));
    assert_true(has_words(&plan.arguments, "-device", "virtserialport,chardev=port1,nr=1"));
    assert_true(
        has_words(&plan.arguments, "-sandbox",
                  "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"));
    assert_int_equal(plan.fd_count, 4);
    assert_memory_equal(plan.fds, kept, sizeof(kept));
}

static void each_tap_and_share_is_a_device(void **state)
{
    struct machine_config config = small_machine();
    AUTO_CLEAR(emulator_plan) struct emulator_plan plan = { 0 };

    (void)state;
    config.taps[0] = (struct machine_tap){ .fd = 20, .mac = { 2, 0, 0, 0xab, 1, 0xff } };
    config.tap_count = 1;
    config.shares[0].fd = 21;
    config.shares[1].fd = 22;
    config.share_count = 2;
    config.console_fd = 23;
    config.cmdline = "quiet";
    emulator_plan(&config, "qemu", &files_with_initrd, 1, &plan);
    assert_true(has_words(&plan.arguments, "-netdev", "tap,id=net0,fd=20"));
    assert_true(has_words(&plan.arguments, "-device",
                          "virtio-net-device,netdev=net0,mac=02:00:00:ab:01:ff"));
    assert_true(has_words(&plan.arguments, "-device", "virtio-serial-device,max_ports=4"));
    assert_true(has_words(&plan.arguments, "-device", "virtserialport,chardev=port3,nr=3"));
    assert_true(has_words(&plan.arguments, "-append",
                          MACHINE_CMDLINE " console=ttyS0 reboot=t tsc_early_khz=1 tsc=reliable "
                                          "quiet"));
    assert_true(
        has_words(&plan.arguments, "-chardev", "file,id=console,path=/proc/self/fd/23,append=on"));
}

static void a_saved_machine_has_the_same_devices_and_no_kernel(void **state)
{
    static const char *const both[][2] = {
        { "-drive",
          "if=none,id=root,format=raw,file=/proc/self/fd/11,file.locking=off,readonly=on" },
        { "-device", "virtio-blk-device,drive=root,werror=report,rerror=report" },
        { "-device", "virtserialport,chardev=port1,nr=1" },
        { "-object",
          "memory-backend-file,id=memory,size=131072k,mem-path=/proc/self/fd/14,share=on" },
        { "-chardev", "socket,id=control,fd=15" },
    };
    static const struct emulator_files files = { 13, 14, 15 };
    struct machine_config config = small_machine();
    AUTO_CLEAR(emulator_plan) struct emulator_plan cold = { 0 };
    AUTO_CLEAR(emulator_plan) struct emulator_plan warm = { 0 };

    (void)state;
    emulator_plan(&config, "qemu", &files, 1, &cold);
    config.saved_state_fd = 40;
    emulator_plan(&config, "qemu", &files, 1, &warm);
    for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
        assert_true(has_words(&cold.arguments, both[i][0], both[i][1]));
        assert_true(has_words(&warm.arguments, both[i][0], both[i][1]));
    }
    assert_false(strings_contains(&cold.arguments, "-incoming"));
    assert_true(has_words(&warm.arguments, "-incoming", "defer"));
    assert_false(strings_contains(&warm.arguments, "-kernel"));
    assert_false(strings_contains(&warm.arguments, "-initrd"));
}

static void the_largest_machine_has_room_for_its_descriptors(void **state)
{
    struct machine_config config = small_machine();
    AUTO_CLEAR(emulator_plan) struct emulator_plan plan = { 0 };

    (void)state;
    config.tap_count = MACHINE_TAPS_MAX;
    config.share_count = MACHINE_SHARES_MAX;
    config.disk_fd = 30;
    config.console_fd = 31;
    emulator_plan(&config, "qemu", &(struct emulator_files){ 13, 14, 15 }, 1, &plan);
    assert_int_equal(plan.fd_count, 8 + MACHINE_TAPS_MAX + MACHINE_SHARES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_gets_its_files_and_ports_by_descriptor),
        cmocka_unit_test(each_tap_and_share_is_a_device),
        cmocka_unit_test(a_saved_machine_has_the_same_devices_and_no_kernel),
        cmocka_unit_test(the_largest_machine_has_room_for_its_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
