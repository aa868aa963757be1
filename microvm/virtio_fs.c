#include "microvm/virtio_fs.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"
#include "microvm/fuse_message.h"
#include "microvm/share_state.h"

/* A request goes to the server with a number of our own in place of the guest's, which says in
 * which slot its descriptors wait for the answer. So neither side can name a request that is not
 * under way: the guest may use one number twice, and an answer may come after the driver's reset.
 *
 * Both directions are streams of messages that begin with their length. What was begun has to be
 * carried to its end also when the driver resets the device in between: the rest of a request is
 * sent nevertheless, the rest of an answer is dropped. */

enum { QUEUE_PRIORITY, QUEUE_REQUEST, QUEUE_COUNT };

/* One for each entry of both queues, and one more, so that there always is a next one. */
#define SLOTS        (2 * VIRTQUEUE_SIZE_MAX + 1)
#define MESSAGE_MAX  ((1u << 20) + 4096) /* what the server takes: a piece of a file and headers */
#define ANSWER_BYTES sizeof(struct fuse_out_header)
/* For the server to answer what it got, when the machine stands to be saved. */
#define SETTLE_MS 10000

/* One request and the descriptors for its answer. */
struct slot {
    uint32_t turn; /* tells the request from earlier ones of the slot */
    unsigned queue;
    bool is_used;
    bool has_answer;
    bool is_forgotten;     /* the driver reset the device while it was being sent */
    uint64_t guest_unique; /* the guest's number of the request */
    size_t room;           /* for the answer, with its header */
    uint8_t *answer;       /* where the answer's header goes, in the guest */
    struct virtqueue_chain chain;
};

/* The request that is on its way to the server. */
struct sending {
    struct slot *slot; /* NULL: none */
    struct fuse_in_header header;
    size_t header_done;
};

/* The answer that is coming from the server. */
struct receiving {
    struct fuse_out_header header;
    size_t header_done;
    size_t body_left;
    struct slot *slot; /* NULL: the body is dropped */
};

struct virtio_fs {
    struct virtio_device device;
    int fd;
    bool is_dead; /* the server is gone, or broke the rules */
    bool is_used; /* the server knows files by numbers that it gave to the guest */
    char tag[VIRTIO_FS_TAG_MAX + 1];
    struct sending sending;
    struct receiving receiving;
    struct slot slots[SLOTS];
    uint16_t free_slots[SLOTS];
    size_t free_count;
};

/* --- slots ------------------------------------------------------------------------------------ */

static struct slot *next_slot(struct virtio_fs *fs)
{
    return fs->free_count == 0 ? NULL : &fs->slots[fs->free_slots[fs->free_count - 1]];
}

static void use_slot(struct virtio_fs *fs, struct slot *slot)
{
    assert(slot == next_slot(fs));

    fs->free_count--;
    slot->is_used = true;
    slot->is_forgotten = false;
    slot->turn++;
}

static void release_slot(struct virtio_fs *fs, struct slot *slot)
{
    assert(slot->is_used);

    slot->is_used = false;
    fs->free_slots[fs->free_count++] = (uint16_t)(slot - fs->slots);
}

/* Even, as odd numbers mean interrupts in some servers; never 0, which means no request. */
static uint64_t slot_unique(const struct virtio_fs *fs, const struct slot *slot)
{
    return (uint64_t)slot->turn << 16 | (uint64_t)(slot - fs->slots) << 1;
}

static struct slot *find_slot(struct virtio_fs *fs, uint64_t unique)
{
    size_t index = (unique & 0xffff) >> 1;
    struct slot *slot = index < SLOTS ? &fs->slots[index] : NULL;

    if (slot == NULL || !slot->is_used || slot->is_forgotten || !slot->has_answer ||
        slot_unique(fs, slot) != unique)
        return NULL;
    return slot;
}

/* Gives the descriptors back and frees the slot. */
static void finish(struct virtio_fs *fs, struct slot *slot, size_t written_bytes)
{
    if (!slot->is_forgotten)
        virtio_device_finish(&fs->device, slot->queue, slot->chain.head, written_bytes);
    release_slot(fs, slot);
}

/* @length  of the whole answer, whose body is there already */
static void finish_answer(struct virtio_fs *fs, struct slot *slot, size_t length, int error)
{
    const struct fuse_out_header header = { .len = (uint32_t)length,
                                            .error = error,
                                            .unique = slot->guest_unique };

    memcpy(slot->answer, &header, sizeof(header));
    finish(fs, slot, length);
}

/* An answer of our own. */
static void finish_error(struct virtio_fs *fs, struct slot *slot, int error)
{
    if (slot->has_answer && !slot->is_forgotten)
        finish_answer(fs, slot, ANSWER_BYTES, error);
    else
        finish(fs, slot, 0);
}

/* Nothing can be sent to the server, or expected from it, any more: ends what waits. */
static void give_up_server(struct virtio_fs *fs, const char *why)
{
    log_debug("virtio fs: %s", why);
    fs->is_dead = true;
    virtio_device_watch(&fs->device, 0, 0);
    fs->sending.slot = NULL;
    fs->receiving.slot = NULL;
    for (size_t i = 0; i < SLOTS; i++) {
        if (fs->slots[i].is_used)
            finish_error(fs, &fs->slots[i], -EIO);
    }
}

/* --- to the server ---------------------------------------------------------------------------- */

/* Sends what the socket takes of the request. False when some of it has to wait. */
static bool send_request(struct virtio_fs *fs)
{
    struct sending *sending = &fs->sending;
    struct guest_bytes *body = &sending->slot->chain.readable;
    struct iovec vector[1 + VIRTQUEUE_SIZE_MAX];
    struct msghdr message = { .msg_iov = vector };

    while (sending->header_done < sizeof(sending->header) || body->length > 0) {
        size_t header_left = sizeof(sending->header) - sending->header_done;
        ssize_t sent;

        vector[0].iov_base = (uint8_t *)&sending->header + sending->header_done;
        vector[0].iov_len = header_left;
        if (body->count > 0)
            memcpy(&vector[1], body->segments, body->count * sizeof(*vector));
        message.msg_iovlen = 1 + body->count;
        sent = sendmsg(fs->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            return false;
        if (sent < 0) {
            give_up_server(fs, "the server is gone");
            return true;
        }
        header_left = (size_t)sent < header_left ? (size_t)sent : header_left;
        sending->header_done += header_left;
        guest_bytes_skip(body, (size_t)sent - header_left);
    }
    if (!sending->slot->has_answer || sending->slot->is_forgotten)
        finish(fs, sending->slot, 0);
    sending->slot = NULL;
    return true;
}

static bool has_answer(uint32_t opcode)
{
    return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

/* Finds the room for the answer's header, which stands in one piece with all drivers. */
static bool find_answer(struct slot *slot)
{
    struct guest_bytes *room = &slot->chain.writable;

    slot->room = room->length;
    if (room->count == 0 || room->segments[0].iov_len < ANSWER_BYTES)
        return false;
    slot->answer = room->segments[0].iov_base;
    guest_bytes_skip(room, ANSWER_BYTES);
    return true;
}

/* Takes the next request from a queue: sends it, or answers it at once. False when there is none.
 */
static bool start_request(struct virtio_fs *fs, unsigned queue)
{
    struct fuse_in_header *header = &fs->sending.header;
    struct slot *slot = next_slot(fs);
    size_t length;

    /* The driver offered an entry again that it had not got back. */
    if (slot == NULL) {
        virtio_device_break(&fs->device);
        return false;
    }
    if (!virtio_device_next(&fs->device, queue, &slot->chain))
        return false;
    length = slot->chain.readable.length;
    if (!guest_bytes_take(&slot->chain.readable, header, sizeof(*header)) ||
        (has_answer(header->opcode) && !find_answer(slot))) {
        virtio_device_break(&fs->device);
        return false;
    }
    use_slot(fs, slot);
    slot->queue = queue;
    slot->has_answer = has_answer(header->opcode);
    slot->guest_unique = header->unique;
    /* It would name its request by the guest's number; Linux sends none over virtio. */
    if (fs->is_dead || header->opcode == FUSE_INTERRUPT) {
        finish_error(fs, slot, -EIO);
    } else if (header->opcode >= FUSE_STATE_FIRST && header->opcode <= FUSE_STATE_LAST) {
        finish_error(fs, slot, -ENOSYS); /* ours alone */
    } else if (header->len != length || length > MESSAGE_MAX) {
        finish_error(fs, slot, -EINVAL);
    } else {
        header->unique = slot_unique(fs, slot);
        fs->sending.header_done = 0;
        fs->sending.slot = slot;
        fs->is_used = true;
    }
    return true;
}

/* Sends requests as long as there are some and the socket takes them. */
static void serve_requests(struct virtio_fs *fs, unsigned queue)
{
    unsigned left = VIRTIO_BATCH;

    while (fs->sending.slot == NULL && left > 0 && start_request(fs, queue)) {
        left--;
        if (fs->sending.slot != NULL && !send_request(fs))
            virtio_device_watch_more(&fs->device, 0, EPOLLOUT);
    }
    if (left == 0)
        virtio_device_again(&fs->device, queue);
}

/* --- from the server -------------------------------------------------------------------------- */

/* The header of an answer is there: finds out where its body goes. */
static void begin_answer(struct virtio_fs *fs)
{
    struct receiving *receiving = &fs->receiving;
    struct slot *slot = find_slot(fs, receiving->header.unique);

    if (receiving->header.len < ANSWER_BYTES || receiving->header.len > MESSAGE_MAX ||
        (slot != NULL && slot == fs->sending.slot)) {
        give_up_server(fs, "the server sent a wrong answer");
        return;
    }
    receiving->body_left = receiving->header.len - ANSWER_BYTES;
    receiving->slot = slot;
    if (slot != NULL && receiving->header.len > slot->room) {
        finish_error(fs, slot, -EIO);
        receiving->slot = NULL;
    }
}

static void end_answer(struct virtio_fs *fs)
{
    struct receiving *receiving = &fs->receiving;

    if (receiving->slot != NULL)
        finish_answer(fs, receiving->slot, receiving->header.len, receiving->header.error);
    *receiving = (struct receiving){ 0 };
}

/* Receives to @vector. Returns how much, 0 when there is nothing now. */
static size_t receive_bytes(struct virtio_fs *fs, struct iovec *vector, size_t count)
{
    struct msghdr message = { .msg_iov = vector, .msg_iovlen = count };
    ssize_t received = recvmsg(fs->fd, &message, MSG_DONTWAIT);

    if (received == 0 || (received < 0 && errno != EAGAIN && errno != EINTR))
        give_up_server(fs, "the server is gone");
    return received <= 0 ? 0 : (size_t)received;
}

static size_t receive_header(struct virtio_fs *fs)
{
    struct receiving *receiving = &fs->receiving;
    struct iovec piece = { (uint8_t *)&receiving->header + receiving->header_done,
                           ANSWER_BYTES - receiving->header_done };
    size_t received = receive_bytes(fs, &piece, 1);

    receiving->header_done += received;
    if (received > 0 && receiving->header_done == ANSWER_BYTES)
        begin_answer(fs);
    return received;
}

static size_t receive_body(struct virtio_fs *fs)
{
    struct receiving *receiving = &fs->receiving;
    uint8_t dropped[4096];
    struct iovec piece = { dropped, sizeof(dropped) };
    size_t received;

    if (receiving->slot == NULL) {
        if (piece.iov_len > receiving->body_left)
            piece.iov_len = receiving->body_left;
        received = receive_bytes(fs, &piece, 1);
    } else {
        struct guest_bytes *room = &receiving->slot->chain.writable;

        guest_bytes_cut(room, receiving->body_left); /* what follows is the next answer */
        received = receive_bytes(fs, room->segments, room->count);
        if (received > 0)
            guest_bytes_skip(room, received);
    }
    receiving->body_left -= received;
    return received;
}

static void receive_answers(struct virtio_fs *fs)
{
    struct receiving *receiving = &fs->receiving;
    size_t received = 1;

    /* What is left over after so many is reported again. */
    for (unsigned left = 2 * VIRTIO_BATCH; left > 0 && received > 0 && !fs->is_dead; left--) {
        received = receiving->header_done < ANSWER_BYTES ? receive_header(fs) : receive_body(fs);
        if (!fs->is_dead && receiving->header_done == ANSWER_BYTES && receiving->body_left == 0)
            end_answer(fs);
    }
}

/* --- the device ------------------------------------------------------------------------------- */

static void interrupt(struct virtio_fs *fs)
{
    virtio_device_interrupt(&fs->device, QUEUE_PRIORITY);
    virtio_device_interrupt(&fs->device, QUEUE_REQUEST);
}

static void fs_activate(struct virtio_device *device)
{
    const struct virtio_fs *fs = (struct virtio_fs *)device;

    if (!fs->is_dead)
        virtio_device_watch(device, 0, EPOLLIN | (fs->sending.slot != NULL ? EPOLLOUT : 0));
}

static void fs_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_fs *fs = (struct virtio_fs *)device;

    serve_requests(fs, queue);
    interrupt(fs);
}

static void fs_io(struct virtio_device *device, unsigned stream, uint32_t events)
{
    struct virtio_fs *fs = (struct virtio_fs *)device;

    (void)events; /* both directions look for themselves, and so find a hang-up */
    receive_answers(fs);
    if (fs->sending.slot == NULL || send_request(fs)) {
        virtio_device_watch_less(device, stream, EPOLLOUT);
        serve_requests(fs, QUEUE_PRIORITY);
        serve_requests(fs, QUEUE_REQUEST);
    }
    interrupt(fs);
}

static void fs_reset(struct virtio_device *device)
{
    struct virtio_fs *fs = (struct virtio_fs *)device;

    fs->receiving.slot = NULL;
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &fs->slots[i];

        if (slot->is_used && slot == fs->sending.slot)
            slot->is_forgotten = true;
        else if (slot->is_used)
            release_slot(fs, slot);
    }
}

/* --- save and restore -------------------------------------------------------------------------
 */

static uint64_t now_ms(void)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* always there */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool is_settled(const struct virtio_fs *fs)
{
    return fs->is_dead || (fs->free_count == SLOTS && fs->receiving.header_done == 0);
}

/* What the guest asks for meanwhile stays in its queues, also behind a request that waited for room
 * in the socket: that is still watched for. */
static int fs_settle(struct virtio_device *device, struct error *err)
{
    struct virtio_fs *fs = (struct virtio_fs *)device;
    const uint64_t end = now_ms() + SETTLE_MS;

    while (!is_settled(fs)) {
        const short events = (short)(POLLIN | (fs->sending.slot != NULL ? POLLOUT : 0));
        struct pollfd poll_fd = { .fd = fs->fd, .events = events };
        const uint64_t now = now_ms();

        if (now >= end)
            return error_set(err, EBUSY,
                             "share '%s': requests of the guest are not answered (%zu); one for a "
                             "lock waits until it is free",
                             fs->tag, SLOTS - fs->free_count);
        (void)poll(&poll_fd, 1, (int)(end - now)); /* looked for below in any case */
        receive_answers(fs);
        if (fs->sending.slot != NULL)
            (void)send_request(fs);
    }
    interrupt(fs);
    return 0;
}

/* What the server knows, if it knows anything: a length and so many bytes. */
static int fs_save(const struct virtio_device *device, struct state_writer *writer,
                   struct error *err)
{
    const struct virtio_fs *fs = (const struct virtio_fs *)device;
    const uint32_t is_used = fs->is_used;
    AUTO_CLEAR(state_writer) struct state_writer state = { 0 };
    uint32_t length;
    int r;

    state_put(writer, &is_used, sizeof(is_used));
    if (!fs->is_used)
        return 0;
    if (fs->is_dead)
        return error_set(err, EPIPE, "share '%s': its server is gone", fs->tag);
    r = share_state_save(fs->fd, &state, err);
    if (r < 0)
        return error_prefix(err, r, "share '%s'", fs->tag);
    length = (uint32_t)state.length;
    state_put(writer, &length, sizeof(length));
    state_put(writer, state.bytes, state.length);
    return 0;
}

static int fs_restore(struct virtio_device *device, struct state_reader *reader, struct error *err)
{
    struct virtio_fs *fs = (struct virtio_fs *)device;
    const uint8_t *bytes = NULL;
    uint32_t is_used, length = 0;
    int r = state_take(reader, &is_used, sizeof(is_used), err);

    if (r < 0 || is_used == 0)
        return r;
    r = state_take(reader, &length, sizeof(length), err);
    if (r == 0 && length > FUSE_STATE_MAX)
        r = error_set(err, EBADMSG, "its saved state is too long");
    if (r == 0)
        r = state_take_place(reader, length, &bytes, err);
    if (r == 0)
        r = share_state_restore(fs->fd, bytes, length, err);
    if (r < 0)
        return error_prefix(err, r, "share '%s'", fs->tag);
    fs->is_used = true;
    return 0;
}

static void fs_free(struct virtio_device *device)
{
    free(device);
}

static const struct virtio_class fs_class = {
    .name = "fs",
    .id = VIRTIO_ID_FS,
    .activate = fs_activate,
    .notify = fs_notify,
    .io = fs_io,
    .reset = fs_reset,
    .settle = fs_settle,
    .save = fs_save,
    .restore = fs_restore,
    .free = fs_free,
};

int virtio_fs_open(int fd, const char *tag, struct virtio_device **ret_device, struct error *err)
{
    struct virtio_fs_config config = { .num_request_queues = 1 };
    size_t length = strlen(tag);
    struct virtio_fs *fs;

    assert(ret_device != NULL);

    if (length == 0 || length > VIRTIO_FS_TAG_MAX)
        return error_set(err, EINVAL, "share '%s': a tag has 1 to %d bytes", tag,
                         VIRTIO_FS_TAG_MAX);
    memcpy(config.tag, tag, length);
    fs = xcalloc(1, sizeof(*fs));
    memcpy(fs->tag, tag, length);
    fs->fd = fd;
    virtio_device_init(&fs->device, &fs_class, 0, QUEUE_COUNT);
    virtio_device_set_config(&fs->device, &config, sizeof(config));
    virtio_device_add_stream(&fs->device, fd);
    for (uint16_t i = 0; i < SLOTS; i++)
        fs->free_slots[fs->free_count++] = i;
    *ret_device = &fs->device;
    return 0;
}
