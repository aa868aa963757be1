#include "cli/registry_options.h"

const struct option image_pull_options[] = {
    { "all-platforms", 0, OPTION_FLAG, NULL,
      "Keep the images of all platforms, so that they can be pushed", NULL },
    { "all-tags", 'a', OPTION_FLAG, NULL, "All tags that the repository has there", NULL },
    { "quiet", 'q', OPTION_FLAG, NULL, "Print the name only", NULL },
    { "platform", 0, OPTION_TEXT, "PLATFORM", "As linux/arm64; default: this machine's", "none" },
    { "policy", 0, OPTION_TEXT, "WHEN", "always (default), or missing: only what is not here",
      "always|missing" },
    TLS_VERIFY_OPTION,
    { "disable-content-trust", 0, OPTION_FLAG, NULL, "Accepted; there is no content trust", NULL },
    { 0 },
};

const struct option image_push_options[] = {
    { "all-platforms", 0, OPTION_FLAG, NULL, "The index of all platforms as it was pulled", NULL },
    { "all-tags", 'a', OPTION_FLAG, NULL, "All tags that the repository has here", NULL },
    { "platform", 0, OPTION_REFUSED, NULL,
      "one platform of several is not picked out; --all-platforms sends all that were pulled",
      NULL },
    { "quiet", 'q', OPTION_FLAG, NULL, "Print the name only", NULL },
    TLS_VERIFY_OPTION,
    { "disable-content-trust", 0, OPTION_FLAG, NULL, "Accepted; there is no content trust", NULL },
    { 0 },
};

const struct option image_copy_options[] = {
    { "quiet", 'q', OPTION_FLAG, NULL, "Print the digest only", NULL },
    TLS_VERIFY_OPTION,
    { 0 },
};

const struct option image_referrers_options[] = {
    { "format", 0, OPTION_TEXT, "FORMAT", "table, json or a Go template; default: table", "none" },
    TLS_VERIFY_OPTION,
    { 0 },
};

const struct option image_login_options[] = {
    { "username", 'u', OPTION_TEXT, "NAME", "User's name; default: asked for", "none" },
    { "password", 'p', OPTION_TEXT, "PASSWORD", "Password; others can see it here", "none" },
    { "password-stdin", 0, OPTION_FLAG, NULL, "Read the password from standard input", NULL },
    TLS_VERIFY_OPTION,
    { 0 },
};

const struct option image_search_options[] = {
    { "filter", 'f', OPTION_REFUSED, NULL, "what the registry answers is not filtered", NULL },
    { "limit", 0, OPTION_TEXT, "NUMBER", "Results at most; default: 25", "none" },
    { "no-trunc", 0, OPTION_FLAG, NULL, "Show whole descriptions", NULL },
    { "format", 0, OPTION_TEXT, "FORMAT", "table, json, or a template for each row", "table|json" },
    TLS_VERIFY_OPTION,
    { 0 },
};

const struct option image_inspect_options[] = {
    { "format", 'f', OPTION_TEXT, "FORMAT", "json, or a template for each image", "json" },
    { "platform", 0, OPTION_TEXT, "PLATFORM", "docker://...: as linux/arm64", "none" },
    TLS_VERIFY_OPTION,
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
