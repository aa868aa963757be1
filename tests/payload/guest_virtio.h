#ifndef TESTS_PAYLOAD_GUEST_VIRTIO_H
#define TESTS_PAYLOAD_GUEST_VIRTIO_H

#include "tests/payload/guest.h"

/* A driver's part that all virtio devices share: of the device whose registers are at `window`. */

#define WINDOWS     0xd0000000ULL
#define WINDOW      0x1000ULL
#define DEVICES_MAX 19

/* Registers (virtio 1.2, 4.2.2). */
#define MAGIC           0x00
#define DEVICE_ID       0x08
#define OFFERED         0x10
#define OFFERED_SELECT  0x14
#define ACCEPTED        0x20
#define ACCEPTED_SELECT 0x24
#define QUEUE_SELECT    0x30
#define QUEUE_MAX       0x34
#define QUEUE_NUM       0x38
#define QUEUE_READY     0x44
#define QUEUE_NOTIFY    0x50
#define STATUS          0x70
#define QUEUE_DESC      0x80
#define QUEUE_AVAILABLE 0x90
#define QUEUE_USED      0xa0
#define CONFIG          0x100

#define STATUS_FEATURES 11 /* acknowledge, driver, features ok */
#define STATUS_RUNS     15
#define STATUS_BROKEN   0x40

#define NEXT     1
#define WRITE    2
#define INDIRECT 4

#define QUEUES     6
#define QUEUE_SIZE 16
#define WAIT       200000000u

enum { NET = 1, BLK = 2, CONSOLE = 3, RNG = 4, BALLOON = 5, FS = 26, PMEM = 27 };

struct descriptor {
    u64 address;
    u32 length;
    u16 flags;
    u16 next;
};

struct queue {
    struct descriptor descriptors[QUEUE_SIZE];
    volatile u16 available[2 + QUEUE_SIZE + 1];
    volatile u16 used[2 + 4 * QUEUE_SIZE + 1] __attribute__((aligned(4)));
    u16 seen;
} __attribute__((aligned(4096)));

extern u64 window;
extern struct queue queues[QUEUES];
extern u8 buffer[1 << 16];

u32 get(u32 offset);
void set(u32 offset, u32 value);
void set_address(u32 offset, u64 value);

void clear(void *bytes, u64 length);
void copy(void *to, const void *from, u64 length);
int is_same(const void *left, const void *right, u64 length);

/** Accepts all features; returns whether the device agrees. */
int begin(void);
void set_queues(void);
/** Both, and lets the device run. */
int start_device(void);
void describe(u32 queue, u16 index, u64 address, u64 length, u16 flags, u16 next);
void offer(u32 queue, u16 head);
/** Waits for the next finished chain; its length, or -1. */
u64 wait(u32 queue);
/** One chain of bytes to read and room to write. */
u64 ask(u32 queue, u64 readable, u64 readable_length, u64 writable, u64 writable_length);
/** Whether the device soon says that its driver broke it. */
int gets_broken(void);
void verdict(const char *what, int is_right);

/** What the guest was entered with maps 4 GiB: adds the GiB of an address that is above. */
void map_memory(u64 address);

/** Calls @work for each device that there is a driver for. */
void each_device(void (*work)(u32 driver));
u32 driver_id(u32 driver);
/** Starts it and sees that it works. */
void use_device(u32 driver);

#endif
