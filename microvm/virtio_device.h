#ifndef MICROVM_VIRTIO_DEVICE_H
#define MICROVM_VIRTIO_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/event.h"
#include "microvm/machine_state.h"
#include "microvm/virtqueue.h"

/* What all virtio devices have in common, whatever the bus that the driver reaches them by.
 *
 * A device does its work in the I/O thread: when the driver notified one of its queues, or when one
 * of its descriptors is ready. The virtual CPUs only change its registers, which includes a reset.
 * Every function below and all of a device's own run with the device locked, so that a reset finds
 * no work under way. The device may not trust a byte of what it finds in its queues; when a queue
 * is broken the device stops until the driver resets it, and nobody else notices. */

#define VIRTIO_QUEUES_MAX  6
#define VIRTIO_STREAMS_MAX 2
#define VIRTIO_CONFIG_MAX  64
/* Chains that are served before other queues have their turn. */
#define VIRTIO_BATCH VIRTQUEUE_SIZE_MAX

struct virtio_device;

struct virtio_class {
    const char *name;
    uint32_t id; /* virtio 1.2, section 5 */
    /* The driver has set the device up: its queues work. May be NULL. */
    void (*activate)(struct virtio_device *device);
    /* Chains may wait in @queue. */
    void (*notify)(struct virtio_device *device, unsigned queue);
    /* A descriptor is ready for what it is watched for, or was hung up. */
    void (*io)(struct virtio_device *device, unsigned stream, uint32_t events);
    /* Forgets everything of the driver's; makes no system call. May be NULL. */
    void (*reset)(struct virtio_device *device);
    /* Before save(): brings what is on its way to another process to its end, but begins nothing.
     * May be NULL. -EBUSY: it takes too long. */
    int (*settle)(struct virtio_device *device, struct error *err);
    /* Puts what the device knows besides its queues, or takes it into a device that was just made,
     * and set up if the saved one was. Both may be NULL. -EBUSY: it is in the middle of something
     * that only its other side knows. */
    int (*save)(const struct virtio_device *device, struct state_writer *writer, struct error *err);
    int (*restore)(struct virtio_device *device, struct state_reader *reader, struct error *err);
    /* The configuration of a saved device may be another one: it is not compared. */
    bool has_own_config;
    void (*free)(struct virtio_device *device);
};

/* What a device asks of its transport. */
enum virtio_signal {
    VIRTIO_SIGNAL_QUEUE,  /* interrupt: chains are finished */
    VIRTIO_SIGNAL_CONFIG, /* interrupt: the configuration has changed */
    VIRTIO_SIGNAL_BROKEN, /* interrupt: the device needs a reset */
    VIRTIO_SIGNAL_AGAIN,  /* call notify() for @queue later */
};

struct virtio_transport {
    void (*signal)(struct virtio_transport *transport, enum virtio_signal signal, unsigned queue);
};

/* A descriptor of a device in the loop of the I/O thread. */
struct virtio_stream {
    struct virtio_device *device;
    struct event_source *source; /* NULL in tests that call virtio_device_io() themselves */
    int fd;                      /* borrowed */
    uint32_t wanted;             /* epoll events that the device waits for */
    bool is_armed;
};

/* The first member of each device. */
struct virtio_device {
    const struct virtio_class *virtio_class;
    struct virtio_transport *transport;
    pthread_mutex_t lock;
    uint64_t offered;  /* features, without those of the ring and the version */
    uint64_t features; /* what the driver accepted of all */
    uint8_t config[VIRTIO_CONFIG_MAX];
    size_t config_length;
    size_t config_writable; /* where the driver may write, and how much */
    size_t config_writable_length;
    struct virtqueue queues[VIRTIO_QUEUES_MAX];
    unsigned queue_count;
    struct virtio_stream streams[VIRTIO_STREAMS_MAX];
    unsigned stream_count;
    bool is_active; /* set up, and not broken since */
};

/* --- for devices ---------------------------------------------------------------------------- */

/** Fills in the common part of a device that is all zero. */
void virtio_device_init(struct virtio_device *device, const struct virtio_class *virtio_class,
                        uint64_t offered, unsigned queue_count);
/** Sets the configuration's first bytes. */
void virtio_device_set_config(struct virtio_device *device, const void *config, size_t length);
/** Adds a descriptor (borrowed); it is not watched yet. */
void virtio_device_add_stream(struct virtio_device *device, int fd);

bool virtio_device_has(const struct virtio_device *device, unsigned feature);

/** Takes the next chain. False when there is none, or when the queue is broken: then the driver has
 * been told. */
bool virtio_device_next(struct virtio_device *device, unsigned queue,
                        struct virtqueue_chain *ret_chain);
/** Gives a chain back; call virtio_device_interrupt() once after the last one. */
void virtio_device_finish(struct virtio_device *device, unsigned queue, uint16_t head,
                          size_t written_bytes);
/** Interrupts the driver if it wants to know of what is finished. */
void virtio_device_interrupt(struct virtio_device *device, unsigned queue);
/**
 * Gives each chain that waits to @serve, which returns how many bytes it wrote, and finishes it.
 *
 * For devices that need nothing but the chain. Stops after so many chains that no other queue has
 * to wait for long, and goes on later.
 */
void virtio_device_serve(struct virtio_device *device, unsigned queue,
                         size_t (*serve)(struct virtio_device *device, unsigned queue,
                                         struct virtqueue_chain *chain));
/** Asks for another notify() of @queue, so that one queue does not keep the others waiting. */
void virtio_device_again(struct virtio_device *device, unsigned queue);
/** Stops the device until the driver resets it: the driver broke the rules. */
void virtio_device_break(struct virtio_device *device);

/** Sets the epoll events that a stream is watched for; 0 pauses it. */
void virtio_device_watch(struct virtio_device *device, unsigned stream, uint32_t events);
/** Adds or removes events to those a stream is watched for. */
void virtio_device_watch_more(struct virtio_device *device, unsigned stream, uint32_t events);
void virtio_device_watch_less(struct virtio_device *device, unsigned stream, uint32_t events);

/* --- for transports ------------------------------------------------------------------------- */

/** All features that the device offers. */
uint64_t virtio_device_offers(const struct virtio_device *device);
/** Registers the device's descriptors with the loop of the I/O thread. */
int virtio_device_join(struct virtio_device *device, struct event_loop *loop, struct error *err);
/** Begins to use the queues; a layout of size 0 is one that the driver has no use for. When one is
 * set up wrongly the device is broken. */
void virtio_device_activate(struct virtio_device *device, const struct guest_memory *memory,
                            const struct virtqueue_layout *layouts);
void virtio_device_reset(struct virtio_device *device);
/** Frees the device. Leaves its descriptors open, and must come before the loop's end. */
void virtio_device_free(struct virtio_device *device);
DEFINE_AUTO(virtio_device)

/** A stream is ready; locks the device. */
void virtio_device_io(struct virtio_device *device, unsigned stream, uint32_t events);

#endif
