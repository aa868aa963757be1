/* Devices in the hands of a driver that no kernel has: what devices_abuse() leaves out. */
#include "tests/payload/guest_virtio.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* --- rings ------------------------------------------------------------------------------------ */

/* The queue of a device whose chains are looked at whatever is in them. */
static u32 queue_of(u32 driver)
{
    return driver_id(driver) == NET || driver_id(driver) == FS ? 1
           : driver_id(driver) == CONSOLE                      ? 3
                                                               : 0;
}

static void jump(u32 queue)
{
    queues[queue].available[1] = 0xffff;
    set(QUEUE_NOTIFY, queue);
}

/* A table of descriptors of which one is a table again. */
static void nest(u32 queue)
{
    struct descriptor *table = (struct descriptor *)(buffer + 0x1000);

    table[0] = (struct descriptor){ (u64)table, 16, INDIRECT, 0 };
    describe(queue, 0, (u64)table, 16, INDIRECT, 0);
    offer(queue, 0);
}

/* Longer than the queue, by a table. */
static void stretch(u32 queue)
{
    struct descriptor *table = (struct descriptor *)(buffer + 0x1000);

    for (u16 i = 0; i < 4 * QUEUE_SIZE; i++)
        table[i] = (struct descriptor){ (u64)buffer, 16, NEXT, (u16)(i + 1) };
    describe(queue, 0, (u64)table, 4 * QUEUE_SIZE * 16, INDIRECT, 0);
    offer(queue, 0);
}

/* Across the end of the memory, into the hole. */
static void straddle(u32 queue)
{
    describe(queue, 0, 0x4000000 - 16, 32, WRITE, 0);
    offer(queue, 0);
}

static void go_backwards(u32 queue)
{
    describe(queue, 0, (u64)buffer, 16, WRITE | NEXT, 1);
    describe(queue, 1, (u64)buffer, 16, 0, 0);
    offer(queue, 0);
}

static void break_rings(u32 driver)
{
    static void (*const ways[])(u32 queue) = { jump, nest, stretch, straddle, go_backwards };

    for (u32 i = 0; i < ROWS(ways); i++) {
        if (!start_device()) {
            put("does not start again\n");
            return;
        }
        ways[i](queue_of(driver));
        if (!gets_broken())
            say("not broken by way", i);
    }
}

/* Chains that are right but say all of the memory, its own rings among it. */
static void offer_everything(u32 driver)
{
    const u32 queue = queue_of(driver);

    if (!start_device())
        return;
    for (u16 i = 0; i < QUEUE_SIZE; i++)
        describe(queue, i, 0x800000, 0x3800000, (u16)(WRITE | (i + 1 < QUEUE_SIZE ? NEXT : 0)),
                 (u16)(i + 1));
    offer(queue, 0);
    (void)wait(queue);
}

/* Resets while the device works. */
static void storm(u32 driver)
{
    const u32 queue = queue_of(driver);

    if (!start_device())
        return;
    describe(queue, 0, (u64)buffer, 4096, WRITE, 0);
    for (u32 i = 0; i < 50; i++) {
        offer(queue, 0);
        set(STATUS, 0);
        set(STATUS, STATUS_RUNS);
    }
}

/* --- requests --------------------------------------------------------------------------------- */

static void lie_to_balloon(void)
{
    static const u32 frames[] = { 0xffffffff, 0xc0000, 0xd0000, 0x3fff, 0x4000, 0x100000, 0xfffff };

    copy(buffer, frames, sizeof(frames));
    describe(0, 0, (u64)buffer, sizeof(frames), 0, 0);
    offer(0, 0);
    verdict("balloon lies", wait(0) == 0);
    set(CONFIG + 4, 0xffffffff);
}

/* Lengths that no frame has, and headers that lie about what follows. */
static void lie_to_net(void)
{
    /* struct virtio_net_hdr: flags, kind of segments, length of the headers and of a segment, where
     * a sum begins and goes; then the length of the packet. */
    static const struct {
        u8 flags, kind;
        u16 header, segment, start, offset;
        u32 length;
    } frames[] = {
        { 0, 0, 0, 0, 0, 0, 0 },
        { 0, 0, 0, 0, 0, 0, 1 },
        { 0, 0, 0, 0, 0, 0, 65535 },
        { 1, 0, 0, 0, 0xffff, 0xffff, 60 },
        { 1, 1, 0xffff, 0, 0, 0, 60 },
        { 1, 1, 54, 1, 34, 16, 65000 },
        { 0xff, 0xff, 0xffff, 0xffff, 0xffff, 0xffff, 1500 },
    };

    for (u32 i = 0; i < ROWS(frames); i++) {
        clear(buffer, 64);
        copy(buffer, &frames[i], 10);
        /* By the longest way: a piece a descriptor. */
        describe(1, 0, (u64)buffer, 12, (u16)(frames[i].length > 0 ? NEXT : 0), 1);
        describe(1, 1, (u64)buffer + 12, frames[i].length, 0, 0);
        offer(1, 0);
        if (wait(1) != 0)
            say("net frame", i);
    }
}

/* struct fuse_in_header. */
struct fuse_header {
    u32 length, operation;
    u64 unique, node;
    u32 uid, gid, pid, padding;
};

/* Returns the error of the answer, as a positive number. */
static u32 ask_server(u32 operation, u64 node, u32 uid, const void *body, u32 length)
{
    const struct fuse_header header = { 40 + length, operation, 2, node, uid, 0, 0, 0 };
    const volatile u32 *answer = (volatile u32 *)(buffer + 0x4000);

    copy(buffer, &header, sizeof(header));
    copy(buffer + sizeof(header), body, length);
    if (ask(1, (u64)buffer, 40 + length, (u64)answer, 0x4000) == (u64)-1)
        return 0xffff;
    return (u32) - (int)answer[1];
}

#define EPERM        1
#define ENOENT       2
#define EBADF        9
#define EEXIST       17
#define ENOTDIR      20
#define EINVAL       22
#define ENAMETOOLONG 36
#define ENOSYS       38
#define EOPNOTSUPP   95
#define ESTALE       116

#define LINK_NODE 0 /* the number that the server gave for "link" */

/* Bytes of a request, with the zero byte that ends a name. */
#define BODY(text) text, sizeof(text)

static const struct {
    const char *what;
    u32 operation;
    u64 node;
    const char *body;
    u32 length;
    u32 error;
} requests[] = {
    { "the folder above", 1, 1, BODY(".."), EINVAL },
    { "the folder itself", 1, 1, BODY("."), EINVAL },
    { "a path", 1, 1, BODY("folder/../../secret"), EINVAL },
    { "an absolute path", 1, 1, BODY("/etc/passwd"), EINVAL },
    { "an empty name", 1, 1, BODY(""), EINVAL },
    { "a name without end", 1, 1, "abc", 3, EINVAL },
    { "a second name", 1, 1, BODY("a\0b"), EINVAL },
    { "a forged number", 1, 2, BODY("plain"), ESTALE },
    { "a forged large number", 1, 0xffffffffffffffff, BODY("plain"), ESTALE },
    { "a name below a link", 1, LINK_NODE, BODY("passwd"), ENOTDIR },
    { "a link opened", 14, LINK_NODE, BODY("\0\0\0\0\0\0\0"), EOPNOTSUPP },
    /* struct fuse_create_in: O_CREAT|O_WRONLY|O_TRUNC, 0666 */
    { "a link made anew", 35, 1, BODY("\101\2\0\0\266\1\0\0\0\0\0\0\0\0\0\0link"), EEXIST },
    /* struct fuse_mknod_in: a character and a block device, 1:3 */
    { "a character device", 8, 1, BODY("\266\41\0\0\3\1\0\0\0\0\0\0\0\0\0\0dev"), EPERM },
    { "a block device", 8, 1, BODY("\266\141\0\0\3\1\0\0\0\0\0\0\0\0\0\0dev"), EPERM },
    { "a name moved out", 12, 1, BODY("\1\0\0\0\0\0\0\0plain\0../out"), EINVAL },
    { "a move to nowhere", 12, 1, BODY("\7\0\0\0\0\0\0\0plain\0out"), ESTALE },
    { "a link to nothing", 13, 1, BODY("\7\0\0\0\0\0\0\0out"), ESTALE },
    /* struct fuse_read_in and fuse_write_in, whose lengths lie */
    { "four gigabytes", 15, 1,
      BODY("\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\377\377\377\377\0\0\0\0\0\0\0\0"
           "\0\0\0\0\0\0\0\0\0\0"),
      EINVAL },
    { "a file that is not open", 15, 1,
      BODY("\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\20\0\0\0\0\0\0\0\0\0\0\0"
           "\0\0\0\0\0\0\0\0\0\0\0"),
      EBADF },
    { "an unknown operation", 4095, 1, BODY("x"), ENOSYS },
    { "a removed parent", 10, 1, BODY(".."), EINVAL },
};

static void lie_to_fs(void)
{
    static const u32 init[] = { 7, 36, 0, 0 };
    const volatile u64 *node = (volatile u64 *)(buffer + 0x4010);
    u64 link;

    if (ask_server(26, 0, 0, init, sizeof(init)) != 0 ||
        ask_server(1, 1, 0, "link", sizeof("link")) != 0) {
        put("fs does not begin: WRONG\n");
        return;
    }
    link = *node;
    for (u32 i = 0; i < ROWS(requests); i++) {
        const u32 error = ask_server(requests[i].operation,
                                     requests[i].node == LINK_NODE ? link : requests[i].node, 0,
                                     requests[i].body, requests[i].length);

        if (error != requests[i].error) {
            put(requests[i].what);
            say(": WRONG", error);
        }
    }
    verdict("fs still serves", ask_server(1, 1, 0, "plain", sizeof("plain")) == 0);
}

static void lie(u32 driver)
{
    if (!start_device())
        return;
    if (driver_id(driver) == BALLOON)
        lie_to_balloon();
    else if (driver_id(driver) == NET)
        lie_to_net();
    else if (driver_id(driver) == FS)
        lie_to_fs();
}

/* --- all -------------------------------------------------------------------------------------- */

static void be_hostile(u32 driver)
{
    const u32 id = driver_id(driver);

    if (id == BLK)
        break_rings(driver);
    if (id == BLK || id == RNG || id == FS)
        storm(driver);
    if (id == RNG)
        offer_everything(driver);
    lie(driver);
    use_device(driver);
}

void devices_hostile(const u8 *zero_page)
{
    (void)zero_page;
    each_device(be_hostile);
    put("devices survived\n");
}

/* --- the agent's port ------------------------------------------------------------------------- */

static void flood_port(u32 driver)
{
    if (driver_id(driver) != CONSOLE || !start_device())
        return;
    for (u16 i = 0; i < QUEUE_SIZE; i++)
        describe(5, i, 0x400000, 0x3000000, 0, 0);
    for (u32 i = 0; i < QUEUE_SIZE; i++)
        offer(5, (u16)i);
    put("flooded\n");
    for (;;)
        __asm__ volatile("pause");
}

void hostile_port(const u8 *zero_page)
{
    (void)zero_page;
    each_device(flood_port);
}
