#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"

/**
 * Start time of a process in clock ticks since boot (proc(5), /proc/pid/stat, field 22).
 *
 * Returns 0, or -ESRCH when there is no such process.
 */
int process_start_time(pid_t pid, uint64_t *ret_ticks, struct error *err);

/**
 * Opens a pidfd for the process that has this pid AND this start time, so that a reused pid is
 * never taken for it.
 *
 * Returns 0, or -ESRCH when that process is gone (a zombie counts as gone).
 */
int process_open(pid_t pid, uint64_t start_time, int *ret_pidfd, struct error *err);

/** Whether it is a thread of the kernel's own (proc(5), flags); false as well when it is gone. */
bool process_is_kernel_thread(pid_t pid);

/** Whether SIGKILL was sent to it and not acted upon yet (proc(5), SigPnd, ShdPnd), as while it is
 * frozen; false as well when it is gone. */
bool process_is_killed(pid_t pid);

/** Whether it stands still by SIGSTOP or a debugger (proc(5), state); false as well when it is
 * gone. */
bool process_is_stopped(pid_t pid);

int process_send_signal(int pidfd, int signal, struct error *err);

/** Waits for the end of a process: 1 ended, 0 @timeout_ms passed (UINT32_MAX: no limit). */
int process_wait_end(int pidfd, uint32_t timeout_ms, struct error *err);

/** Exit status in the form shells use, from a wait(2) status: 0..255, 128 + n for signal n. */
int process_exit_status(int wait_status);

/** Parses "TERM", "SIGTERM", "15", "RTMIN+3" (any case). */
int process_parse_signal(const char *text, int *ret_signal, struct error *err);
/** "SIGTERM", or NULL for an unknown number. */
const char *process_signal_name(int signal);

/**
 * Path of one of berth's own helper programs: in the directory that the environment variable
 * BERTH_LIBEXEC names (not for a program with raised privileges), beside the running program (build
 * tree), else in the compiled-in libexec directory. Caller frees. -ENOENT names the places.
 */
int process_find_helper(const char *name, char **ret_path, struct error *err);

/** Path of a program of the distribution, where those have them; never PATH, which may begin with a
 * folder of anybody. Caller frees; NULL: not installed. */
char *process_find_system_program(const char *name);

/**
 * Starts a program and waits for it.
 *
 * @arguments   arguments.items[0] is the program, looked up in PATH when it has no slash
 * @fds         descriptors that become 0, 1, 2 of the program; -1: /dev/null; NULL: inherited
 * @ret_status  exit status as process_exit_status()
 */
int process_run(const struct strings *arguments, const int fds[3], int *ret_status,
                struct error *err);

/** As process_run() but does not wait: @ret_pid is the caller's child. */
int process_spawn(const struct strings *arguments, const int fds[3], pid_t *ret_pid,
                  struct error *err);
/** As process_spawn(), with these variables and no others. NULL: the caller's. */
int process_spawn_environment(const struct strings *arguments, const struct strings *environment,
                              const int fds[3], pid_t *ret_pid, struct error *err);
/** As process_spawn(), with a descriptor that becomes 3, too; fds is not NULL here. */
int process_spawn_with_four(const struct strings *arguments, const int fds[4], pid_t *ret_pid,
                            struct error *err);

/**
 * Calls a function in a child, and waits for it: for work in namespaces or a root that the caller
 * must not enter itself. What the function changes in memory is lost; its error is the result.
 */
typedef int process_function(void *context, struct error *err);
int process_call_in_child(process_function *function, void *context, struct error *err);

/**
 * Runs the calling program again from a read-only detached mount of its own file, so that nothing
 * in a container can reach and overwrite it through /proc/PID/exe (CVE-2019-5736). Does nothing
 * when the program runs so already. Call before threads, files or children exist.
 *
 * Where mounts are not permitted, a sealed memory copy (memfd) takes the place of the mount.
 * Afterwards BERTH_LIBEXEC in the environment says where the program was, unless it was set.
 *
 * @arguments  argv of main()
 *
 * Returns 0 when the process is protected; else an error. Does not return when it executes.
 */
int process_protect_program(char **arguments, struct error *err);

/** Opens a program for execveat(2) as process_protect_program() would run it. */
int process_open_program(const char *path, int *ret_fd, struct error *err);

#endif
