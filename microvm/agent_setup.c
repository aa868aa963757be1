#include "microvm/agent.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/path.h"
#include "microvm/fuse_relay.h"

#define FIRST_SHARE_PORT 2

static int mount_at(const char *path, const char *type, const char *source, unsigned long flags,
                    const char *data, struct error *err)
{
    if (mount(source, path, type, flags, data) < 0)
        return error_errno(err, "mount %s '%s' on '%s'", type, source, path);
    return 0;
}

/* --- time and random numbers ---------------------------------------------------------------------
 */

int agent_set_time(uint64_t time_ns, struct error *err)
{
    const struct timespec now = { .tv_sec = (time_t)(time_ns / 1000000000),
                                  .tv_nsec = (long)(time_ns % 1000000000) };

    if (clock_settime(CLOCK_REALTIME, &now) < 0)
        return error_errno(err, "set the clock");
    return 0;
}

static int parse_hex(const char *text, uint8_t *bytes, size_t size, struct error *err)
{
    if (strlen(text) != 2 * size || strspn(text, "0123456789abcdef") != 2 * size)
        return error_set(err, EINVAL, "the seed is not %zu bytes in hexadecimal digits", size);
    for (size_t i = 0; i < size; i++) {
        char digits[3] = { text[2 * i], text[2 * i + 1], '\0' };

        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return 0;
}

/* Two guests from one snapshot must not have the same random numbers (random(4), RNDADDENTROPY). */
static int reseed(const char *text, struct error *err)
{
    struct {
        struct rand_pool_info info;
        uint8_t bytes[AGENT_SEED_BYTES]; /* where info.buf is */
    } pool = { .info = { .entropy_count = AGENT_SEED_BYTES * 8, .buf_size = AGENT_SEED_BYTES } };
    auto_close int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    int r;

    if (fd < 0)
        return error_errno(err, "open /dev/urandom");
    r = parse_hex(text, pool.bytes, sizeof(pool.bytes), err);
    if (r < 0)
        return r;
    if (ioctl(fd, RNDADDENTROPY, &pool.info) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
        return error_errno(err, "seed the random numbers");
    return 0;
}

/* --- files ---------------------------------------------------------------------------------------
 */

static int write_files(const struct vm_files *files, struct error *err)
{
    auto_close int root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (root_fd < 0)
        return error_errno(err, "open the root");
    for (size_t i = 0; i < files->count; i++) {
        const struct vm_file *file = &files->items[i];
        auto_close int fd = -1;

        r = path_make_file(root_fd, file->path, file->mode & 0777, NULL, err);
        if (r < 0)
            return error_prefix(err, r, "write '%s'", file->path);
        fd = openat(root_fd, file->path + 1, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return error_errno(err, "open '%s'", file->path);
        r = fd_write_all(fd, file->content, strlen(file->content), file->path, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- shares --------------------------------------------------------------------------------------
 */

/* An emulated machine has no virtio-fs: what the kernel asks goes through a port to berth-fs. */
static int relay_share(const struct vm_share *share, const char *target, unsigned port,
                       struct error *err)
{
    auto_close int fd = -1;
    pid_t pid;
    int r;

    r = agent_open_port(port, &fd, err);
    if (r == 0)
        r = fuse_relay_start(fd, target, share->is_read_only, &pid, err);
    return r < 0 ? error_prefix(err, r, "share '%s'", share->tag) : 0;
}

static int mount_shares(int initramfs_fd, const struct agent_setup *setup, struct error *err)
{
    int r = 0;

    if (setup->shares.count > 0)
        r = agent_load_modules(initramfs_fd, "fs", err);
    for (size_t i = 0; i < setup->shares.count && r == 0; i++) {
        const struct vm_share *share = &setup->shares.items[i];
        auto_free char *target = xasprintf("/shares/%s", share->tag);

        if (mkdir(target, 0755) < 0)
            return error_errno(err, "make directory '%s'", target);
        if (setup->is_emulated)
            r = relay_share(share, target, FIRST_SHARE_PORT + (unsigned)i, err);
        else
            r = mount_at(target, "virtiofs", share->tag,
                         MS_NODEV | (share->is_read_only ? MS_RDONLY : 0), NULL, err);
    }
    return r;
}

/* --- root ----------------------------------------------------------------------------------------
 */

/* Where an EROFS image is: on persistent memory, whose pages need no copy in the guest, or on the
 * first disk. */
static int mount_image(struct error *err)
{
    if (access("/dev/pmem0", F_OK) == 0)
        return mount_at(AGENT_IMAGE, "erofs", "/dev/pmem0", MS_RDONLY | MS_NODEV, "dax=always",
                        err);
    return mount_at(AGENT_IMAGE, "erofs", "/dev/vda", MS_RDONLY | MS_NODEV, NULL, err);
}

/* A machine that was saved may know the disk of another one. */
static int mount_disk(struct error *err)
{
    const char *path = access("/dev/pmem0", F_OK) == 0 ? "/dev/vda" : "/dev/vdb";
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || ioctl(fd, BLKFLSBUF, 0) < 0)
        return error_errno(err, "open '%s'", path);
    return mount_at(AGENT_DISK, "ext4", path, MS_NODEV, NULL, err);
}

static int mount_upper(const struct vm_root *root, struct error *err)
{
    auto_free char *options = NULL;

    if (text_equal(root->upper, "disk"))
        return mount_disk(err);
    options = root->upper_bytes > 0
                  ? xasprintf("mode=755,size=%llu", (unsigned long long)root->upper_bytes)
                  : xstrdup("mode=755");
    return mount_at(AGENT_DISK, "tmpfs", "tmpfs", MS_NODEV, options, err);
}

static int make_directories(const char *const *paths, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (mkdir(paths[i], 0755) < 0 && errno != EEXIST)
            return error_errno(err, "make directory '%s'", paths[i]);
    }
    return 0;
}

static int mount_root(int initramfs_fd, const struct agent_setup *setup, struct error *err)
{
    const struct vm_root *root = &setup->root;
    static const char *const places[] = { AGENT_IMAGE, AGENT_DISK };
    static const char *const uppers[] = { AGENT_UPPER, AGENT_WORK };
    auto_free char *share = NULL;
    int r;

    if (text_equal(root->type, "share")) {
        share = xasprintf("/shares/%s", root->share);
        return mount_at(AGENT_ROOT, "none", share, MS_BIND | MS_REC, NULL, err);
    }
    r = agent_load_modules(initramfs_fd, setup->is_emulated ? "blk" : "pmem", err);
    if (r == 0)
        r = agent_load_modules(initramfs_fd, "root", err);
    if (r == 0 && text_equal(root->upper, "disk"))
        r = agent_load_modules(initramfs_fd, "blk", err);
    if (r == 0 && text_equal(root->upper, "disk"))
        r = agent_load_modules(initramfs_fd, "ext4", err);
    if (r == 0)
        r = make_directories(places, ARRAY_SIZE(places), err);
    if (r == 0)
        r = mount_image(err);
    if (r == 0)
        r = mount_upper(root, err);
    if (r == 0)
        r = make_directories(uppers, ARRAY_SIZE(uppers), err);
    if (r < 0)
        return r;
    return mount_at(AGENT_ROOT, "overlay", "overlay", 0,
                    "lowerdir=" AGENT_IMAGE ",upperdir=" AGENT_UPPER ",workdir=" AGENT_WORK, err);
}

int agent_set_up(int initramfs_fd, const struct agent_setup *setup, struct error *err)
{
    int r;

    r = reseed(setup->seed, err);
    if (r == 0)
        r = agent_set_time(setup->time_ns, err);
    if (r == 0)
        r = write_files(&setup->files, err);
    if (r == 0 && setup->interfaces.count > 0)
        r = agent_load_modules(initramfs_fd, "net", err);
    if (r == 0)
        r = agent_set_up_network(&setup->interfaces, err);
    if (r == 0)
        r = mount_shares(initramfs_fd, setup, err);
    if (r == 0)
        r = mount_root(initramfs_fd, setup, err);
    return r;
}

int agent_set_up_again(const struct agent_setup *setup, struct error *err)
{
    int r = reseed(setup->seed, err);

    if (r == 0)
        r = agent_set_time(setup->time_ns, err);
    return r < 0 ? r : agent_change_network(&setup->interfaces, err);
}

void agent_power_off(void)
{
    sync();
    (void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF,
                  NULL);
    _exit(1); /* the kernel panics, which ends the machine too */
}
