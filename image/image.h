#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/decode.h"
#include "base/digest.h"
#include "base/disk_usage.h"
#include "base/error.h"
#include "base/text.h"

/* Images: references, blobs, manifests, configs, names. Knows nothing about unpacking. */

/* --- references ------------------------------------------------------------------------------- */

/* "registry/repository:tag@digest" with docker's defaults filled in. */
struct reference {
    char *registry;   /* "docker.io" */
    char *repository; /* "library/busybox" */
    char *tag;        /* "latest"; NULL when only a digest was given */
    char *digest;     /* "sha256:..."; NULL */
};
/**
 * Parses an image name as docker does: the registry is docker.io, "library/" comes before a single
 * word, the tag is latest unless there is a digest.
 *
 * -EINVAL: "image name 'X': the repository must be lower case" and the like.
 *
 * See: distribution/reference, its grammar.
 */
int reference_parse(const char *text, struct reference **ret_reference, struct error *err);
void reference_free(struct reference *reference);
DEFINE_AUTO(reference)
/** Whether the name begins with a registry, so that none has to be filled in. */
bool reference_names_registry(const char *text);
/** Whether both are of one repository of one registry, whatever their tags. */
bool reference_is_same_repository(const struct reference *a, const struct reference *b);
/** The full name: "docker.io/library/busybox:latest". Caller frees. */
char *reference_format(const struct reference *reference);
/** The name as docker shows it: "busybox:latest"; it parses to the same reference. Caller frees. */
char *reference_format_familiar(const struct reference *reference);

/* --- documents (image-spec) ------------------------------------------------------------------- */

struct image_descriptor {
    char *media_type;
    struct digest digest;
    char *digest_text; /* as in the document, checked into digest */
    uint64_t size;
    struct string_map annotations;
    char *artifact_type; /* of a referrer; NULL */
    char *platform_os, *platform_architecture, *platform_variant;
    struct strings urls; /* where else its content may be */
};
struct image_descriptors {
    struct image_descriptor *items;
    size_t count;
};

struct image_healthcheck {
    struct strings test;
    int64_t interval, timeout, start_period;
    int64_t retries;
};

/* How an image came to be; one entry for each layer, and some that made none. */
struct image_history_item {
    char *created, *created_by, *author, *comment;
    bool is_empty_layer;
};
struct image_history {
    struct image_history_item *items;
    size_t count;
};

/* What an image says about running it (config.md "config"). */
struct image_config {
    char *architecture, *os, *variant, *created, *author;
    char *user, *working_dir, *stop_signal;
    struct strings env, entrypoint, cmd, shell, on_build;
    struct strings volumes, exposed_ports; /* names */
    struct string_map labels;
    struct strings diff_ids; /* lowest first */
    struct image_healthcheck *healthcheck;
    struct image_history history;
    char *comment, *created_by; /* of the last entry of the history; of the only one to be made when
                                   there is none */
};

/* One image as it is in the store. */
struct image {
    struct digest manifest_digest;
    struct digest id;                /* digest of its config, as docker's image id */
    struct image_descriptors layers; /* lowest first */
    struct image_config config;
    char *config_json;   /* the exact bytes */
    uint64_t size_bytes; /* uncompressed sum of the layers as recorded */
};
void image_free(struct image *image);
DEFINE_AUTO(image)

/* --- the store: DATA/{blobs,images,names} ----------------------------------------------------- */

/* Whoever adds blobs holds DATA/blobs/lock shared from the first one until image_store_end_write()
 * or image_store_free(), so that image_sweep_blobs() does not take what has no name yet. */
struct image_store;
/** Makes a handle; nothing is opened or made before it is needed. @data_fd is borrowed. */
int image_store_open(int data_fd, struct image_store **ret_store, struct error *err);
void image_store_free(struct image_store *store);
DEFINE_AUTO(image_store)
/** Ends adding: drops what is staged and gives up the lock. Blobs without a record are garbage. */
void image_store_end_write(struct image_store *store);

/**
 * Finds an image by what a user typed: reference, id or an unambiguous prefix of an id (with or
 * without "sha256:").
 *
 * -ENOENT: "No such image: debain; did you mean 'debian'? `berth images` lists them".
 * -EBADMSG: its files are missing or damaged; image_remove() can still remove it.
 */
int image_find(struct image_store *store, const char *text, struct image **ret_image,
               struct error *err);
/** By exact manifest digest; -ENOENT promised. The image need not be published. */
int image_open(struct image_store *store, const struct digest *manifest_digest,
               struct image **ret_image, struct error *err);

struct image_listing_item {
    struct digest manifest_digest, id;
    struct strings names;     /* familiar references that point at it */
    struct strings manifests; /* digests of all its manifests, mostly one */
    int64_t created;          /* seconds since 1970 */
    uint64_t size_bytes;
};
struct image_listing {
    struct image_listing_item *items;
    size_t count;
    struct error damage; /* why a record is left out; no message: none is */
};
/** Lists the images, newest first. Several manifests of one id are one image. */
int image_list(struct image_store *store, struct image_listing *ret_listing, struct error *err);
void image_listing_clear(struct image_listing *listing);

/** Publishes: record of @manifest_digest, whose blobs and layers are in the store and synced. */
int image_publish(struct image_store *store, const struct digest *manifest_digest,
                  uint64_t size_bytes, struct error *err);
/** Points a name at a published image, whatever it pointed at. A name with a digest is -EINVAL. */
int image_tag(struct image_store *store, const struct digest *manifest_digest,
              const struct reference *reference, struct error *err);
/**
 * Removes a name, and with the last one the image's record. By id: the image with its one name, or
 * with all of its names when forced. Blobs go with image_sweep_blobs().
 *
 * @ret_removed  lines as `docker rmi` prints them: "Untagged: x:latest", "Deleted: sha256:..."
 *
 * -ENOENT: as image_find().  -EBUSY: several names and not forced.
 */
int image_remove(struct image_store *store, const char *text, bool is_forced,
                 struct strings *ret_removed, struct error *err);
/**
 * The index by which an image was pulled. What is here of it, mostly this image alone, stays as
 * long as the image has the name REPOSITORY@DIGEST of it.
 *
 * -ENOENT: there is none.
 */
int image_find_index(struct image_store *store, const struct digest *manifest_digest,
                     struct digest *ret_digest, struct error *err);
/**
 * Digests of what the indexes by which an image was pulled refer to; some of it may not be here.
 *
 * @manifest_digest  NULL: of all images
 */
int image_index_blobs(struct image_store *store, const struct digest *manifest_digest,
                      struct strings *digests, struct error *err);
/** Diff ids of each image in the store as one text "sha256:a sha256:b", lowest first. */
int image_chains(struct image_store *store, struct strings *ret_chains, struct error *err);
/**
 * Moves blobs that no image refers to to the trash, and removes what killed processes left
 * unfinished.
 *
 * @drops_partial  also what came of blobs of late and nobody is fetching just now
 * @swept          what that took on the disk is added; NULL
 *
 * Returns 0; 1 when a process is adding blobs, so that nothing was done: the next sweep will.
 */
int image_sweep_blobs(struct image_store *store, bool drops_partial, struct disk_usage *swept,
                      struct error *err);

/**
 * Takes the lock of blobs until the descriptor is closed: shared, it keeps image_sweep_blobs()
 * away, as whoever adds blobs does; exclusively, it keeps those away too.
 *
 * -ETIMEDOUT: others hold it.
 */
int image_store_lock(struct image_store *store, bool is_exclusive, int *ret_fd, struct error *err);

/* A blob as it lies there. */
struct image_blob {
    struct digest digest;
    uint64_t disk_bytes, length;
};
struct image_blobs {
    struct image_blob *items;
    size_t count;
};
/** All blobs, sorted by digest. Files that are no blobs are left out. */
int image_blobs_list(struct image_store *store, struct image_blobs *ret_blobs, struct error *err);
void image_blobs_clear(struct image_blobs *blobs);

/* What has come of blobs that are not whole yet. */
struct image_partial_usage {
    uint64_t count, held_count; /* held: somebody is fetching it just now */
    uint64_t bytes, held_bytes; /* on the disk */
};
int image_partial_usage(struct image_store *store, struct image_partial_usage *ret_usage,
                        struct error *err);

/**
 * Keeps others from changing names and records until image_store_end_change(). Who publishes an
 * image and gives it its names holds this, so that nobody sees, and prunes, the one without the
 * others. Short: neither downloads nor unpacks. Nests.
 */
int image_store_begin_change(struct image_store *store, struct error *err);
/** The same for who only looks, beside others who do: nothing may be changed until
 * image_store_end_change(). */
int image_store_begin_look(struct image_store *store, struct error *err);
void image_store_end_change(struct image_store *store);

/** The image's document as `docker image inspect` prints one item, indented by 4. Caller frees. */
char *image_inspect_json(struct image_store *store, const struct image *image);

/* --- blobs ------------------------------------------------------------------------------------ */

#define IMAGE_DOCUMENT_MAX (4u << 20) /* index, manifest, config */

/** Opens a blob for reading; -ENOENT promised. */
int blob_open(struct image_store *store, const struct digest *digest, int *ret_fd,
              struct error *err);
/** Reads a document of at most IMAGE_DOCUMENT_MAX bytes and a zero byte behind. Caller frees. */
int blob_read(struct image_store *store, const struct digest *digest, char **ret_text,
              size_t *ret_length, struct error *err);
/** Writes bytes as a blob. */
int blob_write(struct image_store *store, const void *bytes, size_t length,
               struct digest *ret_digest, struct error *err);
/**
 * Copies @length bytes (UINT64_MAX: to the end) from @fd into the store.
 *
 * @expected  NULL: any content, named by its sha256
 *
 * -EBADMSG: digest or size differ from what was expected; the store is unchanged then.
 */
int blob_copy(struct image_store *store, int fd, uint64_t length, const struct digest *expected,
              struct digest *ret_digest, uint64_t *ret_size, struct error *err);

/* A blob that comes in pieces: written to staging while it is hashed, visible by one rename. */
struct blob_writer;
/** @algorithm  "sha256" or "sha512" */
int blob_writer_open(struct image_store *store, const char *algorithm,
                     struct blob_writer **ret_writer, struct error *err);
int blob_writer_add(struct blob_writer *writer, const void *bytes, size_t length,
                    struct error *err);
/** @expected may be NULL; -EBADMSG when it differs. */
int blob_writer_finish(struct blob_writer *writer, const struct digest *expected,
                       struct digest *ret_digest, uint64_t *ret_size, struct error *err);
void blob_writer_free(struct blob_writer *writer); /* drops what was not finished */
DEFINE_AUTO(blob_writer)

/* A layer that berth makes itself: a tar becomes a gzip blob, the same bytes for the same tar; the
 * digests of both are taken. */
struct layer_writer;
int layer_writer_open(struct image_store *store, struct layer_writer **ret_writer,
                      struct error *err);
int layer_writer_add(struct layer_writer *writer, const void *tar, size_t length,
                     struct error *err);
/** Appends the layer to @layers. @ret_diff_id: digest of the tar. */
int layer_writer_finish(struct layer_writer *writer, struct image_descriptors *layers,
                        struct digest *ret_diff_id, struct error *err);
void layer_writer_free(struct layer_writer *writer);
DEFINE_AUTO(layer_writer)
void image_descriptors_clear(struct image_descriptors *list);
void image_config_clear(struct image_config *config);
/** Adds an entry to a history, of which it takes the copies it needs. */
void image_history_add(struct image_history *history, const struct image_history_item *item);

/** Called with the bytes taken in so far by image_archive_read(), blob_copy()... of this store. */
void image_store_watch(struct image_store *store,
                       void (*progress)(uint64_t bytes_done, void *context), void *context);

/* --- checking --------------------------------------------------------------------------------- */

/** Whether a blob's bytes have its digest; -EBADMSG. Needs libcrypto. */
int blob_check(struct image_store *store, const struct digest *digest, struct error *err);
/** Moves a blob to the trash. */
int blob_delete(struct image_store *store, const struct digest *digest, struct error *err);
/** Digests of the manifests of all records, also of damaged ones. */
int image_manifests_list(struct image_store *store, struct strings *ret_digests, struct error *err);
/** Adds a sentence for each thing that is wrong with an image, but for its unpacked layers. */
void image_check(struct image_store *store, const struct digest *manifest_digest,
                 struct strings *defects);
/** Names that point at no image. */
int image_lost_names(struct image_store *store, struct strings *ret_names, struct error *err);
/** Drops one of them. */
int image_drop_name(struct image_store *store, const char *name, struct error *err);

/* --- archives: OCI layouts (directory, tar), docker save -------------------------------------- */

struct image_archive_item {
    struct digest manifest_digest; /* its blobs are in the store now, verified */
    struct strings names;          /* references in the archive; may be empty */
    bool has_index;
    struct digest index; /* with all that it names, of other platforms too */
    const char *tag;     /* to be written in a layout, in place of names; borrowed; NULL */
};
struct image_archive {
    struct image_archive_item *items;
    size_t count;
};
void image_archive_clear(struct image_archive *archive);

/**
 * Reads a directory (OCI layout) or an archive (OCI layout or `docker save`; plain, gzip or zstd;
 * pipes too) and copies its blobs into the store: every digest and size is verified. Images of a
 * docker archive get an OCI manifest of ours. Picks this machine's platform from an index.
 *
 * @all_platforms  an image's index is taken too, with all that it names
 */
int image_archive_read(struct image_store *store, int fd, bool is_directory, bool all_platforms,
                       struct image_archive *ret_archive, struct error *err);

/**
 * Adds an image to what image_archive_write() shall write: by name, which is saved with it, or id.
 *
 * @all_platforms  the index by which it was pulled, with all that it names
 */
int image_archive_add(struct image_store *store, const char *text, bool all_platforms,
                      struct image_archive *archive, struct error *err);

enum archive_format { ARCHIVE_DOCKER /* an OCI layout with docker's manifest.json */, ARCHIVE_OCI };
/**
 * Writes images of the store as a tar, each blob verified. The same images give the same bytes.
 *
 * -EBADMSG: a blob is damaged.
 */
int image_archive_write(struct image_store *store, const struct image_archive *archive,
                        enum archive_format format, int fd, struct error *err);

/** The same as an OCI layout in an empty directory, whose index.json comes last. */
int image_layout_write(struct image_store *store, const struct image_archive *archive, int dir_fd,
                       struct error *err);

/**
 * Builds an image of layer blobs that are in the store: writes its config and its manifest.
 *
 * @config  architecture, os and one diff id for each layer are the caller's to fill
 */
int image_build(struct image_store *store, const struct image_config *config,
                const struct image_descriptors *layers, struct digest *ret_manifest_digest,
                struct error *err);

/**
 * Begins an image that lies on another one: that one's config, history included, and its layers in
 * OCI's media types.
 */
int image_build_on(const struct image *image, struct image_config *ret_config,
                   struct image_descriptors *ret_layers, struct error *err);

/** This machine's architecture as images name it: "amd64". */
const char *platform_architecture(void);
/**
 * Whether an image is for a platform.
 *
 * @wanted  "linux/arm64/v8", as far as it matters
 *
 * -EINVAL: @wanted is no platform. -ENOEXEC: the image is for another one.
 */
int image_check_platform(const struct image *image, const char *wanted, struct error *err);

#endif
