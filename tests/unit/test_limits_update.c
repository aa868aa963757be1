#include "cgroups/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void a_write_is_taken_back_by_what_the_file_said(void **state)
{
    static const struct {
        const char *file, *value, *text, *expected;
    } rows[] = {
        { "pids.max", "5", "max", "max" },
        { "memory.limit_in_bytes", "4096", "9223372036854771712", "9223372036854771712" },
        { "cpu.max", "max 100000", "50000 100000", "50000 100000" },
        { "cpu.max", "50000", "50000 90000", "50000 90000" },
        { "cpuset.cpus", "0", "", "\n" },
        { "memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 3", "0" },
        { "memory.oom_control", "1", "something else", NULL },
        { "io.max", "8:0 rbps=1", "8:16 rbps=5 wbps=max riops=max wiops=max",
          "8:0 rbps=max wbps=max riops=max wiops=max" },
        { "io.max", "8:16 rbps=1", "8:0 rbps=7\n8:16 rbps=5 wbps=max riops=max wiops=max",
          "8:16 rbps=5 wbps=max riops=max wiops=max" },
        { "blkio.throttle.read_bps_device", "8:0 10", "8:1 7\n8:0 77", "8:0 77" },
        { "blkio.throttle.read_bps_device", "8:0 10", "", "8:0 0" },
        { "io.weight", "8:0 10", "default 100\n8:16 5", "8:0 default" },
        { "io.weight", "10", "default 100\n8:16 5", "default 100" },
        { "net_prio.ifpriomap", "eth0 5", "lo 0\neth0 1", "eth0 1" },
        { "rdma.max", "mlx5_0 hca_handle=1", "mlx5_0 hca_handle=2 hca_object=max",
          "mlx5_0 hca_handle=2 hca_object=max" },
        { "memory.unknown", "x", "a 1\nb 2", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *value = limits_undo_value(rows[i].file, rows[i].value, rows[i].text);

        if (!text_equal(value, rows[i].expected))
            fail_msg("row %zu: %s", i, value != NULL ? value : "(none)");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_is_taken_back_by_what_the_file_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
