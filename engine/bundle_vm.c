#include "engine/bundle.h"

#include <errno.h>
#include <string.h>

#include "runtime/isolation.h"

/* What a microVM's bundle has that a container's has not: annotations that ask for the isolation,
 * and a root that the guest's kernel mounts. The rest of the bundle is the same; the isolation
 * splits it when the container starts. */

bool bundle_is_vm(const struct settings *settings)
{
    return text_equal(settings->isolation, "microvm");
}

static int check_not_shared(const struct settings *settings, struct error *err)
{
    const struct {
        const char *option, *text;
    } modes[] = {
        { "--network", settings->network },
        { "--pid", settings->pid_mode },
        { "--ipc", settings->ipc_mode },
        { "--uts", settings->uts_mode },
    };

    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        if (text_equal(modes[i].text, "host") ||
            (modes[i].text != NULL && text_starts(modes[i].text, "container:")))
            return error_set(err, EOPNOTSUPP,
                             "%s %s cannot be used together with --isolation microvm: a microVM "
                             "has a kernel of its own",
                             modes[i].option, modes[i].text);
    }
    if (bundle_has_user_namespace(settings))
        return error_set(err, EOPNOTSUPP,
                         "--userns %s is of no use to a microVM, which has a kernel of its own",
                         settings->userns_mode);
    return 0;
}

int bundle_check_isolation(const struct settings *settings, struct error *err)
{
    bool is_none = text_is_empty(settings->isolation) || strcmp(settings->isolation, "none") == 0;

    if (!is_none && !bundle_is_vm(settings))
        return error_set(err, EINVAL, "--isolation '%s': give none or microvm",
                         settings->isolation);
    if (is_none &&
        (settings->vm_memory > 0 || settings->vm_cpus > 0 || !text_is_empty(settings->vm_kernel) ||
         !text_is_empty(settings->vm_console) || settings->is_warm))
        return error_set(err, EINVAL,
                         "--kernel, --vm-memory, --vm-cpus, --vm-console and --warm are for "
                         "--isolation microvm");
    if (is_none)
        return 0;
    if (settings->devices.count > 0)
        return error_set(err, EOPNOTSUPP,
                         "--device '%s': a microVM cannot use devices of this machine",
                         settings->devices.items[0].host_path);
    if (settings->device_rules.count > 0)
        return error_set(err, EOPNOTSUPP,
                         "--device-cgroup-rule '%s': a microVM cannot use devices of this machine",
                         settings->device_rules.items[0]);
    if (settings->has_oom_kill_disable)
        return error_set(err, EOPNOTSUPP,
                         "--oom-kill-disable cannot be used together with --isolation microvm");
    return check_not_shared(settings, err);
}

void bundle_plan_vm(const struct settings *settings, struct spec *spec)
{
    struct string_map *annotations = &spec->annotations;
    struct spec_vm_hardware *hardware;

    string_map_set(annotations, ANNOTATION_ISOLATION, "microvm");
    spec->vm = xcalloc(1, sizeof(*spec->vm));
    hardware = &spec->vm->hardware;
    hardware->has_memory = settings->vm_memory > 0;
    hardware->memory = settings->vm_memory;
    hardware->has_vcpus = settings->vm_cpus > 0;
    hardware->vcpus = settings->vm_cpus;
    if (!text_is_empty(settings->vm_kernel))
        string_map_set(annotations, "run.berth.vm.kernel", settings->vm_kernel);
    if (!text_is_empty(settings->vm_console))
        string_map_set(annotations, "run.berth.vm.console", settings->vm_console);
    if (settings->is_warm)
        string_map_set(annotations, "run.berth.vm.warm", "true");
}

void bundle_add_vm_root(const struct bundle_input *input, struct spec *spec)
{
    AUTO_CLEAR(strings) struct strings options = { 0 };
    struct spec_mount root;

    if (input->disk_path != NULL)
        strings_addf(&options, "disk=%s", input->disk_path);
    (void)spec_add_mount(spec, "/", "erofs", input->erofs_path, (const char *const *)options.items);
    root = spec->mounts.items[spec->mounts.count - 1];
    memmove(spec->mounts.items + 1, spec->mounts.items,
            (spec->mounts.count - 1) * sizeof(*spec->mounts.items));
    spec->mounts.items[0] = root;
}
