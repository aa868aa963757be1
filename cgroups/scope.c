#include "cgroups/scope.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"

/* The caller's side of berth-scope. The request goes through a file in memory, which never makes
 * its writer wait; the answer comes through a pipe. */

#define HELPER      "berth-scope"
#define HELPER_WAIT ((SCOPE_JOB_WAIT_S + 3 * SCOPE_CALL_WAIT_S) * 1000) /* longer than its own */

static int write_request(const struct scope_request *request, int *ret_fd, struct error *err)
{
    auto_free char *json = encode_text(&scope_request_object, request, ENCODE_COMPACT);
    auto_close int fd = -1;
    int r;

    if (strlen(json) > SCOPE_REQUEST_MAX)
        return error_set(err, E2BIG, "there is too much to tell systemd: %zu bytes", strlen(json));
    fd = memfd_create("scope-request", MFD_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "make a file in memory");
    r = fd_write_all(fd, json, strlen(json), "request", err);
    if (r < 0)
        return r;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_errno(err, "go to the beginning of the request");
    *ret_fd = take_fd(&fd);
    return 0;
}

/* Bounded also where the helper hangs. */
static int read_answer(int fd, struct error *ret_answer, struct error *err)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    ssize_t length;
    int r;

    do {
        r = poll(&wait, 1, HELPER_WAIT);
    } while (r < 0 && errno == EINTR);
    if (r < 0)
        return error_errno(err, "wait for %s", HELPER);
    if (r == 0)
        return error_set(err, ETIMEDOUT, "%s did not answer within %d s", HELPER,
                         HELPER_WAIT / 1000);
    length = read(fd, ret_answer, sizeof(*ret_answer));
    if (length != (ssize_t)sizeof(*ret_answer))
        return error_set(err, EPROTO, "%s ended without an answer (is libsystemd installed?)",
                         HELPER);
    ret_answer->message[sizeof(ret_answer->message) - 1] = '\0';
    return 0;
}

static int ask(const struct scope_request *request, struct error *err)
{
    AUTO_CLEAR(strings) struct strings command = { 0 };
    auto_close int request_fd = -1, read_fd = -1, write_fd = -1;
    auto_free char *path = NULL;
    struct error answer = { 0 };
    int pipe_fds[2];
    pid_t child = 0;
    int r;

    r = process_find_helper(HELPER, &path, err);
    if (r < 0)
        return r;
    r = write_request(request, &request_fd, err);
    if (r < 0)
        return r;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    read_fd = pipe_fds[0];
    write_fd = pipe_fds[1];
    strings_add(&command, path);
    r = process_spawn(&command, (int[3]){ request_fd, write_fd, STDERR_FILENO }, &child, err);
    if (r < 0)
        return r;
    (void)close(take_fd(&write_fd));
    r = read_answer(read_fd, &answer, err);
    if (r < 0)
        (void)kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    if (r < 0)
        return r;
    return answer.code == 0 ? 0 : error_set(err, answer.code, "%s", answer.message);
}

/* A request that borrows everything but the list of its properties. */
static struct scope_request new_request(const struct scope *scope, enum scope_action action)
{
    return (struct scope_request){
        .action = action,
        .unit = (char *)scope->unit,
        .description = (char *)scope->description,
        .is_user = scope->is_user,
    };
}

static void add(struct scope_properties *properties, const char *name, const char *signature,
                const char *value)
{
    strings_add(&scope_properties_add(properties, name, signature)->values, value);
}

/* What every scope of ours has, as runc's. */
static void add_fixed(struct scope_properties *properties, const struct scope *scope,
                      const char *slice, pid_t pid, bool is_v2)
{
    const char *const accounting[] = { "CPUAccounting", "MemoryAccounting", "TasksAccounting",
                                       is_v2 ? "IOAccounting" : "BlockIOAccounting" };

    add(properties, "Description", "s", scope->description);
    add(properties, "Slice", "s", slice);
    add(properties, "Delegate", "b", "true");
    add(properties, "DefaultDependencies", "b", "false");
    strings_addf(&scope_properties_add(properties, "PIDs", "au")->values, "%d", (int)pid);
    for (size_t i = 0; i < ARRAY_SIZE(accounting); i++) {
        add(properties, accounting[i], "b", "true");
        properties->items[properties->count - 1].is_optional = true;
    }
    /* A scope that failed goes by itself, too. */
    add(properties, "CollectMode", "s", "inactive-or-failed");
    properties->items[properties->count - 1].is_optional = true;
}

static void add_copies(struct scope_properties *properties, const struct scope_properties *more)
{
    for (size_t i = 0; i < more->count; i++) {
        const struct scope_property *from = &more->items[i];
        struct scope_property *to = scope_properties_add(properties, from->name, from->signature);

        to->is_optional = from->is_optional;
        strings_add_all(&to->values, &from->values);
    }
}

int scope_start(const struct scope *scope, const char *slice, pid_t pid, bool is_v2,
                const struct scope_properties *properties, struct error *err)
{
    struct scope_request request = new_request(scope, SCOPE_START);
    int r;

    assert(pid > 0);

    add_fixed(&request.properties, scope, slice, pid, is_v2);
    add_copies(&request.properties, properties);
    r = ask(&request, err);
    scope_properties_clear(&request.properties);
    return r < 0 ? error_prefix(err, r, "make the unit %s", scope->unit) : 0;
}

int scope_set(const struct scope *scope, const struct scope_properties *properties,
              struct error *err)
{
    struct scope_request request = new_request(scope, SCOPE_SET);
    int r;

    if (properties->count == 0)
        return 0;
    request.properties = *properties; /* borrowed */
    r = ask(&request, err);
    return r < 0 ? error_prefix(err, r, "change the unit %s", scope->unit) : 0;
}

int scope_stop(const struct scope *scope, struct error *err)
{
    struct scope_request request = new_request(scope, SCOPE_STOP);
    int r = ask(&request, err);

    return r < 0 ? error_prefix(err, r, "stop the unit %s", scope->unit) : 0;
}
