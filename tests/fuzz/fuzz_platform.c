/* Any accesses to ports: the serial line and the few other registers take them all, and a guest's
 * words are never longer than the log's lines. Input: records of a port, a width and a value. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/auto.h"
#include "microvm/layout.h"
#include "microvm/platform.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One byte chooses among the ports where something is. */
static uint16_t port_of(uint8_t byte)
{
    static const uint16_t others[] = { LAYOUT_PORT_KEYBOARD,
                                       LAYOUT_PORT_SLEEP,
                                       LAYOUT_PORT_SLEEP_STATUS,
                                       LAYOUT_PORT_RESET,
                                       0,
                                       0xffff };

    return byte % 2 == 0 ? (uint16_t)(LAYOUT_PORT_SERIAL + byte / 2 % 9)
                         : others[byte / 2 % ARRAY_SIZE(others)];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t widths[] = { 1, 1, 1, 2, 4 };
    struct platform platform;

    platform_start(&platform, -1, -1);
    for (size_t i = 0; i + 3 <= size; i += 3) {
        const size_t width = widths[data[i + 1] / 2 % ARRAY_SIZE(widths)];
        uint8_t bytes[4] = { data[i + 2], data[i + 2], data[i + 2], data[i + 2] };

        if ((data[i + 1] & 1) == 0)
            (void)platform_write(&platform, port_of(data[i]), bytes, width);
        else
            platform_read(&platform, port_of(data[i]), bytes, width);
        assert(platform.console.length < sizeof(platform.console.line));
    }
    console_log_flush(&platform.console);
    assert(memchr(platform.console.panic, '\0', sizeof(platform.console.panic)) != NULL);
    (void)pthread_mutex_destroy(&platform.mutex);
    return 0;
}
