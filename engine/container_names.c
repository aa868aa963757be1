#include "engine/container_names.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "engine/engine_private.h"
#include "engine/record.h"

#define NAME_PATH_MAX 192 /* text_check_name() allows 128 bytes */
#define TAKE_TRIES    8

static void name_path(const char *name, char *ret_path)
{
    (void)snprintf(ret_path, NAME_PATH_MAX, "container-names/%s", name);
}

static int read_link(struct engine *engine, const char *name, char id[CONTAINER_ID_LENGTH + 1])
{
    char path[NAME_PATH_MAX];
    ssize_t length;

    name_path(name, path);
    length = readlinkat(engine->data_fd, path, id, CONTAINER_ID_LENGTH + 1);
    if (length < 0)
        return -errno;
    if (length != CONTAINER_ID_LENGTH)
        return -ENOENT; /* not ours */
    id[length] = '\0';
    return 0;
}

int container_name_read(struct engine *engine, const char *name, char **ret_id, struct error *err)
{
    char id[CONTAINER_ID_LENGTH + 1];

    if (strlen(name) > 128 || strchr(name, '/') != NULL || read_link(engine, name, id) < 0)
        return error_set(err, ENOENT, "no container named '%s'", name);
    *ret_id = xstrdup(id);
    return 0;
}

static bool has_name(struct engine *engine, const char *id, const char *name)
{
    AUTO(record) struct record *record = NULL;
    int r = record_read(engine, id, &record, NULL);

    if (r == 0)
        return text_equal(record->name, name);
    return r != -ENOENT; /* damaged, but there: its name stays taken */
}

/* Whether the link's container is alive or about to be. */
static int link_is_valid(struct engine *engine, const char *name, const char *id, struct error *err)
{
    return has_name(engine, id, name) ? 1 : claim_is_held(engine, id, err);
}

/* Removes a stale link under its container's claim, so that two finders cannot remove each other's.
 */
static int remove_stale(struct engine *engine, const char *name, const char *id, struct error *err)
{
    char now[CONTAINER_ID_LENGTH + 1], path[NAME_PATH_MAX];
    auto_close int lock_fd = -1;
    int claim_fd = -1;
    int r;

    r = claim_take(engine, id, 0, &claim_fd, err);
    if (r < 0)
        return r == -EAGAIN ? 0 : r;
    /* With the claim nobody makes the container, with the other lock nobody renames it just now. */
    (void)container_lock(engine, id, &lock_fd, NULL); /* else it is not there */
    if (!has_name(engine, id, name) && read_link(engine, name, now) == 0 && strcmp(now, id) == 0) {
        name_path(name, path);
        (void)unlinkat(engine->data_fd, path, 0); /* the caller sees whether it worked */
    }
    claim_drop(engine, id, &claim_fd);
    return 0;
}

int container_name_take(struct engine *engine, const char *name, const char *id, struct error *err)
{
    char path[NAME_PATH_MAX], other[CONTAINER_ID_LENGTH + 1] = "";
    int r;

    r = text_check_name("container name", name, err);
    if (r < 0)
        return r;
    name_path(name, path);
    for (int i = 0; i < TAKE_TRIES; i++) {
        if (symlinkat(id, engine->data_fd, path) == 0)
            return 0;
        if (errno != EEXIST)
            return error_errno(err, "reserve the container name '%s'", name);
        if (read_link(engine, name, other) < 0)
            continue; /* just removed */
        if (strcmp(other, id) == 0)
            return 0; /* left by a rename that was killed */
        r = link_is_valid(engine, name, other, err);
        if (r < 0)
            return r;
        if (r > 0)
            break;
        r = remove_stale(engine, name, other, err);
        if (r < 0)
            return r;
    }
    return error_set(err, EEXIST,
                     "the container name '%s' is in use by container %.12s: remove or rename that "
                     "container, or choose another name",
                     name, other);
}

void container_name_drop(struct engine *engine, const char *name, const char *id)
{
    char path[NAME_PATH_MAX], now[CONTAINER_ID_LENGTH + 1];

    if (text_is_empty(name) || read_link(engine, name, now) < 0 || strcmp(now, id) != 0)
        return;
    name_path(name, path);
    (void)unlinkat(engine->data_fd, path, 0); /* a link that stays is stale and gets replaced */
}

void container_name_drop_all(struct engine *engine, const char *id)
{
    int fd = openat(engine->data_fd, "container-names", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir == NULL)
        return;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        if (entry->d_name[0] != '.')
            container_name_drop(engine, entry->d_name, id);
    closedir(dir);
}

static const char *const manners[] = {
    "able",   "amber", "bold",   "brave",  "bright", "brisk", "calm",   "clear", "clever", "cool",
    "crisp",  "eager", "early",  "fair",   "fast",   "fine",  "firm",   "fresh", "gentle", "glad",
    "golden", "good",  "grand",  "green",  "happy",  "hardy", "honest", "keen",  "kind",   "light",
    "lively", "loyal", "lucid",  "mellow", "merry",  "mild",  "modest", "neat",  "nimble", "noble",
    "open",   "plain", "proud",  "quick",  "quiet",  "rapid", "ready",  "round", "royal",  "sharp",
    "silver", "smart", "smooth", "solid",  "steady", "still", "sunny",  "swift", "tidy",   "true",
    "vivid",  "warm",  "wise",   "witty",
};
static const char *const vessels[] = {
    "ark",      "barge",    "bark",    "barque",   "boat",    "brig",    "canoe",   "caravel",
    "carrack",  "clipper",  "cog",     "coracle",  "cruiser", "currach", "cutter",  "dhow",
    "dinghy",   "dory",     "dredger", "ferry",    "felucca", "frigate", "galleon", "galley",
    "gig",      "gondola",  "hoy",     "hulk",     "junk",    "kayak",   "keel",    "ketch",
    "knarr",    "launch",   "liner",   "longship", "lugger",  "nef",     "packet",  "pilot",
    "pinnace",  "pirogue",  "pontoon", "praam",    "proa",    "punt",    "raft",    "sampan",
    "schooner", "scow",     "shallop", "skiff",    "sloop",   "smack",   "tanker",  "tender",
    "trawler",  "trimaran", "trireme", "tug",      "wherry",  "whaler",  "xebec",   "yawl",
};

int container_name_generate(struct engine *engine, const char *id, char **ret_name,
                            struct error *err)
{
    for (int i = 0; i < TAKE_TRIES; i++) {
        auto_free char *name = NULL;
        unsigned short random[3] = { 0 };
        int r;

        /* Names need to differ, not to be secret: where there is no randomness, the id helps. */
        if (getrandom(random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
            random[0] = (unsigned short)strtoul(id + CONTAINER_ID_LENGTH - 4, NULL, 16);
        name = xasprintf("%s_%s", manners[random[0] % ARRAY_SIZE(manners)],
                         vessels[random[1] % ARRAY_SIZE(vessels)]);
        if (i > 2) {
            char *longer = xasprintf("%s%u", name, random[2] % 1000u);

            free(name);
            name = longer;
        }
        r = container_name_take(engine, name, id, err);
        if (r == 0) {
            *ret_name = take_ptr(&name);
            return 0;
        }
        if (r != -EEXIST)
            return r;
    }
    return error_set(err, EEXIST, "no free container name found: give one with --name");
}
