#include "cli/pull_missing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"
#include "base/process.h"

#define OUTPUT_MAX (64u << 10)

enum pull_policy pull_policy(const struct arguments *arguments)
{
    const char *word = arguments_text(arguments, "pull");

    if (word != NULL && strcmp(word, "always") == 0)
        return PULL_ALWAYS;
    return word != NULL && strcmp(word, "never") == 0 ? PULL_NEVER : PULL_MISSING;
}

static int command_line(struct berth *berth, const struct arguments *arguments, const char *text,
                        struct strings *ret_line, struct error *err)
{
    const char *platform = arguments_text(arguments, "platform");
    auto_free char *path = NULL;
    int r;

    r = process_find_helper("berth-image", &path, err);
    if (r < 0)
        return r;
    strings_add(ret_line, path);
    if (berth->data_path != NULL)
        strings_addf(ret_line, "--data=%s", berth->data_path);
    if (berth->run_path != NULL)
        strings_addf(ret_line, "--run=%s", berth->run_path);
    if (berth->is_debug)
        strings_add(ret_line, "--debug");
    strings_add(ret_line, "pull");
    strings_addf(ret_line, "--policy=%s",
                 pull_policy(arguments) == PULL_ALWAYS ? "always" : "missing");
    if (arguments_flag(arguments, "quiet"))
        strings_add(ret_line, "--quiet");
    if (platform != NULL)
        strings_addf(ret_line, "--platform=%s", platform);
    strings_add(ret_line, "--");
    strings_add(ret_line, text);
    return 0;
}

/* Runs it, and takes what it prints. */
static int run_pull(const struct strings *line, char **ret_output, struct error *err)
{
    struct error failure = { 0 };
    int fds[2];
    int status;
    pid_t pid;
    int r;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    r = process_spawn(line, (const int[]){ -1, fds[1], 2 }, &pid, err);
    (void)close(fds[1]); /* the child's */
    if (r < 0) {
        (void)close(fds[0]);
        return r;
    }
    r = fd_read_all(fds[0], OUTPUT_MAX, "what was pulled", ret_output, NULL, &failure);
    (void)close(fds[0]); /* only read; a child that still writes ends */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        return error_set(err, EIO, "the program that pulls was ended by signal %d",
                         WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return -EIO; /* it has said why */
    return r < 0 ? error_set(err, -r, "%s", failure.message) : 0;
}

int pull_image(struct berth *berth, const struct arguments *arguments, const char *text,
               char **ret_name, struct error *err)
{
    AUTO_CLEAR(strings) struct strings line = { 0 };
    auto_free char *output = NULL;
    char *name;
    size_t length;
    int r;

    r = command_line(berth, arguments, text, &line, err);
    if (r == 0)
        r = run_pull(&line, &output, err);
    if (r < 0)
        return r;
    length = strlen(output);
    if (length > 0 && output[length - 1] == '\n')
        output[length - 1] = '\0';
    name = strrchr(output, '\n'); /* the last line; what stands before it is for people */
    if (name != NULL) {
        *name = '\0';
        if (!arguments_flag(arguments, "quiet"))
            (void)fprintf(stderr, "%s\n", output);
    }
    *ret_name = xstrdup(name != NULL ? name + 1 : output);
    return 0;
}
