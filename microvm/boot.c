#include "microvm/boot.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "microvm/guest_memory.h"
#include "microvm/layout.h"

/* Offsets in the zero page (x86/zero-page.rst); the setup header begins at 0x1f1. */
#define ZERO_PAGE_SIZE   0x1000
#define ZERO_ACPI_RSDP   0x070
#define ZERO_INITRD_HIGH 0x0c0
#define ZERO_SIZE_HIGH   0x0c4
#define ZERO_E820_COUNT  0x1e8
#define ZERO_SETUP       0x1f1
#define ZERO_BOOT_FLAG   0x1fe
#define ZERO_MAGIC       0x202
#define ZERO_VERSION     0x206
#define ZERO_LOADER      0x210
#define ZERO_LOADFLAGS   0x211
#define ZERO_INITRD      0x218
#define ZERO_INITRD_SIZE 0x21c
#define ZERO_CMDLINE     0x228
#define ZERO_ALIGNMENT   0x230
#define ZERO_SETUP_DATA  0x250
#define ZERO_E820        0x2d0
#define LOADER_OTHER     0xff
#define LOADED_HIGH      1
#define SETUP_RNG_SEED   9
#define PROTOCOL_VERSION 0x20f
#define ALIGNMENT        0x1000000

#define RANGE_RAM      1
#define RANGE_RESERVED 2
#define RANGES_MAX     4

#define PAGE_SIZE      4096ULL
#define LARGE_PAGE     (2ULL << 20)
#define ENTRY_PRESENT  1ULL
#define ENTRY_WRITABLE 2ULL
#define ENTRY_LARGE    0x80ULL
#define TABLE_ENTRIES  512
#define DIRECTORIES    4 /* of 1 GiB each */

/* hvm_start_info (Xen, xen/include/public/arch-x86/hvm/start_info.h). */
#define PVH_MAGIC 0x336ec578U

struct pvh_start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t modules;
    uint64_t cmdline;
    uint64_t rsdp;
    uint64_t memory_map;
    uint32_t memory_map_entries;
    uint32_t reserved;
};
struct pvh_module {
    uint64_t address;
    uint64_t size;
    uint64_t cmdline;
    uint64_t reserved;
};
struct pvh_range {
    uint64_t address;
    uint64_t size;
    uint32_t type;
    uint32_t reserved;
};
struct pvh_page {
    struct pvh_start_info info;
    struct pvh_module module;
    struct pvh_range ranges[RANGES_MAX];
};

struct range {
    uint64_t address;
    uint64_t size;
    uint32_t type;
} __attribute__((packed)); /* as in the zero page */

uint64_t boot_low_memory(uint64_t memory_bytes)
{
    return memory_bytes < LAYOUT_HOLE_START ? memory_bytes : LAYOUT_HOLE_START;
}

uint64_t boot_high_memory(uint64_t memory_bytes)
{
    return memory_bytes - boot_low_memory(memory_bytes);
}

int boot_plan(const struct kernel_image *image, uint64_t memory_bytes, const char *cmdline,
              uint64_t initrd_size, struct boot_plan *ret_plan, struct error *err)
{
    const uint64_t low = boot_low_memory(memory_bytes);
    uint64_t top;
    uint64_t address = 0;

    assert(image != NULL);
    assert(cmdline != NULL);
    assert(ret_plan != NULL);

    if (strlen(cmdline) > image->cmdline_max || strlen(cmdline) > LAYOUT_CMDLINE_MAX)
        return error_set(err, EINVAL, "the kernel's command line is longer than %u bytes",
                         image->cmdline_max < LAYOUT_CMDLINE_MAX ? image->cmdline_max
                                                                 : LAYOUT_CMDLINE_MAX);
    top = low;
    if (initrd_size != 0) {
        if (top > (uint64_t)image->initrd_max + 1)
            top = (uint64_t)image->initrd_max + 1;
        address = initrd_size <= top ? (top - initrd_size) / PAGE_SIZE * PAGE_SIZE : 0;
        top = address;
    }
    if (image->end > top)
        return error_set(err, ENOSPC,
                         "%llu MiB of memory do not hold the kernel (%llu MiB) and its initrd "
                         "(%llu MiB): give the microVM more",
                         (unsigned long long)memory_bytes >> 20,
                         (unsigned long long)image->end >> 20,
                         (unsigned long long)initrd_size >> 20);
    *ret_plan = (struct boot_plan){
        .image = image,
        .memory_bytes = memory_bytes,
        .cmdline = cmdline,
        .initrd_address = address,
        .initrd_size = initrd_size,
    };
    return 0;
}

/* Returns how many. */
static size_t list_ranges(uint64_t memory_bytes, struct range ranges[RANGES_MAX])
{
    const uint64_t high = boot_high_memory(memory_bytes);

    ranges[0] = (struct range){ 0, LAYOUT_LOW_END, RANGE_RAM };
    ranges[1] =
        (struct range){ LAYOUT_LOW_END, LAYOUT_HIGH_START - LAYOUT_LOW_END, RANGE_RESERVED };
    ranges[2] = (struct range){ LAYOUT_HIGH_START,
                                boot_low_memory(memory_bytes) - LAYOUT_HIGH_START, RANGE_RAM };
    ranges[3] = (struct range){ LAYOUT_HOLE_END, high, RANGE_RAM };
    return high != 0 ? 4 : 3;
}

/* Where the low memory is; what is written below 1 MiB is always there. */
static uint8_t *low_memory(const struct guest_memory *memory)
{
    uint8_t *low = guest_memory_writable(memory, 0, LAYOUT_HIGH_START);

    assert(low != NULL);
    return low;
}

static void write_seed(const uint8_t seed[BOOT_SEED_SIZE], uint8_t *low)
{
    /* struct setup_data: next, type, length, bytes. */
    const uint32_t type = SETUP_RNG_SEED;
    const uint32_t length = BOOT_SEED_SIZE;

    memcpy(low + LAYOUT_SETUP_DATA + 8, &type, sizeof(type));
    memcpy(low + LAYOUT_SETUP_DATA + 12, &length, sizeof(length));
    memcpy(low + LAYOUT_SETUP_DATA + 16, seed, BOOT_SEED_SIZE);
}

static void set_u32(uint8_t *page, size_t offset, uint64_t number)
{
    const uint32_t value = (uint32_t)number;

    memcpy(page + offset, &value, sizeof(value));
}

static void set_u64(uint8_t *page, size_t offset, uint64_t number)
{
    memcpy(page + offset, &number, sizeof(number));
}

static void write_zero_page(const struct boot_plan *plan, uint8_t *page)
{
    const struct kernel_image *image = plan->image;
    struct range ranges[RANGES_MAX];
    size_t count;

    if (image->setup_length != 0) {
        memcpy(page + ZERO_SETUP, image->setup, image->setup_length);
    } else {
        const uint16_t flag = 0xaa55;
        const uint16_t version = PROTOCOL_VERSION;

        memcpy(page + ZERO_BOOT_FLAG, &flag, sizeof(flag));
        memcpy(page + ZERO_MAGIC, "HdrS", 4);
        memcpy(page + ZERO_VERSION, &version, sizeof(version));
        set_u32(page, ZERO_ALIGNMENT, ALIGNMENT);
    }
    page[ZERO_LOADER] = LOADER_OTHER;
    page[ZERO_LOADFLAGS] |= LOADED_HIGH;
    set_u64(page, ZERO_ACPI_RSDP, LAYOUT_ACPI);
    set_u32(page, ZERO_INITRD, plan->initrd_address);
    set_u32(page, ZERO_INITRD_HIGH, plan->initrd_address >> 32);
    set_u32(page, ZERO_INITRD_SIZE, plan->initrd_size);
    set_u32(page, ZERO_SIZE_HIGH, plan->initrd_size >> 32);
    set_u32(page, ZERO_CMDLINE, LAYOUT_CMDLINE);
    set_u64(page, ZERO_SETUP_DATA, LAYOUT_SETUP_DATA);
    count = list_ranges(plan->memory_bytes, ranges);
    page[ZERO_E820_COUNT] = (uint8_t)count;
    memcpy(page + ZERO_E820, ranges, count * sizeof(ranges[0]));
}

static void write_pvh(const struct boot_plan *plan, uint8_t *bytes)
{
    struct pvh_page page = {
        .info = {
            .magic = PVH_MAGIC,
            .version = 1,
            .module_count = plan->initrd_size != 0 ? 1 : 0,
            .modules = LAYOUT_START_INFO + offsetof(struct pvh_page, module),
            .cmdline = LAYOUT_CMDLINE,
            .rsdp = LAYOUT_ACPI,
            .memory_map = LAYOUT_START_INFO + offsetof(struct pvh_page, ranges),
        },
        .module = { .address = plan->initrd_address, .size = plan->initrd_size },
    };
    struct range ranges[RANGES_MAX];
    const size_t count = list_ranges(plan->memory_bytes, ranges);

    page.info.memory_map_entries = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        page.ranges[i] = (struct pvh_range){ ranges[i].address, ranges[i].size, ranges[i].type, 0 };
    memcpy(bytes, &page, sizeof(page));
}

/* Maps the first 4 GiB to themselves, in pages of 2 MiB. */
static void write_page_tables(uint8_t *low)
{
    uint64_t *level4 = (uint64_t *)(void *)(low + LAYOUT_PAGE_TABLES);
    uint64_t *level3 = level4 + TABLE_ENTRIES;
    uint64_t *level2 = level3 + TABLE_ENTRIES;

    level4[0] = (LAYOUT_PAGE_TABLES + PAGE_SIZE) | ENTRY_PRESENT | ENTRY_WRITABLE;
    for (uint64_t i = 0; i < DIRECTORIES; i++)
        level3[i] = (LAYOUT_PAGE_TABLES + (2 + i) * PAGE_SIZE) | ENTRY_PRESENT | ENTRY_WRITABLE;
    for (uint64_t i = 0; i < DIRECTORIES * TABLE_ENTRIES; i++)
        level2[i] = i * LARGE_PAGE | ENTRY_PRESENT | ENTRY_WRITABLE | ENTRY_LARGE;
}

/* As the boot protocols want them: code at 0x10, data at 0x18; 0x20 is a task's. */
static void write_gdt(enum kernel_entry entry, uint8_t *low)
{
    const uint64_t code = entry == KERNEL_ENTRY_PVH ? 0x00cf9b000000ffffULL : 0x00af9b000000ffffULL;
    const uint64_t gdt[] = { 0, 0, code, 0x00cf93000000ffffULL, 0x00008b0000000067ULL, 0 };

    memcpy(low + LAYOUT_GDT, gdt, sizeof(gdt));
}

void boot_write(const struct boot_plan *plan, const uint8_t seed[BOOT_SEED_SIZE],
                const struct guest_memory *memory)
{
    uint8_t *low;

    assert(plan != NULL);
    assert(memory != NULL);

    low = low_memory(memory);
    write_gdt(plan->image->entry, low);
    memcpy(low + LAYOUT_CMDLINE, plan->cmdline, strlen(plan->cmdline) + 1);
    if (plan->image->entry == KERNEL_ENTRY_PVH) {
        write_pvh(plan, low + LAYOUT_START_INFO);
        return;
    }
    write_page_tables(low);
    write_seed(seed, low);
    write_zero_page(plan, low + LAYOUT_ZERO_PAGE);
}
