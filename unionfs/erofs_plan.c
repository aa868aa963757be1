#include "unionfs/erofs_image.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/auto.h"

#define SUPERBLOCK_POSITION 1024u
#define SUPERBLOCK_BYTES    128u
#define SUPERBLOCK_MAGIC    0xe0f5e1e2u
#define COMPATIBLE_CHECKSUM 1u /* feature_compat */
#define COMPATIBLE_MTIME    2u
#define BLOCK_BITS          12u

#define INODE_BYTES        64u
#define INODE_UNIT         32u /* what inodes are numbered by */
#define FORMAT_EXTENDED    1u
#define FORMAT_FLAT_PLAIN  0u /* data layouts, from bit 1 */
#define FORMAT_FLAT_INLINE 2u

#define DIRENT_BYTES 12u

#define ATTRIBUTE_HEADER_BYTES 12u
#define ATTRIBUTE_ENTRY_BYTES  4u
#define ATTRIBUTE_UNIT         4u
#define ATTRIBUTE_UNITS_MAX    UINT16_MAX

/* --- sizes ------------------------------------------------------------------------------------ */

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* Names of attributes begin with one of these; on disk a number stands for it. */
struct prefix {
    const char *text;
    uint8_t number;
};

static const struct prefix *find_prefix(const char *name)
{
    static const struct prefix prefixes[] = {
        { "user.", 1 },
        { "system.posix_acl_access", 2 },
        { "system.posix_acl_default", 3 },
        { "trusted.", 4 },
        { "security.", 6 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (text_starts(name, prefixes[i].text))
            return &prefixes[i];
    }
    return NULL;
}

/* Of all attributes behind an inode; 0: it has none. */
static uint64_t attributes_bytes(const struct erofs_node *node)
{
    uint64_t bytes = ATTRIBUTE_HEADER_BYTES;

    for (size_t i = 0; i < node->attribute_count; i++) {
        const struct erofs_attribute *attribute = &node->attributes[i];

        bytes += round_up(ATTRIBUTE_ENTRY_BYTES + strlen(attribute->name) -
                              strlen(find_prefix(attribute->name)->text) + attribute->size,
                          ATTRIBUTE_UNIT);
    }
    return node->attribute_count == 0 ? 0 : bytes;
}

static int check_attributes(const struct erofs_tree *tree, uint32_t index, struct error *err)
{
    const struct erofs_node *node = &tree->nodes[index];
    const char *why = NULL;
    auto_free char *path = NULL;

    for (size_t i = 0; i < node->attribute_count && why == NULL; i++) {
        if (find_prefix(node->attributes[i].name) == NULL)
            why = "an attribute of a kind that EROFS does not know";
        else if (node->attributes[i].size > UINT16_MAX)
            why = "an attribute longer than 65535 bytes";
    }
    if (why == NULL && (attributes_bytes(node) - ATTRIBUTE_HEADER_BYTES) / ATTRIBUTE_UNIT + 1 >
                           ATTRIBUTE_UNITS_MAX)
        why = "more attributes than EROFS has room for";
    if (why == NULL)
        return 0;
    path = erofs_tree_path(tree, index);
    return error_set(err, E2BIG, "'/%s' has %s", path, why);
}

/* --- directories ------------------------------------------------------------------------------ */

/* A directory's names one by one, "." and ".." at their places among them. */
struct names {
    const struct erofs_tree *tree;
    uint32_t directory;
    size_t next;      /* of its entries */
    unsigned special; /* how many of "." and ".." were given */
};

static bool names_next(struct names *names, const char **ret_name, uint32_t *ret_node)
{
    static const char *const specials[] = { ".", ".." };
    const struct erofs_node *node = &names->tree->nodes[names->directory];
    const struct erofs_entry *entry = NULL;

    if (names->next < node->entry_count)
        entry = &names->tree->entries[node->first_entry + names->next];
    if (names->special < 2 &&
        (entry == NULL || strcmp(specials[names->special], entry->name) < 0)) {
        *ret_name = specials[names->special];
        *ret_node = names->special == 0 ? names->directory : node->parent;
        names->special++;
        return true;
    }
    if (entry == NULL)
        return false;
    *ret_name = entry->name;
    *ret_node = entry->node;
    names->next++;
    return true;
}

/* A block has as many names as fit; the last one ends where its names end. */
static uint64_t directory_bytes(const struct erofs_tree *tree, uint32_t directory)
{
    struct names names = { .tree = tree, .directory = directory };
    uint64_t blocks = 0, used = 0;
    const char *name;
    uint32_t node;

    while (names_next(&names, &name, &node)) {
        uint64_t more = DIRENT_BYTES + strlen(name);

        if (used + more > EROFS_BLOCK_BYTES) {
            blocks++;
            used = 0;
        }
        used += more;
    }
    return blocks * EROFS_BLOCK_BYTES + used;
}

/* --- the plan --------------------------------------------------------------------------------- */

static uint64_t content_bytes(const struct erofs_tree *tree, uint32_t index)
{
    const struct erofs_node *node = &tree->nodes[index];

    if (S_ISDIR(node->mode))
        return directory_bytes(tree, index);
    return S_ISLNK(node->mode) ? strlen(node->target) : node->size;
}

/* Inode, attributes and the last part of the content stand in one block where that is possible: the
 * kernel wants the last, and reads the least then. */
static uint64_t place_inode(struct erofs_node *node, uint64_t position)
{
    uint64_t fixed = INODE_BYTES + attributes_bytes(node);
    uint64_t tail = S_ISREG(node->mode) ? 0 : node->bytes % EROFS_BLOCK_BYTES;
    uint64_t room = EROFS_BLOCK_BYTES - position % EROFS_BLOCK_BYTES;
    uint64_t wanted;

    node->is_inline = tail > 0 && fixed + tail <= EROFS_BLOCK_BYTES;
    wanted = fixed + (node->is_inline ? tail : 0);
    if ((wanted <= EROFS_BLOCK_BYTES ? wanted : INODE_BYTES) > room)
        position += room;
    node->position = position;
    return round_up(position + wanted, INODE_UNIT);
}

/* Whole blocks, without what stands behind the inode. */
static uint64_t content_blocks(const struct erofs_node *node)
{
    return node->is_inline ? node->bytes / EROFS_BLOCK_BYTES
                           : round_up(node->bytes, EROFS_BLOCK_BYTES) / EROFS_BLOCK_BYTES;
}

static uint64_t place_contents(struct erofs_tree *tree, bool is_files, uint64_t block)
{
    for (size_t i = 0; i < tree->node_count; i++) {
        struct erofs_node *node = &tree->nodes[i];

        if (S_ISREG(node->mode) != is_files || content_blocks(node) == 0)
            continue;
        node->block = block;
        block += content_blocks(node);
    }
    return block;
}

int erofs_plan(struct erofs_tree *tree, struct erofs_plan *ret_plan, struct error *err)
{
    uint64_t position = SUPERBLOCK_POSITION + SUPERBLOCK_BYTES;
    struct erofs_plan plan = { 0 };

    assert(tree->node_count > 0);
    assert(ret_plan != NULL);

    for (size_t i = 0; i < tree->node_count; i++) {
        struct erofs_node *node = &tree->nodes[i];
        int r = node->attribute_count > 0 ? check_attributes(tree, (uint32_t)i, err) : 0;

        if (r < 0)
            return r;
        node->bytes = content_bytes(tree, (uint32_t)i);
        position = place_inode(node, position);
        plan.file_bytes += node->size;
        if (node->size > (uint64_t)UINT32_MAX * EROFS_BLOCK_BYTES)
            return error_set(err, EFBIG, "a file of the image is longer than 16 TiB");
    }
    plan.inode_blocks = round_up(position, EROFS_BLOCK_BYTES) / EROFS_BLOCK_BYTES;
    plan.blocks = place_contents(tree, false, plan.inode_blocks);
    plan.name_blocks = plan.blocks - plan.inode_blocks;
    plan.blocks = place_contents(tree, true, plan.blocks);
    plan.length = round_up(plan.blocks * EROFS_BLOCK_BYTES, EROFS_LENGTH_UNIT);
    if (plan.blocks > UINT32_MAX)
        return error_set(err, EFBIG, "the files of the image are longer than 16 TiB together");
    *ret_plan = plan;
    return 0;
}

uint64_t erofs_plan_head_bytes(const struct erofs_plan *plan)
{
    return (plan->inode_blocks + plan->name_blocks) * EROFS_BLOCK_BYTES;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t inode_number(const struct erofs_node *node)
{
    return node->position / INODE_UNIT;
}

static uint8_t file_type(mode_t mode)
{
    static const struct {
        mode_t mode;
        uint8_t type;
    } types[] = {
        { S_IFREG, 1 }, { S_IFDIR, 2 },  { S_IFCHR, 3 }, { S_IFBLK, 4 },
        { S_IFIFO, 5 }, { S_IFSOCK, 6 }, { S_IFLNK, 7 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if ((mode & S_IFMT) == types[i].mode)
            return types[i].type;
    }
    return 0;
}

/* As the kernel's new_encode_dev(). */
static uint32_t device_number(dev_t device)
{
    return (minor(device) & 0xffu) | major(device) << 8 | (minor(device) & ~0xffu) << 12;
}

static void put_attributes(const struct erofs_node *node, uint8_t *at)
{
    at += ATTRIBUTE_HEADER_BYTES; /* no shared ones, no filter */
    for (size_t i = 0; i < node->attribute_count; i++) {
        const struct erofs_attribute *attribute = &node->attributes[i];
        const struct prefix *prefix = find_prefix(attribute->name);
        const char *rest = attribute->name + strlen(prefix->text);
        size_t length = strlen(rest);

        at[0] = (uint8_t)length;
        at[1] = prefix->number;
        put(at + 2, attribute->size, 2);
        memcpy(at + ATTRIBUTE_ENTRY_BYTES, rest, length);
        memcpy(at + ATTRIBUTE_ENTRY_BYTES + length, attribute->value, attribute->size);
        at += round_up(ATTRIBUTE_ENTRY_BYTES + length + attribute->size, ATTRIBUTE_UNIT);
    }
}

static void put_inode(const struct erofs_node *node, uint32_t index, uint8_t *at)
{
    uint64_t attributes = attributes_bytes(node);
    unsigned layout = node->is_inline ? FORMAT_FLAT_INLINE : FORMAT_FLAT_PLAIN;

    put(at, FORMAT_EXTENDED | layout << 1, 2);
    if (attributes > 0)
        put(at + 2, (attributes - ATTRIBUTE_HEADER_BYTES) / ATTRIBUTE_UNIT + 1, 2);
    put(at + 4, node->mode, 2);
    put(at + 8, node->bytes, 8);
    put(at + 16,
        S_ISCHR(node->mode) || S_ISBLK(node->mode) ? device_number(node->device) : node->block, 4);
    put(at + 20, index + 1, 4); /* what stat(2) has where inode numbers have 32 bits */
    put(at + 24, node->uid, 4);
    put(at + 28, node->gid, 4);
    put(at + 32, (uint64_t)node->time.tv_sec, 8);
    put(at + 40, (uint64_t)node->time.tv_nsec, 4);
    put(at + 44, node->links, 4);
    if (attributes > 0)
        put_attributes(node, at + INODE_BYTES);
}

/* Where a block of a node's content goes. */
static uint8_t *content_at(const struct erofs_node *node, uint64_t block, uint8_t *bytes)
{
    if (node->is_inline && block == node->bytes / EROFS_BLOCK_BYTES)
        return bytes + node->position + INODE_BYTES + attributes_bytes(node);
    return bytes + (node->block + block) * EROFS_BLOCK_BYTES;
}

/* The names from @names on that fill one block, entries first, then the names themselves. */
static void put_names(const struct erofs_tree *tree, struct names *names, uint8_t *at)
{
    struct names ahead = *names;
    uint64_t used = 0, count = 0, text_at;
    const char *name;
    uint32_t node;

    while (names_next(&ahead, &name, &node)) {
        used += DIRENT_BYTES + strlen(name);
        if (used > EROFS_BLOCK_BYTES)
            break;
        count++;
    }
    text_at = count * DIRENT_BYTES;
    for (uint64_t i = 0; i < count && names_next(names, &name, &node); i++) {
        uint8_t *entry = at + i * DIRENT_BYTES;

        put(entry, inode_number(&tree->nodes[node]), 8);
        put(entry + 8, text_at, 2);
        entry[10] = file_type(tree->nodes[node].mode);
        memcpy(at + text_at, name, strlen(name));
        text_at += strlen(name);
    }
}

static void put_content(const struct erofs_tree *tree, uint32_t index, uint8_t *bytes)
{
    const struct erofs_node *node = &tree->nodes[index];
    struct names names = { .tree = tree, .directory = index };

    if (S_ISLNK(node->mode))
        memcpy(content_at(node, 0, bytes), node->target, node->bytes);
    for (uint64_t i = 0; S_ISDIR(node->mode) && i * EROFS_BLOCK_BYTES < node->bytes; i++)
        put_names(tree, &names, content_at(node, i, bytes));
}

/* CRC-32C as the kernel computes it: without the inversion at the end. */
static uint32_t checksum(const uint8_t *bytes, size_t length)
{
    uint32_t sum = UINT32_MAX;

    for (size_t i = 0; i < length; i++) {
        sum ^= bytes[i];
        for (unsigned bit = 0; bit < 8; bit++)
            sum = (sum >> 1) ^ (sum & 1 ? 0x82f63b78u : 0);
    }
    return sum;
}

static void put_superblock(const struct erofs_tree *tree, const struct erofs_plan *plan,
                           uint8_t *block)
{
    uint8_t *at = block + SUPERBLOCK_POSITION;

    put(at, SUPERBLOCK_MAGIC, 4);
    put(at + 8, COMPATIBLE_CHECKSUM | COMPATIBLE_MTIME, 4);
    at[12] = BLOCK_BITS;
    put(at + 14, inode_number(&tree->nodes[0]), 2);
    put(at + 16, tree->node_count, 8);
    put(at + 36, plan->blocks, 4);
    /* It covers the rest of the block; its own place counts as zeros. */
    put(at + 4, checksum(at, EROFS_BLOCK_BYTES - SUPERBLOCK_POSITION), 4);
}

uint8_t *erofs_encode(const struct erofs_tree *tree, const struct erofs_plan *plan)
{
    uint8_t *bytes = xcalloc(plan->inode_blocks + plan->name_blocks, EROFS_BLOCK_BYTES);

    for (uint32_t i = 0; i < tree->node_count; i++) {
        put_inode(&tree->nodes[i], i, bytes + tree->nodes[i].position);
        if (!S_ISREG(tree->nodes[i].mode))
            put_content(tree, i, bytes);
    }
    put_superblock(tree, plan, bytes);
    return bytes;
}
