#include <endian.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "microvm/agent.h"

/* In place of berth-agent: boots as it does, then breaks the rules of the channel in the way that
 * the file /lie of the initramfs names. */

#define HELLO "{\"type\":\"hello\",\"version\":2}"

static void send_frame(int fd, uint32_t type, uint32_t stream, const char *text, uint32_t length)
{
    const uint32_t words[4] = { htole32(length), htole32(type), htole32(stream), 0 };

    (void)fd_write_all(fd, words, sizeof(words), "a frame", NULL);
    if (length <= strlen(text))
        (void)fd_write_all(fd, text, length, "a frame", NULL);
}

static void say(int fd, const char *text)
{
    send_frame(fd, CHANNEL_MESSAGE, 0, text, (uint32_t)strlen(text));
}

static void lie_twice(int fd)
{
    say(fd, HELLO);
    say(fd, HELLO);
}

static void lie_length(int fd)
{
    say(fd, HELLO);
    send_frame(fd, CHANNEL_DATA, 5, "", UINT32_MAX);
}

/* Nothing but answers that nobody asked for, without end. */
static void lie_flood(int fd)
{
    say(fd, HELLO);
    for (;;)
        say(fd, "{\"type\":\"reply\",\"request\":1,\"text\":\"x\"}");
}

static void lie_noise(int fd)
{
    static const char noise[65536] = { 1, 2, 3, 4, 5, 6, 7 };

    for (;;)
        (void)fd_write_all(fd, noise, sizeof(noise), "noise", NULL);
}

static void lie_reboot(int fd)
{
    say(fd, HELLO);
    (void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART,
                  NULL);
}

/* The kernel gives up without its first process. */
static void lie_panic(int fd)
{
    say(fd, HELLO);
    _exit(3);
}

static const struct {
    const char *name;
    void (*lie)(int fd);
} lies[] = {
    { "twice", lie_twice }, { "length", lie_length }, { "flood", lie_flood },
    { "noise", lie_noise }, { "reboot", lie_reboot }, { "panic", lie_panic },
};

int main(void)
{
    auto_free char *name = NULL;
    int initramfs_fd = -1, port_fd = -1;

    if (agent_boot(&initramfs_fd, NULL) < 0 || agent_load_modules(initramfs_fd, "core", NULL) < 0 ||
        file_read(initramfs_fd, "lie", 64, &name, NULL, NULL) < 0 ||
        agent_open_port(1, &port_fd, NULL) < 0)
        return 1;
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        if (text_equal(lies[i].name, name))
            lies[i].lie(port_fd);
    }
    /* Whoever believes it is still waiting. */
    for (;;)
        (void)pause();
}
