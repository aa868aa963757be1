#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "microvm/virtqueue.h"

#define BASE      0x10000ull
#define IMAGE     0x40000000ull
#define SIZE      8
#define AVAILABLE 0x200
#define USED      0x300
#define TABLE     0x400
#define BUFFER    0x1000

static uint8_t ram[0x4000] __attribute__((aligned(4096)));
static uint8_t image[0x1000] __attribute__((aligned(4096)));

struct fixture {
    struct guest_memory memory;
    struct virtqueue queue;
    struct virtqueue_chain chain;
};

static struct vring_desc *descriptors(void)
{
    return (struct vring_desc *)ram;
}

static uint16_t *available(void)
{
    return (uint16_t *)(ram + AVAILABLE);
}

static uint16_t *used(void)
{
    return (uint16_t *)(ram + USED);
}

static void open_queue(struct fixture *fixture, uint64_t features)
{
    const struct virtqueue_layout layout = { SIZE, BASE, BASE + AVAILABLE, BASE + USED };
    const struct guest_region regions[] = { { BASE, sizeof(ram), ram, false },
                                            { IMAGE, sizeof(image), image, true } };

    memset(ram, 0, sizeof(ram));
    *fixture = (struct fixture){ 0 };
    for (size_t i = 0; i < ARRAY_SIZE(regions); i++)
        assert_int_equal(guest_memory_add(&fixture->memory, &regions[i], NULL), 0);
    assert_int_equal(virtqueue_open(&fixture->queue, &fixture->memory, &layout, features, NULL), 0);
}

static void offer(uint16_t head)
{
    available()[2 + available()[1] % SIZE] = head;
    available()[1]++;
}

static int next(struct fixture *fixture)
{
    return virtqueue_next(&fixture->queue, &fixture->chain);
}

#define INDIRECT (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define EVENTS   (1ull << VIRTIO_RING_F_EVENT_IDX)
#define N        VRING_DESC_F_NEXT
#define W        VRING_DESC_F_WRITE
#define I        VRING_DESC_F_INDIRECT

/* --- set-up ------------------------------------------------------------------------------- */

static void rings_have_to_be_aligned_and_in_memory(void **state)
{
    const struct {
        struct virtqueue_layout layout;
        const char *message;
    } rows[] = {
        { { 0, BASE, BASE + AVAILABLE, BASE + USED }, "a queue of 0 entries" },
        { { 3, BASE, BASE + AVAILABLE, BASE + USED }, "a queue of 3 entries" },
        { { 512, BASE, BASE + AVAILABLE, BASE + USED }, "a queue of 512 entries" },
        { { 0x10008, BASE, BASE + AVAILABLE, BASE + USED }, "a queue of 65544 entries" },
        { { 8, BASE + 8, BASE + AVAILABLE, BASE + USED }, "a ring is not aligned" },
        { { 8, BASE, BASE + AVAILABLE + 1, BASE + USED }, "a ring is not aligned" },
        { { 8, BASE, BASE + AVAILABLE, BASE + USED + 2 }, "a ring is not aligned" },
        { { 8, 0, BASE + AVAILABLE, BASE + USED }, "a ring is not in the guest's memory" },
        { { 8, UINT64_MAX & ~15ull, BASE + AVAILABLE, BASE + USED },
          "a ring is not in the guest's memory" },
        { { 8, BASE + sizeof(ram) - 112, BASE + AVAILABLE, BASE + USED },
          "a ring is not in the guest's memory" },
        { { 8, BASE, BASE + sizeof(ram) - 20, BASE + USED },
          "a ring is not in the guest's memory" },
        { { 8, BASE, BASE + AVAILABLE, BASE + sizeof(ram) - 68 },
          "a ring is not in the guest's memory" },
        { { 8, BASE, BASE + AVAILABLE, IMAGE }, "a ring is not in the guest's memory" },
    };
    struct fixture fixture;

    (void)state;
    open_queue(&fixture, 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct virtqueue queue = { .size = 42 };
        struct error err = { 0 };

        if (virtqueue_open(&queue, &fixture.memory, &rows[i].layout, 0, &err) != -EINVAL ||
            strcmp(err.message, rows[i].message) != 0 || queue.size != 42)
            fail_msg("row %zu: %s", i, err.message);
    }
}

static void a_queue_that_was_not_set_up_has_no_chains(void **state)
{
    struct virtqueue queue = { 0 };
    struct virtqueue_chain chain;

    (void)state;
    assert_int_equal(virtqueue_next(&queue, &chain), 0);
}

/* --- chains ------------------------------------------------------------------------------- */

static void a_chain_is_what_is_read_and_what_is_written(void **state)
{
    struct fixture fixture;

    (void)state;
    open_queue(&fixture, 0);
    descriptors()[5] = (struct vring_desc){ BASE + BUFFER, 16, N, 2 };
    descriptors()[2] = (struct vring_desc){ IMAGE, 0x1000, N, 7 };
    descriptors()[7] = (struct vring_desc){ BASE + BUFFER + 16, 8, N | W, 0 };
    descriptors()[0] = (struct vring_desc){ BASE + sizeof(ram) - 1, 1, W, 5 };
    assert_int_equal(next(&fixture), 0);
    offer(5);
    assert_int_equal(next(&fixture), 1);
    assert_int_equal(fixture.chain.head, 5);
    assert_int_equal(fixture.chain.readable.count, 2);
    assert_int_equal(fixture.chain.readable.length, 16 + 0x1000);
    assert_ptr_equal(fixture.chain.readable.segments[0].iov_base, ram + BUFFER);
    assert_ptr_equal(fixture.chain.readable.segments[1].iov_base, image);
    assert_int_equal(fixture.chain.writable.count, 2);
    assert_int_equal(fixture.chain.writable.length, 9);
    assert_ptr_equal(fixture.chain.writable.segments[0].iov_base, ram + BUFFER + 16);
    assert_ptr_equal(fixture.chain.writable.segments[1].iov_base, ram + sizeof(ram) - 1);
    assert_int_equal(next(&fixture), 0);
}

static void an_indirect_table_continues_a_chain(void **state)
{
    struct vring_desc *table = (struct vring_desc *)(ram + TABLE);
    struct fixture fixture;

    (void)state;
    open_queue(&fixture, INDIRECT);
    descriptors()[0] = (struct vring_desc){ BASE + BUFFER, 4, N, 1 };
    /* The flag W of such a descriptor means nothing. */
    descriptors()[1] = (struct vring_desc){ BASE + TABLE, 48, I | W, 0 };
    table[0] = (struct vring_desc){ BASE + BUFFER + 4, 4, N, 2 };
    table[2] = (struct vring_desc){ BASE + BUFFER + 8, 4, W, 0 };
    offer(0);
    assert_int_equal(next(&fixture), 1);
    assert_int_equal(fixture.chain.readable.length, 8);
    assert_int_equal(fixture.chain.writable.length, 4);
}

static void an_indirect_table_may_stand_anywhere(void **state)
{
    const struct vring_desc entry = { BASE + BUFFER, 4, W, 0 };
    struct fixture fixture;

    (void)state;
    open_queue(&fixture, INDIRECT);
    memcpy(ram + TABLE + 3, &entry, sizeof(entry));
    descriptors()[0] = (struct vring_desc){ BASE + TABLE + 3, 16, I, 0 };
    offer(0);
    assert_int_equal(next(&fixture), 1);
    assert_int_equal(fixture.chain.writable.length, 4);
}

/* Each row is a chain that starts at descriptor 0, with a table at TABLE. */
static void wrong_chains_break_the_queue(void **state)
{
    const struct {
        const char *what;
        uint64_t features;
        struct vring_desc direct[3];
        struct vring_desc table[3];
    } rows[] = {
        { "length 0", 0, { { BASE + BUFFER, 0, 0, 0 } }, { { 0 } } },
        { "nowhere", 0, { { 0, 4, 0, 0 } }, { { 0 } } },
        { "behind the end", 0, { { BASE + sizeof(ram) - 3, 4, 0, 0 } }, { { 0 } } },
        { "address wraps", 0, { { UINT64_MAX - 1, 4, 0, 0 } }, { { 0 } } },
        { "longest length", 0, { { BASE + BUFFER, UINT32_MAX, W, 0 } }, { { 0 } } },
        { "writes the image", 0, { { IMAGE, 4, W, 0 } }, { { 0 } } },
        { "reads after writing",
          0,
          { { BASE + BUFFER, 4, N | W, 1 }, { BASE + BUFFER, 4, 0, 0 } },
          { { 0 } } },
        { "loop of one", 0, { { BASE + BUFFER, 4, N, 0 } }, { { 0 } } },
        { "loop of two", 0, { { BASE + BUFFER, 4, N, 1 }, { BASE + BUFFER, 4, N, 0 } }, { { 0 } } },
        { "next outside", 0, { { BASE + BUFFER, 4, N, SIZE } }, { { 0 } } },
        { "indirect, not negotiated",
          0,
          { { BASE + TABLE, 16, I, 0 } },
          { { BASE + BUFFER, 4, 0, 0 } } },
        { "indirect and next",
          INDIRECT,
          { { BASE + TABLE, 16, I | N, 1 }, { BASE + BUFFER, 4, 0, 0 } },
          { { BASE + BUFFER, 4, 0, 0 } } },
        { "indirect of length 0", INDIRECT, { { BASE + TABLE, 0, I, 0 } }, { { 0 } } },
        { "indirect of odd length",
          INDIRECT,
          { { BASE + TABLE, 17, I, 0 } },
          { { BASE + BUFFER, 4, 0, 0 } } },
        { "indirect nowhere", INDIRECT, { { 0x100, 16, I, 0 } }, { { 0 } } },
        { "nested", INDIRECT, { { BASE + TABLE, 32, I, 0 } }, { { BASE + TABLE, 32, I, 0 } } },
        { "indirect to the queue's own table", INDIRECT, { { BASE, 16 * SIZE, I, 0 } }, { { 0 } } },
        { "next outside the table",
          INDIRECT,
          { { BASE + TABLE, 32, I, 0 } },
          { { BASE + BUFFER, 4, N, 2 }, { 0 }, { BASE + BUFFER, 4, 0, 0 } } },
        { "loop in the table",
          INDIRECT,
          { { BASE + TABLE, 32, I, 0 } },
          { { BASE + BUFFER, 4, N, 1 }, { BASE + BUFFER, 4, N, 1 } } },
        { "too long together",
          INDIRECT,
          { { BASE + BUFFER, 4, N, 1 }, { BASE + TABLE, 48, I, 0 } },
          { { BASE + BUFFER, 4, N, 1 }, { BASE + BUFFER, 4, N, 0 } } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fixture fixture;

        open_queue(&fixture, rows[i].features);
        memcpy(ram, rows[i].direct, sizeof(rows[i].direct));
        memcpy(ram + TABLE, rows[i].table, sizeof(rows[i].table));
        offer(0);
        if (next(&fixture) != -EBADMSG || !fixture.queue.is_broken)
            fail_msg("%s", rows[i].what);
        /* For good: also a right chain is not taken any more. */
        descriptors()[0] = (struct vring_desc){ BASE + BUFFER, 4, 0, 0 };
        assert_int_equal(next(&fixture), -EBADMSG);
    }
}

static void a_chain_may_be_as_long_as_the_queue(void **state)
{
    struct fixture fixture;

    (void)state;
    open_queue(&fixture, 0);
    for (uint16_t i = 0; i < SIZE; i++)
        descriptors()[i] =
            (struct vring_desc){ BASE + BUFFER, 1, i + 1 < SIZE ? N : 0, (uint16_t)(i + 1) };
    offer(0);
    assert_int_equal(next(&fixture), 1);
    assert_int_equal(fixture.chain.readable.length, SIZE);
}

static void a_head_outside_the_table_breaks_the_queue(void **state)
{
    struct fixture fixture;

    (void)state;
    open_queue(&fixture, 0);
    offer(SIZE);
    assert_int_equal(next(&fixture), -EBADMSG);
}

static void more_chains_than_entries_break_the_queue(void **state)
{
    struct fixture fixture;

    (void)state;
    open_queue(&fixture, 0);
    descriptors()[0] = (struct vring_desc){ BASE + BUFFER, 4, 0, 0 };
    available()[1] = SIZE + 1;
    assert_int_equal(next(&fixture), -EBADMSG);
}

/* --- rings -------------------------------------------------------------------------------- */

static void indices_wrap_around_and_the_rings_go_on(void **state)
{
    struct fixture fixture;

    (void)state;
    open_queue(&fixture, EVENTS);
    descriptors()[3] = (struct vring_desc){ BASE + BUFFER, 4, W, 0 };
    for (uint32_t i = 0; i < 0x10000 + 5; i++) {
        uint32_t element[2];

        offer(3);
        assert_int_equal(next(&fixture), 1);
        virtqueue_put(&fixture.queue, fixture.chain.head, i);
        virtqueue_publish(&fixture.queue);
        assert_int_equal(used()[1], (uint16_t)(i + 1));
        memcpy(element, ram + USED + 4 + 8 * (i % SIZE), sizeof(element));
        assert_int_equal(element[0], 3);
        assert_int_equal(element[1], i);
    }
    assert_int_equal(next(&fixture), 0);
}

static void what_is_put_is_seen_when_it_is_published(void **state)
{
    struct fixture fixture;

    (void)state;
    open_queue(&fixture, 0);
    virtqueue_put(&fixture.queue, 1, 10);
    virtqueue_put(&fixture.queue, 2, 20);
    assert_int_equal(used()[1], 0);
    virtqueue_publish(&fixture.queue);
    assert_int_equal(used()[1], 2);
}

static void undone_chains_come_again(void **state)
{
    struct fixture fixture;

    (void)state;
    open_queue(&fixture, EVENTS);
    descriptors()[0] = (struct vring_desc){ BASE + BUFFER, 4, W, 0 };
    descriptors()[1] = (struct vring_desc){ BASE + BUFFER, 8, W, 0 };
    offer(0);
    offer(1);
    assert_int_equal(next(&fixture), 1);
    virtqueue_put(&fixture.queue, 0, 4);
    assert_int_equal(next(&fixture), 1);
    virtqueue_undo(&fixture.queue, 2);
    virtqueue_publish(&fixture.queue);
    assert_int_equal(used()[1], 0);
    assert_int_equal(next(&fixture), 1);
    assert_int_equal(fixture.chain.head, 0);
}

static void an_empty_queue_asks_for_the_next_notification(void **state)
{
    struct fixture fixture;

    (void)state;
    open_queue(&fixture, EVENTS);
    descriptors()[0] = (struct vring_desc){ BASE + BUFFER, 4, W, 0 };
    offer(0);
    offer(0);
    assert_int_equal(next(&fixture), 1);
    assert_int_equal(next(&fixture), 1);
    assert_int_equal(used()[2 + 4 * SIZE], 0);
    assert_int_equal(next(&fixture), 0);
    assert_int_equal(used()[2 + 4 * SIZE], 2);
}

static void interrupts_come_as_the_driver_wants_them(void **state)
{
    struct fixture fixture;

    (void)state;
    open_queue(&fixture, 0);
    assert_false(virtqueue_wants_interrupt(&fixture.queue));
    virtqueue_put(&fixture.queue, 0, 0);
    virtqueue_publish(&fixture.queue);
    assert_true(virtqueue_wants_interrupt(&fixture.queue));
    assert_false(virtqueue_wants_interrupt(&fixture.queue));
    available()[0] = VRING_AVAIL_F_NO_INTERRUPT;
    virtqueue_put(&fixture.queue, 0, 0);
    virtqueue_publish(&fixture.queue);
    assert_false(virtqueue_wants_interrupt(&fixture.queue));

    open_queue(&fixture, EVENTS);
    available()[2 + SIZE] = 2; /* when index 2 becomes 3 */
    for (int i = 0; i < 4; i++) {
        virtqueue_put(&fixture.queue, 0, 0);
        virtqueue_publish(&fixture.queue);
        assert_int_equal(virtqueue_wants_interrupt(&fixture.queue), i == 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rings_have_to_be_aligned_and_in_memory),
        cmocka_unit_test(a_queue_that_was_not_set_up_has_no_chains),
        cmocka_unit_test(a_chain_is_what_is_read_and_what_is_written),
        cmocka_unit_test(an_indirect_table_continues_a_chain),
        cmocka_unit_test(an_indirect_table_may_stand_anywhere),
        cmocka_unit_test(wrong_chains_break_the_queue),
        cmocka_unit_test(a_chain_may_be_as_long_as_the_queue),
        cmocka_unit_test(a_head_outside_the_table_breaks_the_queue),
        cmocka_unit_test(more_chains_than_entries_break_the_queue),
        cmocka_unit_test(indices_wrap_around_and_the_rings_go_on),
        cmocka_unit_test(what_is_put_is_seen_when_it_is_published),
        cmocka_unit_test(undone_chains_come_again),
        cmocka_unit_test(an_empty_queue_asks_for_the_next_notification),
        cmocka_unit_test(interrupts_come_as_the_driver_wants_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
