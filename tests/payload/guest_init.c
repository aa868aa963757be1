/* /init of a guest with a real kernel: says what it sees, and ends the machine as its argument says
 * (what stands behind "--" on the kernel's command line). With "devices" it loads the kernel's
 * modules, uses each device of machine_run, says how that went, and turns the machine off; with
 * "devices-later" it waits before that, so that the machine can be saved. With "steps" it works and
 * sleeps on each CPU for a while, in which it can be saved as well. With "true" it runs /bin/true
 * of an EROFS image on pmem, with a layer in memory above it, as a container has it; with
 * "true-blk" the image is on a block device. With "wait" it does nothing. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1u << 20)

static int console = -1;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    char line[512];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    (void)!write(console, line, (size_t)length);
}

/* The last error is the reason when it went wrong. */
static void verdict(const char *what, int is_right)
{
    if (is_right)
        say("%s: ok\n", what);
    else
        say("%s: WRONG (%s)\n", what, strerror(errno));
}

static double seconds(void)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- set-up ----------------------------------------------------------------------------------- */

static void load(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
        say("%s: %s\n", path, strerror(errno));
    (void)close(fd);
}

/* Loads what modules.list, of lines of "feature: module module", has for @feature; NULL: for all.
 */
static void load_feature(const char *feature)
{
    static char list[16384];
    const int fd = open("/modules.list", O_RDONLY | O_CLOEXEC);
    const ssize_t length = read(fd, list, sizeof(list) - 1);
    char *rest = NULL;
    int is_wanted = 0;

    (void)close(fd);
    if (length <= 0)
        return;
    list[length] = '\0';
    for (char *word = strtok_r(list, " \n", &rest); word != NULL;
         word = strtok_r(NULL, " \n", &rest)) {
        const size_t end = strlen(word) - 1;

        if (word[end] == ':')
            is_wanted =
                feature == NULL || (strlen(feature) == end && strncmp(word, feature, end) == 0);
        else if (is_wanted)
            load(word);
    }
}

/* Devices are found by their drivers in their own time. */
static int open_device(const char *path, int flags)
{
    int fd = -1;

    for (int i = 0; i < 4000 && fd < 0; i++) {
        fd = open(path, flags | O_CLOEXEC);
        if (fd < 0)
            (void)poll(NULL, 0, 1);
    }
    return fd;
}

/* --- devices ---------------------------------------------------------------------------------- */

static void use_disk(void)
{
    static char block[MIB] __attribute__((aligned(4096)));
    static char again[MIB] __attribute__((aligned(4096)));
    const int fd = open_device("/dev/vda", O_RDWR | O_DIRECT);
    const uint64_t range[2] = { 8 * MIB, MIB };
    const double start = seconds();
    int is_right = fd >= 0;

    memset(block, 0x5a, sizeof(block));
    for (int i = 0; i < 8; i++)
        is_right = is_right && pwrite(fd, block, MIB, (off_t)i * MIB) == MIB;
    verdict("disk write", is_right && fsync(fd) == 0);
    for (int i = 0; i < 8; i++)
        is_right = is_right && pread(fd, again, MIB, (off_t)i * MIB) == MIB &&
                   memcmp(block, again, MIB) == 0;
    verdict("disk read", is_right);
    say("disk: 8 MiB written and read in %.3f s\n", seconds() - start);
    verdict("disk discard", fd >= 0 && ioctl(fd, BLKDISCARD, range) == 0);
    verdict("disk zeroes", fd >= 0 && ioctl(fd, BLKZEROOUT, (uint64_t[2]){ 0, MIB }) == 0 &&
                               pread(fd, again, MIB, 0) == MIB && again[MIB - 1] == 0);
    (void)close(fd);
}

static int has_file(const char *path, const char *text)
{
    char bytes[64] = { 0 };
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t length = read(fd, bytes, sizeof(bytes) - 1);

    (void)close(fd);
    return length >= 0 && strcmp(bytes, text) == 0;
}

static void use_root(void)
{
    (void)mkdir("/image", 0755);
    (void)close(open_device("/dev/pmem0", O_RDONLY));
    verdict("root mount", mount("/dev/pmem0", "/image", "erofs", MS_RDONLY, "dax") == 0);
    verdict("root file", has_file("/image/file", "from the image"));
    sync();
}

static void use_port(void)
{
    static char bytes[32768];
    const int fd = open_device("/dev/vport0p1", O_RDWR | O_NONBLOCK);
    const double start = seconds();
    size_t sent = 0, received = 0;

    while (fd >= 0 && received < 4 * MIB) {
        struct pollfd port = { fd, POLLIN | (sent < 4 * MIB ? POLLOUT : 0), 0 };
        ssize_t count;

        if (poll(&port, 1, 5000) <= 0)
            break;
        if ((port.revents & POLLIN) != 0 && (count = read(fd, bytes, sizeof(bytes))) > 0)
            received += (size_t)count;
        if ((port.revents & POLLOUT) != 0 && sent < 4 * MIB &&
            (count = write(fd, bytes, sizeof(bytes))) > 0)
            sent += (size_t)count;
    }
    verdict("port echo", received == 4 * MIB);
    say("port: 4 MiB there and back in %.3f s\n", seconds() - start);
    (void)close(fd);
}

static int set_interface(const char *name, const char *address)
{
    struct ifreq request = { 0 };
    struct sockaddr_in *to = (struct sockaddr_in *)&request.ifr_addr;
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int r;

    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    to->sin_family = AF_INET;
    to->sin_addr.s_addr = inet_addr(address);
    r = ioctl(fd, SIOCSIFADDR, &request);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (r == 0)
        r = ioctl(fd, SIOCSIFFLAGS, &request);
    (void)close(fd);
    return r;
}

/* Nobody listens there: the host's refusal comes back, after it was found by its address. */
static void use_net(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const struct timeval limit = { .tv_sec = 3 };
    char byte = 0;

    to.sin_addr.s_addr = inet_addr("10.0.0.1");
    verdict("net up", set_interface("eth0", "10.0.0.2") == 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    errno = 0;
    verdict("net answer", connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
                              send(fd, &byte, 1, 0) == 1 && recv(fd, &byte, 1, 0) < 0 &&
                              errno == ECONNREFUSED);
    (void)close(fd);
}

static void use_share(void)
{
    static char bytes[MIB];
    int fd, is_right;

    (void)mkdir("/share", 0755);
    verdict("share mount", mount("share0", "/share", "virtiofs", 0, "") == 0);
    verdict("share file", has_file("/share/file", "from the host"));
    memset(bytes, 'x', sizeof(bytes));
    fd = open("/share/made", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    is_right = fd >= 0 && write(fd, bytes, MIB) == MIB && fsync(fd) == 0 && close(fd) == 0;
    verdict("share write", is_right);
    verdict("share unmount", umount("/share") == 0);
    /* The driver begins anew with the same server. */
    verdict("share again", mount("share0", "/share", "virtiofs", 0, "") == 0 &&
                               stat("/share/made", &(struct stat){ 0 }) == 0);
}

static void use_devices(int waits)
{
    char bytes[32];
    ssize_t length;
    int fd;

    (void)mkdir("/sys", 0755);
    (void)mount("sys", "/sys", "sysfs", 0, "");
    load_feature(NULL);
    if (waits) {
        (void)close(open_device("/dev/vport0p1", O_RDWR));
        (void)close(open_device("/dev/vda", O_RDWR));
        say("devices found\n");
        (void)poll(NULL, 0, 1000);
    }
    use_port();
    use_root();
    use_disk();
    use_net();
    use_share();
    fd = open_device("/dev/hwrng", O_RDONLY);
    errno = 0;
    length = read(fd, bytes, sizeof(bytes));
    if (length > 0 || errno != ENODEV) /* its driver is not among the modules everywhere */
        verdict("rng", length > 0);
    verdict("balloon", access("/sys/bus/virtio/drivers/virtio_balloon", F_OK) == 0);
}

/* --- steps ------------------------------------------------------------------------------------ */

#define STEPS   20
#define STEP_MS 50

/* Nothing that a CPU holds, whole numbers or others, may change by its being saved. */
static void *work(void *context)
{
    static const char *const numbers[] = { "1", "3", "7" };
    double product = 1, wanted = 1;
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET((int)(long)context, &cpus);
    (void)sched_setaffinity(0, sizeof(cpus), &cpus);
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < 20000; i++) {
            product *= atof(numbers[i % 3]) + 1;
            product /= atof(numbers[i % 3]) + 1;
        }
        (void)poll(NULL, 0, STEP_MS);
        say("CPU %d: step %d\n", sched_getcpu(), step);
    }
    say("CPU %d: %s\n", sched_getcpu(), product == wanted ? "right" : "WRONG");
    return NULL;
}

/* The clock neither stands nor jumps, however long the machine was a file. */
static void take_steps(int cpus)
{
    pthread_t threads[8];
    const double start = seconds();
    double passed;

    for (long i = 0; i < cpus && i < 8; i++)
        (void)pthread_create(&threads[i], NULL, work, (void *)i);
    for (long i = 0; i < cpus && i < 8; i++)
        (void)pthread_join(threads[i], NULL);
    passed = seconds() - start;
    verdict("clock", passed >= STEPS * STEP_MS / 1e3 && passed < 60);
}

/* --- a container's root ------------------------------------------------------------------------
 */

static void run_true(const char *device, const char *feature, const char *options)
{
    static const char *const features[] = { "core", NULL, "root" };
    int status = 1;
    pid_t pid;

    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
        load_feature(features[i] != NULL ? features[i] : feature);
    (void)mkdir("/image", 0755);
    (void)mkdir("/upper", 0755);
    (void)mkdir("/root", 0755);
    (void)close(open_device(device, O_RDONLY));
    verdict("mounts", mount(device, "/image", "erofs", MS_RDONLY, options) == 0 &&
                          mount("upper", "/upper", "tmpfs", 0, "") == 0 &&
                          mkdir("/upper/upper", 0755) == 0 && mkdir("/upper/work", 0755) == 0 &&
                          mount("root", "/root", "overlay", 0,
                                "lowerdir=/image,upperdir=/upper/upper,workdir=/upper/work") == 0);
    pid = fork();
    if (pid == 0 && chroot("/root") == 0 && chdir("/") == 0)
        (void)execl("/bin/true", "/bin/true", (char *)NULL);
    if (pid == 0)
        _exit(1);
    verdict("true", waitpid(pid, &status, 0) == pid && status == 0);
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[argc - 1] : "off";
    struct utsname name;
    struct sysinfo info;
    cpu_set_t cpus;

    (void)mkdir("/dev", 0755);
    (void)mount("dev", "/dev", "devtmpfs", 0, "");
    console = open("/dev/console", O_WRONLY | O_CLOEXEC);
    (void)uname(&name);
    (void)sysinfo(&info);
    (void)sched_getaffinity(0, sizeof(cpus), &cpus);
    say("init: %s, %d CPUs, %lu MiB\n", name.release, CPU_COUNT(&cpus),
        info.totalram * info.mem_unit >> 20);
    if (strcmp(how, "panic") == 0)
        return 1;
    if (strcmp(how, "devices") == 0)
        use_devices(0);
    if (strcmp(how, "devices-later") == 0)
        use_devices(1);
    if (strcmp(how, "steps") == 0)
        take_steps(CPU_COUNT(&cpus));
    if (strcmp(how, "true") == 0)
        run_true("/dev/pmem0", "pmem", "dax");
    if (strcmp(how, "true-blk") == 0)
        run_true("/dev/vda", "blk", NULL);
    while (strcmp(how, "wait") == 0)
        (void)pause();
    (void)reboot(strcmp(how, "reset") == 0 ? RB_AUTOBOOT : RB_POWER_OFF);
    return 1;
}
