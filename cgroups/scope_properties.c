#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/limits.h"
#include "cgroups/scope.h"

/* What of linux.resources systemd can be told. Everything is also written into the files, and what
 * this systemd does not know is left out, so this need not be complete: it is to keep systemd from
 * writing other values later. */

#define CPU_PERIOD_US  100000 /* the kernel's default */
#define CPU_NUMBER_MAX 8191   /* CPUs and memory nodes; more than any kernel is built for */

struct scope_property *scope_properties_add(struct scope_properties *properties, const char *name,
                                            const char *signature)
{
    struct scope_property *property;

    properties->items =
        xrealloc(properties->items, properties->count + 1, sizeof(*properties->items));
    property = &properties->items[properties->count++];
    *property = (struct scope_property){ .name = xstrdup(name), .signature = xstrdup(signature) };
    return property;
}

static void add_text(struct scope_properties *properties, const char *name, const char *text)
{
    strings_add(&scope_properties_add(properties, name, "s")->values, text);
}

static void add_number(struct scope_properties *properties, const char *name, uint64_t value)
{
    struct scope_property *property = scope_properties_add(properties, name, "t");

    property->is_optional = true;
    strings_addf(&property->values, "%" PRIu64, value);
}

/* What is negative is unlimited, for systemd the largest number. */
static void add_limit(struct scope_properties *properties, const char *name, int64_t value)
{
    add_number(properties, name, value < 0 ? UINT64_MAX : (uint64_t)value);
}

static void add_memory(struct scope_properties *properties, const struct cgroup_memory *memory,
                       bool is_v2)
{
    if (memory->has_limit && memory->limit != 0)
        add_limit(properties, is_v2 ? "MemoryMax" : "MemoryLimit", memory->limit);
    if (!is_v2)
        return;
    if (memory->has_reservation && memory->reservation != 0)
        add_limit(properties, "MemoryLow", memory->reservation);
    if (!memory->has_swap || memory->swap == 0) {
        if (memory->has_limit && memory->limit < 0)
            add_limit(properties, "MemorySwapMax", -1);
    } else if (memory->swap < 0) {
        add_limit(properties, "MemorySwapMax", -1);
    } else if (memory->has_limit && memory->limit > 0 && memory->swap >= memory->limit) {
        add_limit(properties, "MemorySwapMax", memory->swap - memory->limit);
    }
}

/* systemd keeps whole percents only and rounds down, so ours are rounded up: the file has the exact
 * value, which the cgroups above must not be stricter than. */
static void add_quota(struct scope_properties *properties, int64_t quota_us, uint64_t period_us)
{
    uint64_t per_second_us = UINT64_MAX;

    if (period_us != 0)
        add_number(properties, "CPUQuotaPeriodUSec", period_us);
    if (quota_us == 0 && period_us == 0)
        return;
    if (quota_us > 0) {
        if (period_us == 0)
            period_us = CPU_PERIOD_US;
        per_second_us = (uint64_t)((unsigned __int128)quota_us * 1000000 / period_us);
        per_second_us = (per_second_us + 9999) / 10000 * 10000;
    }
    add_number(properties, "CPUQuotaPerSecUSec", per_second_us);
}

/* "0-2,7" becomes the bytes 0x87: bit n for number n, as many bytes as are needed. */
static int add_set(struct scope_properties *properties, const char *name, const char *list,
                   struct error *err)
{
    unsigned char bytes[(CPU_NUMBER_MAX + 8) / 8] = { 0 };
    AUTO_CLEAR(strings) struct strings ranges = { 0 };
    struct scope_property *property;
    size_t length = 0;

    strings_split(&ranges, list, ',');
    for (size_t i = 0; i < ranges.count; i++) {
        const char *dash = strchr(ranges.items[i], '-');
        auto_free char *low = dash != NULL
                                  ? xstrndup(ranges.items[i], (size_t)(dash - ranges.items[i]))
                                  : xstrdup(ranges.items[i]);
        uint64_t first = 0, last = 0;
        int r = text_parse_u64(low, name, CPU_NUMBER_MAX, &first, err);

        last = first;
        if (r == 0 && dash != NULL)
            r = text_parse_u64(dash + 1, name, CPU_NUMBER_MAX, &last, err);
        if (r < 0)
            return r;
        if (last < first)
            return error_set(err, EINVAL, "%s: '%s' is no range", name, ranges.items[i]);
        for (uint64_t j = first; j <= last; j++)
            bytes[j / 8] |= (unsigned char)(1U << (j % 8));
        if (last / 8 + 1 > length)
            length = last / 8 + 1;
    }
    property = scope_properties_add(properties, name, "ay");
    property->is_optional = true;
    for (size_t i = 0; i < length; i++)
        strings_addf(&property->values, "%u", bytes[i]);
    return 0;
}

static int add_cpu(struct scope_properties *properties, const struct cgroup_cpu *cpu, bool is_v2,
                   struct error *err)
{
    int r = 0;

    if (is_v2 && cpu->has_idle && cpu->idle == 1)
        add_number(properties, "CPUWeight", 0); /* systemd's way to say cpu.idle */
    else if (cpu->has_shares && cpu->shares != 0)
        add_number(properties, is_v2 ? "CPUWeight" : "CPUShares",
                   is_v2 ? limits_cpu_weight(cpu->shares) : cpu->shares);
    add_quota(properties, cpu->has_quota ? cpu->quota : 0, cpu->has_period ? cpu->period : 0);
    if (is_v2 && !text_is_empty(cpu->cpus))
        r = add_set(properties, "AllowedCPUs", cpu->cpus, err);
    if (r == 0 && is_v2 && !text_is_empty(cpu->mems))
        r = add_set(properties, "AllowedMemoryNodes", cpu->mems, err);
    return r;
}

/* --- devices -------------------------------------------------------------------------------- */

static bool is_any(bool has_number, int64_t number)
{
    return !has_number || number < 0;
}

static bool is_deny_all(const struct cgroup_device_rule *rule)
{
    return !rule->allow && (rule->type == NULL || text_equal(rule->type, "a"));
}

/* The name that systemd has for the devices of a rule, systemd.resource-control(5), "DeviceAllow=";
 * NULL: it has none. */
static char *device_name(const struct cgroup_device_rule *rule, const char *type)
{
    const char *kind = text_equal(type, "b") ? "block" : "char";

    if (!is_any(rule->has_major, rule->major) && !is_any(rule->has_minor, rule->minor))
        return xasprintf("/dev/%s/%" PRId64 ":%" PRId64, kind, rule->major, rule->minor);
    if (!is_any(rule->has_minor, rule->minor))
        return NULL;
    if (!is_any(rule->has_major, rule->major))
        return xasprintf("%s-%" PRId64, kind, rule->major);
    return xasprintf("%s-*", kind);
}

static bool add_device(struct strings *list, const struct cgroup_device_rule *rule)
{
    static const char *const both[] = { "b", "c", NULL };
    const char *const one[] = { rule->type, NULL };
    const char *const *types = rule->type == NULL || text_equal(rule->type, "a") ? both : one;

    for (; *types != NULL; types++) {
        char *name = device_name(rule, *types);

        if (name == NULL)
            return false;
        strings_take(list, name);
        strings_add(list, text_is_empty(rule->access) ? "rwm" : rule->access);
    }
    return true;
}

/* systemd knows allow lists only. Other rules are left to berth's own filter alone: systemd's would
 * have to allow at least as much. */
static void add_devices(struct scope_properties *properties,
                        const struct cgroup_device_rules *rules)
{
    AUTO_CLEAR(strings) struct strings list = { 0 };
    bool is_strict = false;

    if (rules->count == 0)
        return;
    for (size_t i = 0; i < rules->count; i++) {
        const struct cgroup_device_rule *rule = &rules->items[i];

        if (is_deny_all(rule)) {
            is_strict = true;
            strings_clear(&list);
        } else if (!rule->allow || !add_device(&list, rule)) {
            is_strict = false;
            break;
        }
    }
    if (!is_strict)
        strings_clear(&list);
    add_text(properties, "DevicePolicy", is_strict ? "strict" : "auto");
    /* An empty list takes earlier entries away; more are added to what is there. */
    scope_properties_add(properties, "DeviceAllow", "a(ss)");
    if (list.count > 0)
        strings_add_all(&scope_properties_add(properties, "DeviceAllow", "a(ss)")->values, &list);
}

/* --- unified -------------------------------------------------------------------------------- */

/* What does not read as systemd would write it is left to the file. */
static void add_unified(struct scope_properties *properties, const struct string_map *unified)
{
    static const struct {
        const char *file, *property;
    } known[] = {
        { "cpu.weight", "CPUWeight" },   { "io.weight", "IOWeight" },
        { "memory.high", "MemoryHigh" }, { "memory.low", "MemoryLow" },
        { "memory.max", "MemoryMax" },   { "memory.min", "MemoryMin" },
        { "pids.max", "TasksMax" },      { "memory.swap.max", "MemorySwapMax" },
    };

    for (size_t i = 0; i < unified->count; i++) {
        const char *file = unified->items[i].key;
        const char *value = unified->items[i].value;
        uint64_t number = 0;

        if (text_equal(file, "cpuset.cpus"))
            (void)add_set(properties, "AllowedCPUs", value, NULL);
        else if (text_equal(file, "cpuset.mems"))
            (void)add_set(properties, "AllowedMemoryNodes", value, NULL);
        for (size_t j = 0; j < ARRAY_SIZE(known); j++) {
            if (!text_equal(file, known[j].file))
                continue;
            if (text_equal(value, "max"))
                add_limit(properties, known[j].property, -1);
            else if (text_parse_u64(value, file, UINT64_MAX, &number, NULL) == 0)
                add_number(properties, known[j].property, number);
        }
    }
}

static void add_io_weight(struct scope_properties *properties, const struct cgroup_block_io *io,
                          bool is_v2)
{
    const char *property = is_v2 ? "IOWeight" : "BlockIOWeight";

    if (io->has_weight && io->weight != 0)
        add_number(properties, property, is_v2 ? limits_io_weight(io->weight) : io->weight);
    else if (io->is_weight_released)
        add_number(properties, property, is_v2 ? LIMITS_COST_WEIGHT : LIMITS_CFQ_WEIGHT);
}

int scope_resources_plan(const struct cgroup_resources *resources, bool is_v2,
                         struct scope_properties *properties, struct error *err)
{
    int r;

    assert(properties != NULL);

    add_devices(properties, &resources->devices);
    add_memory(properties, &resources->memory, is_v2);
    r = add_cpu(properties, &resources->cpu, is_v2, err);
    if (r < 0)
        return error_prefix(err, r, "cpu");
    add_io_weight(properties, &resources->block_io, is_v2);
    if (resources->pids.has_limit && resources->pids.limit != 0)
        add_limit(properties, "TasksMax", resources->pids.limit);
    if (is_v2)
        add_unified(properties, &resources->unified);
    return 0;
}
