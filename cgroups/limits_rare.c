#include "cgroups/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cgroups/cgroup_system.h"

/* Plans for block I/O, huge pages, network and RDMA. */

static int check_device(const char *member, int64_t major, int64_t minor, struct error *err)
{
    if (major < 0 || major > UINT32_MAX || minor < 0 || minor > UINT32_MAX)
        return error_set(err, EINVAL, "blockIO.%s: %" PRId64 ":%" PRId64 " is no device number",
                         member, major, minor);
    return 0;
}

static int check_weight(const char *member, unsigned weight, struct error *err)
{
    if (weight != 0 && (weight < 10 || weight > 1000))
        return error_set(err, EINVAL, "blockIO.%s: %u is not from 10 to 1000", member, weight);
    return 0;
}

unsigned limits_io_weight(unsigned weight)
{
    return 1 + (weight - 10) * 9999 / 990;
}

/* A weight has a file of the scheduler BFQ, in the specification's own unit, and on v2 one of the
 * cost model, on v1 before Linux 5.0 one of the scheduler CFQ. Which of them acts is decided by
 * device, and may change later, so both get it (block/bfq-iosched.rst; cgroup-v2.rst, "IO"). */
static void add_weights(struct limits_plan *plan, unsigned bfq_weight, unsigned other_weight)
{
    bool is_v1 = limits_is_v1(plan, CGROUP_BLOCK_IO);

    limits_add(plan, CGROUP_BLOCK_IO, is_v1 ? "blkio.bfq.weight" : "io.bfq.weight", "%u",
               bfq_weight);
    limits_add(plan, CGROUP_BLOCK_IO, is_v1 ? "blkio.weight" : "io.weight", "%u", other_weight)
        ->is_alternative = true;
}

static int plan_weight(struct limits_plan *plan, const struct cgroup_block_io *io,
                       struct error *err)
{
    bool is_v1 = limits_is_v1(plan, CGROUP_BLOCK_IO);
    unsigned weight = io->has_weight ? io->weight : 0;
    int r;

    r = check_weight("weight", weight, err);
    if (r < 0)
        return r;
    if (weight != 0)
        add_weights(plan, weight, is_v1 ? weight : limits_io_weight(weight));
    else if (io->is_weight_released)
        add_weights(plan, LIMITS_BFQ_WEIGHT, is_v1 ? LIMITS_CFQ_WEIGHT : LIMITS_COST_WEIGHT);
    return 0;
}

static int plan_leaf_weight(struct limits_plan *plan, unsigned weight, struct error *err)
{
    int r = check_weight("leafWeight", weight, err);

    if (r < 0 || weight == 0)
        return r;
    if (!limits_is_v1(plan, CGROUP_BLOCK_IO))
        return error_set(err, EOPNOTSUPP, "blockIO.leafWeight: exists on cgroup v1 only");
    limits_add(plan, CGROUP_BLOCK_IO, "blkio.leaf_weight", "%u", weight);
    return 0;
}

static void add_device_weights(struct limits_plan *plan, const struct cgroup_weight_device *device,
                               unsigned bfq_weight, const char *other_weight)
{
    bool is_v1 = limits_is_v1(plan, CGROUP_BLOCK_IO);

    limits_add(plan, CGROUP_BLOCK_IO, is_v1 ? "blkio.bfq.weight_device" : "io.bfq.weight",
               "%" PRId64 ":%" PRId64 " %u", device->major, device->minor, bfq_weight);
    limits_add(plan, CGROUP_BLOCK_IO, is_v1 ? "blkio.weight_device" : "io.weight",
               "%" PRId64 ":%" PRId64 " %s", device->major, device->minor, other_weight)
        ->is_alternative = true;
}

/* BFQ takes "default" as well, but goes on with the device's own weight then: it looks at the
 * entity's present one (bfq-cgroup.c, bfq_io_set_device_weight()). So it gets the group's. */
static void add_weight_device(struct limits_plan *plan, const struct cgroup_weight_device *device)
{
    unsigned weight = device->has_weight ? device->weight : 0;
    auto_free char *other = xasprintf("%u", weight == 0 || limits_is_v1(plan, CGROUP_BLOCK_IO)
                                                ? weight
                                                : limits_io_weight(weight));

    if (weight != 0)
        add_device_weights(plan, device, weight, other);
    else if (device->released_weight != 0)
        add_device_weights(plan, device, device->released_weight, "default");
}

static int plan_weight_device(struct limits_plan *plan, const struct cgroup_weight_device *device,
                              struct error *err)
{
    unsigned weight = device->has_weight ? device->weight : 0;
    unsigned leaf_weight = device->has_leaf_weight ? device->leaf_weight : 0;
    int r;

    r = check_device("weightDevice", device->major, device->minor, err);
    if (r == 0)
        r = check_weight("weightDevice.weight", weight, err);
    if (r == 0)
        r = check_weight("weightDevice.leafWeight", leaf_weight, err);
    if (r < 0)
        return r;
    add_weight_device(plan, device);
    if (leaf_weight == 0)
        return 0;
    if (!limits_is_v1(plan, CGROUP_BLOCK_IO))
        return error_set(err, EOPNOTSUPP,
                         "blockIO.weightDevice.leafWeight: exists on cgroup v1 only");
    limits_add(plan, CGROUP_BLOCK_IO, "blkio.leaf_weight_device", "%" PRId64 ":%" PRId64 " %u",
               device->major, device->minor, leaf_weight);
    return 0;
}

static int plan_throttle(struct limits_plan *plan, const struct cgroup_throttle_devices *devices,
                         const char *member, const char *v1_file, const char *v2_key,
                         struct error *err)
{
    for (size_t i = 0; i < devices->count; i++) {
        const struct cgroup_throttle_device *device = &devices->items[i];
        int r = check_device(member, device->major, device->minor, err);

        if (r < 0)
            return r;
        if (limits_is_v1(plan, CGROUP_BLOCK_IO))
            limits_add(plan, CGROUP_BLOCK_IO, v1_file, "%" PRId64 ":%" PRId64 " %" PRIu64,
                       device->major, device->minor, device->rate);
        else if (device->rate == 0) /* as on v1: no limit any more */
            limits_add(plan, CGROUP_BLOCK_IO, "io.max", "%" PRId64 ":%" PRId64 " %s=max",
                       device->major, device->minor, v2_key);
        else
            limits_add(plan, CGROUP_BLOCK_IO, "io.max", "%" PRId64 ":%" PRId64 " %s=%" PRIu64,
                       device->major, device->minor, v2_key, device->rate);
    }
    return 0;
}

int limits_plan_block_io(struct limits_plan *plan, struct error *err)
{
    const struct cgroup_block_io *io = &plan->resources->block_io;
    const struct {
        const struct cgroup_throttle_devices *devices;
        const char *member, *v1_file, *v2_key;
    } throttles[] = {
        { &io->read_bps, "throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps" },
        { &io->write_bps, "throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps" },
        { &io->read_iops, "throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops" },
        { &io->write_iops, "throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops" },
    };
    int r;

    r = plan_weight(plan, io, err);
    if (r == 0)
        r = plan_leaf_weight(plan, io->has_leaf_weight ? io->leaf_weight : 0, err);
    for (size_t i = 0; r == 0 && i < io->weight_devices.count; i++)
        r = plan_weight_device(plan, &io->weight_devices.items[i], err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(throttles); i++)
        r = plan_throttle(plan, throttles[i].devices, throttles[i].member, throttles[i].v1_file,
                          throttles[i].v2_key, err);
    return r;
}

/* "2MB", "1GB", "64KB" */
static bool is_page_size(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits > 0 && digits < 8 && strchr("KMG", text[digits]) != NULL &&
           text_equal(text + digits + 1, "B");
}

int limits_plan_hugepages(struct limits_plan *plan, struct error *err)
{
    const struct cgroup_hugepages *limits = &plan->resources->hugepage_limits;
    const char *suffix = limits_is_v1(plan, CGROUP_HUGETLB) ? "limit_in_bytes" : "max";

    for (size_t i = 0; i < limits->count; i++) {
        const char *size = limits->items[i].page_size;
        auto_free char *file = NULL;
        auto_free char *reserved_file = NULL;

        if (size == NULL || !is_page_size(size))
            return error_set(err, EINVAL,
                             "hugepageLimits[%zu].pageSize: '%s' is not a size such as 2MB", i,
                             size != NULL ? size : "");
        file = xasprintf("hugetlb.%s.%s", size, suffix);
        limits_add(plan, CGROUP_HUGETLB, file, "%" PRIu64, limits->items[i].limit);
        /* Reservations too, or a process could be killed for pages that mmap(2) promised it. */
        reserved_file = xasprintf("hugetlb.%s.rsvd.%s", size, suffix);
        limits_add(plan, CGROUP_HUGETLB, reserved_file, "%" PRIu64, limits->items[i].limit)
            ->is_optional = true;
    }
    return 0;
}

/* One word for a line of a cgroup file. */
static bool is_word(const char *text)
{
    if (text_is_empty(text))
        return false;
    for (; *text != '\0'; text++)
        if ((unsigned char)*text <= ' ' || *text == 127)
            return false;
    return true;
}

int limits_plan_network(struct limits_plan *plan, struct error *err)
{
    const struct cgroup_network *network = &plan->resources->network;

    if (network->has_class_id && network->class_id != 0) {
        if (!limits_is_v1(plan, CGROUP_NET_CLASS))
            return error_set(err, EOPNOTSUPP,
                             "network.classID: needs the controller net_cls of "
                             "cgroup v1, which is not mounted");
        limits_add(plan, CGROUP_NET_CLASS, "net_cls.classid", "%" PRIu32, network->class_id);
    }
    for (size_t i = 0; i < network->priorities.count; i++) {
        const struct cgroup_priority *priority = &network->priorities.items[i];

        if (!limits_is_v1(plan, CGROUP_NET_PRIORITY))
            return error_set(err, EOPNOTSUPP,
                             "network.priorities: needs the controller net_prio "
                             "of cgroup v1, which is not mounted");
        if (!is_word(priority->name))
            return error_set(err, EINVAL, "network.priorities[%zu].name: is no interface name", i);
        limits_add(plan, CGROUP_NET_PRIORITY, "net_prio.ifpriomap", "%s %" PRIu32, priority->name,
                   priority->priority);
    }
    return 0;
}

int limits_plan_rdma(struct limits_plan *plan, struct error *err)
{
    const struct cgroup_rdmas *rdma = &plan->resources->rdma;

    for (size_t i = 0; i < rdma->count; i++) {
        const struct cgroup_rdma *device = &rdma->items[i];
        AUTO_CLEAR(text) struct text line = { 0 };

        if (!is_word(device->key))
            return error_set(err, EINVAL, "rdma: '%s' is no device name",
                             device->key != NULL ? device->key : "");
        text_add(&line, device->key);
        if (device->has_hca_handles)
            text_addf(&line, " hca_handle=%" PRIu32, device->hca_handles);
        if (device->has_hca_objects)
            text_addf(&line, " hca_object=%" PRIu32, device->hca_objects);
        if (device->has_hca_handles || device->has_hca_objects)
            limits_add(plan, CGROUP_RDMA, "rdma.max", "%s", line.data);
    }
    return 0;
}
