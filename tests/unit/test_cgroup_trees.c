#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cgroups/cgroup_system.h"
#include "tests/unit/cgroup_tree.h"

/* Recorded trees of /sys/fs/cgroup, tests/unit/cgroup_trees/: of each kind of machine what
 * /proc/self says, some files, and what berth makes of it: where each controller is, which files
 * get which values for each document of resources.txt, and what a cgroup used.
 *
 * A recording has sections that begin with a line in brackets: [self] is /proc/self/cgroup,
 * [mounts] mountinfo, [file PATH] and [folder PATH] are below /sys/fs/cgroup, [expected] is the
 * report. */

#define TREES_PATH "tests/unit/cgroup_trees"
#define ROOT       "/sys/fs/cgroup"

static const char *const recordings[] = {
    "v1", "v1_comounted", "v1_missing",      "hybrid",          "hybrid_systemd",
    "v2", "v2_container", "v2_systemd_user", "v2_nearly_empty",
};

static char *read_recording(const char *name)
{
    auto_free char *path = xasprintf("%s/%s/%s.txt", getenv("srcdir"), TREES_PATH, name);
    char *text = NULL;

    if (file_read(AT_FDCWD, path, 1U << 20, &text, NULL, NULL) < 0)
        fail_msg("read %s", path);
    return text;
}

/* --- the tree ------------------------------------------------------------------------------- */

struct recording {
    struct cgroup_tree tree;
    struct text self, mounts, expected;
};

/* A mount's line becomes a folder, and a line that tells of the folder. */
static void add_mount(struct recording *recording, const char *line)
{
    AUTO_CLEAR(strings) struct strings words = { 0 };
    const char *type = strstr(line, " - ");
    const char *point;

    strings_split(&words, line, ' ');
    assert_true(type != NULL && words.count > 6);
    point = words.items[4] + strlen(ROOT);
    assert_true(text_starts(words.items[4], ROOT));
    if (text_starts(type, " - cgroup2 "))
        cgroup_tree_add_folder(&recording->tree, point[0] == '/' ? point + 1 : "", 0752);
    else if (text_starts(type, " - cgroup "))
        cgroup_tree_add_folder(&recording->tree, point + 1, 0751);
    text_addf(&recording->mounts, "%s %s %s %s %s%s%s\n", words.items[0], words.items[1],
              words.items[2], words.items[3], recording->tree.root, point,
              strstr(line, words.items[4]) + strlen(words.items[4]));
}

static void add_section(struct recording *recording, const char *title, const char *content)
{
    if (text_equal(title, "self")) {
        text_add(&recording->self, content);
    } else if (text_equal(title, "mounts")) {
        AUTO_CLEAR(strings) struct strings lines = { 0 };

        strings_split(&lines, content, '\n');
        for (size_t i = 0; i < lines.count; i++)
            if (lines.items[i][0] != '\0')
                add_mount(recording, lines.items[i]);
    } else if (text_equal(title, "expected")) {
        text_add(&recording->expected, content);
    } else if (text_starts(title, "folder ")) {
        cgroup_tree_add_folder(&recording->tree, title + strlen("folder "), 0755);
    } else if (text_starts(title, "file ")) {
        cgroup_tree_add_file(&recording->tree, title + strlen("file "), content);
    } else {
        fail_msg("unknown section [%s]", title);
    }
}

/* What comes before the first section is a comment. */
static void make_recording(struct recording *recording, const char *name)
{
    auto_free char *text = read_recording(name);

    *recording = (struct recording){ 0 };
    cgroup_tree_make(&recording->tree);
    for (char *title = strstr(text, "\n["); title != NULL;) {
        char *end = strstr(title, "]\n");
        char *next;
        auto_free char *content = NULL;

        assert_non_null(end);
        *end = '\0';
        next = strstr(end + 1, "\n[");
        if (next == NULL)
            content = xstrdup(end + 2);
        else
            content = xstrndup(end + 2, next > end + 1 ? (size_t)(next - end - 1) : 0);
        add_section(recording, title + 2, content);
        title = next;
    }
}

static void free_recording(struct recording *recording)
{
    cgroup_tree_remove(&recording->tree);
    text_clear(&recording->self);
    text_clear(&recording->mounts);
    text_clear(&recording->expected);
}

/* --- the report ----------------------------------------------------------------------------- */

static const char *place_name(struct cgroup_system *system, enum cgroup_controller controller)
{
    const struct cgroup_hierarchy *hierarchy = cgroup_system_find(system, controller);

    if (hierarchy == NULL)
        return "none";
    return hierarchy->is_v2 ? "v2" : hierarchy->mount_name;
}

static void report_places(struct cgroup_system *system, struct text *report)
{
    const struct cgroup_hierarchy *main_hierarchy = cgroup_system_main(system);
    unsigned mask = cgroup_system_v1_mask(system);

    text_addf(report, "layout %s, processes in '%s', own %s\n",
              cgroup_layout_name(cgroup_system_layout(system)),
              main_hierarchy->is_v2 ? "v2" : main_hierarchy->mount_name, main_hierarchy->own_path);
    for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
        text_addf(report, "%s: %s%s\n", cgroup_controller_name(i, false), place_name(system, i),
                  mask & (1U << i) ? ", v1 files" : "");
}

static void report_writes(struct cgroup_system *system, const struct cgroup_resources *resources,
                          struct text *report)
{
    AUTO_CLEAR(cgroup_writes) struct cgroup_writes writes = { 0 };
    struct error err = { 0 };
    int r;

    r = cgroup_limits_plan(resources, cgroup_system_v1_mask(system), &writes, &err);
    if (r < 0)
        text_addf(report, "  refused: %s\n", err.message);
    for (size_t i = 0; i < writes.count; i++) {
        const struct cgroup_write *write = &writes.items[i];

        text_addf(report, "  %s: %s%s%s = %s\n", place_name(system, write->controller),
                  write->is_alternative ? "or " : "", write->file,
                  write->is_optional ? " if there" : "", write->value);
    }
}

static void report_plan(struct cgroup_system *system, const char *json, struct text *report)
{
    struct cgroup_resources resources = { 0 };
    struct error err = { 0 };

    if (decode_text(&cgroup_resources_object, json, strlen(json), &resources, "resources", &err) <
        0)
        fail_msg("%s", err.message);
    text_addf(report, "%s\n", json);
    report_writes(system, &resources, report);
    object_clear(&cgroup_resources_object, &resources);
}

/* No document says that a weight of before is taken back: that is known to who changes it. */
static void report_release(struct cgroup_system *system, struct text *report)
{
    struct cgroup_weight_device device = { .major = 8, .has_weight = true, .released_weight = 200 };
    const struct cgroup_resources resources = {
        .block_io = { .has_weight = true,
                      .is_weight_released = true,
                      .weight_devices = { &device, 1 } },
    };

    text_add(report, "weights taken back\n");
    report_writes(system, &resources, report);
}

static void report_number(struct text *report, const char *name, bool is_known, uint64_t value)
{
    if (!is_known)
        text_addf(report, "  %s unknown\n", name);
    else if (value == UINT64_MAX)
        text_addf(report, "  %s none\n", name);
    else
        text_addf(report, "  %s %" PRIu64 "\n", name, value);
}

static void report_usage(struct cgroup_system *system, struct text *report)
{
    AUTO(cgroup) struct cgroup *cgroup = NULL;
    struct cgroup_usage usage;

    if (cgroup_open(system, "/berth/x", &cgroup, NULL) < 0)
        return;
    assert_int_equal(cgroup_usage(cgroup, &usage, NULL), 0);
    text_add(report, "usage\n");
    report_number(report, "cpu_ns", usage.has_cpu, usage.cpu_ns);
    report_number(report, "cpu_user_ns", usage.has_cpu, usage.cpu_user_ns);
    report_number(report, "cpu_system_ns", usage.has_cpu, usage.cpu_system_ns);
    report_number(report, "periods", usage.has_throttling, usage.periods);
    report_number(report, "throttled_periods", usage.has_throttling, usage.throttled_periods);
    report_number(report, "throttled_ns", usage.has_throttling, usage.throttled_ns);
    report_number(report, "memory_bytes", usage.has_memory, usage.memory_bytes);
    report_number(report, "memory_peak_bytes", usage.has_memory_peak, usage.memory_peak_bytes);
    report_number(report, "memory_limit_bytes", usage.has_memory, usage.memory_limit_bytes);
    report_number(report, "memory_anon_bytes", usage.has_memory, usage.memory_anon_bytes);
    report_number(report, "memory_file_bytes", usage.has_memory, usage.memory_file_bytes);
    report_number(report, "memory_inactive_file_bytes", usage.has_memory,
                  usage.memory_inactive_file_bytes);
    report_number(report, "memory_kernel_bytes", usage.has_memory_kernel,
                  usage.memory_kernel_bytes);
    report_number(report, "memory_limit_hits", usage.has_memory, usage.memory_limit_hits);
    report_number(report, "oom_kills", usage.has_memory, usage.oom_kills);
    report_number(report, "swap_bytes", usage.has_swap, usage.swap_bytes);
    report_number(report, "swap_peak_bytes", usage.has_swap_peak, usage.swap_peak_bytes);
    report_number(report, "swap_limit_bytes", usage.has_swap, usage.swap_limit_bytes);
    report_number(report, "pids", usage.has_pids, usage.pids);
    report_number(report, "pids_peak", usage.has_pids_peak, usage.pids_peak);
    report_number(report, "pids_limit", usage.has_pids, usage.pids_limit);
    report_number(report, "read_bytes", usage.has_io, usage.io.read_bytes);
    report_number(report, "write_bytes", usage.has_io, usage.io.write_bytes);
    report_number(report, "read_operations", usage.has_io, usage.io.read_operations);
    report_number(report, "write_operations", usage.has_io, usage.io.write_operations);
}

static char *make_report(const struct recording *recording)
{
    AUTO(cgroup_system) struct cgroup_system *system = NULL;
    auto_free char *documents = read_recording("resources");
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    struct text report = { 0 };
    struct error err = { 0 };

    if (cgroup_system_open_from(recording->tree.root, recording->self.data, recording->mounts.data,
                                &system, &err) < 0)
        fail_msg("%s", err.message);
    report_places(system, &report);
    strings_split(&lines, documents, '\n');
    for (size_t i = 0; i < lines.count; i++)
        if (lines.items[i][0] != '\0')
            report_plan(system, lines.items[i], &report);
    report_release(system, &report);
    report_usage(system, &report);
    return text_take(&report);
}

static void each_recorded_machine_is_understood_as_written_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(recordings); i++) {
        struct recording recording;
        auto_free char *report = NULL;
        bool is_expected;

        make_recording(&recording, recordings[i]);
        report = make_report(&recording);
        is_expected = text_equal(report, recording.expected.data);
        free_recording(&recording);
        if (!is_expected) {
            (void)fprintf(stderr, "%s", report); /* longer than what cmocka prints */
            fail_msg("%s: the report is other than expected", recordings[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_recorded_machine_is_understood_as_written_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
