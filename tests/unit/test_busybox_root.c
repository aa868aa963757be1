#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <elf.h>
#include <errno.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "cli/image_make.h"
#include "tests/unit/image_fixture.h"

struct program {
    Elf64_Ehdr header;
    Elf64_Phdr segments[2];
};

static struct program make_program(uint32_t second_type)
{
    struct program program = { 0 };

    memcpy(program.header.e_ident, ELFMAG, SELFMAG);
    program.header.e_ident[EI_CLASS] = ELFCLASS64;
    program.header.e_phoff = offsetof(struct program, segments);
    program.header.e_phentsize = sizeof(Elf64_Phdr);
    program.header.e_phnum = 2;
    program.segments[0].p_type = PT_LOAD;
    program.segments[1].p_type = second_type;
    return program;
}

static void only_a_program_without_interpreter_is_static(void **state)
{
    struct program fixed = make_program(PT_NOTE);
    struct program dynamic = make_program(PT_INTERP);
    struct program far = make_program(PT_NOTE);

    (void)state;
    far.header.e_phoff = UINT64_MAX - 4;
    assert_true(elf_is_static(&fixed, sizeof(fixed)));
    assert_false(elf_is_static(&dynamic, sizeof(dynamic)));
    assert_false(elf_is_static(&far, sizeof(far)));
    assert_false(elf_is_static(&fixed, sizeof(fixed) - 1));
    assert_false(elf_is_static("#!/bin/sh\n", 10));
}

static void write_root(struct fixture *fixture, struct image_descriptors *layers,
                       struct digest *ret_diff_id)
{
    AUTO(layer_writer) struct layer_writer *layer = NULL;
    AUTO_CLEAR(strings) struct strings applets = { 0 };

    strings_add(&applets, "ls");
    strings_add(&applets, "sh");
    assert_int_equal(layer_writer_open(fixture->store, &layer, NULL), 0);
    assert_int_equal(busybox_root_write(layer, "program", 7, &applets, 86400, NULL), 0);
    assert_int_equal(layer_writer_finish(layer, layers, ret_diff_id, NULL), 0);
}

static void the_root_is_a_tar_that_others_read(void **state)
{
    struct fixture *fixture = *state;
    AUTO_CLEAR(image_descriptors) struct image_descriptors layers = { 0 };
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    struct digest diff_id;
    bool has_shell = false, has_tmp = false, has_nobody = false;
    int fd, r;

    write_root(fixture, &layers, &diff_id);
    assert_int_equal(blob_open(fixture->store, &layers.items[0].digest, &fd, NULL), 0);
    (void)archive_read_support_filter_gzip(archive);
    (void)archive_read_support_format_tar(archive);
    assert_int_equal(archive_read_open_fd(archive, fd, 10240), ARCHIVE_OK);
    while ((r = archive_read_next_header(archive, &entry)) == ARCHIVE_OK) {
        const char *name = archive_entry_pathname(entry);
        char content[1024] = "";

        assert_int_equal(archive_entry_mtime(entry), 86400);
        if (strcmp(name, "bin/sh") == 0)
            has_shell = strcmp(archive_entry_hardlink(entry), "bin/busybox") == 0;
        if (strcmp(name, "tmp/") == 0)
            has_tmp = archive_entry_perm(entry) == 01777;
        if (strcmp(name, "etc/passwd") == 0)
            has_nobody = archive_read_data(archive, content, sizeof(content) - 1) > 0 &&
                         strstr(content, "\nnobody:x:65534:65534:") != NULL;
    }
    assert_int_equal(r, ARCHIVE_EOF);
    assert_true(has_shell && has_tmp && has_nobody);
    (void)archive_read_free(archive);
    (void)close(fd);
}

static void the_same_input_gives_the_same_bytes(void **state)
{
    struct fixture *fixture = *state;
    AUTO_CLEAR(image_descriptors) struct image_descriptors layers = { 0 };
    struct digest one, two;

    write_root(fixture, &layers, &one);
    write_root(fixture, &layers, &two);
    assert_string_equal(one.text, two.text);
    assert_string_equal(layers.items[0].digest.text, layers.items[1].digest.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_program_without_interpreter_is_static),
        cmocka_unit_test_setup_teardown(the_root_is_a_tar_that_others_read, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(the_same_input_gives_the_same_bytes, fixture_open,
                                        fixture_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
