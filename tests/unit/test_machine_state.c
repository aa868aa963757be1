#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "microvm/kvm_machine.h"
#include "microvm/machine_state.h"

#define PAGE 4096u

/* A state file with two parts. */
static int make_file(void)
{
    AUTO_CLEAR(state_writer) struct state_writer writer = { 0 };
    const int fd = memfd_create("state", MFD_CLOEXEC);
    struct error err = { 0 };

    assert_true(fd >= 0);
    state_put_mark(&writer, "one ");
    state_put(&writer, "12345", 5);
    state_put_mark(&writer, "two ");
    assert_int_equal(state_write_file(&writer, fd, &err), 0);
    return fd;
}

static void parts_come_back_in_their_order(void **state)
{
    auto_close int fd = make_file();
    auto_free uint8_t *bytes = NULL;
    struct state_reader reader;
    struct error err = { 0 };
    char text[6] = "";

    (void)state;
    assert_int_equal(state_read_file(fd, &bytes, &reader, &err), 0);
    assert_int_equal(state_take_mark(&reader, "one ", &err), 0);
    assert_int_equal(state_take(&reader, text, 5, &err), 0);
    assert_string_equal(text, "12345");
    assert_int_equal(state_take_mark(&reader, "six ", &err), -EBADMSG);
    assert_string_equal(err.message,
                        "the state of the saved machine has no part 'six ' where it belongs");
    assert_int_equal(reader.left, 0);
    assert_int_equal(state_take(&reader, text, 1, &err), -EBADMSG);
    assert_string_equal(err.message, "the state of the saved machine is too short");
}

static void every_damage_to_the_file_is_found(void **state)
{
    auto_close int fd = make_file();
    uint8_t bytes[128];
    const ssize_t length = pread(fd, bytes, sizeof(bytes), 0);
    struct state_reader reader;
    struct error err = { 0 };

    (void)state;
    assert_true(length > 0);
    assert_int_equal(state_open(bytes, (size_t)length, &reader, &err), 0);
    for (ssize_t i = 0; i < length; i++) {
        int r;

        bytes[i] ^= 0x10;
        r = state_open(bytes, (size_t)length, &reader, &err);
        if (i >= 12 && i < 16) /* means nothing */
            assert_int_equal(r, 0);
        else
            assert_int_equal(r, i >= 8 && i < 12 ? -EXDEV : -EBADMSG);
        bytes[i] ^= 0x10;
        assert_int_equal(state_open(bytes, (size_t)i, &reader, &err), -EBADMSG);
    }
}

static void a_file_without_end_is_refused(void **state)
{
    auto_close int fd = memfd_create("state", MFD_CLOEXEC);
    auto_free uint8_t *bytes = NULL;
    struct state_reader reader;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(ftruncate(fd, 1LL << 40), 0);
    assert_int_equal(state_read_file(fd, &bytes, &reader, &err), -EBADMSG);
    assert_string_equal(err.message, "the state of the saved machine is too long");
}

static void pages_of_zeros_are_holes(void **state)
{
    const size_t pages = 4096;
    uint8_t *memory =
        mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    auto_close int fd = memfd_create("memory", MFD_CLOEXEC);
    const uint8_t *file;
    struct error err = { 0 };
    struct stat stat;

    (void)state;
    assert_ptr_not_equal(memory, MAP_FAILED);
    memory[5 * PAGE] =
        1; /* the first byte of a page, the last one, and a run longer than a write */
    memory[7 * PAGE - 1] = 2;
    memset(memory + 100 * PAGE, 3, 1500 * PAGE);
    assert_int_equal(state_write_memory(memory, pages * PAGE, fd, &err), 0);
    assert_int_equal(fstat(fd, &stat), 0);
    assert_int_equal(stat.st_size, pages * PAGE);
    assert_int_equal(stat.st_blocks * 512, 1502 * PAGE);
    file = mmap(NULL, pages * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(file, MAP_FAILED);
    assert_memory_equal(file, memory, pages * PAGE);
    assert_int_equal(munmap((void *)file, pages * PAGE), 0);
    assert_int_equal(munmap(memory, pages * PAGE), 0);
}

static void a_deadline_comes_after_the_counter_and_is_never_lost(void **state)
{
    struct kvm_msr_entry passed[] = { { .index = 0x6e0, .data = 0 },
                                      { .index = 0x10, .data = 77 },
                                      { .index = 0x174, .data = 5 } };
    struct kvm_msr_entry coming[] = { { .index = 0x6e0, .data = 99 },
                                      { .index = 0x10, .data = 77 } };
    struct kvm_msr_entry without[] = { { .index = 0x10, .data = 77 }, { .index = 0x174 } };

    (void)state;
    kvm_msrs_plan(passed, ARRAY_SIZE(passed));
    assert_int_equal(passed[0].index, 0x10);
    assert_int_equal(passed[1].index, 0x174);
    assert_int_equal(passed[2].index, 0x6e0);
    assert_int_equal(passed[2].data, 77);
    kvm_msrs_plan(coming, ARRAY_SIZE(coming));
    assert_int_equal(coming[1].index, 0x6e0);
    assert_int_equal(coming[1].data, 99);
    kvm_msrs_plan(without, ARRAY_SIZE(without));
    assert_int_equal(without[0].index, 0x10);
    assert_int_equal(without[1].index, 0x174);
    kvm_msrs_plan(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_come_back_in_their_order),
        cmocka_unit_test(every_damage_to_the_file_is_found),
        cmocka_unit_test(a_file_without_end_is_refused),
        cmocka_unit_test(pages_of_zeros_are_holes),
        cmocka_unit_test(a_deadline_comes_after_the_counter_and_is_never_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
