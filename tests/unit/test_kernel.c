#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "image/kernel_private.h"

/* An ELF file with the sections "", ".shstrtab" and ".modinfo". */
struct module_file {
    Elf64_Ehdr header;
    Elf64_Shdr sections[3];
    char names[32];
    char info[64];
};

#define INFO "license=GPL\0depends=virtio,virtio_ring\0name=x"

static struct module_file make_module(void)
{
    struct module_file file = { .names = "\0.shstrtab\0.modinfo", .info = INFO };

    memcpy(file.header.e_ident, ELFMAG, SELFMAG);
    file.header.e_ident[EI_CLASS] = ELFCLASS64;
    file.header.e_machine = EM_X86_64;
    file.header.e_shoff = offsetof(struct module_file, sections);
    file.header.e_shentsize = sizeof(Elf64_Shdr);
    file.header.e_shnum = 3;
    file.header.e_shstrndx = 1;
    file.sections[1] = (Elf64_Shdr){ .sh_type = SHT_STRTAB,
                                     .sh_name = 1,
                                     .sh_offset = offsetof(struct module_file, names),
                                     .sh_size = sizeof(file.names) };
    file.sections[2] = (Elf64_Shdr){ .sh_type = SHT_PROGBITS,
                                     .sh_name = 11,
                                     .sh_offset = offsetof(struct module_file, info),
                                     .sh_size = sizeof(INFO) };
    return file;
}

static void a_module_tells_what_it_needs(void **state)
{
    const struct module_file file = make_module();
    AUTO_CLEAR(strings) struct strings names = { 0 };

    (void)state;
    assert_int_equal(kernel_module_depends(&file, sizeof(file), &names, NULL), 0);
    assert_int_equal(names.count, 2);
    assert_string_equal(names.items[0], "virtio");
    assert_string_equal(names.items[1], "virtio_ring");
}

static void a_damaged_module_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct module_file file = make_module();
        AUTO_CLEAR(strings) struct strings names = { 0 };
        size_t length = sizeof(file);
        struct error err = { 0 };

        if (i == 0)
            file.header.e_shoff = UINT64_MAX - 8;
        else if (i == 1)
            file.header.e_shstrndx = 3;
        else if (i == 2)
            file.sections[2].sh_size = UINT64_MAX;
        else if (i == 3)
            file.sections[2].sh_offset = UINT64_MAX;
        else if (i == 4)
            file.header.e_shentsize = 1;
        else
            length = offsetof(struct module_file, sections) + 8;
        if (kernel_module_depends(&file, length, &names, &err) != -EINVAL)
            fail_msg("row %d was accepted", i);
        assert_string_equal(err.message, "is a damaged module");
    }
}

/* One list of names, of a length that modules have: what is asked for is kept for each module. */
static void a_module_needs_no_more_than_modules_do(void **state)
{
    struct module_file file = make_module();
    const size_t size = sizeof(file) + 2 * KERNEL_DEPENDS_MAX;
    auto_free char *bytes = xcalloc(1, size);
    AUTO_CLEAR(strings) struct strings names = { 0 };
    struct error err = { 0 };

    (void)state;
    memcpy(file.info, "depends=a\0depends=b", 20);
    assert_int_equal(kernel_module_depends(&file, sizeof(file), &names, NULL), 0);
    assert_int_equal(names.count, 1);
    file.sections[2].sh_offset = sizeof(file);
    file.sections[2].sh_size = size - sizeof(file);
    memset(bytes + sizeof(file), ',', size - sizeof(file) - 1);
    memcpy(bytes, &file, sizeof(file));
    memcpy(bytes + sizeof(file), "depends=", 8);
    assert_int_equal(kernel_module_depends(bytes, size, &names, &err), -EINVAL);
    assert_string_equal(err.message, "needs other modules whose names have more than 4096 bytes");
}

static void a_signature_is_cut_off(void **state)
{
    static const char magic[] = "~Module signature appended~\n";
    char file[200] = { 0 };
    const size_t body = 20, signature = 30, info = 12;
    const size_t length = body + signature + info + strlen(magic);

    (void)state;
    memcpy(file + body + signature + info, magic, strlen(magic));
    file[body + signature + info - 1] = (char)signature;
    assert_int_equal(kernel_module_unsigned_length(file, length), body);
    /* Without, or with one that is longer than the file, nothing is cut. */
    assert_int_equal(kernel_module_unsigned_length(file, length - 1), length - 1);
    file[body + signature + info - 2] = 1;
    assert_int_equal(kernel_module_unsigned_length(file, length), length);
}

static void names_are_those_that_modules_use_for_each_other(void **state)
{
    auto_free char *name = kernel_module_name("lib/modules/6.1/kernel/drivers/virtio-rng.ko");

    (void)state;
    assert_string_equal(name, "virtio_rng");
}

static void add_module(struct kernel_modules *modules, const char *name, const char *depends)
{
    struct kernel_module module = { .name = xstrdup(name) };

    if (depends != NULL)
        strings_split(&module.depends, depends, ',');
    modules->items = xrealloc(modules->items, modules->count + 1, sizeof(module));
    modules->items[modules->count++] = module;
}

static void a_module_stands_behind_those_that_it_needs(void **state)
{
    AUTO_CLEAR(kernel_modules) struct kernel_modules modules = { 0 };
    AUTO_CLEAR(strings) struct strings names = { 0 };
    auto_free char *list = NULL;

    (void)state;
    add_module(&modules, "virtio_console", "virtio,virtio_ring");
    add_module(&modules, "virtio", "virtio_ring,");
    add_module(&modules, "virtio_ring", "virtio"); /* a circle, as a damaged kernel has it */
    add_module(&modules, "virtio_mmio", "virtio,virtio_ring");
    add_module(&modules, "erofs", "libcrc32c");
    add_module(&modules, "unrelated", NULL);
    list = kernel_modules_plan(&modules, &names);
    assert_non_null(
        strstr(list, "core: virtio_ring.ko virtio.ko virtio_mmio.ko virtio_console.ko\n"));
    assert_non_null(strstr(list, "\nroot: erofs.ko\n")); /* libcrc32c is built in */
    assert_non_null(strstr(list, "\nnet:\n"));
    assert_null(strstr(list, "unrelated"));
    assert_int_equal(names.count, 5);
}

static void an_image_tells_its_release_and_its_payload(void **state)
{
    static unsigned char image[4096];
    size_t offset = 0, length = 0;
    auto_free char *release = NULL;

    (void)state;
    memcpy(image + 0x202, "HdrS", 4);
    image[0x206] = 0x0f; /* protocol 2.15 */
    image[0x207] = 2;
    image[0x1f1] = 2; /* sectors: the rest begins at 3 * 512 */
    image[0x248] = 100;
    image[0x24c] = 0xe8;
    image[0x24d] = 3; /* 1000 */
    image[0x20e] = 0x00;
    image[0x20f] = 1; /* at 0x300 */
    memcpy(image + 0x300, "6.1.0-9-cloud-amd64 (build)", 27);
    assert_int_equal(kernel_image_payload(image, sizeof(image), &offset, &length, NULL), 0);
    assert_int_equal(offset, 3 * 512 + 100);
    assert_int_equal(length, 996);
    assert_int_equal(kernel_image_release(image, sizeof(image), &release, NULL), 0);
    assert_string_equal(release, "6.1.0-9-cloud-amd64");
}

/* It names a folder below /lib/modules, and is shown in a list. */
static void a_release_is_a_name(void **state)
{
    static const struct {
        const char *release, *sentence;
    } rows[] = {
        { "../x", "is a bzImage whose release has the byte 0x2f" },
        { "6\x1b]0;", "is a bzImage whose release has the byte 0x1b" },
        { "6\xc2\x9b", "is a bzImage whose release has the byte 0xc2" },
        { "6\n", "is a bzImage whose release has the byte 0x0a" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char image[1024] = { 0 };
        char *release = NULL;
        struct error err = { 0 };

        memcpy(image + 0x202, "HdrS", 4);
        image[0x206] = 15;
        image[0x207] = 2;
        image[0x20f] = 1; /* at 0x300 */
        memcpy(image + 0x300, rows[i].release, strlen(rows[i].release));
        assert_int_equal(kernel_image_release(image, sizeof(image), &release, &err), -EINVAL);
        assert_string_equal(err.message, rows[i].sentence);
        assert_null(release);
    }
}

static void what_is_no_image_is_refused(void **state)
{
    static const struct {
        size_t at;
        unsigned char value;
        const char *sentence;
    } rows[] = {
        { 0x202, 'X', "is no bzImage" },
        { 0x206, 7, "is a bzImage of boot protocol 207, 208 is the oldest known" },
        { 0x24b, 0xff, "is a bzImage whose payload is outside of it" },
        { 0x24f, 0xff, "is a bzImage whose payload is outside of it" },
        { 0x24c, 3, "is a bzImage whose payload is outside of it" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        unsigned char image[2048] = { 0 };
        size_t offset = 7, length = 7;
        struct error err = { 0 };

        memcpy(image + 0x202, "HdrS", 4);
        image[0x206] = 8;
        image[0x207] = 2;
        image[0x1f1] = 1;
        image[rows[i].at] = rows[i].value;
        assert_int_equal(kernel_image_payload(image, sizeof(image), &offset, &length, &err),
                         -EINVAL);
        assert_string_equal(err.message, rows[i].sentence);
        assert_int_equal(offset + length, 14);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_module_tells_what_it_needs),
        cmocka_unit_test(a_module_needs_no_more_than_modules_do),
        cmocka_unit_test(a_release_is_a_name),
        cmocka_unit_test(a_damaged_module_is_refused),
        cmocka_unit_test(a_signature_is_cut_off),
        cmocka_unit_test(names_are_those_that_modules_use_for_each_other),
        cmocka_unit_test(a_module_stands_behind_those_that_it_needs),
        cmocka_unit_test(an_image_tells_its_release_and_its_payload),
        cmocka_unit_test(what_is_no_image_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
