#include "microvm/acpi.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "microvm/layout.h"

/* The chapters are those of ACPI 6.4. RSDP -> XSDT -> FADT -> DSDT, and XSDT -> MADT. */

#define HEADER_SIZE 36 /* 5.2.6 */
#define RSDP_SIZE   36 /* 5.2.5.3 */
#define RSDP_V1     20 /* what its first checksum covers */
#define FADT_SIZE   276
#define TABLE_ALIGN 16

/* FADT, 5.2.9: flags and IA-PC boot architecture. */
#define FADT_WBINVD           (1U << 0)
#define FADT_POWER_BUTTON     (1U << 4) /* none of the fixed hardware */
#define FADT_SLEEP_BUTTON     (1U << 5)
#define FADT_RESET_REGISTER   (1U << 10)
#define FADT_HARDWARE_REDUCED (1U << 20)
#define BOOT_NO_VGA           (1U << 2)
#define BOOT_NO_MSI           (1U << 3)
#define BOOT_NO_CMOS_RTC      (1U << 5)
#define SPACE_IO              1

/* AML, 20.2. */
#define AML_ZERO     0x00
#define AML_ONE      0x01
#define AML_NAME     0x08
#define AML_BYTE     0x0a
#define AML_DWORD    0x0c
#define AML_STRING   0x0d
#define AML_SCOPE    0x10
#define AML_BUFFER   0x11
#define AML_PACKAGE  0x12
#define AML_EXTENDED 0x5b
#define AML_DEVICE   0x82
/* A length of two bytes holds 12 bits. */
#define AML_LENGTH_MAX 0xfff

/* Where is written; running out of room is a mistake of ours, since both counts are bounded. */
struct writer {
    uint8_t *bytes;
    size_t length;
    size_t room;
    uint64_t address;
};

static uint8_t *put_zeros(struct writer *writer, size_t count)
{
    uint8_t *at = writer->bytes + writer->length;

    assert(count <= writer->room - writer->length);
    memset(at, 0, count);
    writer->length += count;
    return at;
}

static void put(struct writer *writer, const void *bytes, size_t count)
{
    memcpy(put_zeros(writer, count), bytes, count);
}

static void put_byte(struct writer *writer, uint8_t byte)
{
    put(writer, &byte, 1);
}

static void put_dword(struct writer *writer, uint32_t number)
{
    put(writer, &number, sizeof(number));
}

static uint8_t checksum(const uint8_t *bytes, size_t length)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return (uint8_t)-sum;
}

/* Returns where the table begins, for table_end(). */
static size_t table_begin(struct writer *writer, const char *signature, uint8_t revision)
{
    const uint32_t one = 1;
    uint8_t *header;
    size_t start;

    (void)put_zeros(writer, -writer->length % TABLE_ALIGN);
    start = writer->length;
    header = put_zeros(writer, HEADER_SIZE);
    memcpy(header, signature, 4);
    header[8] = revision;
    memcpy(header + 10, "BERTH ", 6);
    memcpy(header + 16, "MICROVM ", 8);
    memcpy(header + 24, &one, 4);
    memcpy(header + 28, "BRTH", 4);
    memcpy(header + 32, &one, 4);
    return start;
}

/* Returns the table's address. */
static uint64_t table_end(struct writer *writer, size_t start)
{
    uint8_t *table = writer->bytes + start;
    const uint32_t length = (uint32_t)(writer->length - start);

    memcpy(table + 4, &length, sizeof(length));
    table[9] = checksum(table, length);
    return writer->address + start;
}

/* --- DSDT ------------------------------------------------------------------------------------- */

/* Room for the length of what follows, which is counted from here. */
static size_t block_begin(struct writer *writer)
{
    (void)put_zeros(writer, 2);
    return writer->length - 2;
}

static void block_end(struct writer *writer, size_t start)
{
    const size_t length = writer->length - start;

    assert(length <= AML_LENGTH_MAX);
    writer->bytes[start] = (uint8_t)(0x40 | (length & 0xf));
    writer->bytes[start + 1] = (uint8_t)(length >> 4);
}

static void put_name(struct writer *writer, const char *name)
{
    put_byte(writer, AML_NAME);
    put(writer, name, 4);
}

/* The resources of one device, 6.4. */
static void put_resources(struct writer *writer, const uint8_t *bytes, size_t length)
{
    static const uint8_t end_tag[] = { 0x79, 0 };
    size_t block;

    put_name(writer, "_CRS");
    put_byte(writer, AML_BUFFER);
    block = block_begin(writer);
    put_byte(writer, AML_BYTE);
    put_byte(writer, (uint8_t)(length + sizeof(end_tag)));
    put(writer, bytes, length);
    put(writer, end_tag, sizeof(end_tag));
    block_end(writer, block);
}

static size_t device_begin(struct writer *writer, const char *name)
{
    size_t block;

    put_byte(writer, AML_EXTENDED);
    put_byte(writer, AML_DEVICE);
    block = block_begin(writer);
    put(writer, name, 4);
    return block;
}

/* Without it the terminal has no interrupt. */
static void put_serial(struct writer *writer)
{
    static const uint8_t resources[] = {
        0x47,
        1,
        LAYOUT_PORT_SERIAL & 0xff,
        LAYOUT_PORT_SERIAL >> 8, /* ports, from */
        LAYOUT_PORT_SERIAL & 0xff,
        LAYOUT_PORT_SERIAL >> 8, /* to */
        1,
        8, /* alignment, count */
        0x22,
        1 << LAYOUT_SERIAL_GSI,
        0, /* interrupts, as bits */
    };
    static const uint8_t eisa_pnp0501[] = { 0x41, 0xd0, 0x05, 0x01 };
    const size_t block = device_begin(writer, "COM1");

    put_name(writer, "_HID");
    put_byte(writer, AML_DWORD);
    put(writer, eisa_pnp0501, sizeof(eisa_pnp0501));
    put_name(writer, "_UID");
    put_byte(writer, AML_ONE);
    put_resources(writer, resources, sizeof(resources));
    block_end(writer, block);
}

static void put_virtio(struct writer *writer, const struct acpi_device *device, size_t index)
{
    uint8_t resources[] = {
        0x86, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, /* memory, writable: address, size */
        0x89, 6, 0, 3, 1, 0, 0, 0, 0,          /* interrupt, edge, active high, exclusive: GSI */
    };
    char name[5];
    size_t block;

    memcpy(resources + 4, &device->address, 4);
    memcpy(resources + 8, &device->size, 4);
    memcpy(resources + 17, &device->gsi, 4);
    (void)snprintf(name, sizeof(name), "VR%02X", (unsigned)index & 0xff);
    block = device_begin(writer, name);
    put_name(writer, "_HID");
    put_byte(writer, AML_STRING);
    put(writer, "LNRO0005", 9);
    put_name(writer, "_UID");
    put_byte(writer, AML_BYTE);
    put_byte(writer, (uint8_t)index);
    /* Its memory accesses are coherent: 6.2.17. */
    put_name(writer, "_CCA");
    put_byte(writer, AML_ONE);
    put_resources(writer, resources, sizeof(resources));
    block_end(writer, block);
}

static uint64_t put_dsdt(struct writer *writer, const struct acpi_plan *plan)
{
    /* Without \_S5 Linux offers no power-off. */
    static const uint8_t s5[] = {
        AML_PACKAGE,       8,        4,        AML_BYTE, LAYOUT_SLEEP_TYPE, AML_BYTE,
        LAYOUT_SLEEP_TYPE, AML_ZERO, AML_ZERO,
    };
    const size_t start = table_begin(writer, "DSDT", 2);
    size_t scope;

    put_name(writer, "_S5_");
    put(writer, s5, sizeof(s5));
    put_byte(writer, AML_SCOPE);
    scope = block_begin(writer);
    put(writer, "_SB_", 4);
    put_serial(writer);
    for (size_t i = 0; i < plan->device_count; i++)
        put_virtio(writer, &plan->devices[i], i);
    block_end(writer, scope);
    return table_end(writer, start);
}

/* --- the other tables ------------------------------------------------------------------------- */

/* A generic address of one byte, 5.2.3.2. */
static void set_port(uint8_t *field, uint64_t port)
{
    field[0] = SPACE_IO;
    field[1] = 8;
    field[3] = 1;
    memcpy(field + 4, &port, sizeof(port));
}

static uint64_t put_fadt(struct writer *writer, uint64_t dsdt)
{
    const size_t start = table_begin(writer, "FACP", 6);
    uint8_t *table = writer->bytes + start;
    /* The bit for the keyboard controller stays clear, which spares the kernel a search. */
    const uint16_t boot = BOOT_NO_VGA | BOOT_NO_MSI | BOOT_NO_CMOS_RTC;
    const uint32_t flags = FADT_WBINVD | FADT_POWER_BUTTON | FADT_SLEEP_BUTTON |
                           FADT_RESET_REGISTER | FADT_HARDWARE_REDUCED;

    (void)put_zeros(writer, FADT_SIZE - HEADER_SIZE);
    memcpy(table + 109, &boot, sizeof(boot));
    memcpy(table + 112, &flags, sizeof(flags));
    set_port(table + 116, LAYOUT_PORT_RESET);
    table[128] = LAYOUT_RESET_VALUE;
    memcpy(table + 140, &dsdt, sizeof(dsdt));
    set_port(table + 244, LAYOUT_PORT_SLEEP);
    set_port(table + 256, LAYOUT_PORT_SLEEP_STATUS);
    memcpy(table + 268, "BERTH", 5);
    return table_end(writer, start);
}

/* 5.2.12: who may run, and where interrupts go. */
static uint64_t put_madt(struct writer *writer, uint32_t cpus)
{
    const size_t start = table_begin(writer, "APIC", 5);

    put_dword(writer, LAYOUT_LAPIC);
    put_dword(writer, 0);
    for (uint32_t i = 0; i < cpus; i++) {
        const uint8_t entry[8] = { 0, 8, (uint8_t)i, (uint8_t)i, 1 };

        put(writer, entry, sizeof(entry));
    }
    put_byte(writer, 1);
    put_byte(writer, 12);
    put_byte(writer, 0);
    put_byte(writer, 0);
    put_dword(writer, LAYOUT_IOAPIC);
    put_dword(writer, 0);
    return table_end(writer, start);
}

static uint64_t put_xsdt(struct writer *writer, uint64_t fadt, uint64_t madt)
{
    const size_t start = table_begin(writer, "XSDT", 1);

    put(writer, &fadt, sizeof(fadt));
    put(writer, &madt, sizeof(madt));
    return table_end(writer, start);
}

static void fill_rsdp(uint8_t *rsdp, uint64_t xsdt)
{
    const uint32_t length = RSDP_SIZE;

    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "BERTH ", 6);
    rsdp[15] = 2;
    memcpy(rsdp + 20, &length, sizeof(length));
    memcpy(rsdp + 24, &xsdt, sizeof(xsdt));
    rsdp[8] = checksum(rsdp, RSDP_V1);
    rsdp[32] = checksum(rsdp, RSDP_SIZE);
}

size_t acpi_write(const struct acpi_plan *plan, uint64_t address, uint8_t *bytes, size_t room)
{
    struct writer writer = { .bytes = bytes, .room = room, .address = address };
    uint64_t dsdt;
    uint64_t fadt;
    uint64_t madt;

    assert(plan != NULL);
    assert(bytes != NULL);
    assert(plan->device_count <= LAYOUT_DEVICES_MAX);

    (void)put_zeros(&writer, RSDP_SIZE);
    dsdt = put_dsdt(&writer, plan);
    fadt = put_fadt(&writer, dsdt);
    madt = put_madt(&writer, plan->cpus);
    fill_rsdp(bytes, put_xsdt(&writer, fadt, madt));
    return writer.length;
}
