/* The virtio devices seen from a guest: a driver for each, as small as it can be, which waits for
 * the used ring without interrupts. */
#include "tests/payload/guest_virtio.h"

u64 window;
struct queue queues[QUEUES];
u8 buffer[1 << 16] __attribute__((aligned(4096)));
/* What the balloon gives back: not a part of what the guest needs. */
static u8 spare[4 << 20] __attribute__((aligned(2 << 20)));

u32 get(u32 offset)
{
    return read32(window + offset);
}
void set(u32 offset, u32 value)
{
    write32(window + offset, value);
}
void set_address(u32 offset, u64 value)
{
    set(offset, (u32)value);
    set(offset + 4, (u32)(value >> 32));
}

void clear(void *bytes, u64 length)
{
    for (u64 i = 0; i < length; i++)
        ((volatile u8 *)bytes)[i] = 0;
}
void copy(void *to, const void *from, u64 length)
{
    for (u64 i = 0; i < length; i++)
        ((volatile u8 *)to)[i] = ((const u8 *)from)[i];
}
int is_same(const void *left, const void *right, u64 length)
{
    for (u64 i = 0; i < length; i++)
        if (((const u8 *)left)[i] != ((const u8 *)right)[i])
            return 0;
    return 1;
}

/* --- the driver's part that all devices share ------------------------------------------------- */

/* Accepts all features; returns whether the device agrees. */
int begin(void)
{
    set(STATUS, 0);
    set(STATUS, 1);
    set(STATUS, 3);
    for (u32 half = 0; half < 2; half++) {
        set(OFFERED_SELECT, half);
        set(ACCEPTED_SELECT, half);
        set(ACCEPTED, get(OFFERED));
    }
    set(STATUS, STATUS_FEATURES);
    return get(STATUS) == STATUS_FEATURES;
}

void set_queues(void)
{
    clear(queues, sizeof(queues));
    for (u32 i = 0; i < QUEUES; i++) {
        set(QUEUE_SELECT, i);
        if (get(QUEUE_MAX) == 0)
            break;
        set(QUEUE_NUM, QUEUE_SIZE);
        set_address(QUEUE_DESC, (u64)queues[i].descriptors);
        set_address(QUEUE_AVAILABLE, (u64)queues[i].available);
        set_address(QUEUE_USED, (u64)queues[i].used);
        set(QUEUE_READY, 1);
    }
}

int start_device(void)
{
    if (!begin())
        return 0;
    set_queues();
    set(STATUS, STATUS_RUNS);
    return get(STATUS) == STATUS_RUNS;
}

void describe(u32 queue, u16 index, u64 address, u64 length, u16 flags, u16 next)
{
    struct descriptor *descriptor = &queues[queue].descriptors[index];

    descriptor->address = address;
    descriptor->length = (u32)length;
    descriptor->flags = flags;
    descriptor->next = next;
}

void offer(u32 queue, u16 head)
{
    queues[queue].available[2 + queues[queue].available[1] % QUEUE_SIZE] = head;
    __asm__ volatile("mfence" ::: "memory");
    queues[queue].available[1]++;
    __asm__ volatile("mfence" ::: "memory");
    set(QUEUE_NOTIFY, queue);
}

/* Waits for the next finished chain; its length, or -1. */
u64 wait(u32 queue)
{
    struct queue *waits = &queues[queue];
    u32 at = 2 + 4 * (waits->seen % QUEUE_SIZE);

    for (u32 i = 0; i < WAIT; i++) {
        if (waits->used[1] != waits->seen) {
            waits->seen++;
            return waits->used[at + 2] | (u64)waits->used[at + 3] << 16;
        }
        __asm__ volatile("pause");
    }
    return (u64)-1;
}

/* One chain of bytes to read and room to write. */
u64 ask(u32 queue, u64 readable, u64 readable_length, u64 writable, u64 writable_length)
{
    describe(queue, 0, readable, readable_length, NEXT, 1);
    describe(queue, 1, writable, writable_length, WRITE, 0);
    offer(queue, 0);
    return wait(queue);
}

void verdict(const char *what, int is_right)
{
    put(what);
    put(is_right ? ": ok\n" : ": WRONG\n");
}

/* --- devices ---------------------------------------------------------------------------------- */

static void use_rng(void)
{
    u8 any = 0;

    clear(buffer, 64);
    describe(0, 0, (u64)buffer, 64, WRITE, 0);
    offer(0, 0);
    if (wait(0) == 64)
        for (u32 i = 0; i < 64; i++)
            any |= ((volatile u8 *)buffer)[i];
    verdict("rng", any != 0);
}

/* One request with @length bytes at buffer + 512; its status. */
static u8 ask_disk(u32 type, u64 sector, u32 length, int is_write)
{
    const struct {
        u32 type, reserved;
        u64 sector;
    } header = { type, 0, sector };

    copy(buffer, &header, sizeof(header));
    buffer[16] = 0xff;
    describe(0, 0, (u64)buffer, 16, NEXT, length == 0 ? 2 : 1);
    describe(0, 1, (u64)buffer + 512, length, (u16)((is_write ? 0 : WRITE) | NEXT), 2);
    describe(0, 2, (u64)buffer + 16, 1, WRITE, 0);
    offer(0, 0);
    return wait(0) == (u64)-1 ? 0xfe : *(volatile u8 *)(buffer + 16);
}

static void use_blk(void)
{
    u64 sectors = get(CONFIG) | (u64)get(CONFIG + 4) << 32;

    verdict("blk id", ask_disk(8, 0, 20, 0) == 0);
    put("blk serial ");
    put((const char *)buffer + 512);
    put("\n");
    verdict("blk read", ask_disk(0, 0, 512, 0) == 0 && is_same(buffer + 512, "sector 0", 8));
    copy(buffer + 512, "from the guest", 14);
    verdict("blk write", ask_disk(1, 1, 1024, 1) == 0);
    verdict("blk flush", ask_disk(4, 0, 0, 0) == 0);
    verdict("blk end", ask_disk(0, sectors, 512, 0) == 1 && ask_disk(1, sectors, 512, 1) == 1);
    verdict("blk type", ask_disk(77, 0, 512, 0) == 2);
}

/* What the guest was entered with maps 4 GiB: adds the GiB of @address, which is above. */
void map_memory(u64 address)
{
    static u64 directory[512] __attribute__((aligned(4096)));
    u64 *tables;

    __asm__ volatile("mov %%cr3, %0" : "=r"(tables));
    for (u64 i = 0; i < 512; i++)
        directory[i] = (address & ~0x3fffffffULL) + (i << 21) + 0x83;
    tables = (u64 *)(tables[0] & ~0xfffULL);
    tables[address >> 30] = (u64)directory | 3;
}

static void use_pmem(void)
{
    u64 address = get(CONFIG) | (u64)get(CONFIG + 4) << 32;

    map_memory(address);
    verdict("pmem bytes", is_same((const u8 *)address, "sector 0", 8));
    clear(buffer, 4);
    verdict("pmem flush", ask(0, (u64)buffer, 4, (u64)buffer + 64, 4) == 4 &&
                              *(volatile u32 *)(buffer + 64) == 0);
}

static void use_balloon(void)
{
    const u32 queue = 2; /* reporting */

    for (u64 i = 0; i < sizeof(spare); i += 4096)
        spare[i] = 1;
    describe(queue, 0, (u64)spare, sizeof(spare) / 2, WRITE, 0);
    offer(queue, 0);
    verdict("balloon report", wait(queue) == 0 && *(volatile u8 *)spare == 0 &&
                                  *(volatile u8 *)(spare + sizeof(spare) / 2) == 1);
}

static void tell_console(u32 id, u16 event, u16 value)
{
    const struct {
        u32 id;
        u16 event, value;
    } message = { id, event, value };

    copy(buffer, &message, sizeof(message));
    describe(3, 0, (u64)buffer, sizeof(message), 0, 0);
    offer(3, 0);
    (void)wait(3);
}

/* The agent's port: what goes out comes back. */
static void use_console(void)
{
    u8 *room = buffer + 0x2000;
    u64 length;

    for (u16 i = 0; i < 8; i++) {
        describe(2, i, (u64)buffer + 0x1000 + 64 * i, 64, WRITE, 0);
        offer(2, i);
    }
    tell_console(0xffffffff, 0, 1);
    tell_console(1, 3, 1);
    tell_console(1, 6, 1);
    describe(4, 0, (u64)room, 100, WRITE, 0);
    offer(4, 0);
    copy(buffer + 0x3000, "echo of this", 12);
    describe(5, 0, (u64)buffer + 0x3000, 12, 0, 0);
    offer(5, 0);
    verdict("console send", wait(5) == 0);
    length = wait(4);
    verdict("console echo", length == 12 && is_same(room, "echo of this", 12));
}

/* Asks for the hardware address of 10.0.0.1, which is the other end of the cable. */
static void use_net(void)
{
    static const u8 request[] = {
        0,    0,    0,    0,    0,    0,    0, 0, 0, 0, 0,  0,       /* virtio */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,  1, 8, 6, /* Ethernet */
        0,    1,    8,    0,    6,    4,    0, 1, 2, 0, 0,  0, 0, 1,
        10,   0,    0,    2,    0,    0,    0, 0, 0, 0, 10, 0, 0, 1,
    };
    u8 *room = buffer + 0x4000;
    u64 length;

    copy(buffer, request, sizeof(request));
    for (u16 i = 0; i < 8; i++)
        describe(0, i, (u64)room + 2048 * i, 2048, WRITE, 0);
    for (u16 i = 0; i < 8; i++)
        offer(0, i);
    describe(1, 0, (u64)buffer, sizeof(request), 0, 0);
    offer(1, 0);
    verdict("net send", wait(1) == 0);
    /* Other packets of the interface may come before. */
    for (u32 i = 0; i < 8; i++, room += 2048) {
        length = wait(0);
        if (length == (u64)-1 || (room[24] == 8 && room[25] == 6 && room[33] == 2))
            break;
    }
    verdict("net answer", length != (u64)-1 && is_same(room + 40, request + 50, 4));
}

static void use_fs(void)
{
    const struct {
        u32 length, operation;
        u64 unique, node;
        u32 uid, gid, pid, padding;
        u32 major, minor, readahead, flags; /* INIT */
    } request = { 56, 26, 2, 0, 0, 0, 0, 0, 7, 36, 0, 0 };
    const volatile u32 *answer = (volatile u32 *)(buffer + 0x1000);

    copy(buffer, &request, sizeof(request));
    verdict("fs init", ask(1, (u64)buffer, sizeof(request), (u64)answer, 1000) >= 24 &&
                           answer[1] == 0 && answer[2] == 2 && answer[4] == 7);
    ((volatile u32 *)buffer)[0] = 55;
    verdict("fs length",
            ask(1, (u64)buffer, sizeof(request), (u64)answer, 1000) == 16 && answer[1] == (u32)-22);
}

static const struct {
    u32 id;
    u32 queue; /* that a wrong chain is put into */
    void (*use)(void);
} drivers[] = {
    { NET, 1, use_net }, { BLK, 0, use_blk },   { CONSOLE, 3, use_console }, { RNG, 0, use_rng },
    { FS, 1, use_fs },   { PMEM, 0, use_pmem }, { BALLOON, 0, use_balloon },
};
#define DRIVERS (sizeof(drivers) / sizeof(drivers[0]))

u32 driver_id(u32 driver)
{
    return drivers[driver].id;
}

void use_device(u32 driver)
{
    if (start_device())
        drivers[driver].use();
    else
        say("device does not start", drivers[driver].id);
}

/* Calls @work for each device that there is a driver for. */
void each_device(void (*work)(u32 driver))
{
    for (u32 i = 0; i < DEVICES_MAX; i++) {
        window = WINDOWS + i * WINDOW;
        if (get(MAGIC) != 0x74726976)
            continue;
        for (u32 driver = 0; driver < DRIVERS; driver++)
            if (drivers[driver].id == get(DEVICE_ID))
                work(driver);
    }
}

void devices_use(const u8 *zero_page)
{
    (void)zero_page;
    each_device(use_device);
}

/* --- what a driver must not do ---------------------------------------------------------------- */

int gets_broken(void)
{
    for (u32 i = 0; i < WAIT / 1000; i++)
        if ((get(STATUS) & STATUS_BROKEN) != 0)
            return 1;
    return 0;
}

static const struct {
    const char *what;
    u64 address;
    u32 length;
    u16 flags, next, head;
} wrong_chains[] = {
    { "loop", 0x200000, 4, NEXT, 0, 0 },
    { "next outside", 0x200000, 4, NEXT, QUEUE_SIZE, 0 },
    { "head outside", 0x200000, 4, 0, 0, QUEUE_SIZE },
    { "no bytes", 0x200000, 0, 0, 0, 0 },
    { "address wraps", 0xffffffffffffff00, 0x200, WRITE, 0, 0 },
    { "no memory there", 0x0000400000000000, 16, 0, 0, 0 },
    { "the devices' own registers", WINDOWS, 16, WRITE, 0, 0 },
    { "all of the addresses", 0, 0xffffffff, WRITE, 0, 0 },
    { "indirect and next", 0x200000, 16, INDIRECT | NEXT, 1, 0 },
    { "odd indirect table", 0x200000, 17, INDIRECT, 0, 0 },
};

static void abuse_chains(u32 driver)
{
    u32 queue = drivers[driver].queue;

    for (u32 i = 0; i < sizeof(wrong_chains) / sizeof(wrong_chains[0]); i++) {
        if (!start_device()) {
            put("does not start again\n");
            return;
        }
        describe(queue, 0, wrong_chains[i].address, wrong_chains[i].length, wrong_chains[i].flags,
                 wrong_chains[i].next);
        offer(queue, wrong_chains[i].head);
        if (!gets_broken())
            verdict(wrong_chains[i].what, 0);
    }
}

static void abuse_rings(void)
{
    static const u64 addresses[] = { 0xfffffffffffffff0, 0x0000400000000000, WINDOWS, 0x200008 };

    for (u32 i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        begin();
        set_queues();
        set(QUEUE_SELECT, 0);
        set(QUEUE_READY, 0);
        set_address(QUEUE_DESC, addresses[i]);
        set(QUEUE_READY, 1);
        set(STATUS, STATUS_RUNS);
        if (!gets_broken())
            say("ring not refused", addresses[i]);
    }
    /* More chains than there are entries. */
    (void)start_device();
    queues[0].available[1] = 0x8000;
    set(QUEUE_NOTIFY, 0);
}

/* Registers of queues that are ready or run change nothing: the device works afterwards. */
static void abuse_registers(void)
{
    (void)start_device();
    for (u32 i = 0; i < QUEUES; i++) {
        set(QUEUE_SELECT, i);
        set(QUEUE_NUM, 0x8000);
        set_address(QUEUE_DESC, 0xfffffffffffffff0);
        set_address(QUEUE_USED, 0xfffffffffffffff0);
        set(QUEUE_READY, 0);
    }
    for (u32 offset = 0x100; offset < 0x1000; offset += 4)
        set(offset, 0xffffffff);
    set(QUEUE_NOTIFY, 0xffffffff);
}

static void abuse_device(u32 driver)
{
    abuse_chains(driver);
    abuse_rings();
    use_device(driver);
    abuse_registers();
    drivers[driver].use();
}

void devices_abuse(const u8 *zero_page)
{
    (void)zero_page;
    each_device(abuse_device);
}
