#include "microvm/agent_message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/decode.h"
#include "microvm/vm_config_objects.h"

static const struct field route_fields[] = {
    FIELD_OF(struct agent_route, destination, "destination", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct agent_route, gateway, "gateway", FIELD_STRING, 0),
    FIELD_OF(struct agent_route, metric, "metric", FIELD_U32, 0),
    FIELD_OF(struct agent_route, family, "family", FIELD_U8, FIELD_REQUIRED),
    { 0 },
};
static const struct object route_object = { route_fields, sizeof(struct agent_route), 0 };

static const struct field interface_fields[] = {
    FIELD_OF(struct agent_interface, mac, "mac", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct agent_interface, device_mac, "device_mac", FIELD_STRING, 0),
    FIELD_OF(struct agent_interface, name, "name", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct agent_interface, mtu, "mtu", FIELD_U32, 0),
    FIELD_OF(struct agent_interface, addresses, "addresses", FIELD_STRINGS, 0),
    FIELD_OBJECT(struct agent_interface, routes, "routes", FIELD_STRUCT, &route_object,
                 FIELD_ARRAY),
    { 0 },
};
static const struct object interface_object = { interface_fields, sizeof(struct agent_interface),
                                                0 };

static const struct field setup_fields[] = {
    FIELD_OF(struct agent_setup, time_ns, "time_ns", FIELD_U64, FIELD_REQUIRED),
    FIELD_OF(struct agent_setup, seed, "seed", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct agent_setup, is_emulated, "emulated", FIELD_BOOL, 0),
    FIELD_OBJECT(struct agent_setup, root, "root", FIELD_STRUCT, &vm_root_object, FIELD_REQUIRED),
    FIELD_OBJECT(struct agent_setup, shares, "shares", FIELD_STRUCT, &vm_share_object, FIELD_ARRAY),
    FIELD_OBJECT(struct agent_setup, files, "files", FIELD_STRUCT, &vm_file_object, FIELD_ARRAY),
    FIELD_OBJECT(struct agent_setup, interfaces, "interfaces", FIELD_STRUCT, &interface_object,
                 FIELD_ARRAY),
    { 0 },
};
static const struct object setup_object = { setup_fields, sizeof(struct agent_setup), 0 };

static const struct field message_fields[] = {
    FIELD_OF(struct agent_message, type, "type", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct agent_message, version, "version", FIELD_U32, 0),
    FIELD_OF(struct agent_message, process, "process", FIELD_U32, 0),
    FIELD_OF(struct agent_message, request, "request", FIELD_U32, 0),
    FIELD_OBJECT(struct agent_message, setup, "setup", FIELD_POINTER, &setup_object, 0),
    FIELD_OF(struct agent_message, spec, "spec", FIELD_JSON, 0),
    FIELD_OF(struct agent_message, rows, "rows", FIELD_U32, 0),
    FIELD_OF(struct agent_message, columns, "columns", FIELD_U32, 0),
    FIELD_OF(struct agent_message, signal, "signal", FIELD_I32, 0),
    FIELD_OF(struct agent_message, is_to_all, "all", FIELD_BOOL, 0),
    FIELD_OF(struct agent_message, time_ns, "time_ns", FIELD_U64, 0),
    FIELD_OF(struct agent_message, code, "code", FIELD_U32, 0),
    FIELD_OF(struct agent_message, status, "status", FIELD_U32, 0),
    FIELD_OF(struct agent_message, is_oom, "oom", FIELD_BOOL, 0),
    FIELD_OF(struct agent_message, text, "text", FIELD_STRING, 0),
    { 0 },
};
static const struct object message_object = { message_fields, sizeof(struct agent_message), 0 };

/* What a type cannot be without. */
static const struct {
    const char *type;
    bool has_process, has_setup, has_spec;
} types[] = {
    { "hello", false, false, false },     { "start", true, true, true },
    { "exec", true, false, true },        { "files", true, false, true },
    { "signal", true, false, false },     { "resize", true, false, false },
    { "processes", false, false, false }, { "usage", false, false, false },
    { "update", false, false, true },     { "clock", false, false, false },
    { "freeze", false, false, false },    { "thaw", false, false, false },
    { "power-off", false, false, false }, { "started", true, false, false },
    { "failed", true, false, false },     { "exited", true, false, false },
    { "reply", false, false, false },
};

static int check(const struct agent_message *message, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (!text_equal(types[i].type, message->type))
            continue;
        if (types[i].has_process && (message->process == 0 || message->process > AGENT_PROCESS_MAX))
            return error_set(err, EPROTO, "%s: process %u is out of range", message->type,
                             message->process);
        if ((types[i].has_setup && message->setup == NULL) ||
            (types[i].has_spec && message->spec == NULL))
            return error_set(err, EPROTO, "%s: is incomplete", message->type);
        if (message->status > 255)
            return error_set(err, EPROTO, "%s: status %u is out of range", message->type,
                             message->status);
        return 0;
    }
    return error_set(err, EPROTO, "message of an unknown type '%s'", message->type);
}

int agent_message_decode(const char *json, size_t length, struct agent_message **ret_message,
                         struct error *err)
{
    AUTO(agent_message) struct agent_message *message = xcalloc(1, sizeof(*message));
    int r;

    r = decode_text(&message_object, json, length, message, "message", err);
    if (r == 0)
        r = check(message, err);
    if (r < 0)
        return r;
    *ret_message = take_ptr(&message);
    return 0;
}

void agent_message_free(struct agent_message *message)
{
    if (message == NULL)
        return;
    object_clear(&message_object, message);
    free(message);
}

void agent_message_send(struct channel *channel, const struct agent_message *message)
{
    auto_free char *json = encode_text(&message_object, message, ENCODE_COMPACT);

    channel_send_message(channel, json, strlen(json));
}
