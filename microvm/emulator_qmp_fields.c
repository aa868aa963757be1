#include <stdlib.h>
#include <string.h>

#include "base/decode.h"
#include "microvm/emulator_qmp.h"

static const struct field error_fields[] = {
    FIELD_OF(struct qmp_error, desc, "desc", FIELD_STRING, 0),
    { 0 },
};
static const struct object error_object = { error_fields, sizeof(struct qmp_error), 0 };

static const struct field data_fields[] = {
    FIELD_OF(struct qmp_data, status, "status", FIELD_STRING, 0),
    { 0 },
};
static const struct object data_object = { data_fields, sizeof(struct qmp_data), 0 };

static const struct field message_fields[] = {
    FIELD_OF(struct qmp_message, greeting, "QMP", FIELD_JSON, 0),
    FIELD_OF(struct qmp_message, answer, "return", FIELD_JSON, 0),
    FIELD_OBJECT(struct qmp_message, error, "error", FIELD_POINTER, &error_object, 0),
    FIELD_OF(struct qmp_message, event, "event", FIELD_STRING, 0),
    FIELD_OBJECT(struct qmp_message, data, "data", FIELD_POINTER, &data_object, 0),
    { 0 },
};
static const struct object message_object = { message_fields, sizeof(struct qmp_message), 0 };

int qmp_message_decode(const char *line, size_t length, struct qmp_message **ret_message,
                       struct error *err)
{
    AUTO(qmp_message) struct qmp_message *message = xcalloc(1, sizeof(*message));
    int r;

    r = decode_text(&message_object, line, length, message, "what QEMU says", err);
    if (r < 0)
        return r;
    *ret_message = take_ptr(&message);
    return 0;
}

void qmp_message_free(struct qmp_message *message)
{
    if (message == NULL)
        return;
    object_clear(&message_object, message);
    free(message);
}

struct balloon {
    uint64_t actual;
};
static const struct field balloon_fields[] = {
    FIELD_OF(struct balloon, actual, "actual", FIELD_U64, FIELD_REQUIRED),
    { 0 },
};
static const struct object balloon_object = { balloon_fields, sizeof(struct balloon), 0 };

int qmp_balloon_decode(const char *answer, uint64_t *ret_bytes, struct error *err)
{
    struct balloon balloon = { 0 };
    int r = decode_text(&balloon_object, answer, strlen(answer), &balloon, "QEMU's answer", err);

    if (r == 0)
        *ret_bytes = balloon.actual;
    object_clear(&balloon_object, &balloon);
    return r;
}
