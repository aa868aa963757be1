#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/process.h"
#include "microvm/control.h"
#include "microvm/files_work.h"
#include "microvm/kvm_machine.h"
#include "microvm/microvm.h"
#include "microvm/saved_disk.h"
#include "microvm/saved_session.h"
#include "microvm/split.h"
#include "microvm/vm_config.h"
#include "microvm/warm_store.h"

/* The isolation's functions: what the split needs to know is looked up here, and what the jail
 * needs is made in RUN/<id>/vm:
 *
 *   config.json   what berth-vmm is to run
 *   root/         becomes the jail's root
 *   run/          the socket of berth-vmm, and whether the guest was out of memory */

#define VM_FOLDER   "vm"
#define CONFIG_FILE VM_FOLDER "/config.json"
#define RUN_FOLDER  VM_FOLDER "/run"
#define OOM_FILE    RUN_FOLDER "/oom"
#define NO_BACKEND                                                                                 \
    "%s, and QEMU, which could emulate one, is not installed (package qemu-system-x86)"
#define EMULATION_WARNING "%s: the microVM is emulated by QEMU, which is slow"
#define COPY_MAX          (256u << 10) /* bytes of a file that the guest gets a copy of */
#define LAST_WORDS_MS     5000         /* for berth-vmm to say why it ends */

/* What struct vm_host borrows. */
struct findings {
    struct microvm_backend backend;
    char *kernel_path, *kernel, *modules, *vmm, *file_server, *agent, *run_path;
    struct strings emulator_folders;
    struct vm_source *sources;
    size_t source_count;
};

static void findings_clear(struct findings *findings)
{
    microvm_backend_clear(&findings->backend);
    free(findings->kernel_path);
    free(findings->kernel);
    free(findings->modules);
    free(findings->vmm);
    free(findings->file_server);
    free(findings->agent);
    free(findings->run_path);
    strings_clear(&findings->emulator_folders);
    for (size_t i = 0; i < findings->source_count; i++) {
        free(findings->sources[i].path);
        free(findings->sources[i].content);
    }
    free(findings->sources);
}

static bool is_wanted(const struct spec *spec)
{
    return spec->vm != NULL ||
           text_equal(string_map_get(&spec->annotations, ANNOTATION_ISOLATION), MICROVM_NAME);
}

/* --- looking ---------------------------------------------------------------------------------- */

static void find_source(const struct spec_mount *mount, const char *bundle_path,
                        struct vm_source *ret_source)
{
    struct stat status;
    auto_free char *joined =
        mount->source[0] == '/' ? xstrdup(mount->source) : path_join(bundle_path, mount->source);

    ret_source->path = path_clean(joined);
    if (stat(joined, &status) < 0)
        return;
    ret_source->mode = status.st_mode & 07777;
    if (S_ISDIR(status.st_mode)) {
        ret_source->kind = VM_SOURCE_DIRECTORY;
        return;
    }
    ret_source->kind = S_ISREG(status.st_mode) ? VM_SOURCE_FILE : VM_SOURCE_OTHER;
    /* A large or strange one is shared instead. */
    if (ret_source->kind == VM_SOURCE_FILE && vm_is_copied(mount->destination)) {
        size_t length = 0;

        (void)file_read(AT_FDCWD, joined, COPY_MAX, &ret_source->content, &length, NULL);
        if (ret_source->content != NULL && strlen(ret_source->content) != length) {
            free(ret_source->content);
            ret_source->content = NULL;
        }
    }
}

static void find_sources(const struct isolation_input *input, struct findings *findings)
{
    const struct spec_mounts *mounts = &input->spec->mounts;

    findings->sources = xcalloc(mounts->count + 1, sizeof(*findings->sources));
    findings->source_count = mounts->count;
    for (size_t i = 0; i < mounts->count; i++) {
        if (vm_is_bind(&mounts->items[i]) && mounts->items[i].source != NULL)
            find_source(&mounts->items[i], input->bundle_path, &findings->sources[i]);
    }
}

static int find_backend(const struct isolation_input *input, struct findings *findings,
                        struct error *err)
{
    /* The loader and its libraries; /etc has the loader's cache, nothing else is needed of it. */
    static const char *const folders[] = { "/usr", "/bin", "/lib", "/lib64" };
    int r;

    r = microvm_find_backend(input->run_path, &findings->backend, err);
    if (r < 0)
        return r;
    if (findings->backend.name == NULL)
        return error_set(err, EOPNOTSUPP, "no microVM can run here: " NO_BACKEND,
                         findings->backend.reason);
    if (findings->backend.reason == NULL)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        if (access(folders[i], F_OK) == 0)
            strings_add(&findings->emulator_folders, folders[i]);
    }
    return 0;
}

/* Of the bundle where it names one, else an imported one. */
static int find_kernel(const struct isolation *isolation, const struct isolation_input *input,
                       struct findings *findings, struct error *err)
{
    const char *name = string_map_get(&input->spec->annotations, VM_ANNOTATION_KERNEL);
    const struct spec_vm *vm = input->spec->vm;
    int r;

    if (vm != NULL && vm->kernel != NULL) {
        if (vm->kernel->path[0] != '/')
            return error_set(err, EINVAL, "vm.kernel.path: '%s' must be absolute",
                             vm->kernel->path);
        if (vm->kernel->initrd == NULL)
            return error_set(err, EINVAL,
                             "vm.kernel.initrd: is missing: berth's agent needs the kernel's "
                             "modules, as `berth vm kernel import` packs them (modules.cpio)");
        findings->kernel = xstrdup(vm->kernel->path);
        findings->modules = xstrdup(vm->kernel->initrd);
        return 0;
    }
    r = microvm_find_kernel(isolation->data_path, name, &findings->kernel_path, err);
    if (r < 0)
        return r;
    findings->kernel = path_join(findings->kernel_path, "vmlinux");
    findings->modules = path_join(findings->kernel_path, "modules.cpio");
    return 0;
}

/* A guest takes over all interfaces of its network namespace: the caller would be cut off. */
static int check_network(const struct spec *spec, struct error *err)
{
    const struct spec_namespace *network = spec_find_namespace(spec, "network");
    struct stat theirs, own;

    if (network == NULL || network->path == NULL)
        return 0;
    if (stat(network->path, &theirs) < 0 || stat("/proc/self/ns/net", &own) < 0)
        return error_errno(err, "look at the network namespace '%s'", network->path);
    if (theirs.st_dev != own.st_dev || theirs.st_ino != own.st_ino)
        return 0;
    return error_set(err, EOPNOTSUPP,
                     "linux.namespaces: the network namespace '%s' is this machine's own, which a "
                     "microVM would take away from it",
                     network->path);
}

static int find_all(const struct isolation *isolation, const struct isolation_input *input,
                    struct findings *findings, struct error *err)
{
    int r;

    r = check_network(input->spec, err);
    if (r == 0)
        r = find_backend(input, findings, err);
    if (r == 0)
        r = find_kernel(isolation, input, findings, err);
    if (r == 0)
        r = process_find_helper("berth-vmm", &findings->vmm, err);
    if (r == 0)
        r = process_find_helper("berth-fs", &findings->file_server, err);
    if (r == 0)
        r = process_find_helper("berth-agent", &findings->agent, err);
    if (r < 0)
        return r;
    findings->run_path = xasprintf("%s/%s/" VM_FOLDER, input->run_path, input->id);
    find_sources(input, findings);
    return 0;
}

static int look(const struct isolation *isolation, const char *run_path,
                struct isolation_view *ret_view, struct error *err)
{
    AUTO_CLEAR(microvm_backend) struct microvm_backend backend = { 0 };
    struct isolation_view view = { 0 };
    int r = microvm_find_backend(run_path, &backend, err);

    if (r < 0)
        return r;
    view.backend = xstrdup(backend.name);
    view.reason = take_ptr(&backend.reason);
    if (view.backend == NULL) {
        auto_free char *kvm = view.reason;

        view.reason = xasprintf(NO_BACKEND, kvm);
    } else if (view.reason != NULL) {
        strings_addf(&view.warnings, EMULATION_WARNING, view.reason);
    }
    microvm_list_kernels(isolation->data_path, &view.kernels);
    *ret_view = view;
    return 0;
}

/* --- the isolation's functions ---------------------------------------------------------------- */

static const char *find_source_of(const struct spec *jail, const char *destination)
{
    ssize_t index = spec_find_mount(jail, destination);

    return index >= 0 ? jail->mounts.items[index].source : NULL;
}

/* The files of which a booted machine is made. */
static int identify_all(const struct spec *jail, const struct findings *findings,
                        struct strings *identity, struct error *err)
{
    const struct {
        const char *name, *path;
    } files[] = {
        { "vmm", findings->vmm },
        { "agent", findings->agent },
        { "kernel", findings->kernel },
        { "modules", findings->modules },
        { "root", find_source_of(jail, "/vm/root.erofs") },
        { "emulator", findings->backend.reason != NULL ? findings->backend.emulator : NULL },
    };
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(files) && r == 0; i++) {
        if (files[i].path != NULL)
            r = warm_identify(files[i].name, files[i].path, identity, err);
    }
    return r;
}

static int make_key(const struct spec *jail, const struct vm_config *config,
                    const struct findings *findings, char **ret_key, struct error *err)
{
    struct warm_subject subject = { .config = config };
    auto_free char *processor = NULL;
    auto_free char *boot_id = NULL;
    int r;

    r = file_read_kernel(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &boot_id, err);
    if (r == 0)
        r = identify_all(jail, findings, &subject.identity, err);
    if (r == 0 && strcmp(config->backend, "kvm") == 0)
        r = kvm_machine_identity(config->cpus, &processor, err);
    subject.boot_id = boot_id;
    subject.processor = processor;
    if (r == 0)
        *ret_key = warm_key(&subject);
    strings_clear(&subject.identity);
    return r;
}

/* Other machines can be started from this one, or this one from another. */
static int add_warm(const struct isolation *isolation, const struct findings *findings,
                    struct isolation_plan *plan, struct error *err)
{
    static const char *const options[] = { "bind", "nosuid", "nodev", "noexec", NULL };
    AUTO(vm_config) struct vm_config *config = NULL;
    auto_free char *path = NULL;
    int r;

    if (!text_equal(string_map_get(&plan->jail->annotations, VM_ANNOTATION_WARM), "true"))
        return 0;
    r = vm_config_decode(plan->config, strlen(plan->config), &config, err);
    if (r < 0)
        return r;
    r = make_key(plan->jail, config, findings, &plan->cache, err);
    if (r < 0)
        return r;
    path = warm_store_path(isolation->data_path, plan->cache);
    (void)spec_add_mount(plan->jail, VM_WARM_PATH, "bind", path, options);
    return 0;
}

/* It goes on as the one in a folder. */
static int add_saved(const char *saved_path, struct isolation_plan *plan, struct error *err)
{
    static const char *const options[] = { "bind", "ro", "nosuid", "nodev", "noexec", NULL };
    auto_free char *saved_disk = path_join(saved_path, SAVED_DISK);
    const char *disk = find_source_of(plan->jail, VM_DISK_PATH);
    const bool has_saved_disk = access(saved_disk, F_OK) == 0;

    if ((disk != NULL) != has_saved_disk)
        return error_set(err, EXDEV, "the saved microVM had %s disk, and the bundle's has %s",
                         has_saved_disk ? "a" : "no", disk != NULL ? "one" : "none");
    if (disk != NULL) {
        plan->disk = xstrdup(disk);
        plan->saved_disk = take_ptr(&saved_disk);
    }
    (void)spec_add_mount(plan->jail, VM_SAVED_PATH, "bind", saved_path, options);
    return 0;
}

static int plan(const struct isolation *isolation, const struct isolation_input *input,
                struct isolation_plan *ret_plan, struct error *err)
{
    AUTO_CLEAR(findings) struct findings findings = { 0 };
    AUTO_CLEAR(strings) struct strings notes = { 0 };
    struct vm_host host;
    int r;

    r = find_all(isolation, input, &findings, err);
    if (r < 0)
        return r;
    host = (struct vm_host){
        .backend = findings.backend.name,
        .reason = findings.backend.reason,
        .vmm = findings.vmm,
        .file_server = findings.file_server,
        .agent = findings.agent,
        .kernel = findings.kernel,
        .modules = findings.modules,
        .kernel_name = findings.kernel_path != NULL ? strrchr(findings.kernel_path, '/') + 1 : NULL,
        .run_path = findings.run_path,
        .bundle_path = input->bundle_path,
        .emulator_folders = &findings.emulator_folders,
        .is_rootless = geteuid() != 0,
        .has_tap_device = access("/dev/net/tun", F_OK) == 0,
        .sources = findings.sources,
        .saved_path = input->saved_path,
    };
    r = vm_split(input->spec, &host, &ret_plan->jail, &ret_plan->config, &notes, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < notes.count; i++)
        log_warning("%s", notes.items[i]);
    if (input->saved_path != NULL)
        return add_saved(input->saved_path, ret_plan, err);
    return add_warm(isolation, &findings, ret_plan, err);
}

static int prepare(const struct isolation *isolation, int dir_fd, const struct isolation_plan *plan,
                   struct error *err)
{
    static const char *const folders[] = { VM_FOLDER, VM_FOLDER "/root", RUN_FOLDER };

    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        if (mkdirat(dir_fd, folders[i], 0700) < 0)
            return error_errno(err, "make the directory '%s' of the container", folders[i]);
    }
    if (plan->disk != NULL) {
        int r = saved_disk_restore(plan->saved_disk, plan->disk, err);

        if (r < 0)
            return r;
    }
    if (plan->cache != NULL) {
        int r = warm_store_make(isolation->data_path, plan->cache, err);

        if (r < 0)
            return r;
    }
    return file_replace(dir_fd, CONFIG_FILE, plan->config, strlen(plan->config), 0600,
                        FILE_SYNC_NONE, err);
}

/* What the machine was started with. */
static int read_guest(int dir_fd, struct vm_config **ret_config, struct spec **ret_spec,
                      struct error *err)
{
    AUTO(vm_config) struct vm_config *config = NULL;
    auto_free char *json = NULL;
    size_t length = 0;
    int r;

    r = file_read(dir_fd, CONFIG_FILE, VM_CONFIG_MAX, &json, &length, err);
    if (r == 0)
        r = vm_config_decode(json, length, &config, err);
    if (r == 0)
        r = spec_decode(config->guest, strlen(config->guest), ret_spec, err);
    if (r < 0)
        return error_prefix(err, r, "the guest's spec");
    *ret_config = take_ptr(&config);
    return 0;
}

static int find_process(int dir_fd, struct spec_process **ret_process, struct error *err)
{
    AUTO(vm_config) struct vm_config *config = NULL;
    AUTO(spec) struct spec *spec = NULL;
    int r = read_guest(dir_fd, &config, &spec, err);

    if (r < 0)
        return r;
    *ret_process = take_ptr(&spec->process);
    return 0;
}

static int plan_update(int dir_fd, const struct spec *jail, const struct cgroup_resources *given,
                       struct isolation_update *ret_update, struct error *err)
{
    static const struct cgroup_resources none;
    AUTO(vm_config) struct vm_config *config = NULL;
    AUTO(spec) struct spec *guest = NULL;
    int r = read_guest(dir_fd, &config, &guest, err);

    if (r < 0)
        return r;
    return vm_update_plan(config, guest->linux_.resources != NULL ? guest->linux_.resources : &none,
                          jail->linux_.resources != NULL ? jail->linux_.resources : &none, given,
                          ret_update, err);
}

static int apply_update(int dir_fd, int pidfd, const struct isolation_update *update,
                        struct error *err)
{
    auto_free char *answer = NULL;
    auto_close int run_fd = -1;
    int r;

    if (update->inner == NULL)
        return 0;
    r = path_open_beneath(dir_fd, RUN_FOLDER, O_RDONLY | O_DIRECTORY, 0, &run_fd, err);
    if (r == 0 && update->take_bytes != update->old_take_bytes)
        r = control_take_memory(run_fd, pidfd, update->take_bytes, update->old_take_bytes, err);
    if (r == 0)
        r = control_ask(run_fd, pidfd, CONTROL_UPDATE, update->inner, &answer, err);
    return r;
}

static bool was_oom_killed(int dir_fd)
{
    struct stat status;

    return fstatat(dir_fd, OOM_FILE, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_size > 0;
}

static int list_processes(int dir_fd, int pidfd, char **ret_lines, struct error *err)
{
    auto_close int run_fd = -1;
    int r;

    r = path_open_beneath(dir_fd, RUN_FOLDER, O_RDONLY | O_DIRECTORY, 0, &run_fd, err);
    return r < 0 ? r : control_ask(run_fd, pidfd, CONTROL_PROCESSES, NULL, ret_lines, err);
}

static int start_files(int dir_fd, int pidfd, const struct inner_files *work, const int stdio[3],
                       int *ret_fd, struct error *err)
{
    auto_free char *json = encode_text(&inner_files_object, work, ENCODE_COMPACT);
    auto_close int run_fd = -1;
    int r;

    r = path_open_beneath(dir_fd, RUN_FOLDER, O_RDONLY | O_DIRECTORY, 0, &run_fd, err);
    return r < 0 ? r : control_files_start(run_fd, pidfd, json, stdio, ret_fd, err);
}

/* --- saving ----------------------------------------------------------------------------------- */

/* A new file: a machine that was restored from an older one has its memory mapped. */
static int create_file(int image_fd, const char *name, int *ret_fd, struct error *err)
{
    if (unlinkat(image_fd, name, 0) < 0 && errno != ENOENT)
        return error_errno(err, "remove an earlier '%s' of the image", name);
    *ret_fd = openat(image_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return *ret_fd < 0 ? error_errno(err, "make the image's file '%s'", name) : 0;
}

static int save_machine(int dir_fd, int pidfd, int image_fd, bool is_to_go_on, int *ret_fd,
                        struct error *err)
{
    static const char *const names[] = { SAVED_STATE, SAVED_MEMORY, SAVED_SESSION };
    int fds[] = { -1, -1, -1 };
    auto_close int run_fd = -1;
    int r;

    r = path_open_beneath(dir_fd, RUN_FOLDER, O_RDONLY | O_DIRECTORY, 0, &run_fd, err);
    for (size_t i = 0; i < ARRAY_SIZE(names) && r == 0; i++)
        r = create_file(image_fd, names[i], &fds[i], err);
    if (r == 0)
        r = control_save(run_fd, pidfd, fds, !is_to_go_on, ret_fd, err);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        auto_close_cleanup(&fds[i]);
    return r;
}

static int save_disk(const char *disk, int image_fd, struct error *err)
{
    auto_close int from_fd = -1;
    auto_close int to_fd = -1;
    int r;

    if (unlinkat(image_fd, SAVED_DISK, 0) < 0 && errno != ENOENT)
        return error_errno(err, "remove an earlier '%s' of the image", SAVED_DISK);
    if (disk == NULL)
        return 0;
    from_fd = open(disk, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (from_fd < 0)
        return error_errno(err, "open the container's disk '%s'", disk);
    r = create_file(image_fd, SAVED_DISK, &to_fd, err);
    return r < 0 ? r : saved_disk_copy(from_fd, to_fd, err);
}

static int save(int dir_fd, int pidfd, const struct spec *jail, int image_fd, bool is_to_go_on,
                int *ret_fd, struct error *err)
{
    auto_close int hold_fd = -1;
    int r;

    r = save_machine(dir_fd, pidfd, image_fd, is_to_go_on, &hold_fd, err);
    if (r == 0)
        r = save_disk(find_source_of(jail, VM_DISK_PATH), image_fd, err);
    if (r == 0)
        *ret_fd = take_fd(&hold_fd);
    return r;
}

/* What goes on has a clock that can be set; berth-vmm says itself why a machine does not. */
static int wait_restored(int dir_fd, int pidfd, struct error *err)
{
    auto_free char *answer = NULL;
    auto_close int run_fd = -1;
    int r;

    r = path_open_beneath(dir_fd, RUN_FOLDER, O_RDONLY | O_DIRECTORY, 0, &run_fd, err);
    if (r == 0)
        r = control_ask(run_fd, pidfd, CONTROL_CLOCK, NULL, &answer, err);
    /* It closes what it has before it says so; the caller ends what is left at once. */
    if (r < 0 && pidfd >= 0)
        (void)poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, LAST_WORDS_MS);
    return r < 0 ? error_prefix(err, r, "the saved microVM does not go on") : 0;
}

struct isolation microvm_isolation(const char *data_path)
{
    return (struct isolation){
        .name = MICROVM_NAME,
        .is_wanted = is_wanted,
        .look = look,
        .plan = plan,
        .prepare = prepare,
        .split_exec = vm_split_exec,
        .find_process = find_process,
        .plan_update = plan_update,
        .apply_update = apply_update,
        .was_oom_killed = was_oom_killed,
        .list_processes = list_processes,
        .start_files = start_files,
        .finish_files = control_files_finish,
        .save = save,
        .wait_restored = wait_restored,
        .data_path = data_path,
    };
}
