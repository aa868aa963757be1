#include "image/platform.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Names as Go spells them (image-index.md, "platform"). */
const char *platform_architecture(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#elif defined(__arm__)
    return "arm";
#elif defined(__i386__)
    return "386";
#elif defined(__riscv) && __riscv_xlen == 64
    return "riscv64";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
    return "ppc64le";
#elif defined(__s390x__)
    return "s390x";
#else
#error "name this architecture as Go does"
#endif
}

/* Variants that this machine can run; "" stands for none given. */
static bool variant_is_ours(const char *variant)
{
    if (text_is_empty(variant))
        return true;
#if defined(__x86_64__)
    if (strcmp(variant, "v1") == 0)
        return true;
    if (strcmp(variant, "v2") == 0)
        return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    if (strcmp(variant, "v3") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
               __builtin_cpu_supports("fma");
    return false;
#elif defined(__aarch64__)
    return strcmp(variant, "v8") == 0;
#elif defined(__arm__)
    return strcmp(variant, "v7") == 0 || strcmp(variant, "v6") == 0 || strcmp(variant, "v5") == 0;
#else
    return true;
#endif
}

bool platform_is_companion(const struct image_descriptor *descriptor)
{
    assert(descriptor != NULL);
    return text_equal(descriptor->platform_os, "unknown") ||
           string_map_get(&descriptor->annotations, "vnd.docker.reference.type") != NULL;
}

bool platform_is_foreign(const struct image_descriptor *descriptor)
{
    assert(descriptor != NULL);
    if (descriptor->platform_os == NULL && descriptor->platform_architecture == NULL)
        return false;
    return !text_equal(descriptor->platform_os, "linux") ||
           !text_equal(descriptor->platform_architecture, platform_architecture()) ||
           !variant_is_ours(descriptor->platform_variant);
}

char *platform_format(const struct image_descriptor *descriptor)
{
    assert(descriptor != NULL);
    if (descriptor->platform_os == NULL || descriptor->platform_architecture == NULL)
        return xstrdup("unknown");
    return xasprintf("%s/%s%s%s", descriptor->platform_os, descriptor->platform_architecture,
                     text_is_empty(descriptor->platform_variant) ? "" : "/",
                     text_is_empty(descriptor->platform_variant) ? ""
                                                                 : descriptor->platform_variant);
}

/* --- a platform that is asked for ------------------------------------------------------------- */

/* As uname(1) calls them. */
static const struct {
    const char *other, *name;
} architecture_names[] = { { "x86_64", "amd64" }, { "aarch64", "arm64" }, { "armhf", "arm" } };

/* os, architecture, variant: as far as they are given; the rest is "". */
static void split_wanted(const char *text, struct strings *ret_parts)
{
    strings_split(ret_parts, text, '/');
    if (ret_parts->count == 1) { /* an architecture alone */
        auto_free char *whole = xasprintf("linux/%s", text);

        strings_clear(ret_parts);
        strings_split(ret_parts, whole, '/');
    }
    for (size_t i = 0; i < ARRAY_SIZE(architecture_names); i++) {
        if (strcmp(ret_parts->items[1], architecture_names[i].other) == 0) {
            free(ret_parts->items[1]);
            ret_parts->items[1] = xstrdup(architecture_names[i].name);
        }
    }
    while (ret_parts->count < 3)
        strings_add(ret_parts, "");
}

int platform_check(const char *text, struct error *err)
{
    AUTO_CLEAR(strings) struct strings parts = { 0 };

    strings_split(&parts, text, '/');
    for (size_t i = 0; i < parts.count; i++) {
        const char *part = parts.items[i];

        if (parts.count > 3 || part[0] == '\0' ||
            strspn(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") !=
                strlen(part))
            return error_set(err, EINVAL, "platform '%s': give OS/ARCHITECTURE[/VARIANT]", text);
    }
    return 0;
}

/* What an absent variant means (containerd's normalisation). */
static const char *plain_variant(const char *architecture, const char *variant)
{
    if (!text_is_empty(variant))
        return variant;
    if (text_equal(architecture, "arm64"))
        return "v8";
    if (text_equal(architecture, "arm"))
        return "v7";
    return text_equal(architecture, "amd64") ? "v1" : "";
}

bool platform_matches(const struct image_descriptor *descriptor, const char *wanted)
{
    AUTO_CLEAR(strings) struct strings parts = { 0 };

    assert(descriptor != NULL);

    if (wanted == NULL)
        return !platform_is_foreign(descriptor);
    if (descriptor->platform_os == NULL && descriptor->platform_architecture == NULL)
        return true; /* it does not say */
    split_wanted(wanted, &parts);
    return text_equal(descriptor->platform_os, parts.items[0]) &&
           text_equal(descriptor->platform_architecture, parts.items[1]) &&
           (parts.items[2][0] == '\0' ||
            strcmp(plain_variant(parts.items[1], descriptor->platform_variant), parts.items[2]) ==
                0);
}

int image_check_platform(const struct image *image, const char *wanted, struct error *err)
{
    struct image_descriptor own = { 0 };
    auto_free char *name = NULL;
    int r;

    assert(image != NULL);
    assert(wanted != NULL);

    r = platform_check(wanted, err);
    if (r < 0)
        return r;
    own.platform_os = image->config.os;
    own.platform_architecture = image->config.architecture;
    own.platform_variant = image->config.variant;
    if (platform_matches(&own, wanted))
        return 0;
    name = platform_format(&own);
    return error_set(err, ENOEXEC, "it is for %s, not for %s", name, wanted);
}

int platform_none(const struct image_descriptors *entries, const char *wanted, struct error *err)
{
    AUTO_CLEAR(strings) struct strings platforms = { 0 };
    auto_free char *list = NULL;
    auto_free char *own = xasprintf("linux/%s", platform_architecture());

    for (size_t i = 0; i < entries->count; i++) {
        auto_free char *platform = platform_format(&entries->items[i]);

        if (!platform_is_companion(&entries->items[i]) && !strings_contains(&platforms, platform))
            strings_add(&platforms, platform);
    }
    list = strings_join(&platforms, ", ");
    if (platforms.count == 0)
        return error_set(err, ENOENT, "the index lists no image");
    return error_set(err, ENOENT, "there is no image for %s, only for %s",
                     wanted != NULL ? wanted : own, list);
}
