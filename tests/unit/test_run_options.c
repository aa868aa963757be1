#include "cli/run_options.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "cli/run_values.h"

static const struct option no_options[] = { { 0 } };

static const struct command commands[] = {
    { .name = "run",
      .help = "Run",
      .options = container_options,
      .more_options = run_options,
      .min_words = 1,
      .max_words = SIZE_MAX,
      .stops_at_first_word = true },
    { .name = "create",
      .help = "Create",
      .options = container_options,
      .min_words = 1,
      .max_words = SIZE_MAX,
      .stops_at_first_word = true },
    { 0 },
};

static const struct program program = {
    .name = "berth",
    .summary = "Runs containers",
    .commands = commands,
    .global_options = no_options,
    .usage_status = 125,
};

/* Parses "run" with words that end with NULL, and an image. */
static int parse_with(const char *command, const char *const *words, struct settings **settings,
                      struct error *err)
{
    char *line[32] = { (char *)"berth", (char *)command };
    struct arguments arguments = { 0 };
    int count = 2;
    int r;

    for (; *words != NULL; words++)
        line[count++] = (char *)*words;
    line[count++] = (char *)"busybox";
    r = arguments_parse(&program, count, line, &arguments, err);
    if (r < 0)
        return r;
    r = run_options_parse(&arguments, settings, err);
    arguments_clear(&arguments);
    return r;
}

static struct settings *parse_good(const char *const *words)
{
    struct settings *settings = NULL;
    struct error err = { 0 };

    if (parse_with("run", words, &settings, &err) < 0)
        fail_msg("%s", err.message);
    return settings;
}

static void without_options_dockers_defaults_hold(void **state)
{
    const char *words[] = { NULL };
    AUTO(settings) struct settings *settings = parse_good(words);

    (void)state;
    assert_true(settings->attach_stdout && settings->attach_stderr && !settings->attach_stdin);
    assert_int_equal(settings->shm_bytes, 64u << 20);
    assert_int_equal(settings->stop_timeout, 10);
    assert_false(settings->has_pids_limit || settings->has_swappiness || settings->has_entrypoint);
    assert_null(settings->network);
    assert_int_equal(settings->restart, RESTART_NO);
}

static void limits_are_read_in_dockers_units(void **state)
{
    const char *words[] = { "-m",
                            "64m",
                            "--memory-swap=-1",
                            "--cpus=0.5",
                            "--pids-limit",
                            "32",
                            "-c512",
                            "--cpuset-cpus=0-1",
                            "--shm-size",
                            "1g",
                            "--blkio-weight",
                            "300",
                            "--oom-score-adj=-5",
                            "--memory-swappiness=0",
                            "--stop-timeout",
                            "3",
                            NULL };
    AUTO(settings) struct settings *settings = parse_good(words);

    (void)state;
    assert_int_equal(settings->memory, 64u << 20);
    assert_int_equal(settings->memory_swap, -1);
    assert_int_equal(settings->nano_cpus, 500000000);
    assert_true(settings->has_pids_limit);
    assert_int_equal(settings->pids_limit, 32);
    assert_int_equal(settings->cpu_shares, 512);
    assert_string_equal(settings->cpuset_cpus, "0-1");
    assert_int_equal(settings->shm_bytes, 1u << 30);
    assert_int_equal(settings->blkio_weight, 300);
    assert_int_equal(settings->oom_score_adj, -5);
    assert_true(settings->has_swappiness && settings->swappiness == 0);
    assert_true(settings->has_stop_timeout && settings->stop_timeout == 3);
}

static void mounts_are_read_in_all_three_forms(void **state)
{
    const char *words[] = {
        "-v",      "/host/../a:/data:ro,rslave",
        "-v",      "cache:/cache:nocopy",
        "-v",      "/anonymous",
        "--mount", "type=bind,src=/b,dst=/c,readonly",
        "--mount", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777",
        "--tmpfs", "/run:size=64m,exec",
        "--mount", "source=vol,target=/v,volume-label=a=b=c,volume-label=d,\"volume-label=e=f,g\"",
        NULL
    };
    AUTO(settings) struct settings *settings = parse_good(words);
    const struct settings_mount *mounts = settings->mounts.items;

    (void)state;
    assert_int_equal(settings->mounts.count, 7);
    assert_string_equal(mounts[0].type, "bind");
    assert_string_equal(mounts[0].source, "/a");
    assert_string_equal(mounts[0].target, "/data");
    assert_string_equal(mounts[0].propagation, "rslave");
    assert_string_equal(mounts[0].spec, "/a:/data:ro,rslave");
    assert_true(mounts[0].is_readonly && mounts[0].creates_source);
    assert_string_equal(mounts[1].type, "volume");
    assert_string_equal(mounts[1].source, "cache");
    assert_true(mounts[1].is_nocopy && !mounts[1].creates_source);
    assert_string_equal(mounts[1].spec, "cache:/cache:nocopy");
    assert_string_equal(mounts[2].type, "volume");
    assert_null(mounts[2].source);
    assert_string_equal(mounts[2].spec, "/anonymous");
    assert_string_equal(mounts[3].source, "/b");
    assert_true(mounts[3].is_readonly && !mounts[3].creates_source);
    assert_null(mounts[3].spec);
    assert_string_equal(mounts[4].options.items[0], "size=1048576");
    assert_string_equal(mounts[4].options.items[1], "mode=1777");
    assert_string_equal(mounts[6].target, "/run");
    assert_string_equal(mounts[6].options.items[1], "exec");
    assert_int_equal(mounts[5].labels.count, 3);
    assert_string_equal(string_map_get(&mounts[5].labels, "a"), "b=c");
    assert_string_equal(string_map_get(&mounts[5].labels, "d"), "");
    assert_string_equal(string_map_get(&mounts[5].labels, "e"), "f,g");
}

static void devices_rates_ulimits_and_hosts_are_read(void **state)
{
    const char *words[] = { "--device",
                            "/dev/x:/dev/y:r",
                            "--device",
                            "/dev/z:rw",
                            "--ulimit",
                            "nofile=1:2",
                            "--ulimit",
                            "core=-1",
                            "--add-host",
                            "a:::1",
                            "--add-host",
                            "b=10.0.0.1",
                            "--device-read-bps",
                            "/dev/sda:1mb",
                            "--device-write-iops",
                            "/dev/sda:9",
                            "--restart",
                            "on-failure:3",
                            NULL };
    AUTO(settings) struct settings *settings = parse_good(words);

    (void)state;
    assert_string_equal(settings->devices.items[0].container_path, "/dev/y");
    assert_string_equal(settings->devices.items[0].access, "r");
    assert_string_equal(settings->devices.items[1].container_path, "/dev/z");
    assert_string_equal(settings->devices.items[1].access, "rw");
    assert_int_equal(settings->ulimits.items[0].soft, 1);
    assert_int_equal(settings->ulimits.items[0].hard, 2);
    assert_int_equal(settings->ulimits.items[1].hard, -1);
    assert_string_equal(settings->add_hosts.items[0], "a:::1");
    assert_string_equal(settings->add_hosts.items[1], "b:10.0.0.1");
    assert_int_equal(settings->read_bps.items[0].rate, 1u << 20);
    assert_int_equal(settings->write_iops.items[0].rate, 9);
    assert_int_equal(settings->restart, RESTART_ON_FAILURE);
    assert_int_equal(settings->restart_max, 3);
}

static void exposed_ports_are_listed_once_and_whole(void **state)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        { "http", "--expose 'http': give PORT[-PORT][/tcp|/udp|/sctp]" },
        { "0", "--expose '0': give PORT[-PORT][/tcp|/udp|/sctp]" },
        { "80/icmp", "--expose '80/icmp': give PORT[-PORT][/tcp|/udp|/sctp]" },
        { "81-80", "--expose '81-80': give PORT[-PORT][/tcp|/udp|/sctp]" },
        { "80-", "--expose '80-': give PORT[-PORT][/tcp|/udp|/sctp]" },
        { "1-65535", "--expose '1-65535': more than 1024 ports" },
    };
    const char *words[] = { "--expose", "80-81", "--expose", "80/tcp", "--expose", "53/udp", NULL };
    AUTO(settings) struct settings *settings = parse_good(words);
    auto_free char *joined = strings_join(&settings->exposed, " ");

    (void)state;
    assert_string_equal(joined, "80/tcp 81/tcp 53/udp");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error err = { 0 };

        assert_true(run_value_exposed(settings, bad[i].text, &err) < 0);
        assert_string_equal(err.message, bad[i].message);
    }
}

static void input_and_output_are_attached_as_docker_does(void **state)
{
    const char *interactive[] = { "-it", NULL };
    const char *detached[] = { "-dit", NULL };
    const char *chosen[] = { "-a", "STDERR", "-i", NULL };
    const char *both[] = { "-d", "-a", "stdout", NULL };
    AUTO(settings) struct settings *one = parse_good(interactive);
    AUTO(settings) struct settings *two = parse_good(detached);
    AUTO(settings) struct settings *three = parse_good(chosen);
    struct settings *four = NULL;
    struct error err = { 0 };

    (void)state;
    assert_true(one->attach_stdin && one->stdin_once && one->has_terminal && one->opens_stdin);
    assert_false(two->attach_stdin || two->attach_stdout || two->attach_stderr);
    assert_true(two->opens_stdin && !two->stdin_once);
    assert_true(three->attach_stderr && !three->attach_stdout && !three->attach_stdin);
    assert_int_equal(parse_with("run", both, &four, &err), -EINVAL);
    assert_string_equal(err.message, "conflicting options: -a and -d");
}

static void an_empty_entrypoint_takes_the_images_away(void **state)
{
    const char *words[] = { "--entrypoint", "", NULL };
    AUTO(settings) struct settings *settings = parse_good(words);

    (void)state;
    assert_true(settings->has_entrypoint);
    assert_int_equal(settings->entrypoint.count, 0);
}

static void variables_come_from_files_then_options_then_our_environment(void **state)
{
    char path[] = "/tmp/berth-test-XXXXXX";
    const char *words[] = { "--env-file", path,           "-e", "A=2", "-e", "FROM_US", "-e",
                            "NOT_SET",    "--label-file", path, "-l",  "B",  NULL };
    static const char content[] = "# comment\nA=1\n\n  C=x y\r\nFROM_US\n";
    auto_close int fd = mkstemp(path);
    AUTO(settings) struct settings *settings = NULL;

    (void)state;
    assert_true(write(fd, content, strlen(content)) == (ssize_t)strlen(content));
    (void)setenv("FROM_US", "here", 1);
    (void)unsetenv("NOT_SET");
    settings = parse_good(words);
    (void)unlink(path);
    assert_string_equal(strings_variable(&settings->env, "A"), "2");
    assert_string_equal(strings_variable(&settings->env, "C"), "x y");
    assert_string_equal(strings_variable(&settings->env, "FROM_US"), "here");
    assert_int_equal(settings->env.count, 3);
    assert_string_equal(string_map_get(&settings->labels, "A"), "1");
    assert_string_equal(string_map_get(&settings->labels, "B"), "");
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *words[4];
        const char *message;
    } rows[] = {
        { { "-v", "a/b:/c" }, NULL },
        { { "-v", "/a:b" }, "--volume '/a:b': the path in the container 'b' is not absolute" },
        { { "-v", "/a:/b:rx" }, "--volume '/a:/b:rx': invalid mode 'rx'" },
        { { "-v", "/a::ro" },
          "invalid volume specification '/a::ro': give [SOURCE:]PATH[:OPTIONS]" },
        { { "-v", "/a:/" },
          "invalid volume specification '/a:/': the path in the container cannot "
          "be '/'" },
        { { "--mount", "type=bind,target=/x" },
          "--mount 'type=bind,target=/x': source '' is not an absolute path" },
        { { "--mount", "type=bind,source=a/b,target=/x", NULL },
          "--mount 'type=bind,source=a/b,target=/x': source 'a/b' is not an absolute path" },
        { { "--mount", "type=bind,src=/b,dst=/c,volume-label=a" },
          "--mount 'type=bind,src=/b,dst=/c,volume-label=a': 'volume-label' is only for "
          "type=volume" },
        { { "--mount", "source=vol,target=/v,volume-label==b" },
          "--mount 'source=vol,target=/v,volume-label==b': volume-label '=b': give KEY=VALUE" },
        { { "--mount", "tpye=bind" },
          "--mount 'tpye=bind': unexpected key 'tpye', did you mean "
          "'type'?" },
        { { "--mount", "source=x" }, "--mount 'source=x': target is required" },
        { { "--mount", "type=tmpfs,volume-nocopy,target=/x" },
          "--mount 'type=tmpfs,volume-nocopy,target=/x': 'volume-nocopy' is only for type=volume" },
        { { "--ulimit", "nofile" },
          "--ulimit 'nofile': give NAME=SOFT[:HARD], as nofile=1024:2048" },
        { { "--ulimit", "nofile=3:2" },
          "--ulimit 'nofile=3:2': the soft limit is larger than the hard limit" },
        { { "--device", "x" },
          "--device 'x': give /dev/HOST[:/dev/CONTAINER][:ACCESS], access of rwm" },
        { { "--device-read-bps", "/dev/sda" },
          "--device-read-bps '/dev/sda': give /dev/NAME:BYTES, as /dev/sda:1mb" },
        { { "--restart", "sometimes" },
          "--restart 'sometimes': give no, on-failure[:N], always or unless-stopped" },
        { { "--restart", "always:3" }, "--restart 'always:3': only on-failure takes a number" },
        { { "-e", "=x" }, "--env '=x': invalid environment variable" },
        { { "--sysctl", "a" }, "--sysctl 'a': give KEY=VALUE" },
        { { "--annotation", "" }, "--annotation '': give KEY=VALUE" },
        { { "--annotation", "=x" }, "--annotation '=x': give KEY=VALUE" },
        { { "-a", "stdlog" }, "--attach 'stdlog': valid streams are stdin, stdout and stderr" },
        { { "--add-host", "a" }, "--add-host 'a': give NAME:IP" },
        { { "--blkio-weight", "5" }, "--blkio-weight: '5' is not a number from 10 to 1000, or 0" },
        { { "--cpus", "1", "--cpu-quota=5" }, "--cpus cannot be used together with --cpu-quota" },
        { { "--pull", "often" }, "--pull 'often': give missing, always or never" },
        { { "-m", "lots" }, NULL },
        { { "--pids-limit", "x" }, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *words[5] = { 0 };
        struct settings *settings = NULL;
        struct error err = { 0 };

        memcpy(words, rows[i].words, sizeof(rows[i].words));
        if (parse_with("run", words, &settings, &err) >= 0)
            fail_msg("row %zu is accepted", i);
        assert_null(settings);
        if (rows[i].message != NULL)
            assert_string_equal(err.message, rows[i].message);
        assert_true(err.message[0] != '\0');
    }
}

static void published_ports_are_kept_as_given(void **state)
{
    const char *words[] = { "-p", "80:80", "--publish", "127.0.0.1:53:53/udp", NULL };
    AUTO(settings) struct settings *settings = NULL;

    (void)state;
    assert_int_equal(parse_with("create", words, &settings, NULL), 0);
    assert_int_equal(settings->published.count, 2);
    assert_string_equal(settings->published.items[1], "127.0.0.1:53:53/udp");
}

static void annotations_are_pairs_of_which_the_last_counts(void **state)
{
    const char *words[] = { "--annotation", "a=1", "--annotation", "b", "--annotation",
                            "a=2=3",        NULL };
    AUTO(settings) struct settings *settings = parse_good(words);

    (void)state;
    assert_int_equal(settings->annotations.count, 2);
    assert_string_equal(string_map_get(&settings->annotations, "a"), "2=3");
    assert_string_equal(string_map_get(&settings->annotations, "b"), "");
}

static void what_is_not_there_yet_is_refused_with_a_reason(void **state)
{
    const char *words[] = { "--health-cmd", "true", NULL };
    struct settings *settings = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(parse_with("create", words, &settings, &err), -EINVAL);
    assert_non_null(strstr(err.message, "are not there yet"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_dockers_defaults_hold),
        cmocka_unit_test(limits_are_read_in_dockers_units),
        cmocka_unit_test(mounts_are_read_in_all_three_forms),
        cmocka_unit_test(devices_rates_ulimits_and_hosts_are_read),
        cmocka_unit_test(exposed_ports_are_listed_once_and_whole),
        cmocka_unit_test(input_and_output_are_attached_as_docker_does),
        cmocka_unit_test(an_empty_entrypoint_takes_the_images_away),
        cmocka_unit_test(variables_come_from_files_then_options_then_our_environment),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(published_ports_are_kept_as_given),
        cmocka_unit_test(annotations_are_pairs_of_which_the_last_counts),
        cmocka_unit_test(what_is_not_there_yet_is_refused_with_a_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
