#include "cli/registry_options.h"

const struct option image_pull_options[] = {
    { "quiet", 'q', OPTION_FLAG, NULL, "Print the name only", NULL },
    { "platform", 0, OPTION_TEXT, "PLATFORM", "As linux/arm64; default: this machine's", "none" },
    { "policy", 0, OPTION_TEXT, "WHEN", "always (default), or missing: only what is not here",
      "always|missing" },
    TLS_VERIFY_OPTION,
    { "disable-content-trust", 0, OPTION_FLAG, NULL, "Accepted; there is no content trust", NULL },
    { 0 },
};

const struct option image_push_options[] = {
    { "all-tags", 'a', OPTION_FLAG, NULL, "All tags that the repository has here", NULL },
    { "quiet", 'q', OPTION_FLAG, NULL, "Print the name only", NULL },
    TLS_VERIFY_OPTION,
    { "disable-content-trust", 0, OPTION_FLAG, NULL, "Accepted; there is no content trust", NULL },
    { 0 },
};

struct registry_options registry_options(const struct arguments *arguments)
{
    struct registry_options options = { .tls = REGISTRY_TLS_CONFIGURED };

    if (arguments_has(arguments, "tls-verify"))
        options.tls = arguments_flag(arguments, "tls-verify") ? REGISTRY_TLS_VERIFIED
                                                              : REGISTRY_TLS_UNVERIFIED;
    return options;
}
