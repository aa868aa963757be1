#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "image/registry.h"

static const struct {
    const char *word;
    enum image_place_kind kind;
    bool is_known;
} kinds[] = {
    { "docker://", PLACE_REGISTRY, true },
    { "oci:", PLACE_OCI, true },
    { "oci-archive:", PLACE_OCI_ARCHIVE, true },
    { "docker-archive:", PLACE_DOCKER_ARCHIVE, true },
    { "dir:", PLACE_REGISTRY, false },
    { "docker-daemon:", PLACE_REGISTRY, false },
    { "containers-storage:", PLACE_REGISTRY, false },
    { "ostree:", PLACE_REGISTRY, false },
    { "sif:", PLACE_REGISTRY, false },
};

void image_place_clear(struct image_place *place)
{
    free(place->path);
    free(place->name);
    *place = (struct image_place){ 0 };
}

bool image_place_has_kind(const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (text_starts(text, kinds[i].word))
            return true;
    }
    return false;
}

int image_place_parse(const char *text, struct image_place *ret_place, struct error *err)
{
    struct image_place place = { .kind = PLACE_REGISTRY };
    const char *rest = text, *colon;

    assert(text != NULL);
    assert(ret_place != NULL);

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (!text_starts(text, kinds[i].word))
            continue;
        if (!kinds[i].is_known)
            return error_set(
                err, ENOTSUP,
                "'%s': give docker://NAME, oci:DIRECTORY[:TAG], oci-archive:FILE[:TAG] "
                "or docker-archive:FILE[:NAME]",
                text);
        place.kind = kinds[i].kind;
        rest = text + strlen(kinds[i].word);
    }
    colon = place.kind == PLACE_REGISTRY ? NULL : strchr(rest, ':');
    if (rest[0] == '\0' || colon == rest)
        return error_set(err, EINVAL, "'%s' names no %s", text,
                         place.kind == PLACE_REGISTRY ? "image" : "file");
    if (place.kind == PLACE_REGISTRY) {
        place.name = xstrdup(rest);
    } else {
        place.path = colon == NULL ? xstrdup(rest) : xasprintf("%.*s", (int)(colon - rest), rest);
        place.name = colon == NULL || colon[1] == '\0' ? NULL : xstrdup(colon + 1);
    }
    *ret_place = place;
    return 0;
}
