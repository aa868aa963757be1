/* What cgroups.h costs beside the bare system calls that have the same effect, step by step:
 *
 *   bench_cgroups [TURNS]
 *
 * Both make a cgroup in each hierarchy, limit memory, CPU time, pids and CPUs, put a new process in
 * it, wait for its end and remove the cgroup. They do so in turn; a time is the median of all
 * turns, a ratio the median of the ratios of each turn. What a step costs in system calls and in
 * instructions outside of the kernel is counted with ptrace(2), child included, because virtual
 * machines mostly have no counters for perf(1). */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroups/cgroups.h"

#define PARENT          "berth-bench"
#define HIERARCHIES_MAX 16

enum step { STEP_OPEN, STEP_CREATE, STEP_LIMIT, STEP_ATTACH, STEP_DELETE, STEP_COUNT };

/* What is mounted, found once, so that the floor need not look. */
struct mount {
    char name[64];        /* below /sys/fs/cgroup */
    char controllers[64]; /* "" on v2 */
    bool is_v2;
};
struct machine {
    enum cgroup_layout layout;
    struct mount mounts[HIERARCHIES_MAX];
    size_t count;
    char path[64]; /* of the cgroup, "berth-bench/PID" */
    struct cgroup_resources resources;
};

/* One cycle of one side. */
struct cycle {
    const struct machine *machine;
    struct cgroup_system *system;
    struct cgroup *cgroup;
    int fds[HIERARCHIES_MAX]; /* the floor's */
};

static _Noreturn void fail(const char *what)
{
    printf("  not measured here: %s\n", what);
    (void)fflush(stdout);
    _exit(1);
}

static void must(int r, const char *what)
{
    char text[200];

    if (r >= 0)
        return;
    (void)snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
    fail(text);
}

static void must_not_fail(int r, const struct error *err)
{
    if (r < 0)
        fail(err->message);
}

/* The child's own work is @enter_child; the parent waits for its end. */
static void run_child(int cgroup_fd, void (*enter_child)(struct cycle *, bool), struct cycle *cycle)
{
    struct clone_args arguments = {
        .flags = cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0,
        .exit_signal = SIGCHLD,
        .cgroup = cgroup_fd >= 0 ? (uint64_t)cgroup_fd : 0,
    };
    pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    int status = 0;

    must(pid, "clone3");
    if (pid == 0) {
        enter_child(cycle, cgroup_fd >= 0);
        _exit(0);
    }
    must(waitpid(pid, &status, 0), "wait for the child");
    if (status != 0)
        fail("the child could not enter the cgroup");
}

/* --- with cgroups.h --------------------------------------------------------------------------- */

static void berth_open(struct cycle *cycle)
{
    struct error err = { 0 };

    must_not_fail(cgroup_system_open(NULL, &cycle->system, &err), &err);
}

static void berth_create(struct cycle *cycle)
{
    struct error err = { 0 };

    must_not_fail(cgroup_create(cycle->system, cycle->machine->path, &cycle->cgroup, &err), &err);
}

static void berth_limit(struct cycle *cycle)
{
    struct error err = { 0 };

    must_not_fail(cgroup_apply(cycle->cgroup, &cycle->machine->resources, &err), &err);
}

static void berth_enter_child(struct cycle *cycle, bool is_cloned_into)
{
    struct error err = { 0 };

    if (cgroup_enter_child(cycle->cgroup, is_cloned_into, &err) < 0)
        _exit(1);
}

static void berth_attach(struct cycle *cycle)
{
    run_child(cgroup_clone_part_fd(cycle->cgroup), berth_enter_child, cycle);
}

static void berth_delete(struct cycle *cycle)
{
    struct error err = { 0 };

    must_not_fail(cgroup_delete(cycle->cgroup, &err), &err);
}

/* --- with bare system calls ------------------------------------------------------------------- */

static const struct floor_write {
    const char *controller;
    bool is_v2;
    const char *file, *value;
} floor_writes[] = {
    { "memory", false, "memory.limit_in_bytes", "268435456" },
    { "cpu", false, "cpu.cfs_period_us", "100000" },
    { "cpu", false, "cpu.cfs_quota_us", "50000" },
    { "cpuset", false, "cpuset.cpus", "0" },
    { "cpuset", false, "cpuset.mems", "0" },
    { "pids", false, "pids.max", "100" },
    { "memory", true, "memory.max", "268435456" },
    { "cpu", true, "cpu.max", "50000 100000" },
    { "cpuset", true, "cpuset.cpus", "0" },
    { "cpuset", true, "cpuset.mems", "0" },
    { "pids", true, "pids.max", "100" },
};

static void floor_open(struct cycle *cycle)
{
    int root_fd = open("/sys/fs/cgroup", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int list_fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    char list[4096];

    must(root_fd, "open /sys/fs/cgroup");
    must(list_fd, "open /proc/self/cgroup");
    must((int)read(list_fd, list, sizeof(list)), "read /proc/self/cgroup");
    (void)close(list_fd);
    if (cycle->machine->layout == CGROUP_LAYOUT_V2) {
        cycle->fds[0] = root_fd;
        return;
    }
    for (size_t i = 0; i < cycle->machine->count; i++) {
        cycle->fds[i] =
            openat(root_fd, cycle->machine->mounts[i].name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        must(cycle->fds[i], "open a hierarchy");
    }
    (void)close(root_fd);
}

static void floor_create(struct cycle *cycle)
{
    for (size_t i = 0; i < cycle->machine->count; i++)
        must(mkdirat(cycle->fds[i], cycle->machine->path, 0755), "mkdirat");
}

static void put(const struct cycle *cycle, size_t hierarchy, const char *file, const char *value)
{
    char path[128];
    int fd;

    (void)stpcpy(stpcpy(stpcpy(path, cycle->machine->path), "/"), file);
    fd = openat(cycle->fds[hierarchy], path, O_WRONLY | O_CLOEXEC);
    must(fd, file);
    must((int)write(fd, value, strlen(value)), file);
    (void)close(fd);
}

static bool has_controller(const struct mount *mount, const char *name)
{
    size_t length = strlen(name);

    for (const char *p = mount->controllers; (p = strstr(p, name)) != NULL; p += length)
        if ((p == mount->controllers || p[-1] == ',') && (p[length] == ',' || p[length] == '\0'))
            return true;
    return false;
}

static void floor_limit(struct cycle *cycle)
{
    bool is_v2 = cycle->machine->layout == CGROUP_LAYOUT_V2;

    for (size_t i = 0; i < ARRAY_SIZE(floor_writes); i++) {
        const struct floor_write *write = &floor_writes[i];

        for (size_t j = 0; j < cycle->machine->count && write->is_v2 == is_v2; j++)
            if (is_v2 || has_controller(&cycle->machine->mounts[j], write->controller))
                put(cycle, j, write->file, write->value);
    }
}

static void floor_enter_child(struct cycle *cycle, bool is_cloned_into)
{
    for (size_t i = 0; i < cycle->machine->count; i++)
        if (!cycle->machine->mounts[i].is_v2 || !is_cloned_into)
            put(cycle, i, "tasks", "0");
}

static void floor_attach(struct cycle *cycle)
{
    int fd = -1;

    for (size_t i = 0; i < cycle->machine->count; i++)
        if (cycle->machine->mounts[i].is_v2)
            fd = openat(cycle->fds[i], cycle->machine->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    run_child(fd, floor_enter_child, cycle);
    if (fd >= 0)
        (void)close(fd);
}

static void floor_delete(struct cycle *cycle)
{
    for (size_t i = 0; i < cycle->machine->count; i++)
        must(unlinkat(cycle->fds[i], cycle->machine->path, AT_REMOVEDIR), "unlinkat");
}

/* --- both sides ------------------------------------------------------------------------------- */

enum side { SIDE_BERTH, SIDE_FLOOR, SIDE_COUNT };
typedef void step_function(struct cycle *cycle);
static step_function *const step_functions[SIDE_COUNT][STEP_COUNT] = {
    { berth_open, berth_create, berth_limit, berth_attach, berth_delete },
    { floor_open, floor_create, floor_limit, floor_attach, floor_delete },
};

static void begin_cycle(const struct machine *machine, struct cycle *ret_cycle)
{
    *ret_cycle = (struct cycle){ .machine = machine };
    for (size_t i = 0; i < HIERARCHIES_MAX; i++)
        ret_cycle->fds[i] = -1;
}

/* What the end of a process does by itself is not measured. */
static void end_cycle(struct cycle *cycle)
{
    cgroup_free(cycle->cgroup);
    cgroup_system_free(cycle->system);
    for (size_t i = 0; i < HIERARCHIES_MAX; i++)
        if (cycle->fds[i] >= 0)
            (void)close(cycle->fds[i]);
}

static double now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void time_cycle(const struct machine *machine, enum side side, double *ret_us)
{
    struct cycle cycle;

    begin_cycle(machine, &cycle);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        double begin = now_us();

        step_functions[side][i](&cycle);
        ret_us[i] = now_us() - begin;
    }
    end_cycle(&cycle);
}

/* --- counting with ptrace(2) ------------------------------------------------------------------ */

/* @counted  STEP_COUNT: none, only what surrounds a step */
static _Noreturn void run_traced_child(const struct machine *machine, enum side side,
                                       size_t counted)
{
    struct cycle cycle;

    begin_cycle(machine, &cycle);
    for (size_t i = 0; i <= STEP_COUNT; i++) {
        if (i == counted) {
            must((int)ptrace(PTRACE_TRACEME, 0, NULL, NULL), "ptrace");
            (void)raise(SIGSTOP);
        }
        if (i < STEP_COUNT)
            step_functions[side][i](&cycle);
        if (i == counted)
            (void)raise(SIGSTOP); /* where the tracer lets go */
    }
    end_cycle(&cycle);
    _exit(0);
}

/* How many stops of the kind of @request, PTRACE_SYSCALL or PTRACE_SINGLESTEP, happen until @child
 * stops itself, in it and in the processes that it makes. */
static long count_stops(pid_t child, int request)
{
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE |
                         PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
    const int counted = request == PTRACE_SYSCALL ? SIGTRAP | 0x80 : SIGTRAP;
    pid_t pid = child;
    int status = 0;
    long stops = 0;

    must(waitpid(child, &status, 0), "wait for the traced process");
    must((int)ptrace(PTRACE_SETOPTIONS, child, NULL, options), "ptrace");
    for (;;) {
        if (WIFSTOPPED(status))
            (void)ptrace((enum __ptrace_request)request, pid, NULL, NULL);
        pid = waitpid(-1, &status, __WALL);
        must(pid, "wait for the traced process");
        if (pid == child && (!WIFSTOPPED(status) || WSTOPSIG(status) == SIGSTOP))
            break;
        if (WIFSTOPPED(status) && status >> 8 == counted)
            stops++;
    }
    if (!WIFSTOPPED(status))
        fail("the traced process ended early");
    (void)ptrace(PTRACE_DETACH, child, NULL, NULL);
    must(waitpid(child, &status, 0), "wait for the traced process");
    return stops;
}

static long count_step(const struct machine *machine, enum side side, size_t step, int request)
{
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    must(child, "fork");
    if (child == 0)
        run_traced_child(machine, side, step);
    return count_stops(child, request);
}

/* A system call stops twice, at its begin and its end, but for the one that ends a process. */
static long count_calls(const struct machine *machine, enum side side, size_t step)
{
    long around = count_step(machine, side, STEP_COUNT, PTRACE_SYSCALL);

    return (count_step(machine, side, step, PTRACE_SYSCALL) - around + 1) / 2;
}

static long count_instructions(const struct machine *machine, enum side side, size_t step)
{
    long around = count_step(machine, side, STEP_COUNT, PTRACE_SINGLESTEP);

    return count_step(machine, side, step, PTRACE_SINGLESTEP) - around;
}

/* --- the table -------------------------------------------------------------------------------- */

/* A row for each step, and one for their sum without the first: the hierarchies are opened once by
 * a command, whatever it does with cgroups. */
#define ROW_SUM   STEP_COUNT
#define ROW_COUNT (STEP_COUNT + 1)

struct row {
    double *us; /* of each turn */
    long calls, instructions;
};

static void time_turn(const struct machine *machine, struct row rows[ROW_COUNT], enum side side,
                      size_t turn)
{
    double us[STEP_COUNT];

    time_cycle(machine, side, us);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        rows[i].us[turn] = us[i];
        if (i != STEP_OPEN)
            rows[ROW_SUM].us[turn] += us[i];
    }
}

static void count_side(const struct machine *machine, struct row rows[ROW_COUNT], enum side side)
{
    for (size_t i = 0; i < STEP_COUNT; i++) {
        rows[i].calls = count_calls(machine, side, i);
        rows[i].instructions = count_instructions(machine, side, i);
        if (i != STEP_OPEN) {
            rows[ROW_SUM].calls += rows[i].calls;
            rows[ROW_SUM].instructions += rows[i].instructions;
        }
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The order of the values changes. */
static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare_doubles);
    return values[count / 2];
}

static void print_row(const char *name, const struct row *berth, const struct row *floor_row,
                      size_t turns)
{
    auto_free double *ratios = xcalloc(turns, sizeof(*ratios));

    for (size_t i = 0; i < turns; i++)
        ratios[i] = berth->us[i] / floor_row->us[i];
    printf("  %-7s %8.1f %8.1f %6.2f %7ld %6ld %6.2f %8ld %7ld\n", name, median(berth->us, turns),
           median(floor_row->us, turns), median(ratios, turns), berth->calls, floor_row->calls,
           (double)berth->calls / (double)floor_row->calls, berth->instructions,
           floor_row->instructions);
}

static void measure(const struct machine *machine, size_t turns)
{
    static const char *const names[ROW_COUNT] = { "open",   "create", "limits",
                                                  "attach", "delete", "sum" };
    struct row rows[SIDE_COUNT][ROW_COUNT] = { 0 };

    for (size_t i = 0; i < ROW_COUNT; i++)
        for (enum side side = 0; side < SIDE_COUNT; side++)
            rows[side][i].us = xcalloc(turns, sizeof(double));
    for (size_t i = 0; i < turns; i++)
        for (size_t k = 0; k < SIDE_COUNT; k++) {
            enum side side = (i + k) % SIDE_COUNT; /* neither always follows the other */

            time_turn(machine, rows[side], side, i);
        }
    for (enum side side = 0; side < SIDE_COUNT; side++)
        count_side(machine, rows[side], side);
    for (size_t i = 0; i < ROW_COUNT; i++)
        print_row(names[i], &rows[SIDE_BERTH][i], &rows[SIDE_FLOOR][i], turns);
    printf("  sum of one hierarchy: %.1f us, floor %.1f us\n",
           median(rows[SIDE_BERTH][ROW_SUM].us, turns) / (double)machine->count,
           median(rows[SIDE_FLOOR][ROW_SUM].us, turns) / (double)machine->count);
    for (size_t i = 0; i < ROW_COUNT; i++)
        for (enum side side = 0; side < SIDE_COUNT; side++)
            free(rows[side][i].us);
}

/* --- beginning and end ------------------------------------------------------------------------ */

static void find_machine(struct machine *ret_machine)
{
    AUTO(cgroup_system) struct cgroup_system *system = NULL;
    const struct cgroup_hierarchy *hierarchies;
    struct error err = { 0 };
    size_t count;

    must_not_fail(cgroup_system_open(NULL, &system, &err), &err);
    *ret_machine = (struct machine){
        .layout = cgroup_system_layout(system),
        .resources = {
            .memory = { .has_limit = true, .limit = 268435456 },
            .cpu = { .has_quota = true, .quota = 50000, .has_period = true, .period = 100000,
                     .cpus = (char *)"0", .mems = (char *)"0" },
            .pids = { .has_limit = true, .limit = 100 },
        },
    };
    (void)snprintf(ret_machine->path, sizeof(ret_machine->path), PARENT "/%d", (int)getpid());
    hierarchies = cgroup_system_hierarchies(system, &count);
    for (size_t i = 0; i < count && ret_machine->count < HIERARCHIES_MAX; i++) {
        struct mount *mount = &ret_machine->mounts[ret_machine->count];

        if (hierarchies[i].fd < 0)
            continue;
        mount->is_v2 = hierarchies[i].is_v2;
        (void)snprintf(mount->name, sizeof(mount->name), "%s", hierarchies[i].mount_name);
        (void)snprintf(mount->controllers, sizeof(mount->controllers), "%s",
                       hierarchies[i].controllers);
        ret_machine->count++;
    }
}

/* The parent stays while the turns run, as that of a user's containers does, and passes on what
 * limits need: the first turn of berth makes it. */
static void remove_parent(void)
{
    AUTO(cgroup_system) struct cgroup_system *system = NULL;
    AUTO(cgroup) struct cgroup *cgroup = NULL;

    if (cgroup_system_open(NULL, &system, NULL) == 0 &&
        cgroup_open(system, PARENT, &cgroup, NULL) == 0)
        (void)cgroup_delete(cgroup, NULL);
}

static void run_benchmark(size_t turns)
{
    double ignored[STEP_COUNT];
    struct machine machine;

    find_machine(&machine);
    printf("cgroups.h beside bare system calls: %s, %zu %s, limits of memory, CPU time, CPUs and "
           "pids\n"
           "  step       berth us    floor  ratio  calls  floor  ratio   instr.   floor\n",
           cgroup_layout_name(machine.layout), machine.count,
           machine.count == 1 ? "hierarchy" : "hierarchies");
    time_cycle(&machine, SIDE_BERTH, ignored);
    measure(&machine, turns);
    (void)fflush(stdout);
}

/* In a process of its own, so that what it leaves when it fails is removed. */
int main(int argc, char **argv)
{
    size_t turns = argc > 1 ? strtoul(argv[1], NULL, 10) : 500;
    pid_t pid = fork();

    must(pid, "fork");
    if (pid == 0) {
        run_benchmark(turns > 0 ? turns : 1);
        _exit(0);
    }
    must(waitpid(pid, NULL, 0), "wait for the benchmark");
    remove_parent();
    return 0; /* a benchmark neither passes nor fails */
}
