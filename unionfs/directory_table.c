#include "unionfs/directory_table.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "unionfs/tree.h"

/* Open addressing with linear probing over indexes into the list of directories. A removed one
 * leaves NULL in the list, and its slot stays taken until the table grows. */

#define SLOT_FREE SIZE_MAX

struct directory_table {
    struct directory **items;
    size_t count, capacity;
    size_t *slots;
    size_t slot_count; /* a power of two, at least twice the count */
};

void directory_set_attributes(struct directory *directory, const struct tree_attribute *attributes,
                              size_t count)
{
    for (size_t i = 0; i < directory->attribute_count; i++) {
        free((void *)directory->attributes[i].name);
        free((void *)directory->attributes[i].value);
    }
    free(directory->attributes);
    directory->attributes = NULL;
    directory->attribute_count = count;
    if (count == 0)
        return;
    directory->attributes = xcalloc(count, sizeof(*directory->attributes));
    for (size_t i = 0; i < count; i++) {
        directory->attributes[i].name = xstrdup(attributes[i].name);
        directory->attributes[i].value = xmemdup(attributes[i].value, attributes[i].size);
        directory->attributes[i].size = attributes[i].size;
    }
}

static void directory_free(struct directory *directory)
{
    if (directory == NULL)
        return;
    directory_set_attributes(directory, NULL, 0);
    free(directory->path);
    free(directory);
}

struct directory_table *directory_table_open(void)
{
    return xcalloc(1, sizeof(struct directory_table));
}

void directory_table_free(struct directory_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->count; i++)
        directory_free(table->items[i]);
    free(table->items);
    free(table->slots);
    free(table);
}

static size_t first_slot(const struct directory_table *table, ino_t inode)
{
    /* Inode numbers are dense: spread them (Fibonacci hashing). */
    return (size_t)(((uint64_t)inode * 0x9e3779b97f4a7c15ull) >> 20) & (table->slot_count - 1);
}

static size_t *find_slot(const struct directory_table *table, ino_t inode)
{
    if (table->slot_count == 0)
        return NULL;
    for (size_t at = first_slot(table, inode);; at = (at + 1) & (table->slot_count - 1)) {
        size_t index = table->slots[at];

        if (index == SLOT_FREE)
            return NULL;
        if (table->items[index] != NULL && table->items[index]->inode == inode)
            return &table->slots[at];
    }
}

static void fill_slot(struct directory_table *table, size_t index)
{
    size_t at = first_slot(table, table->items[index]->inode);

    while (table->slots[at] != SLOT_FREE)
        at = (at + 1) & (table->slot_count - 1);
    table->slots[at] = index;
}

static void grow(struct directory_table *table)
{
    table->capacity = table->capacity == 0 ? 256 : table->capacity * 2;
    table->items = xrealloc(table->items, table->capacity, sizeof(*table->items));
    table->slot_count = table->capacity * 2;
    table->slots = xrealloc(table->slots, table->slot_count, sizeof(*table->slots));
    for (size_t i = 0; i < table->slot_count; i++)
        table->slots[i] = SLOT_FREE;
    for (size_t i = 0; i < table->count; i++) {
        if (table->items[i] != NULL)
            fill_slot(table, i);
    }
}

struct directory *directory_table_add(struct directory_table *table, ino_t inode, const char *path)
{
    struct directory *directory = xcalloc(1, sizeof(*directory));

    assert(directory_table_find(table, inode) == NULL);

    directory->inode = inode;
    directory->path = xstrdup(path);
    if (table->count == table->capacity)
        grow(table);
    table->items[table->count] = directory;
    fill_slot(table, table->count);
    table->count++;
    return directory;
}

struct directory *directory_table_find(const struct directory_table *table, ino_t inode)
{
    const size_t *slot = find_slot(table, inode);

    return slot == NULL ? NULL : table->items[*slot];
}

void directory_table_remove(struct directory_table *table, ino_t inode)
{
    const size_t *slot = find_slot(table, inode);

    if (slot == NULL)
        return;
    directory_free(table->items[*slot]);
    table->items[*slot] = NULL;
}

size_t directory_table_count(const struct directory_table *table)
{
    return table->count;
}

const struct directory *directory_table_at(const struct directory_table *table, size_t index)
{
    assert(index < table->count);
    return table->items[index];
}
