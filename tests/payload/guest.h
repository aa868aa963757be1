#ifndef TESTS_PAYLOAD_GUEST_H
#define TESTS_PAYLOAD_GUEST_H

/* What the parts of the guest share: there is no library below them. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define PORT_SERIAL 0x3f8

static inline void out8(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}
static inline void out16(u16 port, u16 value)
{
    __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}
static inline u8 in8(u16 port)
{
    u8 value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline u32 in32(u16 port)
{
    u32 value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline u32 read32(u64 address)
{
    return *(volatile u32 *)address;
}
static inline void write32(u64 address, u32 value)
{
    *(volatile u32 *)address = value;
}

static inline void put(const char *text)
{
    while (*text != '\0')
        out8(PORT_SERIAL, (u8)*text++);
}

static inline void put_hex(u64 number)
{
    char text[17];

    for (int i = 15; i >= 0; i--, number >>= 4)
        text[i] = "0123456789abcdef"[number & 15];
    text[16] = '\0';
    put("0x");
    for (int i = 0; i < 16; i++)
        if (text[i] != '0' || i == 15) {
            put(text + i);
            return;
        }
}

static inline void say(const char *what, u64 number)
{
    put(what);
    put(" ");
    put_hex(number);
    put("\n");
}

/** Some tenths of a second. */
static inline void wait_a_while(void)
{
    u32 low, high;
    u64 end = 0, now;

    do {
        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
        now = (u64)high << 32 | low;
        end = end == 0 ? now + 1000000000 : end;
    } while (now < end);
}

static inline int is_equal(const char *left, const char *right)
{
    while (*left == *right && *left != '\0') {
        left++;
        right++;
    }
    return *left == *right;
}

/** Drives each virtio device that it finds: as a driver should, and as one should not. */
void devices_use(const u8 *zero_page);
void devices_abuse(const u8 *zero_page);
/** Rings, addresses and requests that no driver makes; then drives each as it should. */
void devices_hostile(const u8 *zero_page);
/** More than the other side of the agent's port takes. */
void hostile_port(const u8 *zero_page);

/** What a guest can try without devices. */
void hostile_addresses(const u8 *zero_page);
void hostile_code(const u8 *zero_page);
void hostile_console(const u8 *zero_page);
void hostile_msrs(const u8 *zero_page);
void hostile_ports(const u8 *zero_page);
void hostile_strings(const u8 *zero_page);

#endif
