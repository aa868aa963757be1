#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/process.h"
#include "microvm/microvm.h"

/* /dev/kvm alone says little: on a machine that is a guest itself it may be there and run nothing.
 * So berth-vmm runs a probe guest, and its verdict holds until the next boot. */

#define PROBE_FILE  ".vm-probe" /* "BOOT-ID usable", "BOOT-ID unusable"; not a container's name */
#define PROBE_BYTES 4096
#define EMULATOR    "/usr/bin/qemu-system-x86_64"
#define KVM_DEVICE  "/dev/kvm"
#define BOOT_ID     "/proc/sys/kernel/random/boot_id"

void microvm_backend_clear(struct microvm_backend *backend)
{
    free(backend->reason);
    free(backend->emulator);
    *backend = (struct microvm_backend){ 0 };
}

/* 1: usable, 0: not, -ENOENT: not asked since the boot. */
static int read_verdict(int run_fd, const char *boot_id)
{
    auto_free char *text = NULL;
    size_t length = strlen(boot_id);

    if (file_read(run_fd, PROBE_FILE, PROBE_BYTES, &text, NULL, NULL) < 0)
        return -ENOENT;
    if (strncmp(text, boot_id, length) != 0 || text[length] != ' ')
        return -ENOENT;
    return strcmp(text + length + 1, "usable") == 0;
}

static int ask(int run_fd, const char *boot_id, struct error *err)
{
    AUTO_CLEAR(strings) struct strings arguments = { 0 };
    const int silent[3] = { -1, -1, -1 };
    auto_free char *program = NULL;
    auto_free char *text = NULL;
    int status = 0;
    int r;

    r = process_find_helper("berth-vmm", &program, err);
    if (r < 0)
        return r;
    strings_add(&arguments, program);
    strings_add(&arguments, "probe");
    r = process_run(&arguments, silent, &status, err);
    if (r < 0)
        return r;
    text = xasprintf("%s %s", boot_id, status == 0 ? "usable" : "unusable");
    /* Without the file the next command asks again. */
    (void)file_replace(run_fd, PROBE_FILE, text, strlen(text), 0600, FILE_SYNC_NONE, NULL);
    return status == 0;
}

static int is_kvm_usable(const char *run_path, struct error *err)
{
    auto_free char *boot_id = NULL;
    auto_close int run_fd = open(run_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (run_fd < 0)
        return error_errno(err, "open '%s'", run_path);
    r = file_read_kernel(AT_FDCWD, BOOT_ID, &boot_id, err);
    if (r < 0)
        return r;
    r = read_verdict(run_fd, boot_id);
    return r == -ENOENT ? ask(run_fd, boot_id, err) : r;
}

int microvm_find_backend(const char *run_path, struct microvm_backend *ret_backend,
                         struct error *err)
{
    struct microvm_backend backend = { 0 };
    int r = 0;

    if (access(EMULATOR, X_OK) == 0)
        backend.emulator = xstrdup(EMULATOR);
    if (access(KVM_DEVICE, F_OK) < 0)
        backend.reason = xstrdup("there is no " KVM_DEVICE);
    else if (access(KVM_DEVICE, R_OK | W_OK) < 0)
        backend.reason = xasprintf(KVM_DEVICE ": %s", strerror(errno));
    else
        r = is_kvm_usable(run_path, err);
    if (r < 0) {
        microvm_backend_clear(&backend);
        return r;
    }
    if (r == 0 && backend.reason == NULL)
        backend.reason = xstrdup(KVM_DEVICE " does not run a guest");
    backend.name = backend.reason == NULL ? "kvm" : backend.emulator != NULL ? "qemu" : NULL;
    *ret_backend = backend;
    return 0;
}
