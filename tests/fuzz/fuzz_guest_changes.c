/* Any bytes as what a guest says of its files: the list of its changes, and the report of work. */
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/guest_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check_change(const struct change *change, void *context, struct error *err)
{
    (void)context;
    (void)err;
    assert(change->path[0] != '\0' && change->path[0] != '/');
    assert(strstr(change->path, "//") == NULL && strncmp(change->path, "../", 3) != 0);
    assert(strstr(change->path, "/../") == NULL && !text_ends(change->path, "/.."));
    assert(strchr(change->name, '/') == NULL && change->name[0] != '\0');
    return 0;
}

static bool is_one_line(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 127)
            return false;
    }
    return true;
}

static void check_report(const char *bytes, size_t size)
{
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    struct error err = { 0 };
    int r = guest_report_parse(bytes, size, &warnings, &err);

    assert(r == 0 || (r < 0 && r >= -4095 && err.code == -r && is_one_line(err.message)));
    for (size_t i = 0; i < warnings.count; i++)
        assert(is_one_line(warnings.items[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_close int fd = memfd_create("list", MFD_CLOEXEC);

    assert(fd >= 0);
    assert(write(fd, data, size) == (ssize_t)size);
    assert(lseek(fd, 0, SEEK_SET) == 0);
    (void)guest_changes_read(fd, check_change, NULL, NULL);
    check_report((const char *)data, size);
    return 0;
}
