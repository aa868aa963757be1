#include "engine/group.h"

#include "tests/unit/base_test.h"

#include <errno.h>

#include "engine/engine_private.h"

static void names_are_paths_of_letters_digits_hyphens_and_underscores(void **state)
{
    static const struct {
        const char *text, *name;
    } rows[] = {
        { "production", "production" },
        { "production/", "production" },
        { "production/web_1/a-b", "production/web_1/a-b" },
        { "0", "0" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *name = NULL;
        struct error err = { 0 };

        if (group_name_parse(rows[i].text, &name, &err) < 0)
            fail_msg("%s: %s", rows[i].text, err.message);
        assert_string_equal(name, rows[i].name);
    }
}

static void what_is_no_name_is_told_by_a_sentence(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "", "cgroup name '': a part of it is empty" },
        { "/", "cgroup name '/': it is below berth's own cgroup, give it without the first slash" },
        { "/a", "cgroup name '/a': it is below berth's own cgroup, give it without the first "
                "slash" },
        { "a//b", "cgroup name 'a//b': a part of it is empty" },
        { "a//", "cgroup name 'a//': a part of it is empty" },
        { "..", "cgroup name '..': give letters, digits, '_' and '-', as production/web" },
        { "cpu.max", "cgroup name 'cpu.max': give letters, digits, '_' and '-', as "
                     "production/web" },
        { "a+b", "cgroup name 'a+b': give letters, digits, '_' and '-', as production/web" },
        { "-a", "cgroup name '-a': give letters, digits, '_' and '-', as production/web" },
        { "a/tasks", "cgroup name 'a/tasks': the kernel has a file 'tasks'" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char *name = NULL;
        struct error err = { 0 };

        if (group_name_parse(rows[i].text, &name, &err) != -EINVAL)
            fail_msg("'%s' was taken", rows[i].text);
        assert_string_equal(err.message, rows[i].message);
        assert_null(name);
    }
}

static void a_name_is_never_as_long_as_a_containers_id_or_a_file_allows(void **state)
{
    char part[CONTAINER_ID_LENGTH + 1];
    char whole[GROUP_NAME_MAX + 2];
    auto_free char *file = NULL;
    char *name = NULL;
    struct error err = { 0 };

    (void)state;
    memset(part, 'a', CONTAINER_ID_LENGTH);
    part[CONTAINER_ID_LENGTH] = '\0';
    assert_int_equal(group_name_parse(part, &name, &err), -EINVAL);
    assert_non_null(strstr(err.message, "a part has more than 63 bytes"));
    for (size_t i = 0; i < sizeof(whole) - 1; i++)
        whole[i] = i % 2 == 0 ? 'a' : '/';
    whole[sizeof(whole) - 1] = '\0';
    assert_int_equal(group_name_parse(whole, &name, &err), -EINVAL);
    assert_non_null(strstr(err.message, "it has more than 200 bytes"));
    whole[GROUP_NAME_MAX - 1] = '\0';
    assert_int_equal(group_name_parse(whole, &name, &err), 0);
    file = group_name_encode(name);
    assert_true(strlen(file) <= 255);
    free(name);
}

static void a_files_name_is_a_groups_and_back(void **state)
{
    static const char *const foreign[] = { ".lock",   "a.json.x", "a++b.json", "+a.json",
                                           "a+.json", ".json",    "a.b.json" };
    auto_free char *file = group_name_encode("production/web/a_b");
    auto_free char *name = group_name_decode(file);

    (void)state;
    assert_string_equal(file, "production+web+a_b.json");
    assert_string_equal(name, "production/web/a_b");
    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
        auto_free char *none = group_name_decode(foreign[i]);

        if (none != NULL)
            fail_msg("'%s' was taken for '%s'", foreign[i], none);
    }
}

static void a_groups_parent_and_path_are_parts_of_its_name(void **state)
{
    auto_free char *parent = group_name_parent("production/web/a");
    auto_free char *path = group_name_path("production/web");

    (void)state;
    assert_string_equal(parent, "production/web");
    assert_null(group_name_parent("production"));
    assert_string_equal(path, "/berth/production/web");
}

static void groups_are_listed_with_those_below_behind_each(void **state)
{
    static const char *const files[] = { "a-b.json", "a+c.json", "b.json",
                                         "a.json",   ".lock",    "a+b.json" };
    struct engine engine = { .data_fd = directory_of(state) };
    AUTO_CLEAR(strings) struct strings names = { 0 };
    auto_free char *joined = NULL;

    assert_int_equal(groups_list(&engine, &names, NULL), 0);
    assert_int_equal(names.count, 0);
    assert_int_equal(mkdirat(engine.data_fd, "cgroups", 0700), 0);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        auto_free char *path = xasprintf("cgroups/%s", files[i]);
        auto_close int fd = openat(engine.data_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
    }
    assert_int_equal(groups_list(&engine, &names, NULL), 0);
    joined = strings_join(&names, " ");
    assert_string_equal(joined, "a a/b a/c a-b b");
}

/* --- the tree --- */

static void add_node(struct group_nodes *list, const char *name, const char *id, size_t parent,
                     uint64_t shares)
{
    list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = (struct group_node){
        .name = xstrdup(name),
        .id = xstrdup(id),
        .parent = parent,
        .cpu_shares = shares,
    };
}

static int percent(const struct group_node *node)
{
    return (int)(node->cpu_share * 1000 + 0.5);
}

static void shares_count_among_siblings(void **state)
{
    AUTO_CLEAR(group_nodes) struct group_nodes list = { 0 };

    (void)state;
    add_node(&list, "production", NULL, GROUP_NO_PARENT, 2048);
    add_node(&list, "production/web", NULL, 0, 0);
    add_node(&list, "clock", "1", 0, 3072);
    add_node(&list, "testing", NULL, GROUP_NO_PARENT, 0);
    add_node(&list, "dev", NULL, GROUP_NO_PARENT, 512);
    group_nodes_share(&list);
    assert_int_equal(percent(&list.items[0]), 571);
    assert_int_equal(percent(&list.items[1]), 250);
    assert_int_equal(percent(&list.items[2]), 750);
    assert_int_equal(percent(&list.items[3]), 286);
    assert_int_equal(percent(&list.items[4]), 143);
    assert_int_equal(list.items[3].cpu_shares, 1024);
}

static void weights_that_the_kernel_holds_count_before_shares_that_were_asked_for(void **state)
{
    AUTO_CLEAR(group_nodes) struct group_nodes list = { 0 };

    (void)state;
    add_node(&list, "a", NULL, GROUP_NO_PARENT, 2048);
    add_node(&list, "b", NULL, GROUP_NO_PARENT, 1024);
    list.items[0].is_made = true;
    list.items[0].held =
        (struct cgroup_shares){ .is_cpu_v2 = true, .has_cpu_weight = true, .cpu_weight = 300 };
    list.items[1].held.is_cpu_v2 = true;
    group_nodes_share(&list);
    assert_int_equal(percent(&list.items[0]), 750);
    assert_int_equal(percent(&list.items[1]), 250);
}

static void a_part_of_the_tree_keeps_its_own_parents(void **state)
{
    AUTO_CLEAR(group_nodes) struct group_nodes list = { 0 };

    (void)state;
    add_node(&list, "dev", NULL, GROUP_NO_PARENT, 0);
    add_node(&list, "production", NULL, GROUP_NO_PARENT, 0);
    add_node(&list, "production/web", NULL, 1, 0);
    add_node(&list, "production", "1", 2, 0); /* a container's name */
    add_node(&list, "testing", NULL, GROUP_NO_PARENT, 0);
    assert_int_equal(group_nodes_cut(&list, "web"), -ENOENT);
    assert_int_equal(list.count, 5);
    assert_int_equal(group_nodes_cut(&list, "production"), 0);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.items[0].name, "production");
    assert_true(list.items[0].parent == GROUP_NO_PARENT);
    assert_int_equal(list.items[1].parent, 0);
    assert_int_equal(list.items[2].parent, 1);
    assert_int_equal(group_nodes_cut(&list, "production/web"), 0);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[1].parent, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_paths_of_letters_digits_hyphens_and_underscores),
        cmocka_unit_test(what_is_no_name_is_told_by_a_sentence),
        cmocka_unit_test(a_name_is_never_as_long_as_a_containers_id_or_a_file_allows),
        cmocka_unit_test(a_files_name_is_a_groups_and_back),
        cmocka_unit_test(a_groups_parent_and_path_are_parts_of_its_name),
        IN_DIRECTORY(groups_are_listed_with_those_below_behind_each),
        cmocka_unit_test(shares_count_among_siblings),
        cmocka_unit_test(weights_that_the_kernel_holds_count_before_shares_that_were_asked_for),
        cmocka_unit_test(a_part_of_the_tree_keeps_its_own_parents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
