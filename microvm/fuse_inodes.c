#include "microvm/fuse_inodes.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/auto.h"

#define FIRST_BUCKETS 256u
/* More open ones gain little, and each keeps a kilobyte or two of the host's kernel. */
#define DESCRIPTORS_WANTED 4096u
/* Directories that are opened again for one file; a deeper one is as good as moved. */
#define DEPTH_MAX 1024u

int fuse_inode_status(int fd, struct statx *ret_status)
{
    struct statx status;

    if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME,
              &status) < 0)
        return -errno;
    *ret_status = status;
    return 0;
}

static dev_t device_of(const struct statx *status)
{
    return makedev(status->stx_dev_major, status->stx_dev_minor);
}

static struct statx_timestamp birth_of(const struct statx *status)
{
    const struct statx_timestamp unknown = { 0 };

    return (status->stx_mask & STATX_BTIME) != 0 ? status->stx_btime : unknown;
}

/* --- those whose descriptor may be closed, by their last use ------------------------------------
 */

static void queue_remove(struct fuse_inodes *inodes, struct fuse_inode *inode)
{
    if (inode->newer == NULL && inodes->newest != inode)
        return;
    if (inode->newer != NULL)
        inode->newer->older = inode->older;
    else
        inodes->newest = inode->older;
    if (inode->older != NULL)
        inode->older->newer = inode->newer;
    else
        inodes->oldest = inode->newer;
    inode->newer = inode->older = NULL;
}

static void queue_touch(struct fuse_inodes *inodes, struct fuse_inode *inode)
{
    queue_remove(inodes, inode);
    if (inode->parent == NULL || inode->fd < 0 || inode->users > 0)
        return;
    inode->older = inodes->newest;
    if (inodes->newest != NULL)
        inodes->newest->newer = inode;
    else
        inodes->oldest = inode;
    inodes->newest = inode;
}

static void descriptor_close(struct fuse_inodes *inodes, struct fuse_inode *inode)
{
    if (inode->fd < 0)
        return;
    queue_remove(inodes, inode);
    (void)close(inode->fd); /* O_PATH: nothing can fail */
    inode->fd = -1;
    inodes->descriptors--;
}

int fuse_inodes_reserve(struct fuse_inodes *inodes)
{
    size_t wanted =
        inodes->descriptors_max < DESCRIPTORS_WANTED ? inodes->descriptors_max : DESCRIPTORS_WANTED;

    if (inodes->descriptors >= wanted && inodes->oldest != NULL)
        descriptor_close(inodes, inodes->oldest);
    if (inodes->descriptors >= inodes->descriptors_max)
        return -ENFILE;
    inodes->descriptors++;
    return 0;
}

void fuse_inodes_unreserve(struct fuse_inodes *inodes)
{
    assert(inodes->descriptors > 0);
    inodes->descriptors--;
}

/* --- by device and number --------------------------------------------------------------------- */

static struct fuse_inode **bucket_of(const struct fuse_inodes *inodes, dev_t device, ino_t number)
{
    uint64_t mixed = ((uint64_t)number ^ (uint64_t)device << 40) * 0x9e3779b97f4a7c15ull;

    return &inodes->buckets[(mixed >> 32) & (inodes->bucket_count - 1)];
}

static void hash_add(struct fuse_inodes *inodes, struct fuse_inode *inode)
{
    struct fuse_inode **bucket = bucket_of(inodes, inode->device, inode->number);

    inode->next_same_hash = *bucket;
    *bucket = inode;
}

/* Does nothing when it is not there. */
static void hash_remove(struct fuse_inodes *inodes, struct fuse_inode *inode)
{
    struct fuse_inode **place = bucket_of(inodes, inode->device, inode->number);

    while (*place != NULL && *place != inode)
        place = &(*place)->next_same_hash;
    if (*place == inode)
        *place = inode->next_same_hash;
    inode->next_same_hash = NULL;
}

static void hash_grow(struct fuse_inodes *inodes)
{
    struct fuse_inode **old = inodes->buckets;
    size_t old_count = inodes->bucket_count;

    inodes->bucket_count = old_count * 2;
    inodes->buckets = xcalloc(inodes->bucket_count, sizeof(*inodes->buckets));
    for (size_t i = 0; i < old_count; i++)
        for (struct fuse_inode *inode = old[i], *next; inode != NULL; inode = next) {
            next = inode->next_same_hash;
            hash_add(inodes, inode);
        }
    free(old);
}

struct fuse_inode *fuse_inodes_find_file(const struct fuse_inodes *inodes, dev_t device,
                                         ino_t number)
{
    struct fuse_inode *inode = *bucket_of(inodes, device, number);

    while (inode != NULL && (inode->device != device || inode->number != number))
        inode = inode->next_same_hash;
    return inode;
}

/* --- one file --------------------------------------------------------------------------------- */

static bool is_unused(const struct fuse_inodes *inodes, const struct fuse_inode *inode)
{
    return inode->lookups == 0 && inode->users == 0 && inode->children == 0 &&
           inode != inodes->root;
}

/* Frees it if nobody needs it, then its parent if nobody else needs that one, and so on. */
static void inode_drop(struct fuse_inodes *inodes, struct fuse_inode *inode)
{
    while (inode != NULL && is_unused(inodes, inode)) {
        struct fuse_inode *parent = inode->parent;

        descriptor_close(inodes, inode);
        hash_remove(inodes, inode);
        fuse_slots_remove(&inodes->slots, inode->id);
        free(inode->name);
        free(inode);
        inodes->count--;
        if (parent != NULL)
            parent->children--;
        inode = parent;
    }
}

static void inode_count(struct fuse_inodes *inodes)
{
    if (++inodes->count > inodes->bucket_count)
        hash_grow(inodes);
}

static void inode_identify(struct fuse_inodes *inodes, struct fuse_inode *inode,
                           const struct statx *status)
{
    inode->device = device_of(status);
    inode->number = status->stx_ino;
    inode->birth = birth_of(status);
    inode->type = status->stx_mode & S_IFMT;
    hash_add(inodes, inode);
}

static struct fuse_inode *inode_add(struct fuse_inodes *inodes, const struct statx *status)
{
    struct fuse_inode *inode = xcalloc(1, sizeof(*inode));

    inode->id = fuse_slots_add(&inodes->slots, inode);
    if (inode->id == 0) {
        free(inode);
        return NULL;
    }
    inode->fd = -1;
    inode_count(inodes);
    inode_identify(inodes, inode, status);
    return inode;
}

/* While its descriptor is open its number is its own. After that it may have been deleted, and the
 * number given to another file. */
static bool inode_is_same(const struct fuse_inode *inode, const struct statx *status)
{
    struct statx_timestamp birth = birth_of(status);

    return inode->device == device_of(status) && inode->number == status->stx_ino &&
           inode->type == (status->stx_mode & S_IFMT) &&
           (inode->fd >= 0 ||
            (inode->birth.tv_sec == birth.tv_sec && inode->birth.tv_nsec == birth.tv_nsec));
}

struct fuse_inode *fuse_inodes_find(const struct fuse_inodes *inodes, uint64_t id)
{
    return fuse_slots_find(&inodes->slots, id);
}

/* Returns an O_PATH descriptor of the file, or a negative errno value. */
static int open_by_name(const struct fuse_inode *inode, int parent_fd, struct statx *ret_status)
{
    auto_close int fd = openat(parent_fd, inode->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int r;

    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? -ESTALE : -errno;
    r = fuse_inode_status(fd, ret_status);
    if (r < 0)
        return r;
    return inode_is_same(inode, ret_status) ? take_fd(&fd) : -ESTALE;
}

static int descriptor_of(struct fuse_inodes *inodes, struct fuse_inode *inode, unsigned depth)
{
    auto_close int fd = -1;
    struct statx status;
    int r;

    if (inode->fd >= 0) {
        queue_touch(inodes, inode);
        return inode->fd;
    }
    if (inode->parent == NULL || depth > DEPTH_MAX)
        return -ESTALE;
    r = descriptor_of(inodes, inode->parent, depth + 1);
    if (r < 0)
        return r;
    fd = open_by_name(inode, r, &status);
    if (fd < 0)
        return fd;
    r = fuse_inodes_reserve(inodes);
    if (r < 0)
        return r;
    inode->fd = take_fd(&fd);
    queue_touch(inodes, inode);
    return inode->fd;
}

int fuse_inodes_descriptor(struct fuse_inodes *inodes, struct fuse_inode *inode)
{
    return descriptor_of(inodes, inode, 0);
}

int fuse_inodes_check_name(struct fuse_inodes *inodes, struct fuse_inode *inode,
                           struct statx *ret_status)
{
    auto_close int fd = -1;
    int parent_fd;

    if (inode->parent == NULL)
        return -ESTALE;
    parent_fd = fuse_inodes_descriptor(inodes, inode->parent);
    if (parent_fd < 0)
        return parent_fd;
    fd = open_by_name(inode, parent_fd, ret_status);
    return fd < 0 ? fd : 0;
}

/* What is not there has no device and no number, so no name leads to it. */
int fuse_inodes_put(struct fuse_inodes *inodes, const struct fuse_known *known, int fd,
                    const struct statx *status)
{
    auto_close int owned = fd;
    struct fuse_inode *inode;
    int r = fd < 0 ? 0 : fuse_inodes_reserve(inodes);

    if (r < 0)
        return r;
    inode = xcalloc(1, sizeof(*inode));
    r = fuse_slots_put(&inodes->slots, known->id, inode);
    if (r < 0) {
        free(inode);
        if (fd >= 0)
            fuse_inodes_unreserve(inodes);
        return r;
    }
    inode->id = known->id;
    inode->lookups = known->lookups;
    inode->type = known->type;
    inode->is_submount = known->is_submount;
    inode->is_replaced = known->is_replaced;
    inode->fd = take_fd(&owned);
    inode_count(inodes);
    if (inode->fd >= 0)
        inode_identify(inodes, inode, status);
    if (known->parent != NULL) {
        inode->parent = known->parent;
        inode->parent->children++;
        inode->name = xstrdup(known->name);
    }
    queue_touch(inodes, inode);
    return 0;
}

/* Whether @parent is below @inode or is it: a hostile guest may say so of one that has moved. */
static bool is_below(const struct fuse_inode *parent, const struct fuse_inode *inode)
{
    while (parent != NULL && parent != inode)
        parent = parent->parent;
    return parent != NULL;
}

void fuse_inodes_rename(struct fuse_inodes *inodes, struct fuse_inode *inode,
                        struct fuse_inode *parent, const char *name)
{
    struct fuse_inode *old = inode->parent;

    if (inode == inodes->root || (old == parent && strcmp(inode->name, name) == 0))
        return;
    if (S_ISDIR(inode->type) && is_below(parent, inode))
        return;
    parent->children++;
    inode->parent = parent;
    free(inode->name);
    inode->name = xstrdup(name);
    if (old != NULL) {
        old->children--;
        inode_drop(inodes, old);
    }
    queue_touch(inodes, inode);
}

int fuse_inodes_look_up(struct fuse_inodes *inodes, int fd, struct fuse_inode *parent,
                        const char *name, struct fuse_inode **ret_inode, struct statx *ret_status)
{
    auto_close int owned = fd;
    struct fuse_inode *inode;
    struct statx status;
    int r = fuse_inode_status(fd, &status);

    if (r < 0)
        return r;
    inode = fuse_inodes_find_file(inodes, device_of(&status), status.stx_ino);
    if (inode != NULL && !inode_is_same(inode, &status)) {
        hash_remove(inodes, inode);
        inode = NULL;
    }
    if (inode == NULL || inode->fd < 0) {
        r = fuse_inodes_reserve(inodes);
        if (r < 0)
            return r;
        if (inode == NULL)
            inode = inode_add(inodes, &status);
        if (inode == NULL) {
            fuse_inodes_unreserve(inodes);
            return -ENFILE;
        }
        inode->fd = take_fd(&owned);
    }
    inode->lookups++;
    if (parent != NULL) {
        inode->is_submount = S_ISDIR(inode->type) && parent->device != inode->device;
        fuse_inodes_rename(inodes, inode, parent, name);
    }
    queue_touch(inodes, inode);
    *ret_inode = inode;
    *ret_status = status;
    return 0;
}

void fuse_inodes_forget(struct fuse_inodes *inodes, struct fuse_inode *inode, uint64_t lookups)
{
    inode->lookups -= lookups < inode->lookups ? lookups : inode->lookups;
    inode_drop(inodes, inode);
}

void fuse_inodes_use(struct fuse_inodes *inodes, struct fuse_inode *inode)
{
    inode->users++;
    queue_remove(inodes, inode);
}

void fuse_inodes_release(struct fuse_inodes *inodes, struct fuse_inode *inode)
{
    assert(inode->users > 0);
    inode->users--;
    queue_touch(inodes, inode);
    inode_drop(inodes, inode);
}

/* --- the table -------------------------------------------------------------------------------- */

int fuse_inodes_open(struct fuse_inodes *inodes, int root_fd, size_t inodes_max,
                     size_t descriptors_max)
{
    struct statx status;
    int r = fuse_inode_status(root_fd, &status);

    if (r < 0)
        return r;
    *inodes = (struct fuse_inodes){ .slots.max = inodes_max, .descriptors_max = descriptors_max };
    inodes->bucket_count = FIRST_BUCKETS;
    inodes->buckets = xcalloc(inodes->bucket_count, sizeof(*inodes->buckets));
    inodes->root = inode_add(inodes, &status);
    assert(inodes->root != NULL && inodes->root->id == 1);
    inodes->root->lookups = 1;
    inodes->root->fd = root_fd;
    return 0;
}

void fuse_inodes_close(struct fuse_inodes *inodes)
{
    for (size_t i = 0; i < inodes->slots.used; i++) {
        struct fuse_inode *inode = fuse_slots_at(&inodes->slots, i);

        if (inode == NULL)
            continue;
        if (inode != inodes->root && inode->fd >= 0)
            (void)close(inode->fd); /* O_PATH: nothing can fail */
        free(inode->name);
        free(inode);
    }
    free(inodes->buckets);
    fuse_slots_clear(&inodes->slots);
    *inodes = (struct fuse_inodes){ 0 };
}
