/* /init of a guest with a real kernel: says what it sees, and ends the machine as its argument says
 * (what stands behind "--" on the kernel's command line). */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[argc - 1] : "off";
    struct utsname name;
    struct sysinfo info;
    cpu_set_t cpus;
    char line[256];
    int length;
    const int console = open("/dev/console", O_WRONLY);

    (void)uname(&name);
    (void)sysinfo(&info);
    (void)sched_getaffinity(0, sizeof(cpus), &cpus);
    length = snprintf(line, sizeof(line), "init: %s, %d CPUs, %lu MiB\n", name.release,
                      CPU_COUNT(&cpus), info.totalram * info.mem_unit >> 20);
    (void)!write(console, line, (size_t)length);
    if (strcmp(how, "panic") == 0)
        return 1;
    (void)reboot(strcmp(how, "reset") == 0 ? RB_AUTOBOOT : RB_POWER_OFF);
    return 1;
}
