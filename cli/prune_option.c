#include "cli/prune_option.h"

#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "cli/time_option.h"

static int parse_one(const char *text, int64_t now, struct prune_filter *filter, struct error *err)
{
    struct timespec present = { .tv_sec = (time_t)now };
    struct timespec until;
    int r;

    if (text_starts(text, "until=") && text[6] != '\0') {
        r = time_option_parse(text + 6, "--filter until", &present, &until, err);
        if (r < 0)
            return r;
        filter->has_until = true;
        filter->until = (int64_t)until.tv_sec;
        return 0;
    }
    if (text_starts(text, "label=") && text[6] != '\0') {
        strings_add(&filter->labels, text + 6);
        return 0;
    }
    if (text_starts(text, "label!=") && text[7] != '\0') {
        strings_add(&filter->other_labels, text + 7);
        return 0;
    }
    return error_set(err, EINVAL, "invalid filter '%s': give until=, label= or label!=", text);
}

int prune_filter_parse(const struct strings *texts, int64_t now, struct prune_filter *ret_filter,
                       struct error *err)
{
    struct prune_filter filter = { 0 };
    int r = 0;

    for (size_t i = 0; r == 0 && i < texts->count; i++)
        r = parse_one(texts->items[i], now, &filter, err);
    if (r < 0) {
        prune_filter_clear(&filter);
        return r;
    }
    *ret_filter = filter;
    return 0;
}
