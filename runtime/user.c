#include "runtime/user.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/path.h"
#include "runtime/runtime.h"

/* Users and groups by name, from the files of an image: hostile bytes. They are read here and not
 * by the C library, which would load modules that the image names (nsswitch.conf(5)). Lines that
 * are malformed are passed over, as the C library does, unless they are the one that was asked for.
 */

#define DATABASE_BYTES_MAX (1u << 20)
#define PASSWD_STEP        8192
#define GROUPS_MAX         65536 /* NGROUPS_MAX; more could not be set */
#define ID_MAX             4294967294u

/* A part of the file; not terminated, may hold any byte. */
struct span {
    const char *start;
    size_t length;
};

static bool span_equal(struct span span, const char *text)
{
    return span.length == strlen(text) && memcmp(span.start, text, span.length) == 0;
}

/* Cuts the next part up to @separator off @rest; false at the end. */
static bool span_next(struct span *rest, char separator, struct span *ret_part)
{
    const char *end = NULL;

    if (rest->start == NULL)
        return false;
    end = rest->length > 0 ? memchr(rest->start, separator, rest->length) : NULL;
    *ret_part =
        (struct span){ rest->start, end != NULL ? (size_t)(end - rest->start) : rest->length };
    if (end == NULL)
        *rest = (struct span){ NULL, 0 };
    else
        *rest = (struct span){ end + 1, rest->length - ret_part->length - 1 };
    return true;
}

/* Splits a line into @count fields; missing ones are empty. */
static void split_fields(struct span line, struct span *ret_fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ret_fields[i] = (struct span){ "", 0 };
        (void)span_next(&line, ':', &ret_fields[i]);
    }
}

static int span_id(struct span span, uint32_t *ret_id)
{
    auto_free char *text = xstrndup(span.start, span.length);
    uint64_t id = 0;
    int r;

    r = text_parse_u64(text, "id", ID_MAX, &id, NULL);
    if (r == 0)
        *ret_id = (uint32_t)id;
    return r;
}

static bool is_digits(const char *text)
{
    return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

static int parse_id(const char *text, const char *what, uint32_t *ret_id, struct error *err)
{
    uint64_t id = 0;
    int r;

    r = text_parse_u64(text, what, ID_MAX, &id, err);
    if (r == 0)
        *ret_id = (uint32_t)id;
    return r;
}

/* Reads a file of the image; a missing one is empty. What it is gets known before it is opened: to
 * open a device can do things to the host. */
static int read_database(int root_fd, const char *path, char **ret_text, struct span *ret_span,
                         struct error *err)
{
    auto_close int path_fd = -1;
    auto_close int fd = -1;
    char link[FD_PATH_MAX];
    struct stat status;
    int r;

    r = path_open_in_root(root_fd, path, O_PATH, 0, &path_fd, err);
    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r < 0)
        return r;
    if (fstat(path_fd, &status) < 0)
        return error_errno(err, "look at the image's /%s", path);
    if (!S_ISREG(status.st_mode))
        return error_set(err, EINVAL, "the image's /%s is not a regular file", path);
    fd = open(fd_path(path_fd, link), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open the image's /%s", path);
    r = fd_read_all(fd, DATABASE_BYTES_MAX, path, ret_text, &ret_span->length, err);
    if (r < 0)
        return error_prefix(err, r, "read the image's /%s", path);
    ret_span->start = *ret_text;
    return 0;
}

/* What etc/passwd says of one user. */
struct account {
    bool is_found;
    uint32_t uid, gid;
    char *name, *home;
};

static void account_clear(struct account *account)
{
    free(account->name);
    free(account->home);
    *account = (struct account){ 0 };
}

/* The line that is asked for: by @uid when @name is NULL. */
static int read_account(struct span line, const char *name, uint32_t uid, struct account *account,
                        struct error *err)
{
    struct span fields[7]; /* name, password, uid, gid, gecos, home, shell */
    uint32_t ids[2];

    split_fields(line, fields, ARRAY_SIZE(fields));
    if (fields[0].length == 0 || (name != NULL && !span_equal(fields[0], name)))
        return 0;
    for (int i = 0; i < 2; i++) {
        if (span_id(fields[2 + i], &ids[i]) == 0)
            continue;
        return name == NULL ? 0
                            : error_set(err, EINVAL,
                                        "user '%s' has no proper %s in the image's "
                                        "/etc/passwd",
                                        name, i == 0 ? "uid" : "gid");
    }
    if (name == NULL && ids[0] != uid)
        return 0;
    account->is_found = true;
    account->uid = ids[0];
    account->gid = ids[1];
    account->name = xstrndup(fields[0].start, fields[0].length);
    if (fields[5].length > 0 && fields[5].start[0] == '/')
        account->home = xstrndup(fields[5].start, fields[5].length);
    return 0;
}

static int find_account(int root_fd, const char *name, uint32_t uid, struct account *account,
                        struct error *err)
{
    auto_free char *text = NULL;
    struct span rest = { NULL, 0 };
    struct span line;
    int r;

    r = read_database(root_fd, "etc/passwd", &text, &rest, err);
    while (r == 0 && !account->is_found && span_next(&rest, '\n', &line))
        r = read_account(line, name, uid, account, err);
    return r;
}

/* In the container already, so what it opens its cgroup allows; what is no file does not block. A
 * link of procfs is not followed: by way of our own descriptors it would lead to the host. One read
 * for the sizes that there are, as most containers come here. */
static int read_own_passwd(char **ret_text, struct span *ret_span)
{
    auto_close int fd = -1;
    auto_free char *text = NULL;
    ssize_t n;
    int r;

    r = path_open_in_root(AT_FDCWD, "etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, NULL);
    if (r < 0)
        return r;
    text = xcalloc(1, PASSWD_STEP);
    n = read(fd, text, PASSWD_STEP);
    if (n < 0)
        return -errno;
    ret_span->length = (size_t)n;
    if (n == PASSWD_STEP) {
        free(take_ptr(&text));
        if (lseek(fd, 0, SEEK_SET) < 0)
            return -errno;
        n = fd_read_all(fd, DATABASE_BYTES_MAX, "/etc/passwd", &text, &ret_span->length, NULL);
        if (n < 0)
            return (int)n;
    }
    *ret_text = take_ptr(&text);
    ret_span->start = *ret_text;
    return 0;
}

char *user_find_home(uid_t uid)
{
    AUTO_CLEAR(account) struct account account = { 0 };
    auto_free char *text = NULL;
    struct span rest = { NULL, 0 };
    struct span line;

    if (read_own_passwd(&text, &rest) < 0)
        return xstrdup("/");
    while (!account.is_found && span_next(&rest, '\n', &line))
        (void)read_account(line, NULL, uid, &account, NULL); /* by id no line is an error */
    return account.home != NULL ? take_ptr(&account.home) : xstrdup("/");
}

static bool has_member(struct span members, const char *name)
{
    struct span member;

    while (span_next(&members, ',', &member)) {
        if (span_equal(member, name))
            return true;
    }
    return false;
}

/* Gids of all groups that list @name as a member. */
static int find_memberships(int root_fd, const char *name, struct u32_list *gids, struct error *err)
{
    auto_free char *text = NULL;
    struct span rest = { NULL, 0 };
    struct span line;
    int r;

    r = read_database(root_fd, "etc/group", &text, &rest, err);
    if (r < 0)
        return r;
    while (span_next(&rest, '\n', &line)) {
        struct span fields[4]; /* name, password, gid, members */
        uint32_t gid;

        split_fields(line, fields, ARRAY_SIZE(fields));
        if (!has_member(fields[3], name) || span_id(fields[2], &gid) < 0)
            continue;
        if (gids->count == GROUPS_MAX)
            return error_set(err, EINVAL, "user '%s' is in more than %d groups of the image", name,
                             GROUPS_MAX);
        gids->items = xrealloc(gids->items, gids->count + 1, sizeof(*gids->items));
        gids->items[gids->count++] = gid;
    }
    return 0;
}

int user_resolve_group(int root_fd, const char *group, uint32_t *ret_gid, struct error *err)
{
    auto_free char *text = NULL;
    struct span rest = { NULL, 0 };
    struct span line;
    int r;

    assert(group != NULL);
    assert(ret_gid != NULL);

    if (is_digits(group))
        return parse_id(group, "group id", ret_gid, err);
    r = read_database(root_fd, "etc/group", &text, &rest, err);
    if (r < 0)
        return r;
    while (group[0] != '\0' && span_next(&rest, '\n', &line)) {
        struct span fields[3]; /* name, password, gid */

        split_fields(line, fields, ARRAY_SIZE(fields));
        if (!span_equal(fields[0], group))
            continue;
        if (span_id(fields[2], ret_gid) < 0)
            return error_set(err, EINVAL, "group '%s' has no proper gid in the image's /etc/group",
                             group);
        return 0;
    }
    return error_set(err, EINVAL, "no group '%s' in the image's /etc/group", group);
}

static int resolve_name(int root_fd, const char *name, struct account *account, struct error *err)
{
    uint32_t uid = 0;
    int r;

    if (!is_digits(name)) {
        r = find_account(root_fd, name, 0, account, err);
        if (r == 0 && !account->is_found)
            r = error_set(err, EINVAL, "no user '%s' in the image's /etc/passwd", name);
        return r;
    }
    r = parse_id(name, "user id", &uid, err);
    if (r < 0)
        return r;
    r = find_account(root_fd, NULL, uid, account, err);
    account->uid = uid; /* an id needs no entry */
    return r;
}

int user_resolve(int root_fd, const char *text, struct spec_user *ret_user, char **ret_home,
                 struct error *err)
{
    AUTO_CLEAR(account) struct account account = { 0 };
    auto_free char *name = xstrdup(text_is_empty(text) ? "0" : text);
    auto_free uint32_t *gids = NULL;
    struct u32_list memberships = { 0 };
    char *colon = strchr(name, ':');
    int r;

    assert(ret_user != NULL);

    if (colon != NULL)
        *colon = '\0';
    if (name[0] == '\0' || (colon != NULL && colon[1] == '\0'))
        return error_set(err, EINVAL, "user '%s' is not NAME|UID[:GROUP|GID]", text);
    r = resolve_name(root_fd, name, &account, err);
    if (r == 0 && colon != NULL)
        r = user_resolve_group(root_fd, colon + 1, &account.gid, err);
    else if (r == 0 && account.is_found)
        r = find_memberships(root_fd, account.name, &memberships, err);
    gids = memberships.items;
    if (r < 0)
        return r;

    ret_user->uid = account.uid;
    ret_user->gid = account.gid;
    free(ret_user->additional_gids.items);
    ret_user->additional_gids = memberships;
    (void)take_ptr(&gids);
    if (ret_home != NULL)
        *ret_home = account.home != NULL ? take_ptr(&account.home) : xstrdup("/");
    return 0;
}
