#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "cgroups/scope.h"

/* berth-scope: asks systemd for one thing about one scope, over D-Bus, and waits until it is done.
 * It is the only program that loads libsystemd, and lives for one request: read from standard input
 * to its end, answered on standard output by one struct error (code 0: done).
 *
 * Interfaces: org.freedesktop.systemd1(5). Each call and each job is waited for with a limit. */

#define DESTINATION "org.freedesktop.systemd1"
#define MANAGER     "/org/freedesktop/systemd1"
#define INTERFACE   "org.freedesktop.systemd1.Manager"

struct session {
    sd_bus *bus;
    const struct scope_request *request;
    sd_bus_slot *slot;
    struct string_map ended; /* jobs of this unit, by object path, and how they ended: "done" */
};

/* --- properties to D-Bus ------------------------------------------------------------------------
 */

static int append_basic(sd_bus_message *message, char type, const char *text)
{
    union {
        int boolean;
        uint8_t y;
        int16_t n;
        uint16_t q;
        int32_t i;
        uint32_t u;
        int64_t x;
        uint64_t t;
        double d;
    } value = { 0 };

    switch (type) {
    case 's':
    case 'o':
        return sd_bus_message_append_basic(message, type, text);
    case 'b':
        value.boolean = text_equal(text, "true");
        break;
    case 'y':
        value.y = (uint8_t)strtoul(text, NULL, 10);
        break;
    case 'n':
        value.n = (int16_t)strtol(text, NULL, 10);
        break;
    case 'q':
        value.q = (uint16_t)strtoul(text, NULL, 10);
        break;
    case 'i':
        value.i = (int32_t)strtol(text, NULL, 10);
        break;
    case 'u':
        value.u = (uint32_t)strtoul(text, NULL, 10);
        break;
    case 'x':
        value.x = strtoll(text, NULL, 10);
        break;
    case 't':
        value.t = strtoull(text, NULL, 10);
        break;
    case 'd':
        value.d = strtod(text, NULL);
        break;
    default:
        return -EINVAL;
    }
    return sd_bus_message_append_basic(message, type, &value);
}

/* An array, each element made of the next texts. */
static int append_array(sd_bus_message *message, const char *element, const struct strings *values)
{
    bool is_struct = element[0] == '(';
    size_t i = 0;
    int r;

    r = sd_bus_message_open_container(message, 'a', element);
    while (r >= 0 && i < values->count) {
        if (is_struct)
            r = sd_bus_message_open_container(message, 'r', "ss");
        for (size_t j = 0; j < (is_struct ? 2 : 1) && r >= 0; j++, i++)
            r = i < values->count
                    ? append_basic(message, is_struct ? 's' : element[0], values->items[i])
                    : -EINVAL;
        if (r >= 0 && is_struct)
            r = sd_bus_message_close_container(message);
    }
    return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_value(sd_bus_message *message, const struct scope_property *property)
{
    const char *signature = property->signature;
    bool is_array = signature[0] == 'a';
    int r;

    if (is_array ? !text_equal(signature, "a(ss)") && strlen(signature) != 2
                 : strlen(signature) != 1 || property->values.count != 1)
        return -EINVAL;
    r = sd_bus_message_open_container(message, 'v', signature);
    if (r < 0)
        return r;
    r = is_array ? append_array(message, signature + 1, &property->values)
                 : append_basic(message, signature[0], property->values.items[0]);
    return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_properties(sd_bus_message *message, const struct scope_properties *properties,
                             struct error *err)
{
    int r = sd_bus_message_open_container(message, 'a', "(sv)");

    for (size_t i = 0; i < properties->count && r >= 0; i++) {
        const struct scope_property *property = &properties->items[i];

        r = sd_bus_message_open_container(message, 'r', "sv");
        if (r >= 0)
            r = sd_bus_message_append_basic(message, 's', property->name);
        if (r >= 0)
            r = append_value(message, property);
        if (r < 0)
            return error_set(err, -r, "the property %s cannot be sent: %s", property->name,
                             strerror(-r));
        r = sd_bus_message_close_container(message);
    }
    if (r >= 0)
        r = sd_bus_message_close_container(message);
    return r < 0 ? error_set(err, -r, "the properties cannot be sent: %s", strerror(-r)) : 0;
}

/* --- calls --------------------------------------------------------------------------------------
 */

static int new_call(struct session *session, const char *method, sd_bus_message **ret_message,
                    struct error *err)
{
    int r = sd_bus_message_new_method_call(session->bus, ret_message, DESTINATION, MANAGER,
                                           INTERFACE, method);

    return r < 0 ? error_set(err, -r, "make a message: %s", strerror(-r)) : 0;
}

static bool is_error(const sd_bus_error *error, const char *name)
{
    return error->name != NULL && text_ends(error->name, name);
}

static int explain(const struct session *session, const char *method, const sd_bus_error *error,
                   int r, struct error *err)
{
    const char *unit = session->request->unit;

    if (is_error(error, ".UnitExists"))
        return error_set(err, EEXIST, "there is a unit of that name already");
    if (is_error(error, ".NoSuchUnit"))
        return error_set(err, ENOENT, "there is no unit %s", unit);
    if (is_error(error, ".AccessDenied") || is_error(error, ".InteractiveAuthorizationRequired"))
        return error_set(err, EACCES, "systemd does not let this user do it (%s)", method);
    if (is_error(error, ".ServiceUnknown") || is_error(error, ".NameHasNoOwner") ||
        is_error(error, ".NoServer") || is_error(error, ".Spawn.ChildExited"))
        return error_set(err, ENOTCONN, "systemd is not on D-Bus; use the cgroup manager cgroupfs");
    if (r == -ETIMEDOUT || is_error(error, ".NoReply") || is_error(error, ".Timeout"))
        return error_set(err, ETIMEDOUT, "systemd did not answer within %d s (%s)",
                         SCOPE_CALL_WAIT_S, method);
    if (error->message != NULL)
        return error_set(err, -r, "systemd: %s", error->message);
    return error_set(err, -r, "call %s of systemd: %s", method, strerror(-r));
}

/* Sends the message and gives the answer; @error is for the caller to look at and free. */
static int call(struct session *session, sd_bus_message *message, const char *method,
                sd_bus_error *error, sd_bus_message **ret_reply, struct error *err)
{
    int r = sd_bus_call(session->bus, message, SCOPE_CALL_WAIT_S * 1000000ULL, error, ret_reply);

    return r < 0 ? explain(session, method, error, r, err) : 0;
}

/* --- jobs ---------------------------------------------------------------------------------------
 */

static int on_job_removed(sd_bus_message *message, void *data, sd_bus_error *error)
{
    struct session *session = data;
    const char *path = NULL, *unit = NULL, *result = NULL;
    uint32_t id = 0;

    (void)error;
    if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) < 0)
        return 0; /* not what it says it is: waited for in vain, with a limit */
    if (text_equal(unit, session->request->unit))
        string_map_set(&session->ended, path, result);
    return 0;
}

static uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int wait_job(struct session *session, const char *job, struct error *err)
{
    uint64_t end = now_us() + SCOPE_JOB_WAIT_S * 1000000ULL;
    const char *result;

    while ((result = string_map_get(&session->ended, job)) == NULL) {
        uint64_t now = now_us();
        int r = sd_bus_process(session->bus, NULL);

        if (r == 0 && now >= end)
            return error_set(err, ETIMEDOUT, "systemd was not done within %d s", SCOPE_JOB_WAIT_S);
        if (r == 0)
            r = sd_bus_wait(session->bus, end - now);
        if (r < 0 && r != -EINTR)
            return error_set(err, -r, "wait for systemd: %s", strerror(-r));
    }
    if (!text_equal(result, "done"))
        return error_set(err, EIO, "systemd's job ended with '%s' (see: journalctl -u %s)", result,
                         session->request->unit);
    return 0;
}

/* Before the job exists, else its end could be missed. */
static int watch_jobs(struct session *session, struct error *err)
{
    int r = sd_bus_match_signal(session->bus, &session->slot, DESTINATION, MANAGER, INTERFACE,
                                "JobRemoved", on_job_removed, session);

    return r < 0 ? error_set(err, -r, "watch systemd's jobs: %s", strerror(-r)) : 0;
}

static int call_for_job(struct session *session, sd_bus_message *message, const char *method,
                        sd_bus_error *error, struct error *err)
{
    sd_bus_message *reply = NULL;
    const char *job = NULL;
    int r;

    r = call(session, message, method, error, &reply, err);
    if (r < 0)
        return r;
    r = sd_bus_message_read(reply, "o", &job);
    r = r < 0 ? error_set(err, EPROTO, "systemd answered %s with something else", method)
              : wait_job(session, job, err);
    (void)sd_bus_message_unref(reply);
    return r;
}

static void reset_failed(struct session *session)
{
    /* Mostly it has not failed, or is gone: then this fails, which is fine. */
    (void)sd_bus_call_method(session->bus, DESTINATION, MANAGER, INTERFACE, "ResetFailedUnit", NULL,
                             NULL, "s", session->request->unit);
}

/* --- start, set, stop ---------------------------------------------------------------------------
 */

/* Whether the sentence names an optional property: "Cannot set property X, or unknown property." or
 * "X= is out of range". It is then taken off the list. */
static bool drop_named(struct scope_properties *properties, const char *sentence)
{
    for (size_t i = 0; sentence != NULL && i < properties->count; i++) {
        struct scope_property *property = &properties->items[i];
        const char *found = strstr(sentence, property->name);
        char after = found != NULL ? found[strlen(property->name)] : '\0';

        if (!property->is_optional || found == NULL || (after != ',' && after != '=') ||
            (found > sentence && found[-1] != ' '))
            continue;
        free(property->name);
        free(property->signature);
        strings_clear(&property->values);
        memmove(property, property + 1, (properties->count - i - 1) * sizeof(*property));
        properties->count--;
        return true;
    }
    return false;
}

static int try_start(struct session *session, sd_bus_error *error, struct error *err)
{
    sd_bus_message *message = NULL;
    int r;

    r = new_call(session, "StartTransientUnit", &message, err);
    if (r < 0)
        return r;
    r = sd_bus_message_append(message, "ss", session->request->unit, "replace");
    if (r >= 0)
        r = append_properties(message, &session->request->properties, err);
    if (r >= 0)
        r = sd_bus_message_append(message, "a(sa(sv))", 0);
    if (r >= 0)
        r = call_for_job(session, message, "StartTransientUnit", error, err);
    (void)sd_bus_message_unref(message);
    return r;
}

static int start(struct session *session, struct scope_request *request, struct error *err)
{
    bool was_reset = false;
    int r;

    r = watch_jobs(session, err);
    if (r < 0)
        return r;
    for (;;) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        bool goes_on;

        r = try_start(session, &error, err);
        goes_on = r < 0 && drop_named(&request->properties, error.message);
        sd_bus_error_free(&error);
        /* What has the name may be the remains of one that failed. */
        if (r == -EEXIST && !was_reset) {
            reset_failed(session);
            was_reset = goes_on = true;
        }
        if (!goes_on)
            break;
    }
    if (r < 0 && r != -EEXIST)
        reset_failed(session);
    return r;
}

static int set(struct session *session, struct scope_request *request, struct error *err)
{
    bool goes_on = true;
    int r = 0;

    while (goes_on) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *message = NULL;

        r = new_call(session, "SetUnitProperties", &message, err);
        if (r < 0)
            return r;
        r = sd_bus_message_append(message, "sb", request->unit, 1);
        if (r >= 0)
            r = append_properties(message, &request->properties, err);
        if (r >= 0)
            r = call(session, message, "SetUnitProperties", &error, NULL, err);
        goes_on = r < 0 && drop_named(&request->properties, error.message);
        sd_bus_error_free(&error);
        (void)sd_bus_message_unref(message);
    }
    return r;
}

/* 1: the unit is there and ours, 0: not, or a negative errno. */
static int is_ours(struct session *session, struct error *err)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *path = NULL;
    char *description = NULL;
    int r;

    r = sd_bus_call_method(session->bus, DESTINATION, MANAGER, INTERFACE, "GetUnit", &error, &reply,
                           "s", session->request->unit);
    if (r >= 0)
        r = sd_bus_message_read(reply, "o", &path);
    if (r >= 0)
        r = sd_bus_get_property_string(session->bus, DESTINATION, path,
                                       "org.freedesktop.systemd1.Unit", "Description", &error,
                                       &description);
    if (r >= 0)
        r = text_equal(description, session->request->description);
    else if (is_error(&error, ".NoSuchUnit") || is_error(&error, ".UnknownObject"))
        r = 0;
    else
        r = explain(session, "GetUnit", &error, r, err);
    free(description);
    (void)sd_bus_message_unref(reply);
    sd_bus_error_free(&error);
    return r;
}

/* The first process of a pid namespace takes no SIGTERM, and systemd would wait for its end for a
 * minute and a half before it sends SIGKILL. */
static void kill_all(struct session *session)
{
    /* None is left mostly; if it fails otherwise, the stop below takes longer. */
    (void)sd_bus_call_method(session->bus, DESTINATION, MANAGER, INTERFACE, "KillUnit", NULL, NULL,
                             "ssi", session->request->unit, "all", SIGKILL);
}

static int stop(struct session *session, struct error *err)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *message = NULL;
    int r;

    r = is_ours(session, err);
    if (r <= 0)
        return r;
    kill_all(session);
    r = watch_jobs(session, err);
    if (r == 0)
        r = new_call(session, "StopUnit", &message, err);
    if (r < 0)
        return r;
    r = sd_bus_message_append(message, "ss", session->request->unit, "replace");
    if (r >= 0)
        r = call_for_job(session, message, "StopUnit", &error, err);
    (void)sd_bus_message_unref(message);
    sd_bus_error_free(&error);
    if (r == -ENOENT) /* went by itself meanwhile */
        r = 0;
    reset_failed(session);
    return r;
}

/* --- the program --------------------------------------------------------------------------------
 */

static int connect_bus(const struct scope_request *request, sd_bus **ret_bus, struct error *err)
{
    int r = request->is_user ? sd_bus_open_user(ret_bus) : sd_bus_open_system(ret_bus);

    if (r == -ENOMEDIUM || r == -ENXIO)
        return error_set(err, ENOTCONN,
                         "no D-Bus of this user is known: XDG_RUNTIME_DIR and "
                         "DBUS_SESSION_BUS_ADDRESS are not set");
    if (r < 0)
        return error_set(err, ENOTCONN,
                         "no D-Bus of %s can be reached (%s): the systemd cgroup manager needs a "
                         "running systemd",
                         request->is_user ? "this user" : "the system", strerror(-r));
    return 0;
}

static int handle(struct scope_request *request, struct error *err)
{
    struct session session = { .request = request };
    int r;

    r = connect_bus(request, &session.bus, err);
    if (r < 0)
        return r;
    (void)sd_bus_set_method_call_timeout(session.bus, SCOPE_CALL_WAIT_S * 1000000ULL);
    switch ((enum scope_action)request->action) {
    case SCOPE_START:
        r = start(&session, request, err);
        break;
    case SCOPE_SET:
        r = set(&session, request, err);
        break;
    case SCOPE_STOP:
        r = stop(&session, err);
        break;
    default:
        r = error_set(err, EINVAL, "unknown action %u", request->action);
    }
    (void)sd_bus_slot_unref(session.slot);
    string_map_clear(&session.ended);
    (void)sd_bus_flush_close_unref(session.bus);
    return r;
}

int main(void)
{
    struct scope_request request = { 0 };
    auto_free char *json = NULL;
    struct error err = { 0 };
    size_t length = 0;
    int r;

    log_configure("berth-scope", -1, LOG_TEXT, false);
    r = fd_read_all(STDIN_FILENO, SCOPE_REQUEST_MAX, "request", &json, &length, &err);
    if (r == 0)
        r = decode_text(&scope_request_object, json, length, &request, "request", &err);
    if (r == 0) {
        r = handle(&request, &err);
        object_clear(&scope_request_object, &request);
    }
    if (r < 0 && err.code == 0)
        (void)error_set(&err, -r, "speak D-Bus: %s", strerror(-r));
    if (r == 0)
        err = (struct error){ 0 };
    (void)fd_write_all(STDOUT_FILENO, &err, sizeof(err), "answer", NULL);
    return r < 0;
}
