#include "cli/image_program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "cli/registry_options.h"
#include "image/registry.h"

/* berth login and logout. */

#define DOCKER_HUB "docker.io"
#define INPUT_MAX  4096

/* What the user calls a registry: docker.io for nothing and for what docker's own file has. */
static char *server_of(const struct arguments *arguments)
{
    const char *word = arguments->word_count > 0 ? arguments->words[0] : DOCKER_HUB;
    char *server;

    if (text_starts(word, "https://"))
        word += strlen("https://");
    else if (text_starts(word, "http://"))
        word += strlen("http://");
    server = xstrndup(word, strcspn(word, "/"));
    if (strcmp(server, "index.docker.io") == 0 || strcmp(server, "registry-1.docker.io") == 0) {
        free(server);
        server = xstrdup(DOCKER_HUB);
    }
    return server;
}

/* One line of the terminal. */
static int read_line(int fd, char **ret_line, struct error *err)
{
    AUTO_CLEAR(text) struct text line = { 0 };
    char byte;
    ssize_t n;

    while ((n = read(fd, &byte, 1)) == 1 && byte != '\n') {
        if (line.length == INPUT_MAX)
            return error_set(err, EINVAL, "the line is longer than %d bytes", INPUT_MAX);
        text_add_bytes(&line, &byte, 1);
    }
    if (n < 0)
        return error_errno(err, "read from the terminal");
    if (n == 0 && line.length == 0)
        return error_set(err, EINVAL, "nothing was typed");
    *ret_line = text_take(&line);
    return 0;
}

/* Silent before the question stands there: who answers quickly is not seen either. */
static int ask(int terminal, const char *question, bool is_secret, char **ret_answer,
               struct error *err)
{
    struct termios before, silent;
    int r;

    if (is_secret) {
        if (tcgetattr(terminal, &before) < 0)
            return error_errno(err, "read the terminal's settings");
        silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        if (tcsetattr(terminal, TCSAFLUSH, &silent) < 0)
            return error_errno(err, "turn off the terminal's echo");
    }
    r = fd_write_all(terminal, question, strlen(question), "the terminal", err);
    if (r == 0)
        r = read_line(terminal, ret_answer, err);
    if (is_secret) {
        (void)tcsetattr(terminal, TCSAFLUSH, &before); /* a terminal that is gone needs none */
        (void)!write(terminal, "\n", 1);
    }
    return r;
}

static int ask_for(const char *question, bool is_secret, char **ret_answer, struct error *err)
{
    auto_close int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (terminal < 0)
        return error_set(err, ENOTTY,
                         "there is no terminal to ask at; give --username and --password-stdin");
    return ask(terminal, question, is_secret, ret_answer, err);
}

static int take_password(const struct arguments *arguments, char **ret_password, struct error *err)
{
    const char *given = arguments_text(arguments, "password");
    int r;

    if (!arguments_flag(arguments, "password-stdin")) {
        if (given == NULL)
            return ask_for("Password: ", true, ret_password, err);
        log_warning("a password on the command line can be seen by others; use --password-stdin");
        *ret_password = xstrdup(given);
        return 0;
    }
    if (given != NULL)
        return error_set(err, EINVAL, "--password and --password-stdin exclude each other");
    if (!arguments_has(arguments, "username"))
        return error_set(err, EINVAL, "--password-stdin needs --username");
    r = fd_read_all(STDIN_FILENO, INPUT_MAX, "the password", ret_password, NULL, err);
    if (r == 0)
        (*ret_password)[strcspn(*ret_password, "\r\n")] = '\0';
    return r;
}

static int login(const struct arguments *arguments, struct error *err)
{
    struct registry_options options = registry_options(arguments);
    AUTO(registries) struct registries *registries = NULL;
    auto_free char *server = server_of(arguments);
    auto_free char *username = xstrdup(arguments_text(arguments, "username"));
    auto_free char *password = NULL;
    int r;

    r = registries_open(&registries, err);
    if (r == 0 && username == NULL && !arguments_flag(arguments, "password-stdin"))
        r = ask_for("Username: ", false, &username, err);
    if (r == 0)
        r = take_password(arguments, &password, err);
    if (r == 0)
        r = registry_login(registries, server, &options, username, password, err);
    return r;
}

int command_image_login(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };

    (void)context;
    if (login(arguments, &err) < 0)
        return image_program_failed("login", &err);
    (void)printf("Login Succeeded\n");
    return image_program_printed();
}

int command_image_logout(const struct arguments *arguments, void *context)
{
    auto_free char *server = server_of(arguments);
    struct error err = { 0 };
    int r = registry_logout(server, &err);

    (void)context;
    if (r < 0)
        return image_program_failed("logout", &err);
    if (r == 0)
        (void)printf("Not logged in to %s\n", server);
    else
        (void)printf("Removing login credentials for %s\n", server);
    return image_program_printed();
}
