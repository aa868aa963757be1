#include "cli/image_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/auto.h"

void image_source_clear(struct image_source *source)
{
    auto_close_cleanup(&source->fd);
    reference_free(source->reference);
    image_place_clear(&source->place);
}

int image_source_name(const struct registries *registries, const char *text,
                      struct reference **ret_reference, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };

    if (text_starts(text, "docker://"))
        text += strlen("docker://");
    registries_names(registries, text, &names);
    if (names.count == 0)
        return error_set(err, EINVAL, "'%s' is no image name", text);
    return reference_parse(names.items[0], ret_reference, err);
}

static int open_file(const char *text, struct image_source *source, struct error *err)
{
    const struct image_place *place = &source->place;
    struct stat status;

    source->fd = open(place->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (source->fd < 0 || fstat(source->fd, &status) < 0)
        return error_errno(err, "open '%s'", place->path);
    if (S_ISDIR(status.st_mode) != (place->kind == PLACE_OCI))
        return error_set(err, EINVAL, "'%s': '%s' is %s directory", text, place->path,
                         S_ISDIR(status.st_mode) ? "a" : "no");
    source->end.fd = source->fd;
    source->end.is_directory = S_ISDIR(status.st_mode);
    source->end.name = place->name;
    return 0;
}

int image_source_open(const struct registries *registries, const char *text,
                      struct image_source *ret_source, struct error *err)
{
    AUTO_CLEAR(image_source) struct image_source source = { .fd = -1, .end.fd = -1 };
    int r;

    r = image_place_parse(text, &source.place, err);
    if (r == 0 && source.place.kind != PLACE_REGISTRY)
        r = open_file(text, &source, err);
    else if (r == 0)
        r = image_source_name(registries, source.place.name, &source.reference, err);
    if (r < 0)
        return r;
    source.end.reference = source.reference;
    *ret_source = source;
    source = (struct image_source){ .fd = -1 };
    return 0;
}
