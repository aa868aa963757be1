#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "microvm/kernel_image.h"

/* --- ELF -------------------------------------------------------------------------------------- */

struct elf_file {
    Elf64_Ehdr header;
    Elf64_Phdr segments[2];
    struct {
        Elf64_Nhdr header;
        char name[8];
        uint32_t value;
    } notes[2];
    uint8_t code[64];
};

/* A kernel of 64 bytes at 16 MiB, that takes 4 MiB, with Xen's note and, maybe, one of Linux. */
static struct elf_file small_elf(bool has_linux_note)
{
    struct elf_file file = {
        .header = {
            .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
            .e_machine = EM_X86_64,
            .e_entry = 0x1000000,
            .e_phoff = offsetof(struct elf_file, segments),
            .e_phentsize = sizeof(Elf64_Phdr),
            .e_phnum = 2,
        },
        .segments = {
            {
                .p_type = PT_LOAD,
                .p_offset = offsetof(struct elf_file, code),
                .p_paddr = 0x1000000,
                .p_filesz = 64,
                .p_memsz = 4 << 20,
            },
            {
                .p_type = PT_NOTE,
                .p_offset = offsetof(struct elf_file, notes),
                .p_filesz = sizeof(file.notes),
            },
        },
        .notes = {
            { { 6, 4, 0x100 }, "Other", 0 },
            { { 4, 4, 18 }, "Xen", 0x1000020 },
        },
    };

    /* A name of 8 bytes where 4 are counted does not do: the value follows the name. */
    memcpy(file.notes[1].name + 4, &file.notes[1].value, 4);
    if (has_linux_note)
        memcpy(file.notes[0].name, "Linux", 6);
    return file;
}

static int plan(const struct elf_file *file, struct kernel_image *image, struct error *err)
{
    return kernel_image_plan((const uint8_t *)file, sizeof(*file), image, err);
}

static void linux_is_entered_in_long_mode(void **state)
{
    const struct elf_file file = small_elf(true);
    struct kernel_image image;

    (void)state;
    assert_int_equal(plan(&file, &image, NULL), 0);
    assert_int_equal(image.entry, KERNEL_ENTRY_LINUX64);
    assert_int_equal(image.entry_address, 0x1000000);
    assert_int_equal(image.segment_count, 1);
    assert_int_equal(image.segments[0].file_offset, offsetof(struct elf_file, code));
    assert_int_equal(image.segments[0].file_size, 64);
    assert_int_equal(image.start, 0x1000000);
    assert_int_equal(image.end, 0x1400000);
    assert_int_equal(image.setup_length, 0);
}

static void another_kernel_is_entered_as_its_note_says(void **state)
{
    const struct elf_file file = small_elf(false);
    struct kernel_image image;

    (void)state;
    assert_int_equal(plan(&file, &image, NULL), 0);
    assert_int_equal(image.entry, KERNEL_ENTRY_PVH);
    assert_int_equal(image.entry_address, 0x1000020);
}

static void a_wrong_elf_file_is_refused_with_the_reason(void **state)
{
    enum { CLASS, MACHINE, PHDRS, MANY, OFFSET, LOW, HIGH, WRAP, LARGER, ENTRY };
    static const char *const messages[] = {
        [CLASS] = "the kernel is none for x86-64",
        [MACHINE] = "the kernel is none for x86-64",
        [PHDRS] = "the kernel's file is cut off",
        [MANY] = "the kernel has more than 64 program headers",
        [OFFSET] = "the kernel's file is cut off",
        [LOW] = "the kernel wants to be loaded at 0x7000",
        [HIGH] = "the kernel wants to be loaded at 0xbfffffff",
        [WRAP] = "the kernel wants to be loaded at 0xffffffffffffffff",
        [LARGER] = "the kernel's file is cut off",
        [ENTRY] = "the kernel is entered at 0x100000, where it is not loaded",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
        struct elf_file file = small_elf(true);
        struct kernel_image image = { .segment_count = 42 };
        struct error err = { 0 };

        switch (i) {
        case CLASS:
            file.header.e_ident[EI_CLASS] = ELFCLASS32;
            break;
        case MACHINE:
            file.header.e_machine = EM_AARCH64;
            break;
        case PHDRS:
            file.header.e_phoff = UINT64_MAX - 8;
            break;
        case MANY:
            file.header.e_phoff = 0;
            file.header.e_phnum = 65;
            break;
        case OFFSET:
            file.segments[0].p_offset = UINT64_MAX;
            break;
        case LOW:
            file.segments[0].p_paddr = 0x7000;
            break;
        case HIGH:
            file.segments[0].p_paddr = 0xbfffffff;
            break;
        case WRAP:
            file.segments[0].p_paddr = UINT64_MAX;
            break;
        case LARGER:
            file.segments[0].p_memsz = 63;
            break;
        default:
            file.header.e_entry = 0x100000;
            break;
        }
        if (plan(&file, &image, &err) != -EINVAL || strcmp(err.message, messages[i]) != 0)
            fail_msg("row %zu: %s", i, err.message);
        assert_int_equal(image.segment_count, 42);
    }
}

static void a_note_that_is_longer_than_its_segment_is_not_read(void **state)
{
    struct elf_file file = small_elf(false);
    struct kernel_image image;

    (void)state;
    file.notes[1].header.n_descsz = UINT32_MAX;
    assert_int_equal(plan(&file, &image, NULL), 0);
    assert_int_equal(image.entry, KERNEL_ENTRY_LINUX64);
}

/* --- bzImage ---------------------------------------------------------------------------------- */

#define SECTORS 2

struct bzimage {
    uint8_t bytes[(SECTORS + 1) * 512 + 0x400];
};

static void set(struct bzimage *file, size_t offset, uint64_t value, size_t size)
{
    memcpy(file->bytes + offset, &value, size);
}

static struct bzimage small_bzimage(void)
{
    struct bzimage file = { 0 };

    file.bytes[0x1f1] = SECTORS;
    file.bytes[0x201] = 0x6a;
    memcpy(file.bytes + 0x202, "HdrS", 4);
    set(&file, 0x206, 0x20f, 2);
    set(&file, 0x22c, 0x7fffffff, 4);
    set(&file, 0x236, 1, 2);
    set(&file, 0x238, 2047, 4);
    set(&file, 0x258, 0x1000000, 8);
    set(&file, 0x260, 0x300000, 4);
    return file;
}

static void a_bzimage_is_loaded_where_it_prefers(void **state)
{
    const struct bzimage file = small_bzimage();
    struct kernel_image image;

    (void)state;
    assert_int_equal(kernel_image_plan(file.bytes, sizeof(file), &image, NULL), 0);
    assert_int_equal(image.entry, KERNEL_ENTRY_LINUX64);
    assert_int_equal(image.entry_address, 0x1000200);
    assert_int_equal(image.segments[0].file_offset, 3 * 512);
    assert_int_equal(image.segments[0].file_size, 0x400);
    assert_int_equal(image.segments[0].address, 0x1000000);
    assert_int_equal(image.end, 0x1300000);
    assert_int_equal(image.initrd_max, 0x7fffffff);
    assert_int_equal(image.setup_length, 0x202 + 0x6a - 0x1f1);
    assert_memory_equal(image.setup, file.bytes + 0x1f1, image.setup_length);
}

static void a_wrong_bzimage_is_refused_with_the_reason(void **state)
{
    static const struct {
        size_t offset;
        uint64_t value;
        size_t size;
        const char *message;
    } rows[] = {
        { 0x206, 0x20b, 2, "the kernel has no 64-bit entry" },
        { 0x236, 2, 2, "the kernel has no 64-bit entry" },
        { 0x1f1, 0, 1, "the kernel's file is cut off" },
        { 0x1f1, 255, 1, "the kernel's file is cut off" },
        { 0x201, 1, 1, "the kernel's file is cut off" },
        { 0x258, 0x9000, 8, "the kernel wants to be loaded at 0x9000" },
        { 0x258, UINT64_MAX, 8, "the kernel wants to be loaded at 0xffffffffffffffff" },
        { 0x202, 0, 1, "the kernel is neither an ELF file nor a bzImage" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct bzimage file = small_bzimage();
        struct kernel_image image;
        struct error err = { 0 };

        set(&file, rows[i].offset, rows[i].value, rows[i].size);
        if (kernel_image_plan(file.bytes, sizeof(file), &image, &err) != -EINVAL ||
            strcmp(err.message, rows[i].message) != 0)
            fail_msg("row %zu: %s", i, err.message);
    }
}

static void a_file_that_needs_less_than_it_has_still_gets_its_room(void **state)
{
    struct bzimage file = small_bzimage();
    struct kernel_image image;

    (void)state;
    set(&file, 0x260, 1, 4);
    assert_int_equal(kernel_image_plan(file.bytes, sizeof(file), &image, NULL), 0);
    assert_int_equal(image.end, 0x1000400);
}

static void a_file_cut_anywhere_is_refused_or_within_its_bytes(void **state)
{
    const struct bzimage bzimage = small_bzimage();
    const struct elf_file elf = small_elf(true);

    (void)state;
    for (size_t length = 0; length < sizeof(bzimage); length++) {
        auto_free uint8_t *cut = xmemdup(bzimage.bytes, length + 1);
        struct kernel_image image;

        if (kernel_image_plan(cut, length, &image, NULL) == 0)
            assert_true(image.segments[0].file_offset + image.segments[0].file_size <= length);
    }
    for (size_t length = 0; length < sizeof(elf); length++) {
        auto_free uint8_t *cut = xmemdup(&elf, length + 1);
        struct kernel_image image;

        assert_int_equal(kernel_image_plan(cut, length, &image, NULL), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linux_is_entered_in_long_mode),
        cmocka_unit_test(another_kernel_is_entered_as_its_note_says),
        cmocka_unit_test(a_wrong_elf_file_is_refused_with_the_reason),
        cmocka_unit_test(a_note_that_is_longer_than_its_segment_is_not_read),
        cmocka_unit_test(a_bzimage_is_loaded_where_it_prefers),
        cmocka_unit_test(a_wrong_bzimage_is_refused_with_the_reason),
        cmocka_unit_test(a_file_that_needs_less_than_it_has_still_gets_its_room),
        cmocka_unit_test(a_file_cut_anywhere_is_refused_or_within_its_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
