#include "runtime/criu.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/wire.h"

#define LOG_BYTES_MAX   (64u << 20) /* at log level 4 a large container has megabytes */
#define CAUSE_LINES     3
#define CAUSE_BYTES_MAX 200 /* of each */
/* Engines often run with a PATH without sbin, where Debian has it and what it runs, and a monitor
 * with none. */
#define PLACES      "/usr/local/bin:/usr/bin:/bin"
#define MORE_PLACES "/usr/local/sbin:/usr/sbin:/sbin"

/* What the child says before it becomes criu. */
enum child_message {
    CHILD_GO = 1, /* to the child: it is where it shall be */
    CHILD_SOCKET, /* with the caller's end */
    CHILD_ERROR,  /* struct error */
};

/* --- the process ----------------------------------------------------------------------------- */

static char *search_path(void)
{
    const char *path = getenv("PATH");

    return xasprintf("%s:%s", path != NULL ? path : PLACES, MORE_PLACES);
}

static int find_program(const char *purpose, char **ret_path, struct error *err)
{
    auto_free char *places = search_path();
    struct strings folders = { 0 };
    char *found = NULL;

    strings_split(&folders, places, ':');
    for (size_t i = 0; i < folders.count && found == NULL; i++) {
        auto_free char *file = xasprintf("%s/criu", folders.items[i]);

        if (folders.items[i][0] == '/' && access(file, X_OK) == 0)
            found = take_ptr(&file);
    }
    strings_clear(&folders);
    if (found == NULL)
        return error_set(err, ENOENT,
                         "%s needs the program criu, which is not in PATH: install the package "
                         "'criu'",
                         purpose);
    *ret_path = found;
    return 0;
}

void criu_clear(struct criu *criu)
{
    auto_close_cleanup(&criu->fd);
    auto_close_cleanup(&criu->output_fd);
    if (criu->pid > 0) {
        (void)kill(criu->pid, SIGKILL);
        (void)waitpid(criu->pid, NULL, 0);
    }
    *criu = (struct criu)CRIU_INITIALIZER;
}

static int set_streams_child(const struct criu_start *start, int output_fd, struct error *err)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null_fd < 0)
        return error_errno(err, "open /dev/null");
    for (int i = 0; i < 3; i++) {
        int fd = start->stdio[i] >= 0 ? start->stdio[i] : i == 0 ? null_fd : output_fd;

        if (fd == i ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, i) < 0)
            return error_errno(err, "set standard stream %d", i);
    }
    return 0;
}

/* Waits until the caller has put this process where it shall be. */
static int wait_go(int caller_fd, struct error *err)
{
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    int r = wire_receive(caller_fd, message, err);

    if (r < 0)
        return r;
    wire_message_close(message);
    return r == 0 || message->type != CHILD_GO
               ? error_set(err, EPIPE, "the caller of criu ended before it was placed")
               : 0;
}

/* Gives the caller its end of the socket. */
static int send_socket(int caller_fd, int fd, struct error *err)
{
    return wire_send(caller_fd, CHILD_SOCKET, NULL, 0, &fd, 1, err);
}

static int run_child(const struct criu_start *start, const char *program, int caller_fd,
                     int output_fd, struct error *err)
{
    char fd_text[16];
    auto_free char *places = NULL;
    sigset_t none;
    int pair[2], r;

    /* Criu must not outlive who waits for it; what it restored is found through the cgroup. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return error_errno(err, "tie criu to its caller");
    r = wait_go(caller_fd, err);
    if (r < 0)
        return r;
    if (start->prepare_child != NULL) {
        r = start->prepare_child(start->context, err);
        if (r < 0)
            return r;
    }
    /* Criu looks for the folders' descriptors in /proc/<maker of the socket>/fd. They have to be of
     * its own mount namespace, so it makes the socket itself. */
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_errno(err, "make a pair of sockets");
    r = send_socket(caller_fd, pair[0], err);
    if (r < 0)
        return r;
    (void)close(pair[0]); /* else criu would never see its caller's end */
    r = set_streams_child(start, output_fd, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < start->inherited_count; i++) {
        r = fd_set_close_on_exec(start->inherited_fds[i], false, err);
        if (r < 0)
            return r;
    }
    r = fd_set_close_on_exec(pair[1], false, err);
    if (r < 0)
        return r;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)snprintf(fd_text, sizeof(fd_text), "%d", pair[1]);
    places = search_path();
    if (setenv("PATH", places, 1) < 0)
        return error_errno(err, "set PATH for criu");
    (void)execl(program, "criu", "swrk", fd_text, (char *)NULL);
    return error_errno(err, "start '%s'", program);
}

/* The socket, then end of file by a successful exec; a failure may come in place of either. */
static int wait_exec(int child_fd, int *ret_fd, struct error *err)
{
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    auto_close int fd = -1;
    int r;

    while ((r = wire_receive(child_fd, message, err)) > 0) {
        struct error error;

        if (message->type == CHILD_SOCKET && message->fd_count == 1) {
            auto_close_cleanup(&fd);
            fd = take_fd(&message->fds[0]);
            continue;
        }
        wire_message_close(message);
        if (message->type != CHILD_ERROR || message->length != sizeof(error))
            return error_set(err, EPROTO, "the child that becomes criu sends nonsense");
        memcpy(&error, message->payload, sizeof(error));
        return error_set(err, error.code > 0 ? error.code : EPROTO, "%s", error.message);
    }
    if (r < 0)
        return r;
    if (fd < 0)
        return error_set(err, EPROTO, "the child that becomes criu died");
    *ret_fd = take_fd(&fd);
    return 0;
}

int criu_start(const struct criu_start *start, const char *purpose, struct criu *ret_criu,
               struct error *err)
{
    AUTO_CLEAR(criu) struct criu criu = CRIU_INITIALIZER;
    auto_close int own_fd = -1, child_fd = -1;
    auto_free char *program = NULL;
    int pair[2];
    int r;

    assert(start != NULL);
    assert(ret_criu != NULL);

    r = find_program(purpose, &program, err);
    if (r < 0)
        return r;
    criu.output_fd = memfd_create("criu-output", MFD_CLOEXEC);
    if (criu.output_fd < 0)
        return error_errno(err, "make a memory file");
    r = wire_pair(pair, err);
    if (r < 0)
        return r;
    own_fd = pair[0];
    child_fd = pair[1];
    criu.pid = fork();
    if (criu.pid < 0)
        return error_errno(err, "fork");
    if (criu.pid == 0) {
        struct error error = { 0 };

        (void)close(own_fd);
        (void)run_child(start, program, child_fd, criu.output_fd, &error);
        (void)wire_send(child_fd, CHILD_ERROR, &error, sizeof(error), NULL, 0, NULL);
        _exit(1);
    }
    (void)close(take_fd(&child_fd));
    if (start->place != NULL) {
        r = start->place(start->place_context, criu.pid, err);
        if (r < 0)
            return r;
    }
    r = wire_send(own_fd, CHILD_GO, NULL, 0, NULL, 0, err);
    if (r < 0)
        return r;
    r = wait_exec(own_fd, &criu.fd, err);
    if (r < 0)
        return r;
    *ret_criu = criu;
    criu = (struct criu)CRIU_INITIALIZER;
    return 0;
}

/* --- messages -------------------------------------------------------------------------------- */

static int send_request(const struct criu *criu, const struct criu_request *request,
                        struct error *err)
{
    struct text bytes = { 0 };
    ssize_t n;

    criu_request_encode(request, &bytes);
    n = send(criu->fd, bytes.data, bytes.length, MSG_NOSIGNAL);
    text_clear(&bytes);
    return n < 0 ? error_errno(err, "send a request to criu") : 0;
}

/* @ret_fd: a descriptor that came along; -1 */
static int receive_response(const struct criu *criu, struct criu_response *ret_response,
                            int *ret_fd, struct error *err)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    auto_free char *bytes = xcalloc(1, CRIU_RESPONSE_MAX);
    struct iovec data = { bytes, CRIU_RESPONSE_MAX };
    struct msghdr message = { .msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof(control.bytes) };
    struct cmsghdr *header;
    ssize_t n;

    *ret_fd = -1;
    do {
        n = recvmsg(criu->fd, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != ECONNRESET)
        return error_errno(err, "receive criu's answer");
    if (n <= 0)
        return error_set(err, EPIPE, "criu ended without an answer");
    header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_fd, CMSG_DATA(header), sizeof(int));
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return error_set(err, EBADMSG, "criu's answer is larger than %d bytes", CRIU_RESPONSE_MAX);
    return criu_response_decode(bytes, (size_t)n, ret_response, err);
}

static int check_response(const struct criu_request *request, const struct criu_response *response,
                          struct error *err)
{
    if (!response->is_success) {
        int number = response->error_number > 0 && response->error_number < 4096
                         ? (int)response->error_number
                         : EIO;

        return error_set(err, number, "criu failed%s%s", response->error_number != 0 ? ": " : "",
                         response->error_number != 0 ? strerror(number) : "");
    }
    if (response->type != request->type)
        return error_set(err, EPROTO, "criu answers a request of type %d by type %llu",
                         request->type, (unsigned long long)response->type);
    return 0;
}

int criu_ask(struct criu *criu, const struct criu_request *request,
             struct criu_response *ret_response, struct error *err)
{
    struct criu_response response;
    auto_close int fd = -1;
    int r;

    r = send_request(criu, request, err);
    if (r < 0)
        return r;
    r = receive_response(criu, &response, &fd, err);
    if (r < 0)
        return r;
    r = check_response(request, &response, err);
    if (r < 0)
        return r;
    *ret_response = response;
    return 0;
}

static int handle_notice(struct criu *criu, const struct criu_response *notice, int *fd,
                         criu_notify *notify, void *context, struct error *err)
{
    struct criu_request answer = { .type = CRIU_NOTIFY, .notify_success = true };
    int handled = 0, sent;

    log_debug("criu: %s", notice->script);
    if (notify != NULL)
        handled = notify(notice, fd, context, err);
    answer.notify_success = handled == 0;
    sent = send_request(criu, &answer, handled < 0 ? NULL : err);
    return handled < 0 ? handled : sent;
}

/* After a PRE_DUMP criu waits for the next one, and calls the end of the connection a failure. */
static int wait_end(struct criu *criu, const struct criu_request *request, struct error *err)
{
    int status = 0;

    auto_close_cleanup(&criu->fd);
    criu->fd = -1;
    while (waitpid(criu->pid, &status, 0) < 0) {
        if (errno != EINTR)
            return error_errno(err, "wait for criu");
    }
    criu->pid = 0;
    if (status != 0 && request->type != CRIU_PRE_DUMP)
        return error_set(err, EIO, "criu ended with status %d", process_exit_status(status));
    return 0;
}

int criu_run(struct criu *criu, const struct criu_request *request, criu_notify *notify,
             void *context, struct criu_response *ret_response, struct error *err)
{
    struct criu_response response;
    int r;

    r = send_request(criu, request, err);
    if (r < 0)
        return r;
    for (;;) {
        auto_close int fd = -1;

        r = receive_response(criu, &response, &fd, err);
        if (r < 0)
            return r;
        if (response.type != CRIU_NOTIFY || !response.is_success)
            break;
        r = handle_notice(criu, &response, &fd, notify, context, err);
        if (r < 0) {
            (void)wait_end(criu, request, NULL); /* it undoes its work first */
            return r;
        }
    }
    r = check_response(request, &response, err);
    if (r < 0) {
        (void)wait_end(criu, request, NULL); /* so that its log is whole */
        return r;
    }
    *ret_response = response;
    return wait_end(criu, request, err);
}

/* --- what it can do -------------------------------------------------------------------------- */

static int ask_features(struct criu *criu, const struct criu_probe *probe, struct error *err)
{
    const struct criu_request request = {
        .type = CRIU_FEATURE_CHECK,
        .asks_mem_track = probe->needs_mem_track,
        .asks_lazy_pages = probe->needs_lazy_pages,
    };
    struct criu_response response;
    int r;

    if (!probe->needs_mem_track && !probe->needs_lazy_pages)
        return 0;
    r = criu_ask(criu, &request, &response, err);
    if (r < 0)
        return r;
    if (probe->needs_mem_track && !response.has_mem_track)
        return error_set(err, EOPNOTSUPP,
                         "this kernel or criu cannot track changes of memory (soft-dirty), which "
                         "--pre-dump and --parent-path need");
    if (probe->needs_lazy_pages && !response.has_lazy_pages)
        return error_set(err, EOPNOTSUPP,
                         "this kernel or criu cannot fetch pages later (userfaultfd), which "
                         "--lazy-pages needs");
    return 0;
}

static int ask_version(struct criu *criu, uint32_t *ret_version, struct error *err)
{
    const struct criu_request request = { .type = CRIU_VERSION, .keep_open = true };
    struct criu_response response;
    int r;

    r = criu_ask(criu, &request, &response, err);
    if (r < 0)
        return criu_fail(criu, r, -1, NULL, NULL, err);
    if (response.version < CRIU_VERSION_MIN)
        return error_set(err, EOPNOTSUPP, "criu is of version %u.%u, needed is 3.15 or later",
                         response.version / 10000, response.version / 100 % 100);
    *ret_version = response.version;
    return 0;
}

int criu_check(const struct criu_probe *probe, const char *purpose, uint32_t *ret_version,
               struct error *err)
{
    AUTO_CLEAR(criu) struct criu criu = CRIU_INITIALIZER;
    const struct criu_start start = { .stdio = { -1, -1, -1 } };
    int r;

    r = criu_start(&start, purpose, &criu, err);
    if (r < 0)
        return r;
    r = ask_version(&criu, ret_version, err);
    if (r == 0)
        r = ask_features(&criu, probe, err);
    return r < 0 ? error_prefix(err, r, "%s", purpose) : 0;
}

/* --- why it failed --------------------------------------------------------------------------- */

/* The text of an error line, without time and place in CRIU's source; length 0: it is no such line,
 * or tells nothing. */
static const char *error_text(const char *line, size_t length, size_t *ret_length)
{
    static const char *const empty[] = { "exited, status=", "Dumping FAILED.", "Restoring FAILED.",
                                         "Pre-dumping FAILED." };
    const char *end = line + length;
    const char *word = memmem(line, length, "Error (", 7);

    *ret_length = 0;
    word = word == NULL ? NULL : memmem(word, (size_t)(end - word), "): ", 3);
    if (word == NULL)
        return NULL;
    word += 3;
    for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
        if (text_starts(word, empty[i]))
            return NULL;
    }
    while (end > word && (end[-1] == ' ' || end[-1] == '.'))
        end--;
    *ret_length = (size_t)(end - word);
    return word;
}

char *criu_log_cause(const char *log)
{
    const char *texts[CAUSE_LINES] = { NULL };
    size_t lengths[CAUSE_LINES], count = 0;
    struct text cause = { 0 };

    assert(log != NULL);

    /* Errors follow each other up the calls, so the cause is among the last ones; earlier ones are
     * of things that CRIU only tried. */
    for (const char *line = log; line != NULL && *line != '\0';) {
        const char *end = strchrnul(line, '\n'), *text;
        size_t length;

        text = error_text(line, (size_t)(end - line), &length);
        if (length > 0) {
            texts[count % CAUSE_LINES] = text;
            lengths[count++ % CAUSE_LINES] = length < CAUSE_BYTES_MAX ? length : CAUSE_BYTES_MAX;
        }
        line = *end == '\0' ? NULL : end + 1;
    }
    if (count == 0)
        return NULL;
    for (size_t i = count < CAUSE_LINES ? 0 : count - CAUSE_LINES; i < count; i++) {
        if (cause.length > 0)
            text_add(&cause, "; ");
        text_add_bytes(&cause, texts[i % CAUSE_LINES], lengths[i % CAUSE_LINES]);
    }
    return text_take(&cause);
}

static char *read_output(const struct criu *criu)
{
    char *text = NULL;

    if (criu->output_fd >= 0 && lseek(criu->output_fd, 0, SEEK_SET) == 0)
        (void)fd_read_all(criu->output_fd, LOG_BYTES_MAX, "output", &text, NULL, NULL);
    return text;
}

int criu_fail(const struct criu *criu, int code, int log_dir_fd, const char *log_dir,
              const char *log_file, struct error *err)
{
    auto_free char *log = NULL;
    auto_free char *cause = NULL;
    size_t length = 0;

    if (log_dir_fd >= 0 && file_read(log_dir_fd, log_file, LOG_BYTES_MAX, &log, &length, NULL) == 0)
        cause = criu_log_cause(log);
    if (cause != NULL) {
        auto_free char *said = xstrdup(err != NULL ? err->message : "");

        return error_set(err, -code, "%s: %s (more in %s/%s)", said, cause, log_dir, log_file);
    }
    free(log);
    log = read_output(criu);
    cause = log != NULL ? criu_log_cause(log) : NULL;
    if (cause != NULL) {
        auto_free char *said = xstrdup(err != NULL ? err->message : "");

        return error_set(err, -code, "%s: %s", said, cause);
    }
    return code;
}
