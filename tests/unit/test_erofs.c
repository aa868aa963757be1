#include "tests/unit/base_test.h"

#include <errno.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "unionfs/erofs_file.h"
#include "unionfs/erofs_image.h"
#include "unionfs/erofs_tree.h"

/* What is written is read by a small reader of this test's own, as the kernel would do it. */

#define SUPERBLOCK 1024

static uint64_t get(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = bytes; i > 0; i--)
        value = value << 8 | at[i - 1];
    return value;
}

/* --- reading ---------------------------------------------------------------------------------- */

struct inode {
    const uint8_t *at;
    uint64_t size, block, attributes_bytes;
    mode_t mode;
    bool is_inline;
};

static struct inode read_inode(const uint8_t *image, uint64_t number)
{
    const uint8_t *at = image + number * 32;
    struct inode inode = { .at = at, .mode = (mode_t)get(at + 4, 2), .size = get(at + 8, 8) };
    unsigned count = (unsigned)get(at + 2, 2);

    assert_int_equal(get(at, 2) & 1, 1); /* extended */
    inode.is_inline = (get(at, 2) >> 1 & 7) == 2;
    inode.block = get(at + 16, 4);
    inode.attributes_bytes = count == 0 ? 0 : 12 + (count - 1) * 4;
    assert_true((at - image) % 4096 <= 4096 - 64);
    return inode;
}

static const uint8_t *read_block(const uint8_t *image, const struct inode *inode, uint64_t block)
{
    const uint8_t *tail = inode->at + 64 + inode->attributes_bytes;

    if (!inode->is_inline || block < inode->size / 4096)
        return image + (inode->block + block) * 4096;
    assert_true((uint64_t)(tail - image) % 4096 + inode->size % 4096 <= 4096);
    return tail;
}

/* "name number type " for each name of a directory, in order. */
static char *read_names(const uint8_t *image, uint64_t number)
{
    struct inode inode = read_inode(image, number);
    struct text text = { 0 };

    assert_true(S_ISDIR(inode.mode));
    for (uint64_t at = 0; at < inode.size; at += 4096) {
        const uint8_t *block = read_block(image, &inode, at / 4096);
        uint64_t length = inode.size - at < 4096 ? inode.size - at : 4096;
        uint64_t count = get(block + 8, 2) / 12;

        assert_true(count > 0);
        for (uint64_t i = 0; i < count; i++) {
            uint64_t from = get(block + i * 12 + 8, 2);
            uint64_t to = i + 1 < count ? get(block + (i + 1) * 12 + 8, 2) : length;
            size_t name_length = strnlen((const char *)block + from, to - from);

            text_addf(&text, "%.*s %llu %u ", (int)name_length, (const char *)block + from,
                      (unsigned long long)get(block + i * 12, 8), block[i * 12 + 10]);
        }
    }
    return text_take(&text);
}

static uint64_t find_name(const uint8_t *image, uint64_t number, const char *name)
{
    auto_free char *names = read_names(image, number);
    auto_free char *padded = xasprintf(" %s", names);
    auto_free char *wanted = xasprintf(" %s ", name);
    const char *found = strstr(padded, wanted);

    assert_non_null(found);
    return strtoull(found + strlen(wanted), NULL, 10);
}

static uint64_t root_number(const uint8_t *image)
{
    assert_int_equal(get(image + SUPERBLOCK, 4), 0xe0f5e1e2);
    return get(image + SUPERBLOCK + 14, 2);
}

/* --- trees in memory -------------------------------------------------------------------------- */

static uint32_t add(struct erofs_tree *tree, uint32_t parent, const char *name, mode_t mode,
                    uint64_t size)
{
    struct erofs_node node = { .mode = mode,
                               .size = size,
                               .links = S_ISDIR(mode) ? 2 : 0,
                               .parent = parent,
                               .target = S_ISLNK(mode) ? xasprintf("%0*d", (int)size, 7) : NULL };
    uint32_t index;

    node.size = S_ISREG(mode) ? size : 0;
    node.name = xstrdup(name);
    index = erofs_tree_add_node(tree, &node);
    if (index > 0)
        erofs_tree_add_entry(tree, parent, (char *)node.name, index);
    else
        free((char *)node.name);
    return index;
}

static void add_attribute(struct erofs_tree *tree, uint32_t index, const char *name, size_t size)
{
    struct erofs_node *node = &tree->nodes[index];

    node->attributes =
        xrealloc(node->attributes, node->attribute_count + 1, sizeof(*node->attributes));
    node->attributes[node->attribute_count++] = (struct erofs_attribute){
        .name = xstrdup(name), .value = xcalloc(size + 1, 1), .size = size
    };
    memset(node->attributes[node->attribute_count - 1].value, 'v', size);
}

static uint8_t *encode(struct erofs_tree *tree, struct erofs_plan *plan)
{
    struct error err = { 0 };

    assert_int_equal(erofs_plan(tree, plan, &err), 0);
    return erofs_encode(tree, plan);
}

static void an_empty_root_takes_one_block_and_16_mib(void **state)
{
    AUTO_CLEAR(erofs_tree) struct erofs_tree tree = { 0 };
    auto_free uint8_t *image = NULL;
    auto_free char *names = NULL;
    struct erofs_plan plan;

    (void)state;
    add(&tree, 0, "", S_IFDIR | 0755, 0);
    image = encode(&tree, &plan);
    assert_int_equal(plan.blocks, 1);
    assert_int_equal(plan.length, 16 << 20);
    assert_int_equal(root_number(image), 36);
    names = read_names(image, 36);
    assert_string_equal(names, ". 36 2 .. 36 2 ");
    /* crc32c of these 3072 bytes with the place of the sum as zeros, computed with Python */
    assert_int_equal(get(image + SUPERBLOCK + 4, 4), 0x2c768f79);
}

static void names_are_in_the_order_of_their_bytes_with_the_dots_among_them(void **state)
{
    static const char *const names[] = { "!", "-x", "...", ".a", "a", "\xc3\xa4" };
    AUTO_CLEAR(erofs_tree) struct erofs_tree tree = { 0 };
    auto_free uint8_t *image = NULL;
    auto_free char *found = NULL;
    auto_free char *expected = NULL;
    struct erofs_plan plan;

    (void)state;
    add(&tree, 0, "", S_IFDIR | 0755, 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        add(&tree, 0, names[i], S_IFREG | 0644, 0);
    image = encode(&tree, &plan);
    found = read_names(image, 36);
    expected = xasprintf("! %llu 1 -x %llu 1 . 36 2 .. 36 2 ... %llu 1 .a %llu 1 a %llu 1 "
                         "\xc3\xa4 %llu 1 ",
                         (unsigned long long)tree.nodes[1].position / 32,
                         (unsigned long long)tree.nodes[2].position / 32,
                         (unsigned long long)tree.nodes[3].position / 32,
                         (unsigned long long)tree.nodes[4].position / 32,
                         (unsigned long long)tree.nodes[5].position / 32,
                         (unsigned long long)tree.nodes[6].position / 32);
    assert_string_equal(found, expected);
}

static void an_inode_says_all_of_its_file(void **state)
{
    AUTO_CLEAR(erofs_tree) struct erofs_tree tree = { 0 };
    auto_free uint8_t *image = NULL;
    struct erofs_plan plan;
    struct inode inode;

    (void)state;
    add(&tree, 0, "", S_IFDIR | 01777, 0);
    add(&tree, 0, "d", S_IFCHR | 0620, 0);
    tree.nodes[1].device = makedev(0xabc, 0x12345);
    tree.nodes[1].uid = 0x12345678;
    tree.nodes[1].gid = 0xfffffffe;
    tree.nodes[1].time = (struct timespec){ .tv_sec = -5, .tv_nsec = 999999999 };
    image = encode(&tree, &plan);
    inode = read_inode(image, find_name(image, 36, "d"));
    assert_int_equal(inode.mode, S_IFCHR | 0620);
    assert_int_equal(get(inode.at + 16, 4), 0x123abc45);
    assert_int_equal(get(inode.at + 20, 4), 2);
    assert_int_equal(get(inode.at + 24, 4), 0x12345678);
    assert_int_equal(get(inode.at + 28, 4), 0xfffffffe);
    assert_int_equal((int64_t)get(inode.at + 32, 8), -5);
    assert_int_equal(get(inode.at + 40, 4), 999999999);
    assert_int_equal(get(inode.at + 44, 4), 1);
}

static void each_kind_has_its_number(void **state)
{
    static const struct {
        mode_t mode;
        const char *type;
    } rows[] = {
        { S_IFREG, "1" }, { S_IFDIR, "2" },  { S_IFCHR, "3" }, { S_IFBLK, "4" },
        { S_IFIFO, "5" }, { S_IFSOCK, "6" }, { S_IFLNK, "7" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(erofs_tree) struct erofs_tree tree = { 0 };
        auto_free uint8_t *image = NULL;
        auto_free char *names = NULL;
        auto_free char *end = xasprintf(" %s ", rows[i].type);
        struct erofs_plan plan;

        add(&tree, 0, "", S_IFDIR | 0755, 0);
        add(&tree, 0, "x", rows[i].mode | 0644, 3);
        image = encode(&tree, &plan);
        names = read_names(image, 36);
        assert_true(text_ends(names, end));
    }
}

static void attributes_stand_behind_the_inode_and_before_the_target(void **state)
{
    AUTO_CLEAR(erofs_tree) struct erofs_tree tree = { 0 };
    auto_free uint8_t *image = NULL;
    struct erofs_plan plan;
    struct inode inode;

    (void)state;
    add(&tree, 0, "", S_IFDIR | 0755, 0);
    add(&tree, 0, "l", S_IFLNK | 0777, 9);
    add_attribute(&tree, 1, "security.capability", 20);
    add_attribute(&tree, 1, "user.a", 1);
    image = encode(&tree, &plan);
    inode = read_inode(image, find_name(image, 36, "l"));
    assert_int_equal(inode.attributes_bytes, 12 + 36 + 8);
    assert_memory_equal(inode.at + 64 + 12, "\x0a\x06\x14\0capabilityvvvvvvvvvvvvvvvvvvvv\0\0", 36);
    assert_memory_equal(inode.at + 64 + 48, "\x01\x01\x01\0av\0\0", 8);
    assert_true(inode.is_inline);
    assert_memory_equal(read_block(image, &inode, 0), "000000007", 9);
}

static void what_erofs_has_no_room_for_is_an_error(void **state)
{
    static const struct {
        const char *name;
        size_t size, count;
        const char *message;
    } rows[] = {
        { "user.a", 65536, 1, "'/f' has an attribute longer than 65535 bytes" },
        { "user.a", 65000, 5, "'/f' has more attributes than EROFS has room for" },
        { "odd.a", 1, 1, "'/f' has an attribute of a kind that EROFS does not know" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(erofs_tree) struct erofs_tree tree = { 0 };
        struct erofs_plan plan = { .blocks = 42 };
        struct error err = { 0 };

        add(&tree, 0, "", S_IFDIR | 0755, 0);
        add(&tree, 0, "f", S_IFREG | 0644, 0);
        for (size_t k = 0; k < rows[i].count; k++)
            add_attribute(&tree, 1, rows[i].name, rows[i].size);
        assert_int_equal(erofs_plan(&tree, &plan, &err), -E2BIG);
        assert_string_equal(err.message, rows[i].message);
        assert_int_equal(plan.blocks, 42);
    }
}

static void files_begin_at_blocks_of_their_own(void **state)
{
    static const uint64_t sizes[] = { 0, 1, 4096, 4097, 0, 12288, 1ull << 33 };
    static const uint64_t blocks[] = { 0, 1, 2, 3, 0, 5, 8 };
    AUTO_CLEAR(erofs_tree) struct erofs_tree tree = { 0 };
    struct erofs_plan plan;
    struct error err = { 0 };

    (void)state;
    add(&tree, 0, "", S_IFDIR | 0755, 0);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        add(&tree, 0, ((const char[]){ (char)('a' + i), '\0' }), S_IFREG | 0644, sizes[i]);
    assert_int_equal(erofs_plan(&tree, &plan, &err), 0);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        if (tree.nodes[i + 1].block != blocks[i])
            print_error("file %zu\n", i);
        assert_int_equal(tree.nodes[i + 1].block, blocks[i]);
        assert_false(tree.nodes[i + 1].is_inline);
    }
    assert_int_equal(plan.blocks, 8 + (1u << 21));
    assert_int_equal(plan.length % (16 << 20), 0);
    tree.nodes[1].size = 1ull << 45;
    assert_int_equal(erofs_plan(&tree, &plan, &err), -EFBIG);
}

/* Sizes around what fits into blocks: all that was put in is found again. */
static void directories_links_and_attributes_of_any_size_are_found_again(void **state)
{
    uint32_t seed = 12345;

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        AUTO_CLEAR(erofs_tree) struct erofs_tree tree = { 0 };
        auto_free uint8_t *image = NULL;
        struct erofs_plan plan;
        unsigned count = round * 2;

        add(&tree, 0, "", S_IFDIR | 0755, 0);
        for (unsigned i = 0; i < count; i++) {
            unsigned length = 5 + (seed = seed * 1103515245 + 12345, seed >> 16) % 200;
            auto_free char *name = xasprintf("%05u%0*d", i, (int)length, 0);

            add(&tree, 0, name, S_IFLNK | 0777, 1 + (seed >> 8) % (i % 40 == 0 ? 4095 : 100));
            if (i % 7 == 0)
                add_attribute(&tree, i + 1, "user.x", (seed >> 4) % (i % 21 == 0 ? 9000 : 60));
        }
        image = encode(&tree, &plan);
        for (unsigned i = 0; i < count; i++) {
            const char *name = tree.entries[i].name;
            struct inode inode;

            if (i % 10 != 0)
                continue;
            inode = read_inode(image, find_name(image, root_number(image), name));
            assert_int_equal(inode.size, strlen(tree.nodes[i + 1].target));
            assert_memory_equal(read_block(image, &inode, 0), tree.nodes[i + 1].target, inode.size);
        }
    }
}

/* --- layers ----------------------------------------------------------------------------------- */

static void put_directory(int dir_fd, const char *path)
{
    assert_int_equal(mkdirat(dir_fd, path, 0755), 0);
}

static int layer(void **state, const char *name)
{
    put_directory(directory_of(state), name);
    return openat(directory_of(state), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* "d:3 d/f:1:L0 ...": all paths with their numbers of links and, of files, the layer. */
static char *list(const struct erofs_tree *tree)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    for (uint32_t i = 0; i < tree->node_count; i++) {
        const struct erofs_node *node = &tree->nodes[i];

        for (uint32_t k = 0; k < node->entry_count; k++) {
            const struct erofs_entry *entry = &tree->entries[node->first_entry + k];
            const struct erofs_node *child = &tree->nodes[entry->node];
            auto_free char *parent = erofs_tree_path(tree, i);
            auto_free char *layer_text =
                S_ISREG(child->mode) ? xasprintf(":L%u", child->layer) : xstrdup("");

            strings_addf(&lines, "%s%s%s:%u%s", parent, *parent == '\0' ? "" : "/", entry->name,
                         child->links, layer_text);
        }
    }
    strings_sort(&lines);
    return lines.count == 0 ? xstrdup("") : strings_join(&lines, " ");
}

static char *merge(const int *fds, size_t count)
{
    AUTO_CLEAR(erofs_tree) struct erofs_tree tree = { 0 };
    struct error err = { 0 };

    if (erofs_tree_read(fds, count, &tree, &err) < 0)
        print_error("%s\n", err.message);
    assert_true(tree.node_count > 0);
    return list(&tree);
}

static void the_topmost_layer_decides_and_directories_are_merged(void **state)
{
    auto_close int top = layer(state, "top");
    auto_close int middle = layer(state, "middle");
    auto_close int bottom = layer(state, "bottom");
    auto_free char *found = NULL;

    put_directory(bottom, "d");
    put_file(bottom, "d/hidden", "");
    put_file(bottom, "d/over", "");
    put_file(bottom, "d/stays", "");
    put_directory(bottom, "gone");
    put_file(bottom, "gone/x", "");
    put_file(bottom, "was_file", "");
    put_directory(bottom, "was_directory");
    put_file(bottom, "was_directory/x", "");
    put_directory(middle, "d");
    put_file(middle, "d/over", "");
    put_directory(middle, "was_file");
    put_file(middle, "was_directory", "");
    put_directory(top, "d");
    put_directory(top, "was_directory");
    put_file(top, "was_directory/y", "");
    assert_int_equal(mknodat(top, "d/hidden", S_IFCHR, makedev(0, 0)), 0);
    assert_int_equal(mknodat(top, "gone", S_IFCHR, makedev(0, 0)), 0);
    found = merge((const int[]){ top, middle, bottom }, 3);
    assert_string_equal(found, "d/over:1:L1 d/stays:1:L2 d:2 was_directory/y:1:L0 "
                               "was_directory:2 was_file:2");
}

static void an_opaque_directory_hides_what_is_below(void **state)
{
    auto_close int top = layer(state, "top");
    auto_close int middle = layer(state, "middle");
    auto_close int bottom = layer(state, "bottom");
    auto_close int opaque = -1;
    auto_free char *found = NULL;

    put_directory(bottom, "d");
    put_directory(bottom, "d/e");
    put_file(bottom, "d/e/x", "");
    put_directory(middle, "d");
    put_directory(middle, "d/e");
    put_file(middle, "d/e/y", "");
    put_directory(top, "d");
    put_file(top, "d/z", "");
    opaque = openat(middle, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fsetxattr(opaque, "trusted.overlay.opaque", "y", 1, 0) < 0)
        skip(); /* only root may */
    found = merge((const int[]){ top, middle, bottom }, 3);
    assert_string_equal(found, "d/e/y:1:L1 d/e:2 d/z:1:L0 d:3");
}

static void names_of_one_file_stay_together_and_hidden_ones_do_not_count(void **state)
{
    auto_close int top = layer(state, "top");
    auto_close int bottom = layer(state, "bottom");
    auto_free char *found = NULL;

    put_file(bottom, "a", "x");
    assert_int_equal(linkat(bottom, "a", bottom, "b", 0), 0);
    assert_int_equal(linkat(bottom, "a", bottom, "c", 0), 0);
    put_file(top, "b", "other");
    found = merge((const int[]){ top, bottom }, 2);
    assert_string_equal(found, "a:2:L1 b:1:L0 c:2:L1");
}

static void the_root_is_as_the_topmost_layer_that_tells_of_it(void **state)
{
    auto_close int top = layer(state, "top");
    auto_close int bottom = layer(state, "bottom");
    const struct timespec never[2] = { { 0, 0 }, { 0, 0 } };
    const struct timespec then[2] = { { 5, 0 }, { 42, 7 } };
    AUTO_CLEAR(erofs_tree) struct erofs_tree tree = { 0 };
    struct error err = { 0 };

    if (geteuid() != 0)
        skip(); /* a layer that tells nothing belongs to root */
    assert_int_equal(fchmod(bottom, 0711), 0);
    assert_int_equal(futimens(bottom, then), 0);
    assert_int_equal(futimens(top, never), 0);
    assert_int_equal(erofs_tree_read((const int[]){ top, bottom }, 2, &tree, &err), 0);
    assert_int_equal(tree.nodes[0].mode, S_IFDIR | 0711);
    assert_int_equal(tree.nodes[0].time.tv_sec, 42);
    assert_int_equal(tree.nodes[0].time.tv_nsec, 7);
}

/* --- files ------------------------------------------------------------------------------------ */

static void what_is_written_has_each_content_and_keeps_holes(void **state)
{
    auto_close int top = layer(state, "top");
    auto_close int image = openat(directory_of(state), "image", O_RDWR | O_CREAT, 0600);
    auto_close int large = -1;
    struct error err = { 0 };
    struct stat status;
    char found[8];

    put_file(top, "a", "small");
    put_file(top, "b", "");
    large = openat(top, "c", O_RDWR | O_CREAT, 0600);
    assert_int_equal(pwrite(large, "middle", 6, 40 << 20), 6);
    assert_int_equal(ftruncate(large, 64 << 20), 0);
    assert_int_equal(erofs_file_write(image, &top, 1, NULL, &err), 0);
    assert_int_equal(fstat(image, &status), 0);
    assert_int_equal(status.st_size, 80 << 20);
    assert_true(status.st_blocks * 512 < 8 << 20);
    assert_int_equal(pread(image, found, 6, 4096), 6);
    assert_memory_equal(found, "small\0", 6);
    assert_int_equal(pread(image, found, 8, 8192 + (40 << 20) - 1), 8);
    assert_memory_equal(found, "\0middle\0", 8);
    assert_int_equal(erofs_file_compare(image, &top, 1, true, &err), 0);
}

static void a_changed_byte_is_found_in_contents_and_in_what_is_said_of_them(void **state)
{
    auto_close int top = layer(state, "top");
    auto_close int image = openat(directory_of(state), "image", O_RDWR | O_CREAT, 0600);
    struct error err = { 0 };

    put_file(top, "a", "small");
    assert_int_equal(erofs_file_write(image, &top, 1, NULL, &err), 0);
    assert_int_equal(pwrite(image, "S", 1, 4096), 1);
    assert_int_equal(erofs_file_compare(image, &top, 1, false, &err), 0);
    assert_int_equal(erofs_file_compare(image, &top, 1, true, &err), -EBADMSG);
    assert_string_equal(err.message, "'/a' has another content in it");
    assert_int_equal(pwrite(image, "s", 1, 4096), 1);
    assert_int_equal(pwrite(image, "s", 1, 1300), 1);
    assert_int_equal(erofs_file_compare(image, &top, 1, false, &err), -EBADMSG);
    assert_string_equal(err.message,
                        "its names or what it says of files are not those of the layers");
    assert_int_equal(ftruncate(image, 4096), 0);
    assert_int_equal(erofs_file_compare(image, &top, 1, false, &err), -EBADMSG);
    assert_string_equal(err.message, "it has another length");
}

/* --- keys ------------------------------------------------------------------------------------- */

static void a_key_depends_on_each_layer_and_their_order(void **state)
{
    AUTO_CLEAR(strings) struct strings layers = { 0 };
    AUTO_CLEAR(strings) struct strings other = { 0 };
    auto_free char *key = NULL;
    auto_free char *other_key = NULL;

    (void)state;
    strings_add(&layers, "aa");
    strings_add(&layers, "b");
    strings_add(&other, "b");
    strings_add(&other, "aa");
    key = erofs_key(&layers);
    other_key = erofs_key(&other);
    assert_int_equal(strlen(key), 16);
    assert_string_not_equal(key, other_key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_root_takes_one_block_and_16_mib),
        cmocka_unit_test(names_are_in_the_order_of_their_bytes_with_the_dots_among_them),
        cmocka_unit_test(an_inode_says_all_of_its_file),
        cmocka_unit_test(each_kind_has_its_number),
        cmocka_unit_test(attributes_stand_behind_the_inode_and_before_the_target),
        cmocka_unit_test(what_erofs_has_no_room_for_is_an_error),
        cmocka_unit_test(files_begin_at_blocks_of_their_own),
        cmocka_unit_test(directories_links_and_attributes_of_any_size_are_found_again),
        IN_DIRECTORY(the_topmost_layer_decides_and_directories_are_merged),
        IN_DIRECTORY(an_opaque_directory_hides_what_is_below),
        IN_DIRECTORY(names_of_one_file_stay_together_and_hidden_ones_do_not_count),
        IN_DIRECTORY(the_root_is_as_the_topmost_layer_that_tells_of_it),
        IN_DIRECTORY(what_is_written_has_each_content_and_keeps_holes),
        IN_DIRECTORY(a_changed_byte_is_found_in_contents_and_in_what_is_said_of_them),
        cmocka_unit_test(a_key_depends_on_each_layer_and_their_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
