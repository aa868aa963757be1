#include "image/archive_name.h"

#include <assert.h>
#include <string.h>

#include "base/auto.h"
#include "base/path.h"
#include "base/text.h"

char *archive_name_clean(const char *directory, size_t directory_length, const char *name)
{
    auto_free char *absolute = NULL;
    auto_free char *clean = NULL;

    assert(directory != NULL);
    assert(name != NULL);

    absolute = xasprintf("/%.*s/%s", (int)directory_length, directory, name);
    clean = path_clean(absolute);
    return xstrdup(clean + strspn(clean, "/"));
}

bool archive_name_matters(const char *name)
{
    static const char *const suffixes[] = { ".json", ".tar", ".tar.gz", ".tgz", ".tar.zst", NULL };
    static const char *const names[] = { "oci-layout", "repositories", "version", NULL };

    assert(name != NULL);

    if (text_starts(name, "blobs/") || text_starts(name, "sha256:"))
        return true;
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    for (size_t i = 0; suffixes[i] != NULL; i++) {
        if (text_ends(name, suffixes[i]))
            return true;
    }
    return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}
