#include <errno.h>
#include <string.h>

#include "base_test.h"
#include "runtime/checkpoint_plan.h"
#include "runtime/criu.h"

/* --- mounts ----------------------------------------------------------------------------------- */

static const struct external_mount *find_external(const struct external_mounts *mounts,
                                                  const char *place)
{
    for (size_t i = 0; i < mounts->count; i++) {
        if (strcmp(mounts->items[i].place, place) == 0)
            return &mounts->items[i];
    }
    return NULL;
}

static struct spec *make_spec(void)
{
    struct spec *spec = spec_default(false, true);

    free(spec->root->path);
    spec->root->path = xstrdup("/bundle/rootfs");
    return spec;
}

static int plan(const struct spec *spec, struct external_mounts *ret_mounts, struct error *err)
{
    AUTO(rootfs_plan) struct rootfs_plan *rootfs = NULL;

    assert_int_equal(rootfs_plan(spec, "/bundle", &rootfs, err), 0);
    return external_mounts_plan(spec, rootfs, NULL, "/c", ret_mounts, err);
}

static void binds_are_outer_mounts_by_their_place(void **state)
{
    static const char *const options[] = { "rbind", "ro", NULL };
    AUTO(spec) struct spec *spec = make_spec();
    struct external_mounts mounts = { 0 };
    const struct external_mount *found;
    struct error err = { 0 };

    (void)state;
    (void)spec_add_mount(spec, "/data/x", NULL, "/srv/x", options);
    (void)spec_add_mount(spec, "/conf", "bind", "conf", options);
    assert_int_equal(plan(spec, &mounts, &err), 0);
    found = find_external(&mounts, "/data/x");
    assert_non_null(found);
    assert_string_equal(found->name, "/data/x");
    assert_string_equal(found->source, "/srv/x");
    assert_false(found->is_mask);
    assert_string_equal(find_external(&mounts, "/conf")->source, "/bundle/conf");
    assert_null(find_external(&mounts, "/proc"));
    assert_null(find_external(&mounts, "/dev/null")); /* a node of the container's own /dev */
    external_mounts_clear(&mounts);
}

static void a_mask_is_the_null_device_as_runc_names_it(void **state)
{
    AUTO(spec) struct spec *spec = make_spec();
    struct external_mounts mounts = { 0 };
    const struct external_mount *found;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(plan(spec, &mounts, &err), 0);
    found = find_external(&mounts, "/proc/kcore");
    assert_non_null(found);
    assert_true(found->is_mask);
    assert_string_equal(found->name, "/dev/null");
    assert_string_equal(found->source, "/dev/null");
    external_mounts_clear(&mounts);
}

static void in_a_user_namespace_devices_are_binds_of_the_hosts(void **state)
{
    AUTO(spec) struct spec *spec = make_spec();
    struct external_mounts mounts = { 0 };
    struct error err = { 0 };

    (void)state;
    (void)spec_add_namespace(spec, "user", NULL);
    (void)spec_add_device(spec, "c", "/dev/fuse", 10, 229);
    assert_int_equal(plan(spec, &mounts, &err), 0);
    assert_non_null(find_external(&mounts, "/dev/urandom"));
    assert_string_equal(find_external(&mounts, "/dev/fuse")->source, "/dev/fuse");
    external_mounts_clear(&mounts);
}

static void a_mount_with_an_id_map_is_refused_by_name(void **state)
{
    static const char *const options[] = { "rbind", NULL };
    AUTO(spec) struct spec *spec = make_spec();
    struct external_mounts mounts = { .count = 42 };
    struct spec_mount *mount;
    struct error err = { 0 };

    (void)state;
    mount = spec_add_mount(spec, "/data", "bind", "/srv", options);
    mount->uid_mappings.items = xcalloc(1, sizeof(struct spec_id_mapping));
    mount->gid_mappings.items = xcalloc(1, sizeof(struct spec_id_mapping));
    mount->uid_mappings.count = mount->gid_mappings.count = 1;
    mount->uid_mappings.items[0].size = mount->gid_mappings.items[0].size = 1;
    assert_int_equal(plan(spec, &mounts, &err), -EOPNOTSUPP);
    assert_string_equal(
        err.message,
        "mounts[7] on '/data': has an id map, and CRIU cannot make such a mount again");
    assert_int_equal(mounts.count, 42);
}

static void a_bind_of_the_roots_own_files_is_refused_by_name(void **state)
{
    static const char *const options[] = { "rbind", NULL };
    AUTO(spec) struct spec *spec = make_spec();
    struct external_mounts mounts = { 0 };
    struct error err = { 0 };

    (void)state;
    (void)spec_add_mount(spec, "/data", "bind", "/bundle/rootfs/link", options);
    assert_int_equal(plan(spec, &mounts, &err), -EOPNOTSUPP);
    assert_string_equal(err.message, "mounts[7] on '/data': binds a part of the root, and CRIU "
                                     "cannot make such a mount again");
}

/* --- options ---------------------------------------------------------------------------------- */

static void contradictions_are_refused_before_anything_is_done(void **state)
{
    static const struct {
        struct checkpoint_options options;
        const char *message;
    } rows[] = {
        { { .image_path = "", .status_fd = -1 }, "--image-path: is empty" },
        { { .image_path = "i", .status_fd = 3 },
          "--status-fd: there is nothing to report without --lazy-pages" },
        { { .image_path = "i", .status_fd = -1, .is_pre_dump = true, .is_lazy = true },
          "--pre-dump and --lazy-pages: a pre-dump has no pages left to fetch" },
        { { .image_path = "i", .status_fd = -1, .parent_path = "/p" },
          "--parent-path '/p': must be relative to the folder of --image-path" },
        { { .image_path = "i", .status_fd = -1, .closes_tcp = true, .has_tcp_established = true },
          "--tcp-close and --tcp-established: connections are either closed or restored" },
        { { .image_path = "i", .status_fd = -1, .cgroups_mode = "hard" },
          "--manage-cgroups-mode 'hard': is none of soft, full, strict, ignore" },
        { { .image_path = "i", .status_fd = -1, .network_lock = "none" },
          "--network-lock 'none': is none of iptables, nftables, skip" },
        { { .image_path = "i", .status_fd = -1, .page_server = "host" },
          "--page-server 'host': is not ADDRESS:PORT" },
        { { .image_path = "i", .status_fd = -1, .page_server = ":27" },
          "--page-server ':27': is not ADDRESS:PORT" },
        { { .image_path = "i", .status_fd = -1, .page_server = "host:" },
          "--page-server 'host:': is not ADDRESS:PORT" },
        { { .image_path = "i", .status_fd = -1, .page_server = "host:0" },
          "--page-server 'host:0': '0' is not a port" },
        { { .image_path = "i", .status_fd = -1, .page_server = "host:65536" },
          "--page-server 'host:65536': '65536' is not a port" },
        { { .image_path = "i", .status_fd = -1, .page_server = "::1:27" },
          "--page-server '::1:27': write an IPv6 address in brackets" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = { 0 };

        if (checkpoint_options_check(&rows[i].options, &err) != -EINVAL)
            fail_msg("row %zu is taken", i);
        assert_string_equal(err.message, rows[i].message);
    }
}

static void a_dump_and_a_restore_get_their_own_members(void **state)
{
    const struct checkpoint_options options = {
        .image_path = "i",
        .status_fd = -1,
        .parent_path = "../pre",
        .page_server = "[::1]:27",
        .network_lock = "nftables",
    };
    struct criu_options dump = CRIU_OPTIONS_NONE, restore = CRIU_OPTIONS_NONE;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(checkpoint_options_plan(&options, false, 31701, &dump, &err), 0);
    assert_string_equal(dump.log_file, "dump.log");
    assert_string_equal(dump.parent_img, "../pre");
    assert_true(dump.track_mem);
    assert_false(dump.rst_sibling);
    assert_int_equal(dump.manage_cgroups_mode, CRIU_CGROUPS_SOFT);
    assert_int_equal(dump.network_lock, CRIU_NETWORK_NFTABLES);
    assert_string_equal(dump.page_server_address, "::1");
    assert_int_equal(dump.page_server_port, 27);
    criu_options_clear(&dump);

    assert_int_equal(checkpoint_options_plan(&options, true, 31701, &restore, &err), 0);
    assert_string_equal(restore.log_file, "restore.log");
    assert_null(restore.parent_img);
    assert_true(restore.rst_sibling);
    criu_options_clear(&restore);
}

static void an_option_that_criu_is_too_old_for_is_named(void **state)
{
    static const struct {
        struct checkpoint_options options;
        uint32_t version;
        const char *message;
    } rows[] = {
        { { .image_path = "i", .status_fd = -1, .network_lock = "nftables" },
          31501,
          "--network-lock needs CRIU 3.16, installed is 3.15.1" },
        { { .image_path = "i", .status_fd = -1, .network_lock = "skip" },
          31701,
          "--network-lock needs CRIU 3.18, installed is 3.17.1" },
        { { .image_path = "i", .status_fd = -1, .lsm_profile = "apparmor:x" },
          31500,
          "--lsm-profile needs CRIU 3.16, installed is 3.15.0" },
        { { .image_path = "i", .status_fd = -1, .lsm_mount_context = "x" },
          31500,
          "--lsm-mount-context needs CRIU 3.16, installed is 3.15.0" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct criu_options criu = CRIU_OPTIONS_NONE;
        struct error err = { 0 };

        assert_int_equal(
            checkpoint_options_plan(&rows[i].options, true, rows[i].version, &criu, &err),
            -EOPNOTSUPP);
        assert_string_equal(err.message, rows[i].message);
        criu_options_clear(&criu);
    }
}

static void an_annotation_chooses_among_the_machines_configurations_only(void **state)
{
    static const char *const refused[] = {
        "/srv/pod/criu.conf", "criu.conf",           "/etc/criu/../x",
        "/etc/criu/a/b",      "/etc/criu/.criu.tmp", "/etc/criu/",
    };
    struct string_map annotations = { 0 };
    const char *file = "unset";
    struct error err = { 0 };

    (void)state;
    assert_int_equal(checkpoint_config_plan(&annotations, &file, &err), 0);
    assert_null(file);
    string_map_set(&annotations, "org.criu.config", "");
    assert_int_equal(checkpoint_config_plan(&annotations, &file, &err), 0);
    assert_string_equal(file, "");
    string_map_set(&annotations, "org.criu.config", "/etc/criu/web.conf");
    assert_int_equal(checkpoint_config_plan(&annotations, &file, &err), 0);
    assert_string_equal(file, "/etc/criu/web.conf");
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        string_map_set(&annotations, "org.criu.config", refused[i]);
        if (checkpoint_config_plan(&annotations, &file, &err) != -EINVAL)
            fail_msg("'%s' is taken", refused[i]);
    }
    assert_string_equal(checkpoint_config_files[0], "/etc/criu/berth.conf");
    string_map_clear(&annotations);
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void descriptors_are_a_list_as_runc_writes_it(void **state)
{
    struct strings names = { 0 }, again = { 0 };
    auto_free char *json = NULL;
    struct error err = { 0 };

    (void)state;
    strings_add(&names, "pipe:[12]");
    strings_add(&names, "/dev/\"null\"");
    strings_add(&names, "");
    json = descriptors_format(&names);
    assert_string_equal(json, "[\"pipe:[12]\",\"/dev/\\\"null\\\"\",\"\"]");
    assert_int_equal(descriptors_parse(json, strlen(json), &again, &err), 0);
    assert_int_equal(again.count, 3);
    assert_string_equal(again.items[1], "/dev/\"null\"");
    strings_clear(&names);
    strings_clear(&again);
}

static void hostile_descriptors_are_refused(void **state)
{
    static const char *const rows[] = {
        "", "{}", "[1]", "[[]]", "null", "[\"a\"], \"x\": 1", "[\"a\"]}", "[\"a\"", "\"pipe:[1]\"",
    };
    static const char many[] = "[\"a\",\"b\",\"c\",\"d\"]";
    struct strings names = { 0 };
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (descriptors_parse(rows[i], strlen(rows[i]), &names, &err) != -EBADMSG)
            fail_msg("'%s' is taken", rows[i]);
        assert_string_equal(err.message, "descriptors.json: is not a list of texts");
    }
    assert_int_equal(descriptors_parse(many, strlen(many), &names, &err), -EBADMSG);
    assert_string_equal(err.message, "descriptors.json: has more than 3 descriptors");
    assert_int_equal(names.count, 0);
}

static void only_pipes_and_outer_files_are_connected(void **state)
{
    static const struct {
        const char *name;
        bool is_outer;
    } rows[] = {
        { "pipe:[12]", true },
        { "file[1a:2b]", true },
        { "pipe:[]", false },
        { "pipe:[1]x", false },
        { "pipe:[1", false },
        { "file[1:]", false },
        { "file[:1]", false },
        { "file[g:1]", false },
        { "/dev/null", false },
        { "socket:[1]", false },
        { "extRootNetNS", false },
        { "", false },
        { "x pipe:[12]", false },
        { "file[1:2]]", false },
        { "tty[88:1]", false },
        { "pipe:[1111111111111111111111111111111111111111111111111111111111111]", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (descriptor_is_outer(rows[i].name) != rows[i].is_outer)
            fail_msg("'%s'", rows[i].name);
    }
}

/* --- CRIU's log ------------------------------------------------------------------------------- */

static void the_last_telling_lines_of_a_log_are_the_cause(void **state)
{
    static const struct {
        const char *log, *cause;
    } rows[] = {
        { "", NULL },
        { "(00.1) Dumping\n(00.2) Warn  (criu/a.c:1): w\n", NULL },
        { "(00.1) Error (criu/util.c:642): exited, status=1\n", NULL },
        { "(00.1) Error (criu/util.c:642): exited, status=1\n"
          "(00.2)      1: Error (criu/files-reg.c:2093): File fd/1 has bad size 1 (expect 2).\n"
          "(00.3) Error (criu/cr-restore.c:2537): Restoring FAILED.\n",
          "File fd/1 has bad size 1 (expect 2)" },
        { "(1) Error (criu/a.c:1): a\n(2) Error (criu/a.c:2): b\n(3) Error (criu/a.c:3): c\n"
          "(4) Error (criu/a.c:4): d",
          "b; c; d" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *cause = criu_log_cause(rows[i].log);

        if (!text_equal(cause, rows[i].cause))
            fail_msg("row %zu: '%s'", i, cause != NULL ? cause : "(nothing)");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_are_outer_mounts_by_their_place),
        cmocka_unit_test(a_mask_is_the_null_device_as_runc_names_it),
        cmocka_unit_test(in_a_user_namespace_devices_are_binds_of_the_hosts),
        cmocka_unit_test(a_mount_with_an_id_map_is_refused_by_name),
        cmocka_unit_test(a_bind_of_the_roots_own_files_is_refused_by_name),
        cmocka_unit_test(contradictions_are_refused_before_anything_is_done),
        cmocka_unit_test(a_dump_and_a_restore_get_their_own_members),
        cmocka_unit_test(an_option_that_criu_is_too_old_for_is_named),
        cmocka_unit_test(an_annotation_chooses_among_the_machines_configurations_only),
        cmocka_unit_test(descriptors_are_a_list_as_runc_writes_it),
        cmocka_unit_test(hostile_descriptors_are_refused),
        cmocka_unit_test(only_pipes_and_outer_files_are_connected),
        cmocka_unit_test(the_last_telling_lines_of_a_log_are_the_cause),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
