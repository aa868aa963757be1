#include "base/inode_table.h"

#include <stdint.h>
#include <stdlib.h>

#define CAPACITY_MIN 64 /* a power of two */

struct inode_entry {
    dev_t device;
    ino_t number; /* 0: free */
    size_t value;
};

void inode_table_clear(struct inode_table *table)
{
    free(table->items);
    *table = (struct inode_table){ 0 };
}

/* Where it is, or belongs. */
static struct inode_entry *find_place(const struct inode_table *table, dev_t device, ino_t number)
{
    size_t i = (size_t)((uint64_t)number * 0x9e3779b97f4a7c15u >> 32) & (table->capacity - 1);

    while (table->items[i].number != 0 &&
           (table->items[i].number != number || table->items[i].device != device))
        i = (i + 1) & (table->capacity - 1);
    return &table->items[i];
}

static void grow(struct inode_table *table)
{
    struct inode_table larger = { .count = table->count,
                                  .capacity =
                                      table->capacity == 0 ? CAPACITY_MIN : table->capacity * 2 };

    larger.items = xcalloc(larger.capacity, sizeof(larger.items[0]));
    for (size_t i = 0; i < table->capacity; i++) {
        const struct inode_entry *entry = &table->items[i];

        if (entry->number != 0)
            *find_place(&larger, entry->device, entry->number) = *entry;
    }
    free(table->items);
    *table = larger;
}

bool inode_table_add(struct inode_table *table, const struct stat *status, size_t value)
{
    struct inode_entry *place;

    if (status->st_ino == 0)
        return true;
    if ((table->count + 1) * 2 > table->capacity)
        grow(table);
    place = find_place(table, status->st_dev, status->st_ino);
    if (place->number != 0)
        return false;
    *place = (struct inode_entry){ status->st_dev, status->st_ino, value };
    table->count++;
    return true;
}

bool inode_table_find(const struct inode_table *table, const struct stat *status, size_t *ret_value)
{
    const struct inode_entry *place;

    if (table->capacity == 0)
        return false;
    place = find_place(table, status->st_dev, status->st_ino);
    if (place->number == 0)
        return false;
    *ret_value = place->value;
    return true;
}
