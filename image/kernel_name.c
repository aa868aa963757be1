#include "image/kernel_private.h"

#include <string.h>

char *kernel_file_name(const char *path)
{
    static const char *const packed[] = { ".xz", ".zst" };

    for (size_t i = 0; i < ARRAY_SIZE(packed); i++) {
        auto_free char *name = NULL;

        if (!text_ends(path, packed[i]))
            continue;
        name = xstrndup(path, strlen(path) - strlen(packed[i]));
        if (text_ends(name, ".ko"))
            return take_ptr(&name);
    }
    return kernel_file_matters(path) ? xstrdup(path) : NULL;
}

bool kernel_file_matters(const char *name)
{
    return text_starts(name, "boot/vmlinuz-") || text_ends(name, ".ko");
}

size_t kernel_file_max(const char *name)
{
    return text_ends(name, ".ko") ? KERNEL_MODULE_MAX : KERNEL_IMAGE_MAX;
}

char *kernel_module_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = xstrdup(slash != NULL ? slash + 1 : path);
    char *dot = strstr(name, ".ko");

    if (dot != NULL)
        *dot = '\0';
    for (char *at = name; *at != '\0'; at++) {
        if (*at == '-')
            *at = '_';
    }
    return name;
}
