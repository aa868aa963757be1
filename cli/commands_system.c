#include "cli/berth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/decode.h"
#include "base/file.h"
#include "base/log.h"
#include "cgroups/cgroups.h"
#include "cli/template.h"

/* version and info, in docker's layout where it fits a program without a daemon. */

/* The version of docker's API whose commands and documents berth's look like. */
#define LIKE_API_VERSION "1.44"

int berth_print_formatted(const char *format, const char *json, struct error *err)
{
    AUTO(template) struct template *template = NULL;
    struct text out = { 0 };
    int r;

    if (strcmp(format, "json") == 0) {
        puts(json);
        return 0;
    }
    r = template_parse(format, &template, err);
    if (r == 0)
        r = template_run(template, json, strlen(json), &out, err);
    if (r == 0)
        puts(out.data != NULL ? out.data : "");
    text_clear(&out);
    return r;
}

/* --- version ---------------------------------------------------------------------------------- */

struct version_side {
    char *version, *api_version, *os, *architecture, *kernel;
};
struct version {
    struct version_side client, server;
};

#define SIDE_MEMBER(member_, name_) FIELD_OF(struct version_side, member_, name_, FIELD_STRING, 0)

static const struct field version_side_fields[] = {
    SIDE_MEMBER(version, "Version"),
    SIDE_MEMBER(api_version, "ApiVersion"),
    SIDE_MEMBER(os, "Os"),
    SIDE_MEMBER(architecture, "Arch"),
    SIDE_MEMBER(kernel, "KernelVersion"),
    { 0 },
};
static const struct object version_side_object = { version_side_fields, sizeof(struct version_side),
                                                   0 };
static const struct field version_fields[] = {
    FIELD_OBJECT(struct version, client, "Client", FIELD_STRUCT, &version_side_object, 0),
    FIELD_OBJECT(struct version, server, "Server", FIELD_STRUCT, &version_side_object, 0),
    { 0 },
};
static const struct object version_object = { version_fields, sizeof(struct version), 0 };

/* docker's templates see its structs, where this member has another name than in the document. */
static const struct field template_side_fields[] = {
    SIDE_MEMBER(version, "Version"),
    SIDE_MEMBER(api_version, "ApiVersion"),
    SIDE_MEMBER(api_version, "APIVersion"),
    SIDE_MEMBER(os, "Os"),
    SIDE_MEMBER(architecture, "Arch"),
    SIDE_MEMBER(kernel, "KernelVersion"),
    { 0 },
};
static const struct object template_side_object = { template_side_fields,
                                                    sizeof(struct version_side), 0 };
static const struct field template_fields[] = {
    FIELD_OBJECT(struct version, client, "Client", FIELD_STRUCT, &template_side_object, 0),
    FIELD_OBJECT(struct version, server, "Server", FIELD_STRUCT, &template_side_object, 0),
    { 0 },
};
static const struct object template_object = { template_fields, sizeof(struct version), 0 };

static void version_side_fill(struct version_side *side)
{
    struct utsname name = { 0 };

    (void)uname(&name);
    side->version = xstrdup(BERTH_VERSION);
    side->api_version = xstrdup(LIKE_API_VERSION);
    side->os = xstrdup("linux");
    side->architecture = xstrdup(platform_architecture());
    side->kernel = xstrdup(name.release);
}

int command_version(const struct arguments *arguments, void *context)
{
    const char *format = arguments_text(arguments, "format");
    struct version version = { 0 };
    auto_free char *json = NULL;
    struct error err = { 0 };
    int status = 0;

    (void)context;
    version_side_fill(&version.client);
    version_side_fill(&version.server);
    if (text_is_empty(format)) {
        printf("Client: Berth\n"
               " Version:           %s\n"
               " API version:       %s\n"
               " OS/Arch:           %s/%s\n"
               " Kernel Version:    %s\n"
               "\n"
               "Server: none; every command does its work itself\n",
               version.client.version, version.client.api_version, version.client.os,
               version.client.architecture, version.client.kernel);
    } else {
        json = encode_text(strcmp(format, "json") == 0 ? &version_object : &template_object,
                           &version, ENCODE_COMPACT);
        if (berth_print_formatted(format, json, &err) < 0)
            status = berth_failed(&err, STATUS_USAGE);
    }
    object_clear(&version_object, &version);
    return status;
}

/* --- info ------------------------------------------------------------------------------------- */

/* Docker's tools ask for it before they choose how to run something. */
struct swarm {
    char *node_id, *state;
    bool is_manager;
};

static const struct field swarm_fields[] = {
    FIELD_OF(struct swarm, node_id, "NodeID", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OF(struct swarm, state, "LocalNodeState", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OF(struct swarm, is_manager, "ControlAvailable", FIELD_BOOL, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object swarm_object = { swarm_fields, sizeof(struct swarm), 0 };

struct info {
    uint64_t containers, running, paused, stopped, images, cpus, memory;
    char *version, *driver, *driver_reason, *log_driver, *cgroup_driver, *cgroup_version,
        *cgroup_layout, *network, *network_reason;
    char *kernel, *system, *os, *architecture, *name, *data_path, *run_path, *isolation;
    char *vm_backend, *vm_reason; /* of microVMs: who runs them, and why not KVM */
    struct strings vm_kernels;
    struct strings labels, security, warnings;
    char *runtime, *runtimes; /* the latter as JSON */
    char *index_server;       /* under which credentials for docker.io are kept */
    struct swarm swarm;
    bool is_experimental, is_debug;
    bool keeps_containers; /* that run, when what started them ends */
};

static const struct field info_fields[] = {
    FIELD_OF(struct info, containers, "Containers", FIELD_U64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct info, running, "ContainersRunning", FIELD_U64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct info, paused, "ContainersPaused", FIELD_U64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct info, stopped, "ContainersStopped", FIELD_U64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct info, images, "Images", FIELD_U64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct info, version, "ServerVersion", FIELD_STRING, 0),
    FIELD_OF(struct info, driver, "Driver", FIELD_STRING, 0),
    FIELD_OF(struct info, driver_reason, "DriverReason", FIELD_STRING, 0),
    FIELD_OF(struct info, log_driver, "LoggingDriver", FIELD_STRING, 0),
    FIELD_OF(struct info, cgroup_driver, "CgroupDriver", FIELD_STRING, 0),
    FIELD_OF(struct info, cgroup_version, "CgroupVersion", FIELD_STRING, 0),
    FIELD_OF(struct info, cgroup_layout, "CgroupLayout", FIELD_STRING, 0),
    FIELD_OF(struct info, network, "DefaultNetwork", FIELD_STRING, 0),
    FIELD_OF(struct info, network_reason, "DefaultNetworkReason", FIELD_STRING, 0),
    FIELD_OF(struct info, isolation, "Isolation", FIELD_STRING, 0),
    FIELD_OF(struct info, vm_backend, "MicroVMBackend", FIELD_STRING, 0),
    FIELD_OF(struct info, vm_reason, "MicroVMReason", FIELD_STRING, 0),
    FIELD_OF(struct info, vm_kernels, "MicroVMKernels", FIELD_STRINGS, 0),
    FIELD_OF(struct info, runtime, "DefaultRuntime", FIELD_STRING, 0),
    FIELD_OF(struct info, runtimes, "Runtimes", FIELD_JSON, 0),
    FIELD_OF(struct info, keeps_containers, "LiveRestoreEnabled", FIELD_BOOL, FIELD_KEEP_EMPTY),
    FIELD_OF(struct info, is_experimental, "ExperimentalBuild", FIELD_BOOL, FIELD_KEEP_EMPTY),
    FIELD_OF(struct info, index_server, "IndexServerAddress", FIELD_STRING, 0),
    FIELD_OBJECT(struct info, swarm, "Swarm", FIELD_STRUCT, &swarm_object, FIELD_KEEP_EMPTY),
    FIELD_OF(struct info, labels, "Labels", FIELD_STRINGS, FIELD_KEEP_EMPTY),
    FIELD_OF(struct info, security, "SecurityOptions", FIELD_STRINGS, FIELD_KEEP_EMPTY),
    FIELD_OF(struct info, kernel, "KernelVersion", FIELD_STRING, 0),
    FIELD_OF(struct info, system, "OperatingSystem", FIELD_STRING, 0),
    FIELD_OF(struct info, os, "OSType", FIELD_STRING, 0),
    FIELD_OF(struct info, architecture, "Architecture", FIELD_STRING, 0),
    FIELD_OF(struct info, cpus, "NCPU", FIELD_U64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct info, memory, "MemTotal", FIELD_U64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct info, name, "Name", FIELD_STRING, 0),
    FIELD_OF(struct info, data_path, "DockerRootDir", FIELD_STRING, 0),
    FIELD_OF(struct info, run_path, "RunDir", FIELD_STRING, 0),
    FIELD_OF(struct info, is_debug, "Debug", FIELD_BOOL, FIELD_KEEP_EMPTY),
    FIELD_OF(struct info, warnings, "Warnings", FIELD_STRINGS, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object info_object = { info_fields, sizeof(struct info), 0 };

/* The line PRETTY_NAME="..." of os-release(5). Caller frees. */
static char *read_system_name(void)
{
    auto_free char *text = NULL;
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    if (file_read(AT_FDCWD, "/etc/os-release", 1u << 16, &text, NULL, NULL) < 0)
        return xstrdup("Linux");
    strings_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.count; i++) {
        const char *value = lines.items[i] + strlen("PRETTY_NAME=");

        if (text_starts(lines.items[i], "PRETTY_NAME=\""))
            return xstrndup(value + 1, strcspn(value + 1, "\""));
        if (text_starts(lines.items[i], "PRETTY_NAME="))
            return xstrdup(value);
    }
    return xstrdup("Linux");
}

static int count_objects(struct engine *engine, struct info *info, struct error *err)
{
    struct container_views views = { 0 };
    struct image_listing images = { 0 };
    int r = engine_list(engine, false, &views, err);

    if (r < 0)
        return r;
    info->containers = views.count;
    for (size_t i = 0; i < views.count; i++) {
        bool is_running = strcmp(views.items[i].status, "running") == 0;
        bool is_paused = strcmp(views.items[i].status, "paused") == 0;

        info->running += is_running;
        info->paused += is_paused;
        info->stopped += !is_running && !is_paused;
    }
    container_views_clear(&views);
    r = image_list(engine_images(engine), &images, err);
    if (r < 0)
        return r;
    info->images = images.count;
    image_listing_clear(&images);
    return 0;
}

static void describe_cgroups(struct info *info)
{
    AUTO(cgroup_system) struct cgroup_system *system = NULL;
    enum cgroup_layout layout = CGROUP_LAYOUT_NONE;
    struct error err = { 0 };

    if (cgroup_system_open(NULL, &system, &err) < 0)
        strings_add(&info->warnings, err.message);
    else
        layout = cgroup_system_layout(system);
    if (layout == CGROUP_LAYOUT_NONE)
        strings_add(&info->warnings, "no cgroups are mounted: limits cannot be set");
    info->cgroup_driver = xstrdup("cgroupfs");
    info->cgroup_version = xstrdup(layout == CGROUP_LAYOUT_V2 ? "2" : "1");
    info->cgroup_layout = xstrdup(cgroup_layout_name(layout));
}

static void describe_machine(struct info *info)
{
    struct utsname name = { 0 };
    struct sysinfo system = { 0 };

    (void)uname(&name);
    (void)sysinfo(&system);
    info->kernel = xstrdup(name.release);
    info->architecture = xstrdup(name.machine);
    info->name = xstrdup(name.nodename);
    info->os = xstrdup("linux");
    info->system = read_system_name();
    info->cpus = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    info->memory = (uint64_t)system.totalram * system.mem_unit;
}

/* Nothing is known of them is no reason not to tell the rest. */
static void describe_microvms(struct engine *engine, struct info *info)
{
    const struct isolation *isolation = engine_isolation(engine);
    AUTO_CLEAR(isolation_view) struct isolation_view view = { 0 };
    struct error err = { 0 };

    if (isolation == NULL)
        (void)error_set(&err, EOPNOTSUPP, "berth was built without them");
    else
        (void)isolation->look(isolation, engine_run_path(engine), &view, &err);
    info->vm_backend = xstrdup(view.backend != NULL ? view.backend : "none");
    info->vm_reason = err.code != 0 ? xstrdup(err.message) : take_ptr(&view.reason);
    strings_add_all(&info->vm_kernels, &view.kernels);
}

static void print_microvms(const struct info *info)
{
    auto_free char *kernels = strings_join(&info->vm_kernels, ", ");

    if (info->vm_reason == NULL)
        printf(" MicroVMs: by KVM\n");
    else if (strcmp(info->vm_backend, "none") == 0)
        printf(" MicroVMs: none, as %s\n", info->vm_reason);
    else
        printf(" MicroVMs: emulated by QEMU, which is slow and takes up to 256MiB more memory, as "
               "%s\n",
               info->vm_reason);
    printf("  Kernels: %s\n", info->vm_kernels.count > 0 ? kernels : "none");
}

/* What tools of docker's users look at, in docker's words: one runtime, no swarm; containers do not
 * depend on a daemon. */
static void describe_like_docker(struct info *info)
{
    info->runtime = xstrdup("berth"); /* as inspect says */
    info->runtimes = xstrdup("{\"berth\":{\"path\":\"berth-oci\"}}");
    info->index_server = xstrdup("https://index.docker.io/v1/");
    info->swarm.state = xstrdup("inactive");
    info->keeps_containers = true;
    strings_add(&info->security, "name=seccomp,profile=builtin");
    if (rootless_session_is_on())
        strings_add(&info->security, "name=rootless");
}

static int info_fill(struct berth *berth, struct info *info, struct error *err)
{
    struct engine *engine = NULL;
    enum root_driver driver;
    int r;

    r = berth_engine(berth, &engine, err);
    if (r < 0)
        return r;
    info->version = xstrdup(BERTH_VERSION);
    r = root_driver_find(engine, NULL, &driver, &info->driver_reason, err);
    if (r < 0)
        return r;
    info->driver = xstrdup(root_driver_name(driver));
    info->log_driver = xstrdup("json-file");
    info->network = engine_default_network(&info->network_reason);
    info->isolation = xstrdup("namespaces");
    info->data_path = xstrdup(engine_data_path(engine));
    info->run_path = xstrdup(engine_run_path(engine));
    info->is_debug = berth->is_debug;
    describe_like_docker(info);
    describe_machine(info);
    describe_cgroups(info);
    describe_microvms(engine, info);
    return count_objects(engine, info, err);
}

static void info_print(const struct info *info)
{
    auto_free char *memory = text_format_size_binary(info->memory);

    printf("Client: Berth\n Version:    %s\n Debug Mode: %s\n\nServer:\n", info->version,
           info->is_debug ? "true" : "false");
    printf(" Containers: %llu\n  Running: %llu\n  Paused: %llu\n  Stopped: %llu\n Images: %llu\n",
           (unsigned long long)info->containers, (unsigned long long)info->running,
           (unsigned long long)info->paused, (unsigned long long)info->stopped,
           (unsigned long long)info->images);
    printf(" Server Version: %s\n Storage Driver: %s\n", info->version, info->driver);
    if (info->driver_reason != NULL)
        printf("  Each container gets its root so, as %s\n", info->driver_reason);
    printf(" Logging Driver: %s\n", info->log_driver);
    printf(" Cgroup Driver: %s\n Cgroup Version: %s\n Cgroup Layout: %s\n Isolation: %s\n",
           info->cgroup_driver, info->cgroup_version, info->cgroup_layout, info->isolation);
    printf(" Network: %s%s%s\n",
           strcmp(info->network, "none") == 0 ? "none but loopback" : info->network,
           info->network_reason != NULL ? ", as " : "",
           info->network_reason != NULL ? info->network_reason : "");
    print_microvms(info);
    printf(" Security Options:\n  seccomp\n   Profile: builtin\n%s",
           info->security.count > 1 ? "  rootless\n" : "");
    printf(" Kernel Version: %s\n Operating System: %s\n OSType: %s\n Architecture: %s\n",
           info->kernel, info->system, info->os, info->architecture);
    printf(" CPUs: %llu\n Total Memory: %s\n Name: %s\n", (unsigned long long)info->cpus, memory,
           info->name);
    printf(" Root Dir: %s\n Run Dir: %s\n", info->data_path, info->run_path);
    (void)fflush(stdout);
    for (size_t i = 0; i < info->warnings.count; i++)
        log_warning("%s", info->warnings.items[i]);
}

int command_info(const struct arguments *arguments, void *context)
{
    const char *format = arguments_text(arguments, "format");
    struct info info = { 0 };
    auto_free char *json = NULL;
    struct error err = { 0 };
    int r;

    r = info_fill(context, &info, &err);
    if (r == 0 && text_is_empty(format)) {
        info_print(&info);
    } else if (r == 0) {
        json = encode_text(&info_object, &info, ENCODE_COMPACT);
        r = berth_print_formatted(format, json, &err);
    }
    object_clear(&info_object, &info);
    return r < 0 ? berth_failed(&err, STATUS_FAILED) : 0;
}
