/* The state of a saved machine, as bytes from anywhere: a whole file, or, since no fuzzer finds a
 * hash, the parts of a device behind its header. The first byte chooses. What is accepted is used
 * as a driver would, with memory that is full of the input. */
#include <assert.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/fuzz/virtio_targets.h"

#include "microvm/machine_state.h"
#include "microvm/platform.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- input ------------------------------------------------------------------------------------ */

static void use(struct target *target)
{
    AUTO_CLEAR(state_writer) struct state_writer writer = { 0 };
    struct driver *driver = &target->driver;

    virtio_mmio_resume(driver->mmio);
    if (driver->device->stream_count > 0)
        (void)!send(target->host[0], driver_memory, 64, MSG_NOSIGNAL);
    for (unsigned i = 0; i < driver->device->stream_count; i++)
        virtio_device_io(driver->device, i, EPOLLIN | EPOLLOUT);
    virtio_mmio_lock(driver->mmio);
    (void)virtio_mmio_save(driver->mmio, &writer, NULL);
    virtio_mmio_unlock(driver->mmio);
}

/* What a device saves of itself, with @patches over it: pairs of a place and a byte. */
static void restore_device(unsigned kind, const uint8_t *patches, size_t size)
{
    AUTO_CLEAR(state_writer) struct state_writer writer = { 0 };
    struct target first = target_none(), second = target_none();
    struct state_reader reader;
    int r;

    driver_open(&first.driver, target_devices[kind](&first));
    driver_start(&first.driver, virtio_device_offers(first.driver.device));
    r = virtio_mmio_save(first.driver.mmio, &writer, NULL);
    assert(r == 0);
    driver_close(&first.driver);
    driver_open(&second.driver, target_devices[kind](&second));
    for (size_t i = 0; i < sizeof(driver_memory) && size > 0 && i < 0x20000; i++)
        driver_memory[i] = patches[i % size];
    for (size_t i = 0; i + 1 < size; i += 2)
        writer.bytes[patches[i] % writer.length] = patches[i + 1];
    /* A share's state is its server's business, which is asked, and has said all that it will say.
     */
    if (second.driver.device->virtio_class->id == VIRTIO_ID_FS) {
        const uint32_t length = (uint32_t)size;

        state_put(&writer, &length, sizeof(length));
        state_put(&writer, patches, size);
        (void)!write(second.host[0], patches, size);
        (void)shutdown(second.host[0], SHUT_WR);
    }
    reader = (struct state_reader){ writer.bytes, writer.length };
    if (virtio_mmio_restore(second.driver.mmio, &reader, NULL) == 0)
        use(&second);
    driver_close(&second.driver);
    target_close(&first);
    target_close(&second);
}

static void restore_serial(const uint8_t *data, size_t size)
{
    struct state_reader reader = { data, size };
    struct platform platform;

    platform_start(&platform, -1, -1);
    if (platform_restore(&platform, &reader, NULL) == 0)
        platform_resume(&platform);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct state_reader reader;

    if (size == 0)
        return 0;
    if (data[0] < ARRAY_SIZE(target_devices))
        restore_device(data[0], data + 1, size - 1);
    else if (data[0] == ARRAY_SIZE(target_devices))
        restore_serial(data + 1, size - 1);
    else if (state_open(data + 1, size - 1, &reader, NULL) == 0)
        assert(reader.left <= size);
    return 0;
}
