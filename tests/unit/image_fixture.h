#ifndef TESTS_UNIT_IMAGE_FIXTURE_H
#define TESTS_UNIT_IMAGE_FIXTURE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/path.h"
#include "image/documents.h"

/* A store in a temporary directory, and small images for it. */

struct fixture {
    char path[64];
    int data_fd;
    struct image_store *store;
};

static inline int fixture_open(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    const char *folder = getenv("TMPDIR");

    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/berth-test-XXXXXX",
                   folder != NULL && strlen(folder) < 40 ? folder : "/tmp");
    if (mkdtemp(fixture->path) == NULL)
        return -1;
    fixture->data_fd = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = fixture;
    return fixture->data_fd < 0 ? -1 : image_store_open(fixture->data_fd, &fixture->store, NULL);
}

static inline int fixture_close(void **state)
{
    struct fixture *fixture = *state;
    char *slash = strrchr(fixture->path, '/');
    int fd, r;

    image_store_free(fixture->store);
    (void)close(fixture->data_fd);
    *slash = '\0';
    fd = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = path_remove_tree(fd, slash + 1, NULL);
    (void)close(fd);
    free(fixture);
    return r;
}

/* Another handle, as another process would have it. */
static inline void fixture_reopen(struct fixture *fixture)
{
    image_store_free(fixture->store);
    (void)image_store_open(fixture->data_fd, &fixture->store, NULL);
}

static inline char *digest_of(const char *bytes, size_t length)
{
    struct digest digest;

    hash_bytes("sha256", bytes, length, &digest);
    return xstrdup(digest.text);
}

/* A config with one plain layer of these bytes. @mark makes it another image. */
static inline char *make_config(const char *layer, const char *mark)
{
    auto_free char *diff_id = digest_of(layer, strlen(layer));

    return xasprintf(
        "{\"architecture\":\"%s\",\"os\":\"linux\",\"created\":\"2024-01-02T03:04:05Z\","
        "\"config\":{\"Cmd\":[\"%s\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":"
        "[\"%s\"]}}",
        platform_architecture(), mark, diff_id);
}

static inline char *make_manifest(const char *config, const char *layer)
{
    auto_free char *config_digest = digest_of(config, strlen(config));
    auto_free char *layer_digest = digest_of(layer, strlen(layer));

    return xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"config\":"
                     "{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"%s\",\"size\":%zu},"
                     "\"layers\":[{\"mediaType\":\"" MEDIA_OCI_LAYER "\",\"digest\":\"%s\","
                     "\"size\":%zu}]}",
                     config_digest, strlen(config), layer_digest, strlen(layer));
}

#endif
