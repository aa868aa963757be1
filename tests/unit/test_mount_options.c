#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "base/auto.h"
#include "runtime/mount_options.h"

static int parse(const char *words, struct mount_options *ret_options, struct error *err)
{
    /* Kept beyond the call, as the result borrows from it; freed by the next one. */
    static struct strings list;

    strings_clear(&list);
    if (words[0] != '\0')
        strings_split(&list, words, ' ');
    if (ret_options == NULL)
        return 0;
    return mount_options_parse(&list, ret_options, err);
}

static const struct row {
    const char *words;
    uint64_t set, clear, recursive_set, recursive_clear;
    unsigned long superblock;
} rows[] = {
    { "", 0, 0, 0, 0, 0 },
    { "defaults silent loud remount", 0, 0, 0, 0, 0 },
    { "ro", MOUNT_ATTR_RDONLY, 0, 0, 0, 0 },
    { "rw", 0, MOUNT_ATTR_RDONLY, 0, 0, 0 },
    { "ro rw", 0, MOUNT_ATTR_RDONLY, 0, 0, 0 },
    { "rw ro", MOUNT_ATTR_RDONLY, 0, 0, 0, 0 },
    { "nosuid nodev noexec", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0, 0, 0, 0 },
    { "suid dev exec", 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0, 0, 0 },
    { "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0, 0, 0, 0 },
    { "nosymfollow symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW, 0, 0, 0 },
    { "noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, 0, 0, 0 },
    { "strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME, 0, 0, 0 },
    { "relatime", 0, MOUNT_ATTR__ATIME, 0, 0, 0 },
    { "noatime strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME, 0, 0, 0 },
    { "strictatime noatime relatime", 0, MOUNT_ATTR__ATIME, 0, 0, 0 },
    { "noatime atime", 0, MOUNT_ATTR__ATIME, 0, 0, 0 },
    { "nodiratime", MOUNT_ATTR_NODIRATIME, 0, 0, 0, 0 },
    { "diratime", 0, MOUNT_ATTR_NODIRATIME, 0, 0, 0 },
    { "rro", 0, 0, MOUNT_ATTR_RDONLY, 0, 0 },
    { "rrw", 0, 0, 0, MOUNT_ATTR_RDONLY, 0 },
    { "rro rnosuid rnodev rnoexec rnosymfollow", 0, 0,
      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
          MOUNT_ATTR_NOSYMFOLLOW,
      0, 0 },
    { "rsuid rdev rexec rsymfollow", 0, 0, 0,
      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW, 0 },
    { "rnoatime", 0, 0, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, 0 },
    { "rstrictatime rnodiratime", 0, 0, MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NODIRATIME,
      MOUNT_ATTR__ATIME, 0 },
    { "ro rrw", MOUNT_ATTR_RDONLY, 0, 0, MOUNT_ATTR_RDONLY, 0 },
    { "sync dirsync lazytime mand iversion", 0, 0, 0, 0,
      MS_SYNCHRONOUS | MS_DIRSYNC | MS_LAZYTIME | MS_MANDLOCK | MS_I_VERSION },
    { "sync async lazytime nolazytime mand nomand iversion noiversion", 0, 0, 0, 0, 0 },
};

static void words_become_flags_and_later_ones_win(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct mount_options options = { 0 };

        assert_int_equal(parse(rows[i].words, &options, NULL), 0);
        if (options.attr_set != rows[i].set || options.attr_clear != rows[i].clear ||
            options.attr_recursive_set != rows[i].recursive_set ||
            options.attr_recursive_clear != rows[i].recursive_clear ||
            options.superblock != rows[i].superblock || options.data_count != 0)
            fail_msg("row %zu: '%s'", i, rows[i].words);
        mount_options_clear(&options);
    }
}

static void unknown_words_are_data_in_their_order(void **state)
{
    struct mount_options options = { 0 };

    (void)state;
    assert_int_equal(parse("mode=755 ro size=64k newinstance size=1m", &options, NULL), 0);
    assert_int_equal(options.data_count, 4);
    assert_string_equal(options.data[0], "mode=755");
    assert_string_equal(options.data[2], "newinstance");
    assert_string_equal(mount_options_value(&options, "size"), "1m");
    assert_null(mount_options_value(&options, "siz"));
    assert_true(mount_options_has(&options, "newinstance"));
    assert_false(mount_options_has(&options, "ro"));
    mount_options_clear(&options);
}

static void bind_and_rbind_are_told_apart(void **state)
{
    struct mount_options options = { 0 };

    (void)state;
    assert_int_equal(parse("bind", &options, NULL), 0);
    assert_true(options.is_bind);
    assert_false(options.is_bind_recursive);
    assert_int_equal(parse("rbind ro", &options, NULL), 0);
    assert_true(options.is_bind);
    assert_true(options.is_bind_recursive);
}

static void extensions_are_flags_of_their_own(void **state)
{
    struct mount_options options = { 0 };

    (void)state;
    assert_int_equal(parse("tmpcopyup ridmap", &options, NULL), 0);
    assert_true(options.has_copy_up);
    assert_true(options.has_id_map);
    assert_true(options.is_id_map_recursive);
    assert_int_equal(parse("idmap", &options, NULL), 0);
    assert_true(options.has_id_map);
    assert_false(options.is_id_map_recursive);
}

static void propagation_keeps_its_order(void **state)
{
    struct mount_options options = { 0 };

    (void)state;
    assert_int_equal(parse("rslave shared private runbindable", &options, NULL), 0);
    assert_int_equal(options.propagation_count, 4);
    assert_int_equal(options.propagations[0].flag, MS_SLAVE);
    assert_true(options.propagations[0].is_recursive);
    assert_int_equal(options.propagations[1].flag, MS_SHARED);
    assert_false(options.propagations[1].is_recursive);
    assert_int_equal(options.propagations[2].flag, MS_PRIVATE);
    assert_int_equal(options.propagations[3].flag, MS_UNBINDABLE);
    assert_true(options.propagations[3].is_recursive);
}

static void too_many_propagations_are_refused_and_nothing_is_written(void **state)
{
    struct mount_options options = { .superblock = 42 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(parse("size=1 slave shared slave shared slave", &options, &err), -EINVAL);
    assert_string_equal(err.message, "more than 4 propagation options");
    assert_int_equal(options.superblock, 42);
}

static void a_propagation_word_alone_is_parsed(void **state)
{
    static const struct {
        const char *word;
        uint64_t flag;
        bool is_recursive;
    } words[] = {
        { "private", MS_PRIVATE, false },       { "rprivate", MS_PRIVATE, true },
        { "slave", MS_SLAVE, false },           { "rslave", MS_SLAVE, true },
        { "shared", MS_SHARED, false },         { "rshared", MS_SHARED, true },
        { "unbindable", MS_UNBINDABLE, false }, { "runbindable", MS_UNBINDABLE, true },
    };
    struct mount_propagation propagation = { 0 };
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        assert_int_equal(mount_propagation_parse(words[i].word, &propagation, &err), 0);
        if (propagation.flag != words[i].flag || propagation.is_recursive != words[i].is_recursive)
            fail_msg("row %zu: '%s'", i, words[i].word);
    }
    assert_int_equal(mount_propagation_parse("ro", &propagation, &err), -EINVAL);
    assert_string_equal(err.message, "'ro' is not a kind of mount propagation");
}

#define SOURCE (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define ALL    (SOURCE | MOUNT_ATTR_NOSYMFOLLOW)

static void a_bind_with_a_word_has_only_what_is_named(void **state)
{
    static const struct {
        const char *words;
        uint64_t set, clear;
    } binds[] = {
        { "bind rprivate remount", 0, 0 },
        { "bind dev", 0, ALL },
        { "bind ro", MOUNT_ATTR_RDONLY, ALL & ~(uint64_t)MOUNT_ATTR_RDONLY },
        { "bind nosuid nodev rprivate", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
          ALL & ~(uint64_t)(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV) },
        { "bind noatime", MOUNT_ATTR_NOATIME, ALL | MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME },
        { "bind nodiratime", MOUNT_ATTR_NODIRATIME, ALL | MOUNT_ATTR__ATIME },
        { "bind nodiratime strictatime", MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_STRICTATIME,
          ALL | MOUNT_ATTR__ATIME },
        { "rbind rro", 0, 0 },
        { "rbind rro dev", 0, ALL & ~(uint64_t)MOUNT_ATTR_RDONLY },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(binds); i++) {
        struct mount_options options = { 0 };
        uint64_t set = 1, clear = 1;

        assert_int_equal(parse(binds[i].words, &options, NULL), 0);
        mount_options_plan_bind(&options, &set, &clear);
        if (set != binds[i].set || clear != binds[i].clear)
            fail_msg("row %zu: '%s'", i, binds[i].words);
        mount_options_clear(&options);
    }
}

static void a_locked_flag_is_kept_and_a_word_against_it_refused(void **state)
{
    static const struct {
        const char *words;
        uint64_t has, set, clear;
        const char *word, *locked; /* of the refusal; NULL: none */
    } binds[] = {
        { "bind dev", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSYMFOLLOW, 0, MOUNT_ATTR_NOSYMFOLLOW, NULL,
          NULL },
        { "bind ro", SOURCE, MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSYMFOLLOW, NULL, NULL },
        { "bind rw suid dev exec", 0, 0, MOUNT_ATTR_NOSYMFOLLOW, NULL, NULL },
        { "bind noatime", MOUNT_ATTR_NOATIME, 0, MOUNT_ATTR_NOSYMFOLLOW, NULL, NULL },
        { "bind rw nodev", MOUNT_ATTR_RDONLY, 0, 0, "rw", "ro" },
        { "bind suid", MOUNT_ATTR_NOSUID, 0, 0, "suid", "nosuid" },
        { "bind dev", SOURCE, 0, 0, "dev", "nodev" },
        { "bind exec", MOUNT_ATTR_NOEXEC, 0, 0, "exec", "noexec" },
        { "bind diratime", MOUNT_ATTR_NODIRATIME, 0, 0, "diratime", "nodiratime" },
        { "bind relatime", MOUNT_ATTR_NOATIME, 0, 0, "relatime", "noatime" },
        { "bind noatime", MOUNT_ATTR_STRICTATIME, 0, 0, "noatime", "strictatime" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(binds); i++) {
        struct mount_options options = { 0 };
        struct error err = { 0 };
        auto_free char *sentence = xasprintf(
            "'%s': the source is mounted with '%s', which is locked in the user namespace",
            binds[i].word, binds[i].locked);
        uint64_t set = 0, clear = 0;
        int r;

        assert_int_equal(parse(binds[i].words, &options, NULL), 0);
        r = mount_options_plan_locked_bind(&options, binds[i].has, &set, &clear, &err);
        if (r != (binds[i].word != NULL ? -EPERM : 0) || set != binds[i].set ||
            clear != binds[i].clear || (r < 0 && strcmp(err.message, sentence) != 0))
            fail_msg("row %zu: '%s': %s", i, binds[i].words, err.message);
        mount_options_clear(&options);
    }
}

static int release(void **state)
{
    (void)state;
    return parse("", NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_flags_and_later_ones_win),
        cmocka_unit_test(unknown_words_are_data_in_their_order),
        cmocka_unit_test(bind_and_rbind_are_told_apart),
        cmocka_unit_test(extensions_are_flags_of_their_own),
        cmocka_unit_test(propagation_keeps_its_order),
        cmocka_unit_test(too_many_propagations_are_refused_and_nothing_is_written),
        cmocka_unit_test(a_propagation_word_alone_is_parsed),
        cmocka_unit_test(a_bind_with_a_word_has_only_what_is_named),
        cmocka_unit_test(a_locked_flag_is_kept_and_a_word_against_it_refused),
    };

    return cmocka_run_group_tests(tests, NULL, release);
}
