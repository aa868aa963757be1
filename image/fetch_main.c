/* berth-fetch [debug]
 *
 * Speaks to registries for berth-image: its standard input is a SOCK_SEQPACKET to the parent, over
 * which requests come (image/fetch_wire.h). A program of its own, since what a registry sends is
 * read by large libraries: it has no right but that of making connections. */

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/wire.h"
#include "image/fetcher.h"
#include "image/fetcher_sandbox.h"

static int check_socket(struct error *err)
{
    socklen_t length = sizeof(int);
    int type = 0;

    if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_SEQPACKET)
        return error_set(err, EINVAL, "it is started by berth, not by hand");
    return 0;
}

int main(int count, char **arguments)
{
    bool is_debug = count == 2 && strcmp(arguments[1], "debug") == 0;
    struct error err = { 0 };
    int r;

    log_configure("berth-fetch", -1, LOG_PLAIN, is_debug);
    (void)signal(SIGPIPE, SIG_IGN); /* a parent that reads no more shows as EPIPE */
    r = fd_open_standard(&err);
    if (r == 0)
        r = check_socket(&err);
    /* Libraries read their configuration on first use: before the sandbox. */
    if (r == 0 && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        r = error_set(&err, ENOMEM, "libcurl does not start");
    if (r == 0)
        r = fetcher_sandbox_enter(&err);
    if (r == 0)
        r = fetcher_run(STDIN_FILENO, is_debug, &err);
    if (r < 0) {
        log_error("%s", err.message); /* to nobody, when its parent started it */
        (void)wire_send(STDIN_FILENO, FETCH_MESSAGE_FAILED, err.message, strlen(err.message), NULL,
                        0, NULL);
    }
    curl_global_cleanup();
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
