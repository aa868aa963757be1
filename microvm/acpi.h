#ifndef MICROVM_ACPI_H
#define MICROVM_ACPI_H

#include <stddef.h>
#include <stdint.h>

/* The tables by which the guest's kernel finds processors, devices, and how to power off: ACPI 6.4,
 * hardware-reduced. Pure. */

struct acpi_device {
    uint32_t address; /* of its virtio-mmio registers */
    uint32_t size;
    uint32_t gsi;
};

struct acpi_plan {
    uint32_t cpus;
    const struct acpi_device *devices; /* in this order the kernel names them: vda, vdb */
    size_t device_count;
};

/**
 * Writes the tables, the RSDP first.
 *
 * @address  where @bytes are in the guest
 * @room     LAYOUT_ACPI_SIZE holds MACHINE_CPUS_MAX processors and LAYOUT_DEVICES_MAX devices
 *
 * Returns the bytes that were used.
 */
size_t acpi_write(const struct acpi_plan *plan, uint64_t address, uint8_t *bytes, size_t room);

#endif
