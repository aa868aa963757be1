/* Any numbers of processors and any devices: the tables fit into their room, and each is found, of
 * the length it says and with the right sum. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/auto.h"
#include "microvm/acpi.h"
#include "microvm/layout.h"
#include "microvm/machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t tables[LAYOUT_ACPI_SIZE];

static uint64_t number_at(const uint8_t *bytes, size_t size)
{
    uint64_t number = 0;

    memcpy(&number, bytes, size);
    return number;
}

static const uint8_t *table_at(uint64_t address, size_t used, const char *signature)
{
    const uint8_t *table = tables + (address - LAYOUT_ACPI);
    uint64_t length;
    uint8_t sum = 0;

    assert(address >= LAYOUT_ACPI && address - LAYOUT_ACPI + 36 <= used);
    length = number_at(table + 4, 4);
    assert(length >= 36 && length <= used - (address - LAYOUT_ACPI));
    assert(memcmp(table, signature, 4) == 0);
    for (uint64_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + table[i]);
    assert(sum == 0);
    return table;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct acpi_device devices[LAYOUT_DEVICES_MAX] = { 0 };
    struct acpi_plan plan = { .cpus = 1, .devices = devices };
    const uint8_t *xsdt, *fadt;
    size_t used;

    if (size > 0)
        plan.cpus = 1 + data[0] % MACHINE_CPUS_MAX;
    if (size > 1)
        plan.device_count = data[1] % (LAYOUT_DEVICES_MAX + 1);
    if (size > 2)
        memcpy(devices, data + 2, size - 2 < sizeof(devices) ? size - 2 : sizeof(devices));
    used = acpi_write(&plan, LAYOUT_ACPI, tables, sizeof(tables));
    assert(used <= sizeof(tables));
    xsdt = table_at(number_at(tables + 24, 8), used, "XSDT");
    fadt = table_at(number_at(xsdt + 36, 8), used, "FACP");
    (void)table_at(number_at(xsdt + 44, 8), used, "APIC");
    (void)table_at(number_at(fadt + 140, 8), used, "DSDT");
    return 0;
}
