#include "image/platform.h"

#include <assert.h>
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
