#ifndef IMAGE_REGISTRY_H
#define IMAGE_REGISTRY_H

#include "base/event.h"
#include "image/image.h"

/* Registries (distribution-spec 1.1). What speaks to them is the program berth-fetch
 * (image/fetch.h); what arrives is verified here, and only then believed. */

enum registry_tls { REGISTRY_TLS_CONFIGURED, REGISTRY_TLS_VERIFIED, REGISTRY_TLS_UNVERIFIED };

struct registry_options {
    enum registry_tls tls; /* --tls-verify; configured: as registries.conf says */
};

struct registries; /* registries.conf; opaque here */
int registries_open(struct registries **ret_registries, struct error *err);
void registries_free(struct registries *registries);
DEFINE_AUTO(registries)

/**
 * What a name that a user typed may mean, in the order in which it is tried: itself when it names a
 * registry, else its alias, else each registry that is searched, else docker.io.
 */
void registries_names(const struct registries *registries, const char *text,
                      struct strings *ret_names);

/* --- pull ------------------------------------------------------------------------------------- */

enum pull_step {
    PULL_EXISTS,  /* it is in the store already */
    PULL_WAITING, /* another process fetches it */
    PULL_ARRIVES, /* so many bytes of it are in the file and hashed */
    PULL_DONE,    /* it is whole, its digest is right, and it is in the store */
};

/* How far a layer's blob is. */
struct pull_layer {
    const struct image_descriptor *descriptor;
    size_t index, count; /* lowest is 0 */
    enum pull_step step;
    uint64_t bytes; /* hashed so far, from the blob's first byte on */
    int fd; /* ARRIVES: the file that grows, open for reading only, its offset left to the watcher;
               borrowed; else -1 */
};

/* Both may be NULL. A negative result ends the pull with this error. */
struct pull_watch {
    /** The manifest and the config are there and agree: these layers will come. */
    int (*begins)(void *context, const struct image_descriptors *layers,
                  const struct strings *diff_ids, struct error *err);
    /**
     * Called for each piece of a blob; pieces of several layers alternate. A blob of which there
     * are fewer bytes than before had a wrong digest, and comes once more.
     */
    int (*layer)(void *context, const struct pull_layer *layer, struct error *err);
    void *context;
};

struct pull_options {
    struct registry_options registry;
    const char *platform; /* "linux/arm64/v8"; NULL: this machine's */
    bool all_platforms;   /* also all else that the index names, which only lies there then */
    struct pull_watch watch;
    struct event_loop *loop;  /* runs meanwhile, with whatever else is in it; borrowed; NULL */
    struct strings *warnings; /* what was damaged here and comes anew, what layers lack; NULL */
};

struct pulled {
    struct digest digest;          /* of what the name stands for: a manifest or an index */
    struct digest manifest_digest; /* of the image for the platform */
};

/**
 * Brings an image's blobs into the store; nothing is unpacked or published.
 *
 * A transfer that ends early leaves what it has for the next one. Documents that are here already
 * are verified; layers are when they are unpacked.
 *
 * -ENOENT: the registry has no such image.  -EACCES: it wants a login.  -ESTALE: layers that were
 * here were damaged; they are not here any more, so the next try can work.
 */
int image_pull(struct image_store *store, const struct registries *registries,
               const struct reference *reference, const struct pull_options *options,
               struct pulled *ret_pulled, struct error *err);

/**
 * Drops those blobs that are here and not what their digests say. It reads all of them: for when
 * something has failed.
 *
 * @warnings  a sentence is added for each
 *
 * Returns whether there were any.
 */
bool image_drop_damaged(struct image_store *store, const struct image_descriptors *blobs,
                        struct strings *warnings);

/** Whether the name of @reference stands for this manifest already, and it is published. */
bool image_is_named(struct image_store *store, const struct reference *reference,
                    const struct digest *manifest_digest);
/** Gives a published image the names by which it was pulled: its tag, and REPOSITORY@DIGEST. */
int image_name_pulled(struct image_store *store, const struct reference *reference,
                      const struct pulled *pulled, struct error *err);

/* --- push ------------------------------------------------------------------------------------- */

enum push_step { PUSH_SENDS, PUSH_DONE, PUSH_EXISTED, PUSH_MOUNTED };

struct push_layer {
    const struct image_descriptor *descriptor;
    size_t index, count; /* lowest is 0 */
    enum push_step step;
    uint64_t bytes;         /* that the registry has */
    const char *mount_from; /* MOUNTED: the other repository */
};

struct push_options {
    struct registry_options registry;
    bool all_platforms; /* the index by which the image was pulled, with all that it names */
    /** May be NULL. */
    void (*layer)(void *context, const struct push_layer *layer);
    void *context;
};

/**
 * Sends an image: its layers and config where the registry has not got them, then its manifest,
 * byte by byte as it is in the store; or an index, after all that it names.
 *
 * @destination  repository and tag; without a tag it is only known by its digest there
 * @ret_digest, @ret_size  of the manifest or the index
 */
int image_push(struct image_store *store, const struct registries *registries,
               const struct digest *manifest_digest, const struct reference *destination,
               const struct push_options *options, struct digest *ret_digest, uint64_t *ret_size,
               struct error *err);

/* --- copying ---------------------------------------------------------------------------------- */

struct copied {
    struct digest digest;
    uint64_t documents, blobs; /* at the destination now */
    uint64_t referrers;        /* among the documents */
};
/**
 * Copies what a name stands for from registry to registry, byte by byte: an index with the images
 * of all platforms, or a manifest, and what refers to them (signatures, attestations). What is
 * fetched on the way lies in the store without a record or a name, so that a copy that was
 * interrupted goes on where it was; the next sweep takes it.
 */
int image_copy(struct image_store *store, const struct registries *registries,
               const struct reference *source, const struct reference *destination,
               const struct push_options *options, struct copied *ret_copied, struct error *err);

/* A place of an image as skopeo writes it: "docker://NAME", "oci:DIRECTORY[:TAG]",
 * "oci-archive:FILE[:TAG]", "docker-archive:FILE[:NAME]"; without a word in front, a registry's. */

enum image_place_kind { PLACE_REGISTRY, PLACE_OCI, PLACE_OCI_ARCHIVE, PLACE_DOCKER_ARCHIVE };

struct image_place {
    enum image_place_kind kind;
    char *path; /* NULL: at a registry */
    char *name; /* there: of the image; in a layout, its tag; NULL: none was given */
};
/** -EINVAL: "'oci:' names no file".  -ENOTSUP: a kind that berth does not know. */
int image_place_parse(const char *text, struct image_place *ret_place, struct error *err);
void image_place_clear(struct image_place *place);
/** Whether a text begins with one of these words, and not with an image's name. */
bool image_place_has_kind(const char *text);

/* Where image_copy_archive() takes an image from, or brings it to. */
struct image_copy_end {
    const struct reference *reference; /* at a registry; NULL: */
    int fd;                            /* of an archive, or of the directory of an OCI layout */
    bool is_directory;
    const char *name; /* as a source: of the image in it; NULL: of the only one. As a destination:
                         its tag in a layout, else its name; NULL: none */
    enum archive_format format; /* of a destination */
};
/**
 * Copies from or to an archive, of all platforms but into docker's form. What refers to the image
 * is not in archives.
 *
 * -ENOENT: there is no such image.
 */
int image_copy_archive(struct image_store *store, const struct registries *registries,
                       const struct image_copy_end *source,
                       const struct image_copy_end *destination, const struct push_options *options,
                       struct digest *ret_digest, struct error *err);

/** What refers to the manifest or the index that a name stands for, and its digest. */
int registry_referrers(const struct registries *registries, const struct reference *reference,
                       const struct registry_options *options, struct digest *ret_digest,
                       struct image_descriptors *ret_referrers, struct error *err);

/* --- asking ----------------------------------------------------------------------------------- */

/**
 * Checks a login with the registry, then keeps it in the file that docker and podman share, or
 * gives it to the credential helper that the file names.
 *
 * @registry  "docker.io", "localhost:5000"
 *
 * -EACCES: the registry does not take it.
 */
int registry_login(const struct registries *registries, const char *registry,
                   const struct registry_options *options, const char *username,
                   const char *password, struct error *err);
/** Removes what is kept of a login. Returns 1, or 0 when there was none. */
int registry_logout(const char *registry, struct error *err);

/** All tags of a repository, as the registry orders them. */
int registry_list_tags(const struct registries *registries, const struct reference *reference,
                       const struct registry_options *options, struct strings *ret_tags,
                       struct error *err);

/** What `image inspect docker://NAME` prints: JSON as skopeo has it. Caller frees. */
int registry_inspect(const struct registries *registries, const struct reference *reference,
                     const struct registry_options *options, const char *platform, char **ret_json,
                     struct error *err);
/**
 * The same of an image in an archive or a layout, of this machine's platform. It passes through the
 * store, where it is verified.
 *
 * -ENOENT: there is no such image.
 */
int image_inspect_archive(struct image_store *store, const struct image_copy_end *source,
                          char **ret_json, struct error *err);

struct registry_found {
    char *name, *description;
    uint64_t stars;
    bool is_official, is_automated;
};
struct registry_search {
    struct registry_found *items;
    size_t count;
};
void registry_search_clear(struct registry_search *search);
/**
 * Searches docker.io, or the registry that the text begins with ("localhost:5000/app"): by its
 * search, else among the names of its catalog.
 *
 * @limit  results at most
 */
int registry_search(const struct registries *registries, const char *text,
                    const struct registry_options *options, size_t limit,
                    struct registry_search *ret_search, struct error *err);

#endif
