#include "engine/resolv_conf.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "base/text.h"

static bool is_address(const char *text)
{
    struct in6_addr address; /* the larger of both */

    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

static int check(const struct settings *settings, struct error *err)
{
    const struct {
        const char *option;
        const struct strings *words;
    } lists[] = {
        { "--dns-search", &settings->dns_search },
        { "--dns-option", &settings->dns_options },
    };

    for (size_t i = 0; i < settings->dns.count; i++)
        if (!is_address(settings->dns.items[i]))
            return error_set(err, EINVAL, "--dns '%s': give an IPv4 or IPv6 address",
                             settings->dns.items[i]);
    for (size_t k = 0; k < ARRAY_SIZE(lists); k++)
        for (size_t i = 0; i < lists[k].words->count; i++)
            if (text_is_empty(lists[k].words->items[i]) ||
                strpbrk(lists[k].words->items[i], " \t\r\n") != NULL)
                return error_set(err, EINVAL, "%s '%s': give one word", lists[k].option,
                                 lists[k].words->items[i]);
    return 0;
}

static bool line_is(const char *line, const char *keyword)
{
    return text_starts(line, keyword) && strchr(" \t", line[strlen(keyword)]) != NULL;
}

static bool is_replaced(const struct settings *settings, const char *line)
{
    return (settings->dns.count > 0 && line_is(line, "nameserver")) ||
           (settings->dns_search.count > 0 &&
            (line_is(line, "search") || line_is(line, "domain"))) ||
           (settings->dns_options.count > 0 && line_is(line, "options"));
}

static void add_line(struct text *text, const char *keyword, const struct strings *words)
{
    auto_free char *joined = strings_join(words, " ");

    if (words->count > 0)
        text_addf(text, "%s %s\n", keyword, joined);
}

int resolv_conf_plan(const struct settings *settings, const char *base, char **ret_text,
                     struct error *err)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    AUTO_CLEAR(text) struct text text = { 0 };
    int r;

    assert(settings != NULL);
    assert(ret_text != NULL);

    r = check(settings, err);
    if (r < 0)
        return r;
    strings_split(&lines, base == NULL ? "" : base, '\n');
    for (size_t i = 0; i < lines.count; i++)
        if (!is_replaced(settings, lines.items[i]) &&
            (i + 1 < lines.count || lines.items[i][0] != '\0')) /* after the last line end */
            text_addf(&text, "%s\n", lines.items[i]);
    for (size_t i = 0; i < settings->dns.count; i++)
        text_addf(&text, "nameserver %s\n", settings->dns.items[i]);
    /* "." alone: nothing is searched, as docker has it. */
    if (settings->dns_search.count != 1 || strcmp(settings->dns_search.items[0], ".") != 0)
        add_line(&text, "search", &settings->dns_search);
    add_line(&text, "options", &settings->dns_options);
    text_add(&text, ""); /* never NULL */
    *ret_text = text_take(&text);
    return 0;
}
