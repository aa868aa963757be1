/* A module that turns its kernel, one of a distribution, on the machine around it. It is loaded
 * when the guest's programs run and its drivers are at work: takes the devices from them, says what
 * it is at on the serial line, and ends with a fault that no kernel survives.
 *
 * It is built without the kernel's headers (vm_hostile.bats), so what it uses of the kernel is
 * little. */
#include "tests/payload/guest.h"

void *ioremap(u64 address, u64 size);
extern u64 page_offset_base;
void msleep(u32 milliseconds);
int init_module(void);

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* Registers (virtio 1.2, 4.2.2). */
#define MAGIC           0x00
#define DEVICE_ID       0x08
#define OFFERED         0x10
#define ACCEPTED        0x20
#define ACCEPTED_SELECT 0x24
#define QUEUE_SELECT    0x30
#define QUEUE_NUM       0x38
#define QUEUE_READY     0x44
#define QUEUE_NOTIFY    0x50
#define STATUS          0x70
#define QUEUE_DESC      0x80
#define QUEUE_AVAILABLE 0x90
#define QUEUE_USED      0xa0
#define WINDOW          0x200 /* what is used of one */

#define STATUS_RUNS 15
#define CONSOLE     3
#define QUEUES      8
#define FLOOD       300000

/* Where berth-vmm has its devices, and where QEMU's microvm machine has them. */
static const struct {
    u64 address;
    u32 step, count;
} places[] = { { 0xd0000000, 0x1000, 19 }, { 0xfeb00000, 0x200, 24 } };

static u64 window;
static u8 rings[3][4096] __attribute__((aligned(4096)));
static u64 seed = 0x9e3779b97f4a7c15;

static void tell(const char *text)
{
    put("\r\nhostile: ");
    put(text);
    put("\r\n");
}

/* Of memory, by the page tables, which the kernel has mapped with all memory. */
static u64 physical(const void *address)
{
    const u64 mask = 0x000ffffffffff000;
    u64 table, features;
    u32 shift;

    __asm__ volatile("mov %%cr3, %0; mov %%cr4, %1" : "=r"(table), "=r"(features));
    for (shift = (features & 1 << 12) != 0 ? 48 : 39;; shift -= 9) {
        const u64 *entries = (const u64 *)(page_offset_base + (table & mask));
        const u64 rest = (1ul << shift) - 1;

        table = entries[(u64)address >> shift & 511];
        if (shift == 12 || (table & 0x80) != 0)
            return (table & mask & ~rest) | ((u64)address & rest);
    }
}

static u64 noise(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void set(u32 offset, u32 value)
{
    write32(window + offset, value);
}

static void set_address(u32 offset, u64 value)
{
    set(offset, (u32)value);
    set(offset + 4, (u32)(value >> 32));
}

static void set_queues(u64 descriptors, u64 available, u64 used, u32 size)
{
    for (u32 i = 0; i < QUEUES; i++) {
        set(QUEUE_SELECT, i);
        set(QUEUE_NUM, size);
        set_address(QUEUE_DESC, descriptors);
        set_address(QUEUE_AVAILABLE, available);
        set_address(QUEUE_USED, used);
        set(QUEUE_READY, 1);
    }
}

static void notify(void)
{
    for (u32 i = 0; i < QUEUES; i++)
        set(QUEUE_NOTIFY, i);
}

/* With all features. */
static void start(u64 descriptors, u64 available, u64 used, u32 size)
{
    set(STATUS, 0);
    set(STATUS, 3);
    for (u32 half = 0; half < 2; half++) {
        set(OFFERED + 4, half);
        set(ACCEPTED_SELECT, half);
        set(ACCEPTED, read32(window + OFFERED));
    }
    set(STATUS, 11);
    set_queues(descriptors, available, used, size);
    set(STATUS, STATUS_RUNS);
    notify();
}

/* --- what is tried with each device
 * --------------------------------------------------------------- */

/* Other queues for one that its driver has running. */
static void change_running(void)
{
    set_queues(~0ul, 0xd0000000, 0, 0xffff);
    notify();
}

/* Rings where no memory is, or the devices themselves, or an interrupt controller. */
static void send_astray(void)
{
    static const u64 addresses[] = { 0,          0xfff,      0xa0000,    0xd0000000,
                                     0xfeb00000, 0xfee00000, 0xfffff000, 0x100000000,
                                     1ul << 46,  ~0xffful,   ~0ul - 4,   0x7ffffffffffff000 };

    for (u32 i = 0; i < ROWS(addresses); i++)
        start(addresses[i], addresses[i], addresses[ROWS(addresses) - 1 - i], 16);
}

/* Rings of noise: chains in circles, tables in tables, lengths and addresses of any size. */
static void make_noise(void)
{
    for (u32 round = 0; round < 50; round++) {
        for (u32 i = 0; i < sizeof(rings) / 8; i++) {
            const u64 number = noise();

            /* Small numbers are flags, indexes and lengths that make sense. */
            ((volatile u64 *)rings)[i] = number % 3 == 0 ? number : number & 0x0007000700070fff;
        }
        start(physical(rings[0]), physical(rings[1]), physical(rings[2]), 1u << round % 9);
        notify();
    }
}

/* Any value in any register. */
static void press_all_keys(void)
{
    for (u32 i = 0; i < 2000; i++)
        set((u32)(noise() % WINDOW) & ~3u, (u32)noise() >> noise() % 32);
}

static void abuse(void)
{
    static void (*const ways[])(void) = { change_running, send_astray, make_noise, press_all_keys };

    for (u32 i = 0; i < ROWS(ways); i++)
        ways[i]();
    set(STATUS, 0);
}

/* --- all
 * ------------------------------------------------------------------------------------------ */

/* The console is the agent's way out; what is tried with it may end the machine. */
static void abuse_devices(int with_console)
{
    u32 count = 0;

    for (u32 i = 0; i < ROWS(places); i++) {
        const u64 base = (u64)ioremap(places[i].address, places[i].step * places[i].count);

        for (u32 j = 0; j < places[i].count && base != 0; j++) {
            u32 id;

            window = base + j * places[i].step;
            id = read32(window + DEVICE_ID);
            if (read32(window + MAGIC) != 0x74726976 || id == 0 || (id == CONSOLE) != with_console)
                continue;
            abuse();
            count++;
        }
    }
    tell(count > 0 ? "devices abused" : "no device found");
}

int init_module(void)
{
    static const struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) no_handlers = { 0, 0 };

    msleep(1000); /* the program has begun */
    tell("begins");
    abuse_devices(0);
    for (u32 i = 0; i < FLOOD; i++)
        out8(PORT_SERIAL, i % 64 == 63 ? '\n' : '#');
    abuse_devices(1);
    msleep(1000); /* whoever reads what came out of the agent's port has read it */
    __asm__ volatile("lidt %0; int3" ::"m"(no_handlers));
    return 0;
}
