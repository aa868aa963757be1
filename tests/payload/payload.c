/* A static program that the integration tests run inside containers, so that they need nothing from
 * outside: each first argument is one small deed.
 *
 *   payload syscall NUMBER [ARGUMENT...]   calls it, prints "ok" or the name of the error
 *   payload hog MEBIBYTES                  allocates and touches so much memory, prints "full"
 *   payload bomb                           forks without end; a failing fork is tried again
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int call(int argc, char **argv)
{
    long arguments[6] = { 0 };
    long r;

    for (int i = 3; i < argc && i < 9; i++)
        arguments[i - 3] = strtol(argv[i], NULL, 0);
    errno = 0;
    r = syscall(strtol(argv[2], NULL, 0), arguments[0], arguments[1], arguments[2], arguments[3],
                arguments[4], arguments[5]);
    (void)puts(r < 0 ? strerrorname_np(errno) : "ok");
    return 0;
}

static int hog(const char *mebibytes)
{
    size_t length = (size_t)strtoul(mebibytes, NULL, 10) << 20;
    char *bytes = malloc(length);

    if (bytes == NULL)
        return 1;
    for (size_t i = 0; i < length; i += 4096)
        bytes[i] = 1;
    (void)puts("full");
    return 0;
}

static _Noreturn void bomb(void)
{
    for (;;) {
        if (fork() < 0)
            (void)usleep(1000);
    }
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "syscall") == 0)
        return call(argc, argv);
    if (argc == 3 && strcmp(argv[1], "hog") == 0)
        return hog(argv[2]);
    if (argc == 2 && strcmp(argv[1], "bomb") == 0)
        bomb();
    (void)fprintf(stderr, "usage: payload syscall NUMBER [ARGUMENT...] | hog MEBIBYTES | bomb\n");
    return 2;
}
