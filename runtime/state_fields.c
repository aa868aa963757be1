#include "runtime/container.h"

#include <string.h>

#include "base/file.h"

static const struct field state_fields[] = {
    FIELD_OF(struct state, oci_version, "ociVersion", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct state, id, "id", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct state, bundle, "bundle", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct state, rootfs, "rootfs", FIELD_STRING, 0),
    FIELD_OF(struct state, cgroup, "cgroup", FIELD_STRING, 0),
    FIELD_OF(struct state, cgroup_manager, "cgroupManager", FIELD_STRING, 0),
    FIELD_OF(struct state, is_cgroup_delegated, "cgroupIsDelegated", FIELD_BOOL, 0),
    FIELD_OF(struct state, scope, "scope", FIELD_STRING, 0),
    FIELD_OF(struct state, created, "created", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct state, owner_uid, "ownerUid", FIELD_U32, 0),
    FIELD_OF(struct state, pid, "pid", FIELD_I32, 0),
    FIELD_OF(struct state, is_creating, "isCreating", FIELD_BOOL, 0),
    FIELD_OF(struct state, start_time, "startTime", FIELD_U64, 0),
    FIELD_OF(struct state, annotations, "annotations", FIELD_MAP, 0),
    FIELD_OF(struct state, isolation, "isolation", FIELD_STRING, 0),
    FIELD_OF(struct state, rdt_group, "rdtGroup", FIELD_STRING, 0),
    FIELD_OF(struct state, rdt_monitor, "rdtMonitor", FIELD_STRING, 0),
    { 0 },
};
const struct object state_object = { state_fields, sizeof(struct state), 0 };

int state_read(int dir_fd, struct state *ret_state, struct error *err)
{
    auto_free char *json = NULL;
    size_t length = 0;
    int r;

    r = file_read(dir_fd, STATE_FILE, STATE_BYTES_MAX, &json, &length, err);
    if (r < 0)
        return r;
    return decode_text(&state_object, json, length, ret_state, STATE_FILE, err);
}

int state_write(int dir_fd, const struct state *state, struct error *err)
{
    auto_free char *json = encode_text(&state_object, state, ENCODE_COMPACT);

    return file_replace(dir_fd, STATE_FILE, json, strlen(json), 0600, FILE_SYNC_NONE, err);
}

void state_clear(struct state *state)
{
    object_clear(&state_object, state);
}

/* The document of runtime.md "State", as `state` prints it and hooks read it. */
struct state_document {
    const char *oci_version, *id;
    int32_t pid;
    const char *status, *bundle, *rootfs, *created, *owner;
    struct string_map annotations;
};
static const struct field state_document_fields[] = {
    FIELD_OF(struct state_document, oci_version, "ociVersion", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OF(struct state_document, id, "id", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OF(struct state_document, pid, "pid", FIELD_I32, FIELD_KEEP_EMPTY),
    FIELD_OF(struct state_document, status, "status", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OF(struct state_document, bundle, "bundle", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OF(struct state_document, rootfs, "rootfs", FIELD_STRING, 0),
    FIELD_OF(struct state_document, created, "created", FIELD_STRING, 0),
    FIELD_OF(struct state_document, annotations, "annotations", FIELD_MAP, 0),
    FIELD_OF(struct state_document, owner, "owner", FIELD_STRING, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object state_document_object = { state_document_fields,
                                                     sizeof(struct state_document), 0 };

static char *format_state(const struct state *state, enum container_status status, pid_t pid,
                          const char *owner, enum encode_style style)
{
    struct state_document document = {
        .oci_version = state->oci_version,
        .id = state->id,
        .pid = pid,
        .status = container_status_name(status),
        .bundle = state->bundle,
        .rootfs = state->rootfs,
        .created = state->created,
        .owner = owner,
        .annotations = state->annotations,
    };

    return encode_text(&state_document_object, &document, style);
}

char *state_format(const struct state *state, enum container_status status, pid_t pid)
{
    return format_state(state, status, pid, "", ENCODE_INDENTED);
}

char *state_format_row(const struct state *state, enum container_status status, pid_t pid,
                       const char *owner)
{
    return format_state(state, status, pid, owner, ENCODE_COMPACT);
}

/* Here the state has the members of the specification only. */
static const struct field process_container_fields[] = {
    FIELD_OF(struct state_document, oci_version, "ociVersion", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OF(struct state_document, id, "id", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OF(struct state_document, status, "status", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OF(struct state_document, pid, "pid", FIELD_I32, FIELD_KEEP_EMPTY),
    FIELD_OF(struct state_document, bundle, "bundle", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OF(struct state_document, annotations, "annotations", FIELD_MAP, 0),
    { 0 },
};
static const struct object process_container_object = { process_container_fields,
                                                        sizeof(struct state_document), 0 };

struct process_document {
    const char *oci_version;
    struct strings fds;
    int32_t pid;
    const char *metadata;
    struct state_document state;
};
static const struct field process_document_fields[] = {
    FIELD_OF(struct process_document, oci_version, "ociVersion", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OF(struct process_document, fds, "fds", FIELD_STRINGS, FIELD_KEEP_EMPTY),
    FIELD_OF(struct process_document, pid, "pid", FIELD_I32, FIELD_KEEP_EMPTY),
    FIELD_OF(struct process_document, metadata, "metadata", FIELD_STRING, 0),
    FIELD_OBJECT(struct process_document, state, "state", FIELD_STRUCT, &process_container_object,
                 FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object process_document_object = { process_document_fields,
                                                       sizeof(struct process_document), 0 };

char *state_format_process(const struct state *state, enum container_status status, pid_t pid,
                           const char *metadata)
{
    char *names[] = { "seccompFd", NULL };
    struct process_document document = {
        .oci_version = state->oci_version,
        .fds = { names, 1 },
        .pid = pid,
        .metadata = metadata,
        .state = {
            .oci_version = state->oci_version,
            .id = state->id,
            .status = container_status_name(status),
            .pid = state->pid,
            .bundle = state->bundle,
            .annotations = state->annotations,
        },
    };

    return encode_text(&process_document_object, &document, ENCODE_COMPACT);
}
