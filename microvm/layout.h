#ifndef MICROVM_LAYOUT_H
#define MICROVM_LAYOUT_H

/* Where things are in the guest's physical addresses, and on its ports. */

/* Below 640 KiB: what the kernel is handed. It copies or reserves what it keeps. */
#define LAYOUT_GDT         0x500
#define LAYOUT_START_INFO  0x6000  /* PVH: hvm_start_info, module list, memory map */
#define LAYOUT_ZERO_PAGE   0x7000  /* Linux: struct boot_params */
#define LAYOUT_STACK       0x8ff0  /* for what has none yet; grows down to the zero page's end */
#define LAYOUT_PAGE_TABLES 0x9000  /* one PML4, one PDPT, four page directories */
#define LAYOUT_SETUP_DATA  0x10000 /* the random seed */
#define LAYOUT_CMDLINE     0x20000
#define LAYOUT_CMDLINE_MAX 2047 /* of Linux on x86 (COMMAND_LINE_SIZE - 1) */
#define LAYOUT_LOW_END     0x9fc00
#define LAYOUT_ACPI        0xe0000 /* in the reserved range up to 1 MiB */
#define LAYOUT_ACPI_SIZE   0x10000
#define LAYOUT_HIGH_START  0x100000

/* RAM ends here and goes on at 4 GiB; between are the devices and the interrupt controllers. */
#define LAYOUT_HOLE_START 0xc0000000ULL
#define LAYOUT_HOLE_END   0x100000000ULL

/* virtio-mmio: a page and an interrupt for each device. */
#define LAYOUT_VIRTIO       0xd0000000U
#define LAYOUT_VIRTIO_SIZE  0x1000U
#define LAYOUT_VIRTIO_GSI   5
#define LAYOUT_DEVICES_MAX  19 /* pins 5 to 23 of the I/O APIC */
#define LAYOUT_IOAPIC       0xfec00000U
#define LAYOUT_LAPIC        0xfee00000U
#define LAYOUT_IDENTITY_MAP 0xfffbc000U /* what Intel without unrestricted guest needs */
#define LAYOUT_TSS          0xfffbd000U

/* The image of the root begins above all RAM, at a multiple of this. */
#define LAYOUT_PMEM_ALIGN (1ULL << 30)
/* The kernel's sections of memory: start and size of pmem have to fit them. */
#define LAYOUT_PMEM_UNIT (16ULL << 20)

/* Ports. */
#define LAYOUT_PORT_SERIAL       0x3f8 /* eight of them */
#define LAYOUT_SERIAL_GSI        4
#define LAYOUT_PORT_KEYBOARD     0x64 /* only for the reset command */
#define LAYOUT_PORT_SLEEP        0x600
#define LAYOUT_PORT_SLEEP_STATUS 0x601
#define LAYOUT_PORT_RESET        0x602
#define LAYOUT_RESET_VALUE       1
#define LAYOUT_SLEEP_TYPE        5 /* \_S5 of the DSDT */

#endif
