/* A guest that needs neither a kernel nor the whole of a processor: it is entered as a kernel is,
 * in long mode, does what the last word of the command line says, and writes what it saw to the
 * serial line. */

#include "tests/payload/guest.h"

#define PORT_KEYBOARD 0x64
#define PORT_SLEEP    0x600
#define PORT_RESET    0x602
#define POWER_OFF     0x34

#define CMDLINE_POINTER    0x228
#define RSDP_POINTER       0x70
#define SETUP_DATA_POINTER 0x250
#define E820_COUNT         0x1e8
#define E820_TABLE         0x2d0

/* Sets a stack, and passes on what RSI pointed to. */
__asm__(".globl start\n"
        "start:\n"
        "    lea stack_end(%rip), %rsp\n"
        "    mov %rsi, %rdi\n"
        "    call run\n"
        "1:  hlt\n"
        "    jmp 1b\n"
        ".bss\n"
        ".balign 16\n"
        "    .skip 16384\n"
        "stack_end:\n"
        ".text\n");

void run(const u8 *zero_page);

/* --- what it can do --------------------------------------------------------------------------- */

static void arguments(const u8 *zero_page)
{
    const u8 *rsdp = (const u8 *)*(const u64 *)(zero_page + RSDP_POINTER);
    const u8 *seed = (const u8 *)*(const u64 *)(zero_page + SETUP_DATA_POINTER);
    u8 sum = 0;
    u8 any = 0;
    u64 ram = 0;

    for (int i = 0; i < 36; i++)
        sum = (u8)(sum + rsdp[i]);
    say("rsdp sum", sum);
    say("seed type", *(const u32 *)(seed + 8));
    for (int i = 0; i < 32; i++)
        any |= seed[16 + i];
    put(any != 0 ? "seeded\n" : "not seeded\n");
    for (int i = 0; i < zero_page[E820_COUNT]; i++) {
        const u8 *range = zero_page + E820_TABLE + i * 20;

        if (*(const u32 *)(range + 16) == 1)
            ram += *(const u64 *)(range + 8);
    }
    say("ram", ram);
}

static void serial(const u8 *zero_page)
{
    u64 divisor;
    u64 modem;

    (void)zero_page;
    say("line status", in8(PORT_SERIAL + 5));
    out8(PORT_SERIAL + 3, 0x80);
    out8(PORT_SERIAL, 0x34);
    out8(PORT_SERIAL + 1, 0x12);
    out8(PORT_SERIAL + 3, 0x83);
    divisor = (u64)in8(PORT_SERIAL + 1) << 8 | in8(PORT_SERIAL);
    out8(PORT_SERIAL + 3, 0x03);
    say("divisor", divisor);
    out8(PORT_SERIAL + 2, 1);
    say("fifo", in8(PORT_SERIAL + 2));
    out8(PORT_SERIAL + 4, 0x1a);
    put("not sent\n");
    modem = in8(PORT_SERIAL + 6);
    out8(PORT_SERIAL + 4, 0x03);
    say("loop", modem);
}

/* Of ports and addresses where nothing is. */
static void nothing(const u8 *zero_page)
{
    (void)zero_page;
    say("port", in32(0xcf8));
    say("memory", read32(0xe0000000));
    write32(0xe0000000, 1);
    out16(PORT_SLEEP, POWER_OFF);
    out8(PORT_SLEEP, 0);
    out8(PORT_RESET, 0);
    put("still here\n");
}

/* The first device: its magic number, version and id; and beyond its registers. */
static void device(const u8 *zero_page)
{
    (void)zero_page;
    say("magic", read32(0xd0000000));
    say("version", read32(0xd0000004));
    say("id", read32(0xd0000008));
    say("beyond", read32(0xd0000ffc));
}

/* By one instruction for many bytes, which come out in pieces. */
static void string(const u8 *zero_page)
{
    static const char line[] = "0123456789abcdef0123456789abcde\n";

    (void)zero_page;
    for (int i = 0; i < 100; i++) {
        const char *from = line;
        u64 count = sizeof(line) - 1;

        __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"((u16)PORT_SERIAL) : "memory");
    }
}

static void panic(const u8 *zero_page)
{
    (void)zero_page;
    put("[    1.0] Kernel panic - not syncing: no \"init\" found\r\n");
    out8(PORT_KEYBOARD, 0xfe);
}

static void reset_by_keyboard(const u8 *zero_page)
{
    (void)zero_page;
    say("keyboard", in8(PORT_KEYBOARD));
    out8(PORT_KEYBOARD, 0xfe);
}

static void reset_by_register(const u8 *zero_page)
{
    (void)zero_page;
    out8(PORT_RESET, 1);
}

static void reset_by_fault(const u8 *zero_page)
{
    static const struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) none = { 0, 0 };

    (void)zero_page;
    __asm__ volatile("lidt %0\n ud2" ::"m"(none));
}

static void spin(const u8 *zero_page)
{
    (void)zero_page;
    put("spinning\n");
    for (;;)
        __asm__ volatile("pause");
}

static u64 read_tsc(void)
{
    u32 low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

/* Goes on at the same number in another process, whose time stamp counter does too. */
static void count(const u8 *zero_page)
{
    u64 last = 0;

    (void)zero_page;
    for (u64 number = 0;; number++) {
        const u64 now = read_tsc();

        if (now < last)
            say("time stamp counter set back by", last - now);
        last = now;
        say("count", number);
    }
}

static void tick(const u8 *zero_page)
{
    (void)zero_page;
    for (;;) {
        out8(PORT_SERIAL, '.');
        out8(PORT_SERIAL, '\n');
    }
}

/* The serial line's interrupt, by way of the I/O APIC, is taken by an entry of the table. */
static volatile u32 interrupts;
extern const u8 interrupt_entry[];
__asm__(".globl interrupt_entry\n"
        "interrupt_entry:\n"
        "    push %rax\n"
        "    push %rdx\n"
        "    lock incl interrupts(%rip)\n"
        "    mov $0x3fa, %dx\n"
        "    inb %dx, %al\n"
        "    mov $0xfee000b0, %rax\n"
        "    movl $0, (%rax)\n"
        "    pop %rdx\n"
        "    pop %rax\n"
        "    iretq\n");

static void interrupt(const u8 *zero_page)
{
    static u64 table[256 * 2] __attribute__((aligned(16)));
    const struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) pointer = { sizeof(table) - 1, (u64)table };
    const u64 entry = (u64)interrupt_entry;

    (void)zero_page;
    table[0x40 * 2] =
        (entry & 0xffff) | 0x10ULL << 16 | 0x8eULL << 40 | (entry >> 16 & 0xffff) << 48;
    table[0x40 * 2 + 1] = entry >> 32;
    __asm__ volatile("lidt %0" ::"m"(pointer));
    out8(0x21, 0xff); /* not by way of the old controllers, whose vectors nobody has set */
    out8(0xa1, 0xff);
    write32(0xfee000f0, 0x1ff); /* the local APIC: on */
    write32(0xfec00000, 0x10 + 2 * 4);
    write32(0xfec00010, 0x40); /* pin 4: vector 0x40, edge, to CPU 0 */
    write32(0xfec00000, 0x11 + 2 * 4);
    write32(0xfec00010, 0);
    __asm__ volatile("sti");
    out8(PORT_SERIAL + 1, 2);
    for (u32 i = 0; i < 1000000 && interrupts == 0; i++)
        __asm__ volatile("pause");
    __asm__ volatile("cli");
    out8(PORT_SERIAL + 1, 0);
    put(interrupts != 0 ? "interrupted\n" : "no interrupt\n");
}

static const struct {
    const char *name;
    void (*run)(const u8 *zero_page);
} commands[] = {
    { "arguments", arguments },
    { "count", count },
    { "device", device },
    { "devices-abuse", devices_abuse },
    { "devices-hostile", devices_hostile },
    { "devices-use", devices_use },
    { "hostile-addresses", hostile_addresses },
    { "hostile-code", hostile_code },
    { "hostile-console", hostile_console },
    { "hostile-msrs", hostile_msrs },
    { "hostile-port", hostile_port },
    { "hostile-ports", hostile_ports },
    { "hostile-strings", hostile_strings },
    { "interrupt", interrupt },
    { "nothing", nothing },
    { "panic", panic },
    { "reset-by-fault", reset_by_fault },
    { "reset-by-keyboard", reset_by_keyboard },
    { "reset-by-register", reset_by_register },
    { "serial", serial },
    { "spin", spin },
    { "string", string },
    { "tick", tick },
};

void run(const u8 *zero_page)
{
    const char *word = (const char *)(u64) * (const u32 *)(zero_page + CMDLINE_POINTER);
    const char *command = word;

    for (; *word != '\0'; word++)
        if (*word == ' ')
            command = word + 1;
    for (u64 i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (is_equal(command, commands[i].name))
            commands[i].run(zero_page);
    put("done\n");
    out8(PORT_SLEEP, POWER_OFF);
}
