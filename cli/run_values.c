#include "cli/run_values.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/fd.h"
#include "base/text.h"

/* Files of variables and labels are written by people. */
#define LINES_MAX_BYTES (4u << 20)
#define EXPOSED_MAX     1024 /* ports of one range */

static bool is_device_access(const char *text)
{
    return text[0] != '\0' && strspn(text, "rwm") == strlen(text) && strlen(text) <= 3;
}

int run_value_device(struct settings *settings, const char *text, struct error *err)
{
    struct settings_devices *devices = &settings->devices;
    AUTO_CLEAR(strings) struct strings parts = { 0 };
    const char *inside, *access = "rwm";

    strings_split(&parts, text, ':');
    inside = parts.items[0];
    if (parts.count == 2 && is_device_access(parts.items[1]))
        access = parts.items[1];
    else if (parts.count >= 2)
        inside = parts.items[1];
    if (parts.count == 3)
        access = parts.items[2];

    if (parts.count > 3 || parts.items[0][0] != '/' || inside[0] != '/' ||
        !is_device_access(access))
        return error_set(err, EINVAL,
                         "--device '%s': give /dev/HOST[:/dev/CONTAINER][:ACCESS], access of rwm",
                         text);
    devices->items = xrealloc(devices->items, devices->count + 1, sizeof(*devices->items));
    devices->items[devices->count++] =
        (struct settings_device){ xstrdup(parts.items[0]), xstrdup(inside), xstrdup(access) };
    return 0;
}

int run_value_bytes(const struct arguments *arguments, const char *option, uint64_t *bytes,
                    struct error *err)
{
    const char *text = arguments_text(arguments, option);
    auto_free char *what = xasprintf("--%s", option);

    return text == NULL ? 0 : text_parse_bytes(text, what, bytes, err);
}

int run_value_number(const struct arguments *arguments, const char *option, int64_t min,
                     int64_t max, int64_t *value, struct error *err)
{
    const char *text = arguments_text(arguments, option);
    auto_free char *what = xasprintf("--%s", option);

    return text == NULL ? 0 : text_parse_i64(text, what, min, max, value, err);
}

/* "/dev/NAME:" before the value; NULL: it is not there. Caller frees. */
static char *device_path(const char *text)
{
    const char *colon = strrchr(text, ':');

    return colon != NULL && text_starts(text, "/dev/") ? xstrndup(text, (size_t)(colon - text))
                                                       : NULL;
}

static void set_rate(struct settings_rates *rates, char **path, uint64_t rate)
{
    for (size_t i = 0; i < rates->count; i++) {
        if (!text_equal(rates->items[i].path, *path))
            continue;
        rates->items[i].rate = rate;
        return;
    }
    rates->items = xrealloc(rates->items, rates->count + 1, sizeof(*rates->items));
    rates->items[rates->count++] = (struct settings_rate){ take_ptr(path), rate };
}

int run_value_rate(struct settings_rates *rates, const char *option, const char *text,
                   bool is_bytes, struct error *err)
{
    auto_free char *path = device_path(text);
    uint64_t rate = 0;
    int r;

    if (path == NULL)
        return error_set(err, EINVAL, "%s '%s': give /dev/NAME:%s", option, text,
                         is_bytes ? "BYTES, as /dev/sda:1mb" : "NUMBER, as /dev/sda:100");
    text += strlen(path) + 1;
    r = is_bytes ? text_parse_bytes(text, option, &rate, err)
                 : text_parse_u64(text, option, UINT64_MAX, &rate, err);
    if (r == 0)
        set_rate(rates, &path, rate);
    return r;
}

int run_value_weight(struct settings_rates *weights, const char *text, struct error *err)
{
    auto_free char *path = device_path(text);
    uint64_t weight = 0;

    if (path == NULL || text_parse_u64(text + strlen(path) + 1, "", 1000, &weight, NULL) < 0 ||
        (weight > 0 && weight < 10))
        return error_set(err, EINVAL,
                         "--blkio-weight-device '%s': give /dev/NAME:WEIGHT, a weight from 10 to "
                         "1000, or 0",
                         text);
    set_rate(weights, &path, weight);
    return 0;
}

int run_value_ulimit(struct settings *settings, const char *text, struct error *err)
{
    struct settings_ulimits *ulimits = &settings->ulimits;
    const char *equals = strchr(text, '=');
    const char *colon = equals != NULL ? strchr(equals, ':') : NULL;
    auto_free char *soft_text = NULL;
    int64_t soft = 0, hard = 0;
    int r;

    if (equals == NULL || equals == text)
        return error_set(err, EINVAL, "--ulimit '%s': give NAME=SOFT[:HARD], as nofile=1024:2048",
                         text);
    soft_text =
        colon != NULL ? xstrndup(equals + 1, (size_t)(colon - equals - 1)) : xstrdup(equals + 1);
    r = text_parse_i64(soft_text, "--ulimit", -1, INT64_MAX, &soft, err);
    if (r < 0)
        return r;
    hard = soft;
    r = colon != NULL ? text_parse_i64(colon + 1, "--ulimit", -1, INT64_MAX, &hard, err) : 0;
    if (r < 0)
        return r;
    if (hard != -1 && (soft == -1 || soft > hard))
        return error_set(err, EINVAL, "--ulimit '%s': the soft limit is larger than the hard limit",
                         text);
    ulimits->items = xrealloc(ulimits->items, ulimits->count + 1, sizeof(*ulimits->items));
    ulimits->items[ulimits->count++] =
        (struct settings_ulimit){ xstrndup(text, (size_t)(equals - text)), soft, hard };
    return 0;
}

int run_value_restart(struct settings *settings, const char *text, struct error *err)
{
    static const struct {
        const char *word;
        enum settings_restart restart;
    } words[] = {
        { "no", RESTART_NO },
        { "on-failure", RESTART_ON_FAILURE },
        { "always", RESTART_ALWAYS },
        { "unless-stopped", RESTART_UNLESS_STOPPED },
    };
    size_t length = strcspn(text, ":");
    uint64_t max = 0;

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strlen(words[i].word) != length || strncmp(words[i].word, text, length) != 0)
            continue;
        if (text[length] == ':' && words[i].restart != RESTART_ON_FAILURE)
            return error_set(err, EINVAL, "--restart '%s': only on-failure takes a number", text);
        if (text[length] == ':') {
            int r = text_parse_u64(text + length + 1, "--restart", INT_MAX, &max, err);

            if (r < 0)
                return r;
        }
        settings->restart = words[i].restart;
        settings->restart_max = (uint32_t)max;
        return 0;
    }
    if (text[0] == '\0')
        return 0;
    return error_set(err, EINVAL,
                     "--restart '%s': give no, on-failure[:N], always or unless-stopped", text);
}

int run_value_pair(struct string_map *map, const char *option, const char *text, bool needs_value,
                   struct error *err)
{
    const char *equals = strchr(text, '=');
    auto_free char *key = NULL;

    if (equals == text || text[0] == '\0' || (equals == NULL && needs_value))
        return error_set(err, EINVAL, "%s '%s': give KEY=VALUE", option, text);
    key = equals != NULL ? xstrndup(text, (size_t)(equals - text)) : xstrdup(text);
    string_map_set(map, key, equals != NULL ? equals + 1 : "");
    return 0;
}

int run_value_attach(struct settings *settings, const char *text, struct error *err)
{
    auto_free char *word = xstrdup(text);

    for (char *c = word; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    if (strcmp(word, "stdin") == 0)
        settings->attach_stdin = true;
    else if (strcmp(word, "stdout") == 0)
        settings->attach_stdout = true;
    else if (strcmp(word, "stderr") == 0)
        settings->attach_stderr = true;
    else
        return error_set(err, EINVAL, "--attach '%s': valid streams are stdin, stdout and stderr",
                         text);
    return 0;
}

int run_value_lines(const char *path, const char *option, struct strings *lines, struct error *err)
{
    auto_free char *content = NULL;
    AUTO_CLEAR(strings) struct strings all = { 0 };
    auto_close int fd = -1;
    const char *text;
    int r;

    /* Any kind of file: shells write what <(...) prints into a pipe. */
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "%s: open '%s'", option, path);
    r = fd_read_all(fd, LINES_MAX_BYTES, path, &content, NULL, err);
    if (r < 0)
        return error_prefix(err, r, "%s", option);
    text = content;
    if (text_starts(text, "\xef\xbb\xbf")) /* editors of some systems put this mark there */
        text += 3;
    strings_split(&all, text, '\n');
    for (size_t i = 0; i < all.count; i++) {
        char *line = all.items[i] + strspn(all.items[i], " \t");
        size_t end = strlen(line);

        if (end > 0 && line[end - 1] == '\r')
            line[end - 1] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            strings_add(lines, line);
    }
    return 0;
}

int run_value_exposed(struct settings *settings, const char *text, struct error *err)
{
    static const char *const protocols[] = { "/tcp", "/udp", "/sctp" };
    size_t length = strcspn(text, "/"), first_length = strcspn(text, "-/");
    auto_free char *first_text = xstrndup(text, first_length);
    auto_free char *last_text = first_length < length
                                    ? xstrndup(text + first_length + 1, length - first_length - 1)
                                    : xstrdup(first_text);
    const char *protocol = text[length] == '\0' ? protocols[0] : text + length;
    bool is_known = false;
    uint64_t first = 0, last = 0;

    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
        is_known = is_known || strcmp(protocol, protocols[i]) == 0;
    if (!is_known || text_parse_u64(first_text, "port", UINT16_MAX, &first, NULL) < 0 ||
        text_parse_u64(last_text, "port", UINT16_MAX, &last, NULL) < 0 || first == 0 ||
        last < first)
        return error_set(err, EINVAL, "--expose '%s': give PORT[-PORT][/tcp|/udp|/sctp]", text);
    if (last - first >= EXPOSED_MAX)
        return error_set(err, E2BIG, "--expose '%s': more than %d ports", text, EXPOSED_MAX);
    for (uint64_t port = first; port <= last; port++) {
        auto_free char *name = xasprintf("%u%s", (unsigned)port, protocol);

        if (!strings_contains(&settings->exposed, name))
            strings_add(&settings->exposed, name);
    }
    return 0;
}
