/* floor: the least kernel work that one `runtime run` of the default OCI bundle
 * needs, done with direct system calls and nothing else: namespaces, the
 * default mounts, devices, masked and read-only paths, a cgroup with the
 * process in it, exec, wait, clean-up. It reads no config and keeps no state,
 * so it bounds from below what any OCI runtime can reach on this kernel.
 *
 *   floor ROOTFS [N]     runs /bin/true in ROOTFS N times (default 1)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int rc, const char *what)
{
    if (rc < 0) {
        perror(what);
        _exit(111);
    }
}

static const char *groups[] = { "memory",  "pids",    "cpu",   "cpuacct",
                                "devices", "freezer", "blkio", "cpuset" };
static char cgpath[8][256];
static int ncg;

static void cg_enter(void)
{
    char p[300], pid[16];
    snprintf(pid, sizeof pid, "0");
    for (unsigned i = 0; i < 8; i++) {
        snprintf(p, sizeof p, "/sys/fs/cgroup/%s/cgroup.procs", groups[i]);
        if (access(p, F_OK))
            continue;
        snprintf(cgpath[ncg], 256, "/sys/fs/cgroup/%s/floor-%d", groups[i], getpid());
        must(mkdir(cgpath[ncg], 0755), "cg mkdir");
        ncg++;
    }
    if (!ncg && !access("/sys/fs/cgroup/cgroup.procs", F_OK)) {
        snprintf(cgpath[ncg], 256, "/sys/fs/cgroup/floor-%d", getpid());
        must(mkdir(cgpath[ncg++], 0755), "cg mkdir");
    }
    (void)pid;
}

static void cg_attach(int pid)
{
    char p[300], s[16];
    int n = snprintf(s, sizeof s, "%d", pid);
    for (int i = 0; i < ncg; i++) {
        if (strstr(cgpath[i], "/cpuset/")) {
            /* a new v1 cpuset is empty until it is given cpus and mems */
            static const char *f[] = { "cpuset.cpus", "cpuset.mems" };
            for (int k = 0; k < 2; k++) {
                char b[256], q[300];
                snprintf(q, sizeof q, "/sys/fs/cgroup/cpuset/%s", f[k]);
                int fd = open(q, O_RDONLY);
                int r = fd < 0 ? -1 : (int)read(fd, b, sizeof b);
                if (fd >= 0)
                    close(fd);
                snprintf(q, sizeof q, "%s/%s", cgpath[i], f[k]);
                fd = open(q, O_WRONLY);
                if (fd >= 0 && r > 0 && write(fd, b, r) < 0)
                    perror(q);
                if (fd >= 0)
                    close(fd);
            }
        }
        snprintf(p, sizeof p, "%s/cgroup.procs", cgpath[i]);
        int fd = open(p, O_WRONLY);
        must(fd, p);
        must(write(fd, s, n), "attach");
        close(fd);
    }
}

static void child(const char *root, int sync)
{
    char c, p[512];
    if (read(sync, &c, 1) != 1)
        _exit(112);
    must(mount(0, "/", 0, MS_REC | MS_SLAVE, 0), "slave");
    must(mount(root, root, 0, MS_BIND | MS_REC, 0), "bind");
    must(chdir(root), "chdir");
#define T(d) (snprintf(p, sizeof p, "%s", d), mkdir(p, 0755), p)
    must(mount("proc", T("proc"), "proc", 0, 0), "proc");
    must(mount("tmpfs", T("dev"), "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"),
         "dev");
    must(mount("devpts", T("dev/pts"), "devpts", MS_NOSUID | MS_NOEXEC,
               "newinstance,ptmxmode=0666,mode=0620,gid=5"),
         "pts");
    must(mount("shm", T("dev/shm"), "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV,
               "mode=1777,size=65536k"),
         "shm");
    must(mount("mqueue", T("dev/mqueue"), "mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, 0), "mq");
    must(mount("sysfs", T("sys"), "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, 0), "sys");
    static const struct {
        const char *n;
        int ma, mi;
    } d[] = { { "null", 1, 3 },   { "zero", 1, 5 },    { "full", 1, 7 },
              { "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 } };
    umask(0);
    for (unsigned i = 0; i < 6; i++) {
        snprintf(p, sizeof p, "dev/%s", d[i].n);
        must(mknod(p, S_IFCHR | 0666, makedev(d[i].ma, d[i].mi)), p);
    }
    umask(022);
    must(symlink("/proc/self/fd", "dev/fd"), "ln");
    must(symlink("/proc/self/fd/0", "dev/stdin"), "ln");
    must(symlink("/proc/self/fd/1", "dev/stdout"), "ln");
    must(symlink("/proc/self/fd/2", "dev/stderr"), "ln");
    must(symlink("pts/ptmx", "dev/ptmx"), "ln");
    must(sethostname("floor", 5), "host");
    must(syscall(SYS_pivot_root, ".", "."), "pivot");
    must(umount2(".", MNT_DETACH), "umount");
    must(chdir("/"), "cd");
    static const char *mask[] = { "/proc/acpi",        "/proc/asound",        "/proc/kcore",
                                  "/proc/keys",        "/proc/latency_stats", "/proc/timer_list",
                                  "/proc/timer_stats", "/proc/sched_debug",   "/sys/firmware",
                                  "/proc/scsi" };
    for (unsigned i = 0; i < 10; i++)
        if (mount("/dev/null", mask[i], 0, MS_BIND, 0) && errno == ENOTDIR)
            must(mount("tmpfs", mask[i], "tmpfs", MS_RDONLY, 0), mask[i]);
    static const char *ro[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                "/proc/sysrq-trigger" };
    for (unsigned i = 0; i < 5; i++)
        if (!mount(ro[i], ro[i], 0, MS_BIND | MS_REC, 0))
            must(mount(0, ro[i], 0,
                       MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, 0),
                 ro[i]);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "nnp");
    char *argv[] = { "true", 0 }, *envp[] = { "PATH=/bin", 0 };
    execve("/bin/true", argv, envp);
    must(-1, "exec");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    for (int n = argc > 2 ? atoi(argv[2]) : 1; n > 0; n--) {
        int fd[2], st;
        ncg = 0;
        must(pipe2(fd, O_CLOEXEC), "pipe");
        cg_enter();
        struct clone_args a = { .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS |
                                         CLONE_NEWIPC,
                                .exit_signal = SIGCHLD };
        int pid = syscall(SYS_clone3, &a, sizeof a);
        must(pid, "clone3");
        if (!pid)
            child(argv[1], fd[0]);
        cg_attach(pid);
        must(write(fd[1], "x", 1), "sync");
        close(fd[0]);
        close(fd[1]);
        must(waitpid(pid, &st, 0), "wait");
        for (int i = 0; i < ncg; i++)
            rmdir(cgpath[i]);
        if (st)
            return 1;
    }
    return 0;
}
