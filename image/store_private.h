#ifndef IMAGE_STORE_PRIVATE_H
#define IMAGE_STORE_PRIVATE_H

#include "base/staging.h"
#include "image/documents.h"
#include "image/image.h"

/* What the files of this folder share about the store's layout:
 *
 *   DATA/blobs/<algorithm>/<hex>   content, named by its digest; DATA/blobs/lock
 *   DATA/ingest/<algorithm>-<hex>  what has come of a blob from a registry; DATA/locks/blob-...
 *   DATA/images/<digest>           one published manifest: an image_record
 *   DATA/names/<encoded name>      the manifest digest that a reference points at
 *   DATA/locks/images              held while names and records change
 *
 * All directories are 0700: files of an image never become reachable for others by way of the
 * store. They are made by the first write. */

struct image_store {
    int data_fd;             /* borrowed */
    int lock_fd;             /* shared lock of who adds blobs; -1: nothing was added yet */
    struct staging *staging; /* made by the first write; NULL */
    int change_fd;           /* lock of image_store_begin_change(); -1 */
    unsigned change_depth;
    void (*progress)(uint64_t bytes_done, void *context);
    void *context;
    uint64_t bytes_done;
};

/* "blobs/sha256/<hex>" needs at most so many bytes. */
#define BLOB_PATH_MAX (6 + 7 + 128 + 1)
char *blob_path(const struct digest *digest, char *buffer);

#define INGEST "ingest"

/** Whether a blob is there with this size (UINT64_MAX: any). */
bool blob_is_there(struct image_store *store, const struct digest *digest, uint64_t size);

/** Takes the shared lock and makes staging and the blob directories, once. */
int image_store_prepare_write(struct image_store *store, struct error *err);

/** Makes @name (staged, synced) visible as a blob. */
int blob_publish(struct image_store *store, const char *name, const struct digest *digest,
                 struct error *err);

void image_store_report(struct image_store *store, uint64_t more_bytes);

/** Makes a directory of the store, 0700; existing is fine. */
int store_make_directory(int data_fd, const char *path, struct error *err);
/** fsync(2) of a directory of the store; missing is fine. */
int store_sync_directory(int data_fd, const char *path, struct error *err);
/** Names in a directory of the store except those that begin with a dot; missing is empty.
 * Unsorted. */
int store_list_directory(int data_fd, const char *path, struct strings *ret_names,
                         struct error *err);

/* --- names.c ---------------------------------------------------------------------------------- */

/** "docker.io/library/busybox:latest", or with "@sha256:...", as a file name: '/' becomes '+',
 * which no reference contains. */
int name_encode(const struct reference *reference, char **ret_file_name, struct error *err);
int name_read(struct image_store *store, const struct reference *reference,
              struct digest *ret_digest, struct error *err); /* -ENOENT promised */
int name_write(struct image_store *store, const struct reference *reference,
               const struct digest *digest, struct error *err);
int name_delete(struct image_store *store, const struct reference *reference, struct error *err);

struct name {
    struct reference *reference;
    char *familiar;
    struct digest digest;
};
struct names {
    struct name *items;
    size_t count;
};
/** All names, sorted by their familiar form. Files that are no names are left out. */
int names_list(struct image_store *store, struct names *ret_names, struct error *err);
void names_clear(struct names *names);
/** Whether a name is REPOSITORY@DIGEST of an index that is in the store. */
bool name_index(struct image_store *store, const struct name *name, struct digest *ret_digest);
/** The digest by which an image was pulled from the repository of @reference; NULL. */
const struct name *names_find_digest(const struct names *names, const struct reference *reference,
                                     const struct digest *manifest_digest);

/* --- image_store.c ---------------------------------------------------------------------------- */

struct record {
    struct digest manifest_digest, id;
    struct image_record fields;
};
struct records {
    struct record *items;
    size_t count;
};
/** @digest_text: of its manifest. -ENOENT: there is none */
int image_record_read(struct image_store *store, const char *digest_text, struct record *ret_record,
                      struct error *err);
/** @ret_damage  NULL: a damaged record is an error; else it is left out, and the reason told here
 */
int records_list(struct image_store *store, struct records *ret_records, struct error *ret_damage,
                 struct error *err);
void records_clear(struct records *records);

/** Reads and checks a manifest that is in the store. */
int store_read_manifest(struct image_store *store, const struct digest *digest,
                        struct document *ret_document, struct error *err);
/** Manifest and config agree about the layers; @what: "image sha256:...". */
int image_check_layers(const struct image_descriptors *layers, const struct strings *diff_ids,
                       struct error *err);

#endif
