#include "image/image.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Grammar of distribution/reference: [domain "/"] path [":" tag] ["@" digest]. The first component
 * is a domain only when it looks like one (a dot, a port, an upper-case letter, "localhost");
 * "busybox" means docker.io/library/busybox. */

#define REFERENCE_MAX      1024 /* bytes of the whole text */
#define REFERENCE_NAME_MAX 255  /* domain and path */
#define REFERENCE_TAG_MAX  128
#define DEFAULT_REGISTRY   "docker.io"
#define DEFAULT_NAMESPACE  "library/"

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alphanumeric(char c)
{
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

/* [a-z0-9]+ parts, joined by one dot, one or two underscores, or any number of hyphens. */
static bool path_component_is_valid(const char *text, size_t length)
{
    size_t i = 0;

    while (i < length) {
        size_t start = i;

        while (i < length && is_lower_or_digit(text[i]))
            i++;
        if (i == start)
            return false;
        if (i == length)
            return true;
        if (text[i] == '.') {
            i++;
        } else if (text[i] == '_') {
            i += i + 1 < length && text[i + 1] == '_' ? 2 : 1;
        } else if (text[i] == '-') {
            while (i < length && text[i] == '-')
                i++;
        } else {
            return false;
        }
    }
    return false;
}

static bool path_is_valid(const char *path)
{
    for (;;) {
        size_t length = strcspn(path, "/");

        if (!path_component_is_valid(path, length))
            return false;
        if (path[length] == '\0')
            return true;
        path += length + 1;
    }
}

static bool host_label_is_valid(const char *text, size_t length)
{
    if (length == 0 || !is_alphanumeric(text[0]) || !is_alphanumeric(text[length - 1]))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_alphanumeric(text[i]) && text[i] != '-')
            return false;
    }
    return true;
}

/* Length of the host at the start of @text, before the port; 0 when it is none. */
static size_t host_length(const char *text)
{
    size_t end;

    if (text[0] == '[') { /* IPv6 address */
        end = strspn(text + 1, "0123456789abcdefABCDEF:");
        return end > 0 && text[end + 1] == ']' ? end + 2 : 0;
    }
    end = strcspn(text, ":");
    for (size_t i = 0; i <= end;) {
        size_t label = strcspn(text + i, ".:");

        if (!host_label_is_valid(text + i, label))
            return 0;
        i += label + 1;
    }
    return end;
}

static bool registry_is_valid(const char *registry)
{
    size_t length = host_length(registry);

    if (length == 0)
        return false;
    if (registry[length] == '\0')
        return true;
    if (registry[length] != ':')
        return false;
    registry += length + 1;
    return registry[0] != '\0' && strspn(registry, "0123456789") == strlen(registry);
}

static bool looks_like_registry(const char *text, size_t length)
{
    if (length == strlen("localhost") && memcmp(text, "localhost", length) == 0)
        return true;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '.' || text[i] == ':' || (text[i] >= 'A' && text[i] <= 'Z'))
            return true;
    }
    return false;
}

bool reference_names_registry(const char *text)
{
    size_t length = strcspn(text, "/");

    return text[length] == '/' && looks_like_registry(text, length);
}

static bool tag_is_valid(const char *tag)
{
    size_t length = strlen(tag);

    if (length == 0 || length > REFERENCE_TAG_MAX || tag[0] == '.' || tag[0] == '-')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_alphanumeric(tag[i]) && strchr("_.-", tag[i]) == NULL)
            return false;
    }
    return true;
}

/* 64 hexadecimal digits would be taken for an id everywhere. */
static bool is_like_id(const char *path)
{
    return strlen(path) == 64 && strspn(path, "0123456789abcdef") == 64;
}

static bool has_upper_case(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text >= 'A' && *text <= 'Z')
            return true;
    }
    return false;
}

/* Takes "registry/path" apart. */
static int parse_name(const char *name, struct reference *reference, const char *text,
                      struct error *err)
{
    const char *slash = strchr(name, '/');
    const char *path = name;

    if (slash != NULL && looks_like_registry(name, (size_t)(slash - name))) {
        reference->registry = xstrndup(name, (size_t)(slash - name));
        path = slash + 1;
        if (!registry_is_valid(reference->registry))
            return error_set(err, EINVAL, "image name '%s': '%s' is not a registry host", text,
                             reference->registry);
        if (strcmp(reference->registry, "index.docker.io") == 0) {
            free(reference->registry);
            reference->registry = xstrdup(DEFAULT_REGISTRY);
        }
    } else {
        reference->registry = xstrdup(DEFAULT_REGISTRY);
    }
    if (has_upper_case(path))
        return error_set(err, EINVAL, "image name '%s': the repository must be lower case", text);
    if (!path_is_valid(path))
        return error_set(err, EINVAL, "'%s' is not an image name: expected [REGISTRY/]NAME[:TAG]",
                         text);
    if (strcmp(path, name) == 0 && is_like_id(path))
        return error_set(err, EINVAL,
                         "image name '%s': 64 hexadecimal digits are an id, not a name", text);
    if (strcmp(reference->registry, DEFAULT_REGISTRY) == 0 && strchr(path, '/') == NULL)
        reference->repository = xasprintf(DEFAULT_NAMESPACE "%s", path);
    else
        reference->repository = xstrdup(path);
    if (strlen(reference->registry) + 1 + strlen(reference->repository) > REFERENCE_NAME_MAX)
        return error_set(err, EINVAL, "image name '%s' is longer than %d bytes", text,
                         REFERENCE_NAME_MAX);
    return 0;
}

int reference_parse(const char *text, struct reference **ret_reference, struct error *err)
{
    AUTO(reference) struct reference *reference = NULL;
    auto_free char *name = NULL;
    struct digest digest;
    char *mark;
    int r;

    assert(text != NULL);
    assert(ret_reference != NULL);

    if (text[0] == '\0')
        return error_set(err, EINVAL, "the image name is empty");
    if (strlen(text) > REFERENCE_MAX)
        return error_set(err, EINVAL, "image name is longer than %d bytes", REFERENCE_MAX);
    reference = xcalloc(1, sizeof(*reference));
    name = xstrdup(text);
    mark = strchr(name, '@');
    if (mark != NULL) {
        *mark = '\0';
        r = digest_parse(mark + 1, &digest, err);
        if (r < 0)
            return error_prefix(err, r, "image name '%s'", text);
        reference->digest = xstrdup(digest.text);
    }
    mark = strrchr(name, ':');
    if (mark != NULL && strchr(mark, '/') == NULL) { /* else it begins a port */
        *mark = '\0';
        if (!tag_is_valid(mark + 1))
            return error_set(err, EINVAL, "image name '%s': '%s' is not a tag", text, mark + 1);
        reference->tag = xstrdup(mark + 1);
    }
    r = parse_name(name, reference, text, err);
    if (r < 0)
        return r;
    if (reference->tag == NULL && reference->digest == NULL)
        reference->tag = xstrdup("latest");
    *ret_reference = take_ptr(&reference);
    return 0;
}

void reference_free(struct reference *reference)
{
    if (reference == NULL)
        return;
    free(reference->registry);
    free(reference->repository);
    free(reference->tag);
    free(reference->digest);
    free(reference);
}

bool reference_is_same_repository(const struct reference *a, const struct reference *b)
{
    return strcmp(a->registry, b->registry) == 0 && strcmp(a->repository, b->repository) == 0;
}

static char *format(const struct reference *reference, const char *registry, const char *repository)
{
    return xasprintf(
        "%s%s%s%s%s%s%s", registry, registry[0] != '\0' ? "/" : "", repository,
        reference->tag != NULL ? ":" : "", reference->tag != NULL ? reference->tag : "",
        reference->digest != NULL ? "@" : "", reference->digest != NULL ? reference->digest : "");
}

char *reference_format(const struct reference *reference)
{
    assert(reference != NULL);
    return format(reference, reference->registry, reference->repository);
}

char *reference_format_familiar(const struct reference *reference)
{
    const char *repository;

    assert(reference != NULL);
    repository = reference->repository;
    if (strcmp(reference->registry, DEFAULT_REGISTRY) != 0)
        return format(reference, reference->registry, repository);
    /* "library/a/b" keeps its prefix: without it the name would mean "a/b"; and so does what would
     * look like an id. */
    if (text_starts(repository, DEFAULT_NAMESPACE) &&
        strchr(repository + strlen(DEFAULT_NAMESPACE), '/') == NULL &&
        !is_like_id(repository + strlen(DEFAULT_NAMESPACE)))
        repository += strlen(DEFAULT_NAMESPACE);
    /* "docker.io/x.y/z" without its registry would be read as the registry "x.y". */
    if (strchr(repository, '/') != NULL &&
        looks_like_registry(repository, strcspn(repository, "/")))
        return format(reference, reference->registry, repository);
    return format(reference, "", repository);
}
