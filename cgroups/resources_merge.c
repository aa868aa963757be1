#include <assert.h>
#include <stdlib.h>

#include "cgroups/cgroups.h"

/* What an update of limits makes of those that were there. */

#define MERGE(into_, from_, member_)                                                               \
    do {                                                                                           \
        if ((from_)->has_##member_) {                                                              \
            (into_)->has_##member_ = true;                                                         \
            (into_)->member_ = (from_)->member_;                                                   \
        }                                                                                          \
    } while (0)

static void merge_memory(struct cgroup_memory *into, const struct cgroup_memory *from)
{
    MERGE(into, from, limit);
    MERGE(into, from, reservation);
    MERGE(into, from, swap);
    MERGE(into, from, kernel);
    MERGE(into, from, kernel_tcp);
    MERGE(into, from, swappiness);
    MERGE(into, from, disable_oom_killer);
    MERGE(into, from, use_hierarchy);
    MERGE(into, from, check_before_update);
}

static void merge_text(char **into, char **from)
{
    if (text_is_empty(*from))
        return;
    free(*into);
    *into = take_ptr(from);
}

static void merge_cpu(struct cgroup_cpu *into, struct cgroup_cpu *from)
{
    MERGE(into, from, shares);
    MERGE(into, from, quota);
    MERGE(into, from, burst);
    MERGE(into, from, period);
    MERGE(into, from, realtime_runtime);
    MERGE(into, from, realtime_period);
    MERGE(into, from, idle);
    merge_text(&into->cpus, &from->cpus);
    merge_text(&into->mems, &from->mems);
}

static void merge_weights(struct cgroup_weight_devices *into,
                          const struct cgroup_weight_devices *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct cgroup_weight_device *device = &from->items[i];
        size_t at = 0;

        while (at < into->count &&
               (into->items[at].major != device->major || into->items[at].minor != device->minor))
            at++;
        if (at == into->count) {
            into->items = xrealloc(into->items, into->count + 1, sizeof(*into->items));
            into->items[into->count++] = *device;
        }
        MERGE(&into->items[at], device, weight);
        MERGE(&into->items[at], device, leaf_weight);
    }
}

static void merge_throttles(struct cgroup_throttle_devices *into,
                            const struct cgroup_throttle_devices *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct cgroup_throttle_device *device = &from->items[i];
        size_t at = 0;

        while (at < into->count &&
               (into->items[at].major != device->major || into->items[at].minor != device->minor))
            at++;
        if (at == into->count)
            into->items = xrealloc(into->items, ++into->count, sizeof(*into->items));
        into->items[at] = *device;
    }
}

static void merge_block_io(struct cgroup_block_io *into, const struct cgroup_block_io *from)
{
    MERGE(into, from, weight);
    MERGE(into, from, leaf_weight);
    merge_weights(&into->weight_devices, &from->weight_devices);
    merge_throttles(&into->read_bps, &from->read_bps);
    merge_throttles(&into->write_bps, &from->write_bps);
    merge_throttles(&into->read_iops, &from->read_iops);
    merge_throttles(&into->write_iops, &from->write_iops);
}

static void merge_hugepages(struct cgroup_hugepages *into, struct cgroup_hugepages *from)
{
    for (size_t i = 0; i < from->count; i++) {
        size_t at = 0;

        while (at < into->count && !text_equal(into->items[at].page_size, from->items[i].page_size))
            at++;
        if (at == into->count) {
            into->items = xrealloc(into->items, into->count + 1, sizeof(*into->items));
            into->items[into->count++] =
                (struct cgroup_hugepage){ .page_size = take_ptr(&from->items[i].page_size) };
        }
        into->items[at].limit = from->items[i].limit;
    }
}

static void merge_network(struct cgroup_network *into, struct cgroup_network *from)
{
    MERGE(into, from, class_id);
    for (size_t i = 0; i < from->priorities.count; i++) {
        struct cgroup_priority *priority = &from->priorities.items[i];
        struct cgroup_priorities *list = &into->priorities;
        size_t at = 0;

        while (at < list->count && !text_equal(list->items[at].name, priority->name))
            at++;
        if (at == list->count) {
            list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
            list->items[list->count++] =
                (struct cgroup_priority){ .name = take_ptr(&priority->name) };
        }
        list->items[at].priority = priority->priority;
    }
}

static void merge_rdma(struct cgroup_rdmas *into, struct cgroup_rdmas *from)
{
    for (size_t i = 0; i < from->count; i++) {
        struct cgroup_rdma *device = &from->items[i];
        size_t at = 0;

        while (at < into->count && !text_equal(into->items[at].key, device->key))
            at++;
        if (at == into->count) {
            into->items = xrealloc(into->items, into->count + 1, sizeof(*into->items));
            into->items[into->count++] = (struct cgroup_rdma){ .key = take_ptr(&device->key) };
        }
        MERGE(&into->items[at], device, hca_handles);
        MERGE(&into->items[at], device, hca_objects);
    }
}

void cgroup_resources_merge(struct cgroup_resources *into, struct cgroup_resources *from)
{
    assert(into != NULL);
    assert(from != NULL);

    if (from->devices.count > 0) {
        struct cgroup_device_rules earlier = into->devices;

        into->devices = from->devices;
        from->devices = earlier; /* freed with what was given */
    }
    merge_memory(&into->memory, &from->memory);
    merge_cpu(&into->cpu, &from->cpu);
    MERGE(&into->pids, &from->pids, limit);
    merge_block_io(&into->block_io, &from->block_io);
    merge_hugepages(&into->hugepage_limits, &from->hugepage_limits);
    merge_network(&into->network, &from->network);
    merge_rdma(&into->rdma, &from->rdma);
    for (size_t i = 0; i < from->unified.count; i++)
        string_map_set(&into->unified, from->unified.items[i].key, from->unified.items[i].value);
}
