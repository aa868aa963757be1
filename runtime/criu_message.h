#ifndef RUNTIME_CRIU_MESSAGE_H
#define RUNTIME_CRIU_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

/* The messages that CRIU understands (rpc.proto of CRIU, package criu:
 * /usr/include/criu/rpc.proto), in the encoding of Protocol Buffers. Members that berth does not
 * use are left out when encoding and passed over when decoding, as that format wants it. */

enum criu_type {
    CRIU_DUMP = 1,
    CRIU_RESTORE = 2,
    CRIU_PRE_DUMP = 4,
    CRIU_NOTIFY = 6,
    CRIU_FEATURE_CHECK = 9,
    CRIU_VERSION = 10,
};

enum criu_cgroup_mode {
    CRIU_CGROUPS_IGNORE = 0,
    CRIU_CGROUPS_SOFT = 3,
    CRIU_CGROUPS_FULL = 4,
    CRIU_CGROUPS_STRICT = 5,
};

enum criu_network_lock {
    CRIU_NETWORK_IPTABLES = 1,
    CRIU_NETWORK_NFTABLES = 2,
    CRIU_NETWORK_SKIP = 3, /* since CRIU 3.18 */
};

/* A descriptor of CRIU's own process for what the image calls @key: "pipe:[123]". */
struct criu_descriptor {
    char *key; /* owned */
    int32_t fd;
};
struct criu_descriptors {
    struct criu_descriptor *items;
    size_t count;
};

/* struct criu_opts of rpc.proto. Texts are borrowed, lists are owned (criu_options_clear()). Begin
 * with CRIU_OPTIONS_NONE, in which numbers are -1: not given. */
struct criu_options {
    int32_t images_dir_fd, work_dir_fd; /* of the socket's maker: CRIU finds them in /proc */
    int32_t pid, log_level, manage_cgroups_mode, empty_ns, network_lock;
    bool leave_running, ext_unix_sk, tcp_established, evasive_devices, shell_job, file_locks;
    bool notify_scripts, track_mem, auto_dedup, link_remap, manage_cgroups, rst_sibling;
    bool tcp_skip_in_flight, lazy_pages, orphan_pts_master, tcp_close, ext_masters;
    const char *log_file, *root, *parent_img, *freeze_cgroup, *config_file, *lsm_profile;
    const char *lsm_mount_context;
    const char *cgroup_root;   /* of all controllers */
    char *page_server_address; /* owned; NULL: pages go into the image */
    int32_t page_server_port;
    struct string_map ext_mnt; /* dump: place to name; restore: name to source */
    struct string_map join_ns; /* type to path */
    struct strings external;
    struct criu_descriptors inherit_fd;
};
#define CRIU_OPTIONS_NONE                                                                          \
    {                                                                                              \
        .images_dir_fd = -1, .work_dir_fd = -1, .pid = -1, .log_level = -1,                        \
        .manage_cgroups_mode = -1, .empty_ns = -1, .network_lock = -1, .page_server_port = -1      \
    }

void criu_options_add_descriptor(struct criu_options *options, const char *key, int fd);
void criu_options_clear(struct criu_options *options);

struct criu_request {
    enum criu_type type;
    const struct criu_options *options; /* NULL: none */
    bool notify_success;                /* answer to CRIU_NOTIFY */
    bool keep_open;                     /* further requests follow in this connection */
    bool asks_mem_track, asks_lazy_pages;
};
/** Adds the bytes to @ret_bytes. */
void criu_request_encode(const struct criu_request *request, struct text *ret_bytes);

struct criu_response {
    uint64_t type; /* enum criu_type */
    bool is_success;
    int64_t error_number; /* errno of CRIU's; 0 */
    int64_t pid;          /* of RESTORE and of NOTIFY; 0 */
    char script[32];      /* NOTIFY: "post-restore"; longer ones, of which berth knows none: "" */
    bool has_mem_track, has_lazy_pages;
    uint32_t version; /* 31701 for 3.17.1; 0 */
};
#define CRIU_RESPONSE_MAX 65536

/**
 * Decodes a message of CRIU.
 *
 * -EBADMSG: it is cut, a number or length is out of range, or type or success is missing.
 */
int criu_response_decode(const void *bytes, size_t length, struct criu_response *ret_response,
                         struct error *err);

#endif
