#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "microvm/acpi.h"
#include "microvm/layout.h"
#include "microvm/machine.h"

#define ADDRESS 0xe0000ULL

static uint8_t tables[LAYOUT_ACPI_SIZE];

static uint64_t number_at(const uint8_t *bytes, size_t size)
{
    uint64_t number = 0;

    memcpy(&number, bytes, size);
    return number;
}

static const uint8_t *at(uint64_t address)
{
    assert_in_range(address, ADDRESS, ADDRESS + sizeof(tables) - 1);
    return tables + (address - ADDRESS);
}

static void assert_table(const uint8_t *table, const char *signature)
{
    const size_t length = number_at(table + 4, 4);
    uint8_t sum = 0;

    assert_memory_equal(table, signature, 4);
    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + table[i]);
    assert_int_equal(sum, 0);
}

/* Finds a table as a kernel does, by the RSDP. */
static const uint8_t *find_table(const char *signature)
{
    const uint8_t *xsdt = at(number_at(tables + 24, 8));
    const uint8_t *fadt = at(number_at(xsdt + 36, 8));
    const uint8_t *madt = at(number_at(xsdt + 44, 8));
    const uint8_t *dsdt = at(number_at(fadt + 140, 8));

    assert_table(xsdt, "XSDT");
    assert_table(fadt, "FACP");
    assert_table(madt, "APIC");
    assert_table(dsdt, "DSDT");
    return signature[0] == 'F' ? fadt : signature[0] == 'A' ? madt : dsdt;
}

static size_t write_tables(uint32_t cpus, size_t devices)
{
    struct acpi_device list[LAYOUT_DEVICES_MAX];
    const struct acpi_plan plan = { cpus, list, devices };

    for (size_t i = 0; i < devices; i++)
        list[i] = (struct acpi_device){
            .address = LAYOUT_VIRTIO + (uint32_t)i * LAYOUT_VIRTIO_SIZE,
            .size = LAYOUT_VIRTIO_SIZE,
            .gsi = LAYOUT_VIRTIO_GSI + (uint32_t)i,
        };
    memset(tables, 0xaa, sizeof(tables));
    return acpi_write(&plan, ADDRESS, tables, sizeof(tables));
}

static void every_table_is_reached_and_adds_up(void **state)
{
    uint8_t sum = 0;

    (void)state;
    (void)write_tables(1, 0);
    assert_memory_equal(tables, "RSD PTR ", 8);
    for (size_t i = 0; i < 20; i++)
        sum = (uint8_t)(sum + tables[i]);
    assert_int_equal(sum, 0);
    for (size_t i = 20; i < 36; i++)
        sum = (uint8_t)(sum + tables[i]);
    assert_int_equal(sum, 0);
    (void)find_table("DSDT");
}

static void the_machine_is_reduced_and_can_be_turned_off(void **state)
{
    const uint8_t *fadt;

    (void)state;
    (void)write_tables(1, 0);
    fadt = find_table("FACP");
    assert_int_equal(number_at(fadt + 4, 4), 276);
    assert_int_equal(number_at(fadt + 112, 4), 1 << 20 | 1 << 10 | 1 << 5 | 1 << 4 | 1);
    assert_int_equal(number_at(fadt + 109, 2) & 2, 0); /* no keyboard controller */
    assert_int_equal(number_at(fadt + 120, 8), LAYOUT_PORT_RESET);
    assert_int_equal(number_at(fadt + 248, 8), LAYOUT_PORT_SLEEP);
    assert_int_equal(number_at(fadt + 260, 8), LAYOUT_PORT_SLEEP_STATUS);
}

static void each_processor_has_an_entry_and_the_io_apic_ends_them(void **state)
{
    const uint8_t *madt;

    (void)state;
    (void)write_tables(3, 0);
    madt = find_table("APIC");
    assert_int_equal(number_at(madt + 4, 4), 44 + 3 * 8 + 12);
    for (uint8_t i = 0; i < 3; i++) {
        const uint8_t expected[] = { 0, 8, i, i, 1, 0, 0, 0 };

        assert_memory_equal(madt + 44 + i * 8, expected, sizeof(expected));
    }
    assert_int_equal(madt[44 + 24], 1);
    assert_int_equal(number_at(madt + 44 + 24 + 4, 4), 0xfec00000);
}

/* Walks the byte code as an interpreter does: the lengths of blocks have to meet. */
static size_t block_end(const uint8_t *code, size_t at_length, size_t *ret_content)
{
    const size_t more = code[at_length] >> 6;
    size_t length = code[at_length] & (more != 0 ? 0x0f : 0x3f);

    for (size_t i = 0; i < more; i++)
        length |= (size_t)code[at_length + 1 + i] << (4 + 8 * i);
    *ret_content = at_length + 1 + more;
    return at_length + length;
}

static void devices_come_in_order_with_address_and_interrupt(void **state)
{
    const uint8_t *dsdt;
    size_t content;
    size_t scope_end;
    size_t found = 0;

    (void)state;
    (void)write_tables(1, 2);
    dsdt = find_table("DSDT");
    /* Name (_S5_, Package (4) { 5, 5, 0, 0 }) */
    assert_memory_equal(dsdt + 36, "\x08_S5_\x12\x08\x04\x0a\x05\x0a\x05\0\0", 14);
    assert_int_equal(dsdt[50], 0x10);
    scope_end = block_end(dsdt, 51, &content);
    assert_int_equal(scope_end, number_at(dsdt + 4, 4));
    assert_memory_equal(dsdt + content, "_SB_", 4);
    for (size_t i = content + 4; i < scope_end; found++) {
        static const char *const names[] = { "COM1", "VR00", "VR01" };
        const uint8_t *device = dsdt + i;
        const size_t end = block_end(dsdt, i + 2, &content);

        assert_true(found < ARRAY_SIZE(names));
        assert_memory_equal(device, "\x5b\x82", 2);
        assert_memory_equal(dsdt + content, names[found], 4);
        if (found > 0) {
            const uint8_t *tail = dsdt + end - 2;

            assert_memory_equal(dsdt + content + 4, "\x08_HID\x0dLNRO0005", 15);
            assert_memory_equal(tail, "\x79\0", 2);
            assert_int_equal(number_at(tail - 4, 4), LAYOUT_VIRTIO_GSI + found - 1);
            assert_int_equal(tail[-9], 0x89);
            assert_int_equal(number_at(tail - 13, 4), LAYOUT_VIRTIO_SIZE);
            assert_int_equal(number_at(tail - 17, 4),
                             LAYOUT_VIRTIO + (found - 1) * LAYOUT_VIRTIO_SIZE);
            assert_int_equal(tail[-21], 0x86);
        }
        i = end;
    }
    assert_int_equal(found, 3);
}

static void the_largest_machine_fits(void **state)
{
    (void)state;
    assert_true(write_tables(MACHINE_CPUS_MAX, LAYOUT_DEVICES_MAX) < 4096);
    (void)find_table("DSDT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_is_reached_and_adds_up),
        cmocka_unit_test(the_machine_is_reduced_and_can_be_turned_off),
        cmocka_unit_test(each_processor_has_an_entry_and_the_io_apic_ends_them),
        cmocka_unit_test(devices_come_in_order_with_address_and_interrupt),
        cmocka_unit_test(the_largest_machine_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
