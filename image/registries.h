#ifndef IMAGE_REGISTRIES_H
#define IMAGE_REGISTRIES_H

#include "image/registry.h"

/* registries.conf, version 2 (containers-registries.conf(5)): what podman, buildah and skopeo read,
 * too. */

enum mirror_use { MIRROR_ALL, MIRROR_DIGESTS, MIRROR_TAGS };

struct registry_mirror {
    char *location;
    bool is_insecure;
    enum mirror_use use;
};
struct registry_entry {
    char *prefix;   /* what it is for: "docker.io/library", "*.example.org" */
    char *location; /* what takes the prefix' place */
    bool is_insecure, is_blocked, mirrors_by_digest;
    struct registry_mirror *mirrors;
    size_t mirror_count;
};
struct registries {
    struct registry_entry *entries;
    size_t count;
    struct strings search;     /* unqualified-search-registries */
    struct string_map aliases; /* short names */
};

/**
 * Adds what one file says: a later one replaces entries of the same prefix, aliases of the same
 * name and the list to search.
 */
int registries_parse(const char *text, struct registries *registries, struct error *err);
/** Reads the files of this machine and of its user; none is fine. */
int registries_load(struct registries *ret_registries, struct error *err);
void registries_clear(struct registries *registries);

/** The entry with the longest prefix of a name "registry/repository"; NULL. */
const struct registry_entry *registries_find(const struct registries *registries, const char *name);
/** The name with @location in the place of the entry's prefix. Caller frees. */
char *registry_entry_rewrite(const struct registry_entry *entry, const char *location,
                             const char *name);

#endif
