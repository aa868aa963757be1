#include "microvm/fuse_identity.h"

#include <assert.h>
#include <errno.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FSETID_BIT (1ull << CAP_FSETID)

static int capabilities_read(struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

    return syscall(SYS_capget, &header, data) < 0 ? -errno : 0;
}

/* The system call itself, as it is about this thread alone. */
static int effective_set(uint64_t permitted, uint64_t effective)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { .permitted = (uint32_t)permitted, .effective = (uint32_t)effective },
        { .permitted = (uint32_t)(permitted >> 32), .effective = (uint32_t)(effective >> 32) },
    };

    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int fuse_identity_open(struct fuse_identity *identity)
{
    struct __user_cap_data_struct data[2];
    int r = capabilities_read(data);

    if (r < 0)
        return r;
    *identity = (struct fuse_identity){
        .capabilities = data[0].permitted | (uint64_t)data[1].permitted << 32,
        .uid = geteuid(),
        .gid = getegid(),
        .umask = umask(0),
    };
    (void)umask(identity->umask);
    return effective_set(identity->capabilities, identity->capabilities);
}

/* Returns 1 when it was another one. */
static int ids_set(struct fuse_identity *identity, uid_t uid, gid_t gid)
{
    bool is_changed = identity->gid != gid || identity->uid != uid;

    if (identity->gid != gid) {
        (void)setfsgid(gid); /* returns the old one in any case */
        if ((gid_t)setfsgid((gid_t)-1) != gid)
            return -EPERM;
        identity->gid = gid;
    }
    if (identity->uid != uid) {
        (void)setfsuid(uid);
        if ((uid_t)setfsuid((uid_t)-1) != uid)
            return -EPERM;
        identity->uid = uid;
    }
    return is_changed;
}

static int identity_set(struct fuse_identity *identity, uid_t uid, gid_t gid, bool lacks_fsetid)
{
    int r = ids_set(identity, uid, gid);

    if (r < 0)
        return r;
    /* A thread that becomes root, or stops to be it, gains or loses capabilities about files. */
    if (r == 0 && identity->lacks_fsetid == lacks_fsetid)
        return 0;
    r = effective_set(identity->capabilities,
                      identity->capabilities & ~(lacks_fsetid ? FSETID_BIT : 0));
    if (r == 0)
        identity->lacks_fsetid = lacks_fsetid;
    return r;
}

int fuse_identity_enter(struct fuse_identity *identity, uid_t uid, gid_t gid, mode_t mask,
                        bool lacks_fsetid)
{
    int r = identity_set(identity, uid, gid, lacks_fsetid);

    if (r < 0) {
        fuse_identity_leave(identity);
        return r;
    }
    if (identity->umask != (mask & 0777)) {
        identity->umask = mask & 0777;
        (void)umask(identity->umask);
    }
    return 0;
}

void fuse_identity_leave(struct fuse_identity *identity)
{
    int r = identity_set(identity, geteuid(), getegid(), false);

    /* It has been that before. */
    assert(r == 0);
}
