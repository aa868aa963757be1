/* What a guest can try against its machine, without a kernel that would keep it from it: ports,
 * addresses, registers, memory that is not there, floods, and requests that no kernel sends. It
 * says "survived" where the machine is to go on. */
#include "tests/payload/guest.h"
#include "tests/payload/guest_virtio.h"

#define PORT_SLEEP    0x600
#define PORT_RESET    0x602
#define PORT_KEYBOARD 0x64

static void survived(const char *what)
{
    put(what);
    put(" survived\n");
}

/* --- ports ------------------------------------------------------------------------------------ */

/* Those that end the machine when it is asked rightly, and the interrupt controllers, which the
 * host's kernel has. */
static int is_taken(u32 port)
{
    return port == PORT_SLEEP || port == PORT_RESET || port == PORT_KEYBOARD ||
           (port >= PORT_SERIAL && port < PORT_SERIAL + 8);
}

void hostile_ports(const u8 *zero_page)
{
    (void)zero_page;
    for (u32 port = 0; port < 0x10000; port += port < 0x800 ? 1 : 61) {
        if (is_taken(port))
            continue;
        (void)in8((u16)port);
        (void)in32((u16)port);
        out8((u16)port, 0xff);
        out16((u16)port, 0xffff);
    }
    /* Of those that are something: the wrong width, and the wrong value. */
    out16(PORT_SLEEP, 0x3434);
    out16(PORT_RESET, 0x0101);
    out8(PORT_SLEEP, 0xff);
    out8(PORT_RESET, 0xff);
    (void)in32(PORT_SERIAL + 5);
    survived("ports");
}

/* One instruction for thousands of bytes, out of and into memory, also of no memory at all. */
void hostile_strings(const u8 *zero_page)
{
    static const u64 places[] = { 0x2000000, 0xe0000000, WINDOWS };

    (void)zero_page;
    for (u32 i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        u64 from = places[i];
        u64 to = places[i];
        u64 out = i == 0 ? 1 << 15 : 64;
        u64 in = i == 0 ? 1 << 15 : 64;

        __asm__ volatile("rep outsb" : "+S"(from), "+c"(out) : "d"((u16)0x1234) : "memory");
        __asm__ volatile("rep insb" : "+D"(to), "+c"(in) : "d"((u16)0x1234) : "memory");
    }
    survived("strings");
}

/* --- addresses -------------------------------------------------------------------------------- */

static void touch(u64 address)
{
    (void)*(volatile u8 *)address;
    (void)*(volatile u64 *)address;
    *(volatile u8 *)address = 0xff;
    *(volatile u16 *)address = 0xffff;
    *(volatile u64 *)address = ~0ULL;
}

void hostile_addresses(const u8 *zero_page)
{
    /* The hole's ends, the windows' ends and what lies across two of them, the last bytes of
     * 4 GiB. */
    static const u64 addresses[] = {
        0xc0000000,
        0xcffffff9,
        WINDOWS + 0x47,
        WINDOWS + 0x6e,
        WINDOWS + 0xffd,
        WINDOWS + 19 * WINDOW - 3,
        WINDOWS + 19 * WINDOW,
        WINDOWS + 0x100000,
        0xe0000001,
        0xfebffff9,
        0xfed00000,
        0xfffbbff9,
        0xfffffff0,
    };
    /* Above all memory, to the end of what a processor of today can address. */
    static const u64 far_addresses[] = { 0x100000000, 0x7fffffffff };

    (void)zero_page;
    for (u32 i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
        touch(addresses[i]);
    for (u32 i = 0; i < sizeof(far_addresses) / sizeof(far_addresses[0]); i++) {
        map_memory(far_addresses[i]);
        touch(far_addresses[i] & ~7ULL);
    }
    survived("addresses");
}

/* Instructions from where there are none. */
void hostile_code(const u8 *zero_page)
{
    (void)zero_page;
    ((void (*)(void))0xe0000000ULL)();
}

/* --- model specific registers ----------------------------------------------------------------- */

/* Skips the instruction of two bytes that was refused. */
static volatile u32 refusals;
extern const u8 refusal_entry[];
__asm__(".globl refusal_entry\n"
        "refusal_entry:\n"
        "    addq $8, %rsp\n"
        "    lock incl refusals(%rip)\n"
        "    addq $2, (%rsp)\n"
        "    iretq\n");

static void take_refusals(void)
{
    static u64 table[32 * 2] __attribute__((aligned(16)));
    const struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) pointer = { sizeof(table) - 1, (u64)table };
    const u64 entry = (u64)refusal_entry;

    table[13 * 2] = (entry & 0xffff) | 0x10ULL << 16 | 0x8eULL << 40 | (entry >> 16 & 0xffff) << 48;
    table[13 * 2 + 1] = entry >> 32;
    __asm__ volatile("lidt %0" ::"m"(pointer));
}

static void write_msr(u32 number, u64 value)
{
    u32 low = (u32)value;
    u32 high = (u32)(value >> 32);

    __asm__ volatile("wrmsr" ::"c"(number), "a"(low), "d"(high) : "memory");
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
}

void hostile_msrs(const u8 *zero_page)
{
    static const u64 values[] = { ~0ULL, 0xfffffffffffff001, 0xd0000001 };
    /* Ends of ranges: old ones, MTRRs, x2APIC, system calls, KVM's own, Hyper-V's. Not the modes of
     * the processor and the place of its interrupt controller, which this guest needs. */
    static const struct {
        u32 first, last;
    } ranges[] = {
        { 0x10, 0x10 },
        { 0x1c, 0x60 },
        { 0x174, 0x1a8 },
        { 0x200, 0x210 },
        { 0x2ff, 0x310 },
        { 0x480, 0x492 },
        { 0x80f, 0x810 },
        { 0xc0000081, 0xc0000084 },
        { 0xc0010000, 0xc0010020 },
        { 0x11, 0x12 },
        { 0x40000000, 0x40000010 },
        { 0x4b564d00, 0x4b564d08 },
    };

    (void)zero_page;
    take_refusals();
    for (u32 i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        for (u32 number = ranges[i].first; number <= ranges[i].last; number++)
            for (u32 value = 0; value < sizeof(values) / sizeof(values[0]); value++)
                write_msr(number, values[value]);
    put(refusals != 0 ? "some are refused\n" : "none is refused\n");
    survived("msrs");
}

/* --- floods ----------------------------------------------------------------------------------- */

/* More lines than the log's rate allows. */
void hostile_console(const u8 *zero_page)
{
    static char lines[1 << 16];

    (void)zero_page;
    for (u32 i = 0; i < sizeof(lines); i++)
        lines[i] = i % 64 == 63 ? '\n' : 'f';
    for (u32 i = 0; i < 5; i++) {
        const char *from = lines;
        u64 count = sizeof(lines);

        __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"((u16)PORT_SERIAL) : "memory");
    }
    /* So that the next line is not among those that are dropped. */
    wait_a_while();
    put("\n");
    survived("console");
}
