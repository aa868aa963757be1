#include "image/registry_files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "image/fetch_wire.h"
#include "image/store_private.h"

static int read_pem(const char *folder, const char *name, char **ret_text, struct error *err)
{
    auto_free char *path = path_join(folder, name);

    return file_read(AT_FDCWD, path, FETCH_PEM_MAX, ret_text, NULL, err);
}

static int add_authority(const char *folder, const char *name, struct text *authorities,
                         struct error *err)
{
    auto_free char *text = NULL;
    int r = read_pem(folder, name, &text, err);

    if (r < 0)
        return r;
    text_add(authorities, text);
    text_add(authorities, "\n");
    return 0;
}

/* The first pair counts: a host asks for one. */
static int add_client(const char *folder, const char *name, struct fetch_endpoint *endpoint,
                      struct error *err)
{
    auto_free char *key_name = xasprintf("%.*s.key", (int)(strlen(name) - strlen(".cert")), name);
    int r;

    if (endpoint->certificate != NULL)
        return 0;
    r = read_pem(folder, name, &endpoint->certificate, err);
    if (r == 0)
        r = read_pem(folder, key_name, &endpoint->key, err);
    return r < 0 ? error_prefix(err, r, "the certificate '%s/%s' and its key", folder, name) : 0;
}

static int read_folder(const char *folder, const struct strings *names,
                       struct fetch_endpoint *endpoint, struct error *err)
{
    AUTO_CLEAR(text) struct text authorities = { 0 };
    int r = 0;

    for (size_t i = 0; r == 0 && i < names->count; i++) {
        if (text_ends(names->items[i], ".crt"))
            r = add_authority(folder, names->items[i], &authorities, err);
        else if (text_ends(names->items[i], ".cert"))
            r = add_client(folder, names->items[i], endpoint, err);
    }
    if (r < 0)
        return r;
    if (authorities.length > 0)
        endpoint->authorities = text_take(&authorities);
    return 0;
}

int registry_read_certificates(const char *host, struct fetch_endpoint *endpoint, struct error *err)
{
    const char *home = getenv("HOME");
    auto_free char *own =
        text_is_empty(home) ? NULL : path_join(home, ".config/containers/certs.d");
    const char *const parents[] = { own, "/etc/containers/certs.d", "/etc/docker/certs.d" };

    assert(strchr(host, '/') == NULL);
    for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
        auto_free char *folder = parents[i] != NULL ? path_join(parents[i], host) : NULL;
        AUTO_CLEAR(strings) struct strings names = { 0 };

        if (folder == NULL || store_list_directory(AT_FDCWD, folder, &names, NULL) < 0 ||
            names.count == 0)
            continue;
        strings_sort(&names);
        return read_folder(folder, &names, endpoint, err);
    }
    return 0;
}
