#include "cli/template_members.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/auto.h"

static const struct {
    const char *name;
    enum template_kind kind;
    const char *beside;
} members[] = {
    { "Aliases", TEMPLATE_LIST, NULL },
    { "Annotations", TEMPLATE_MAP, "Binds" },
    { "Args", TEMPLATE_LIST, NULL },
    { "Binds", TEMPLATE_LIST, NULL },
    { "CapAdd", TEMPLATE_LIST, NULL },
    { "CapDrop", TEMPLATE_LIST, NULL },
    { "Cmd", TEMPLATE_LIST, NULL },
    { "Data", TEMPLATE_MAP, NULL },
    { "DeviceCgroupRules", TEMPLATE_LIST, NULL },
    { "DeviceRequests", TEMPLATE_LIST, NULL },
    { "Driver", TEMPLATE_TEXT, "Destination" },
    { "DriverOpts", TEMPLATE_MAP, NULL },
    { "Entrypoint", TEMPLATE_LIST, NULL },
    { "Env", TEMPLATE_LIST, NULL },
    { "ExecIDs", TEMPLATE_LIST, NULL },
    { "ExposedPorts", TEMPLATE_MAP, "Entrypoint" },
    { "ExtraHosts", TEMPLATE_LIST, NULL },
    { "GroupAdd", TEMPLATE_LIST, NULL },
    { "Health", TEMPLATE_POINTER, "Pid" },
    { "Healthcheck", TEMPLATE_POINTER, "Entrypoint" },
    { "IPAMConfig", TEMPLATE_POINTER, "EndpointID" },
    { "Init", TEMPLATE_POINTER, NULL },
    { "Labels", TEMPLATE_MAP, NULL },
    { "Links", TEMPLATE_LIST, NULL },
    { "MemorySwappiness", TEMPLATE_POINTER, NULL },
    { "Mounts", TEMPLATE_LIST, "Binds" },
    { "Name", TEMPLATE_TEXT, "Destination" },
    { "Networks", TEMPLATE_MAP, NULL },
    { "OnBuild", TEMPLATE_LIST, NULL },
    { "OomKillDisable", TEMPLATE_POINTER, NULL },
    { "Options", TEMPLATE_MAP, NULL },
    { "PidsLimit", TEMPLATE_POINTER, NULL },
    { "PortBindings", TEMPLATE_MAP, NULL },
    { "Ports", TEMPLATE_MAP, NULL },
    { "RepoDigests", TEMPLATE_LIST, NULL },
    { "RepoTags", TEMPLATE_LIST, NULL },
    { "SecurityOpt", TEMPLATE_LIST, NULL },
    { "Shell", TEMPLATE_LIST, "Entrypoint" },
    { "SizeRootFs", TEMPLATE_POINTER, "GraphDriver" },
    { "SizeRw", TEMPLATE_POINTER, "GraphDriver" },
    { "StopSignal", TEMPLATE_TEXT, "Entrypoint" },
    { "StopTimeout", TEMPLATE_POINTER, "Entrypoint" },
    { "StorageOpt", TEMPLATE_MAP, "Binds" },
    { "Sysctls", TEMPLATE_MAP, "Binds" },
    { "Tmpfs", TEMPLATE_MAP, NULL },
    { "Ulimits", TEMPLATE_LIST, NULL },
    { "Volumes", TEMPLATE_MAP, NULL },
    { "VolumesFrom", TEMPLATE_LIST, NULL },
};

static size_t find(const char *name)
{
    size_t i = 0;

    assert(name != NULL);

    while (i < ARRAY_SIZE(members) && strcmp(members[i].name, name) != 0)
        i++;
    return i;
}

enum template_kind template_member_kind(const char *name)
{
    size_t i = find(name);

    return i < ARRAY_SIZE(members) ? members[i].kind : TEMPLATE_UNKNOWN;
}

const char *template_member_beside(const char *name)
{
    size_t i = find(name);

    return i < ARRAY_SIZE(members) ? members[i].beside : NULL;
}

const char *template_member_key(const char *name)
{
    static const struct {
        const char *name, *key;
    } fields[] = {
        { "CPUCfsPeriod", "CpuCfsPeriod" },
        { "CPUCfsQuota", "CpuCfsQuota" },
        { "CPUPeriod", "CpuPeriod" },
        { "CPUQuota", "CpuQuota" },
        { "CPURealtimePeriod", "CpuRealtimePeriod" },
        { "CPURealtimeRuntime", "CpuRealtimeRuntime" },
        { "CPUShares", "CpuShares" },
        { "HTTPProxy", "HttpProxy" },
        { "HTTPSProxy", "HttpsProxy" },
        { "ID", "Id" },
        { "NanoCPUs", "NanoCpus" },
        { "Path", "path" },
    };

    assert(name != NULL);

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (strcmp(fields[i].name, name) == 0)
            return fields[i].key;
    return NULL;
}

const char *template_null_text(enum template_kind kind)
{
    static const char *const texts[] = {
        [TEMPLATE_UNKNOWN] = "<no value>", [TEMPLATE_TEXT] = "",         [TEMPLATE_LIST] = "[]",
        [TEMPLATE_MAP] = "map[]",          [TEMPLATE_POINTER] = "<nil>",
    };

    return texts[kind];
}
