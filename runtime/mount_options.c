#include "runtime/mount_options.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "base/auto.h"

enum word_effect {
    WORD_ATTRIBUTE,           /* of the mount */
    WORD_RECURSIVE_ATTRIBUTE, /* of the mount and of all below it */
    WORD_SUPERBLOCK,          /* of the file system */
    WORD_BIND,
    WORD_BIND_RECURSIVE,
    WORD_PROPAGATION,
    WORD_PROPAGATION_RECURSIVE,
    WORD_COPY_UP,
    WORD_ID_MAP,
    WORD_ID_MAP_RECURSIVE,
    WORD_COPY_LINK,
    WORD_SOURCE_LINK,
    WORD_DESTINATION_LINK,
    WORD_NOTHING,
};

struct option_word {
    const char *name;
    enum word_effect effect;
    uint64_t set, clear;
};

/* Access times are one field of four values: to set one of them clears the others first
 * (mount_setattr(2)). relatime is the value 0. */
#define ATIME_ANY MOUNT_ATTR__ATIME

static const struct option_word option_words[] = {
    { "defaults", WORD_NOTHING, 0, 0 },
    { "", WORD_NOTHING, 0, 0 },

    { "ro", WORD_ATTRIBUTE, MOUNT_ATTR_RDONLY, 0 },
    { "rw", WORD_ATTRIBUTE, 0, MOUNT_ATTR_RDONLY },
    { "nosuid", WORD_ATTRIBUTE, MOUNT_ATTR_NOSUID, 0 },
    { "suid", WORD_ATTRIBUTE, 0, MOUNT_ATTR_NOSUID },
    { "nodev", WORD_ATTRIBUTE, MOUNT_ATTR_NODEV, 0 },
    { "dev", WORD_ATTRIBUTE, 0, MOUNT_ATTR_NODEV },
    { "noexec", WORD_ATTRIBUTE, MOUNT_ATTR_NOEXEC, 0 },
    { "exec", WORD_ATTRIBUTE, 0, MOUNT_ATTR_NOEXEC },
    { "nosymfollow", WORD_ATTRIBUTE, MOUNT_ATTR_NOSYMFOLLOW, 0 },
    { "symfollow", WORD_ATTRIBUTE, 0, MOUNT_ATTR_NOSYMFOLLOW },
    { "nodiratime", WORD_ATTRIBUTE, MOUNT_ATTR_NODIRATIME, 0 },
    { "diratime", WORD_ATTRIBUTE, 0, MOUNT_ATTR_NODIRATIME },
    { "noatime", WORD_ATTRIBUTE, MOUNT_ATTR_NOATIME, ATIME_ANY },
    { "atime", WORD_ATTRIBUTE, 0, ATIME_ANY },
    { "relatime", WORD_ATTRIBUTE, MOUNT_ATTR_RELATIME, ATIME_ANY },
    { "norelatime", WORD_ATTRIBUTE, 0, ATIME_ANY },
    { "strictatime", WORD_ATTRIBUTE, MOUNT_ATTR_STRICTATIME, ATIME_ANY },
    { "nostrictatime", WORD_ATTRIBUTE, 0, ATIME_ANY },

    { "rro", WORD_RECURSIVE_ATTRIBUTE, MOUNT_ATTR_RDONLY, 0 },
    { "rrw", WORD_RECURSIVE_ATTRIBUTE, 0, MOUNT_ATTR_RDONLY },
    { "rnosuid", WORD_RECURSIVE_ATTRIBUTE, MOUNT_ATTR_NOSUID, 0 },
    { "rsuid", WORD_RECURSIVE_ATTRIBUTE, 0, MOUNT_ATTR_NOSUID },
    { "rnodev", WORD_RECURSIVE_ATTRIBUTE, MOUNT_ATTR_NODEV, 0 },
    { "rdev", WORD_RECURSIVE_ATTRIBUTE, 0, MOUNT_ATTR_NODEV },
    { "rnoexec", WORD_RECURSIVE_ATTRIBUTE, MOUNT_ATTR_NOEXEC, 0 },
    { "rexec", WORD_RECURSIVE_ATTRIBUTE, 0, MOUNT_ATTR_NOEXEC },
    { "rnosymfollow", WORD_RECURSIVE_ATTRIBUTE, MOUNT_ATTR_NOSYMFOLLOW, 0 },
    { "rsymfollow", WORD_RECURSIVE_ATTRIBUTE, 0, MOUNT_ATTR_NOSYMFOLLOW },
    { "rnodiratime", WORD_RECURSIVE_ATTRIBUTE, MOUNT_ATTR_NODIRATIME, 0 },
    { "rdiratime", WORD_RECURSIVE_ATTRIBUTE, 0, MOUNT_ATTR_NODIRATIME },
    { "rnoatime", WORD_RECURSIVE_ATTRIBUTE, MOUNT_ATTR_NOATIME, ATIME_ANY },
    { "ratime", WORD_RECURSIVE_ATTRIBUTE, 0, ATIME_ANY },
    { "rrelatime", WORD_RECURSIVE_ATTRIBUTE, MOUNT_ATTR_RELATIME, ATIME_ANY },
    { "rnorelatime", WORD_RECURSIVE_ATTRIBUTE, 0, ATIME_ANY },
    { "rstrictatime", WORD_RECURSIVE_ATTRIBUTE, MOUNT_ATTR_STRICTATIME, ATIME_ANY },
    { "rnostrictatime", WORD_RECURSIVE_ATTRIBUTE, 0, ATIME_ANY },

    { "sync", WORD_SUPERBLOCK, MS_SYNCHRONOUS, 0 },
    { "async", WORD_SUPERBLOCK, 0, MS_SYNCHRONOUS },
    { "dirsync", WORD_SUPERBLOCK, MS_DIRSYNC, 0 },
    { "mand", WORD_SUPERBLOCK, MS_MANDLOCK, 0 },
    { "nomand", WORD_SUPERBLOCK, 0, MS_MANDLOCK },
    { "lazytime", WORD_SUPERBLOCK, MS_LAZYTIME, 0 },
    { "nolazytime", WORD_SUPERBLOCK, 0, MS_LAZYTIME },
    { "iversion", WORD_SUPERBLOCK, MS_I_VERSION, 0 },
    { "noiversion", WORD_SUPERBLOCK, 0, MS_I_VERSION },
    { "acl", WORD_SUPERBLOCK, MS_POSIXACL, 0 },
    { "noacl", WORD_SUPERBLOCK, 0, MS_POSIXACL },
    /* How loud the kernel's log is about a failed mount is no matter of a container. */
    { "silent", WORD_NOTHING, 0, 0 },
    { "loud", WORD_NOTHING, 0, 0 },
    /* Attributes of a bind are set on the new mount before anyone sees it, so there is nothing left
     * to remount. */
    { "remount", WORD_NOTHING, 0, 0 },

    { "bind", WORD_BIND, 0, 0 },
    { "rbind", WORD_BIND_RECURSIVE, 0, 0 },
    { "private", WORD_PROPAGATION, MS_PRIVATE, 0 },
    { "rprivate", WORD_PROPAGATION_RECURSIVE, MS_PRIVATE, 0 },
    { "slave", WORD_PROPAGATION, MS_SLAVE, 0 },
    { "rslave", WORD_PROPAGATION_RECURSIVE, MS_SLAVE, 0 },
    { "shared", WORD_PROPAGATION, MS_SHARED, 0 },
    { "rshared", WORD_PROPAGATION_RECURSIVE, MS_SHARED, 0 },
    { "unbindable", WORD_PROPAGATION, MS_UNBINDABLE, 0 },
    { "runbindable", WORD_PROPAGATION_RECURSIVE, MS_UNBINDABLE, 0 },

    { "tmpcopyup", WORD_COPY_UP, 0, 0 },
    { "idmap", WORD_ID_MAP, 0, 0 },
    { "ridmap", WORD_ID_MAP_RECURSIVE, 0, 0 },
    { "copy-symlink", WORD_COPY_LINK, 0, 0 },
    { "src-nofollow", WORD_SOURCE_LINK, 0, 0 },
    { "dest-nofollow", WORD_DESTINATION_LINK, 0, 0 },
};

static const struct option_word *find_word(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(option_words); i++) {
        if (strcmp(option_words[i].name, name) == 0)
            return &option_words[i];
    }
    return NULL;
}

/* A later word takes back what an earlier one said, in both directions. */
static void merge(uint64_t *set, uint64_t *clear, const struct option_word *word)
{
    *set = (*set & ~word->clear) | word->set;
    *clear = (*clear & ~word->set) | word->clear;
    /* The kernel wants the whole field of access times cleared whenever it is set. */
    if ((word->clear & ATIME_ANY) != 0)
        *clear |= ATIME_ANY;
}

static int add_propagation(struct mount_options *options, const struct option_word *word,
                           struct error *err)
{
    if (options->propagation_count == MOUNT_PROPAGATIONS_MAX)
        return error_set(err, EINVAL, "more than %d propagation options", MOUNT_PROPAGATIONS_MAX);
    options->propagations[options->propagation_count++] = (struct mount_propagation){
        .flag = word->set,
        .is_recursive = word->effect == WORD_PROPAGATION_RECURSIVE,
    };
    return 0;
}

static int add_word(struct mount_options *options, const struct option_word *word,
                    struct error *err)
{
    switch (word->effect) {
    case WORD_ATTRIBUTE:
        merge(&options->attr_set, &options->attr_clear, word);
        break;
    case WORD_RECURSIVE_ATTRIBUTE:
        merge(&options->attr_recursive_set, &options->attr_recursive_clear, word);
        break;
    case WORD_SUPERBLOCK:
        options->superblock = (options->superblock & ~word->clear) | word->set;
        break;
    case WORD_BIND_RECURSIVE:
        options->is_bind_recursive = true;
        options->is_bind = true;
        break;
    case WORD_BIND:
        options->is_bind = true;
        break;
    case WORD_PROPAGATION:
    case WORD_PROPAGATION_RECURSIVE:
        return add_propagation(options, word, err);
    case WORD_COPY_UP:
        options->has_copy_up = true;
        break;
    case WORD_ID_MAP_RECURSIVE:
        options->is_id_map_recursive = true;
        options->has_id_map = true;
        break;
    case WORD_ID_MAP:
        options->has_id_map = true;
        break;
    case WORD_COPY_LINK:
        options->copies_link = true;
        break;
    case WORD_SOURCE_LINK:
        options->keeps_source_link = true;
        break;
    case WORD_DESTINATION_LINK:
        options->keeps_destination_link = true;
        break;
    case WORD_NOTHING:
        break;
    }
    return 0;
}

/* "idmap=uids=...", crun's form with mappings of its own. */
static bool add_id_map(struct mount_options *options, const char *text)
{
    bool is_recursive = text_starts(text, "ridmap=");

    if (!is_recursive && !text_starts(text, "idmap="))
        return false;
    options->has_id_map = true;
    options->is_id_map_recursive |= is_recursive;
    options->id_map = strchr(text, '=') + 1;
    return true;
}

int mount_options_parse(const struct strings *words, struct mount_options *ret_options,
                        struct error *err)
{
    struct mount_options options = { 0 };
    int r;

    assert(words != NULL);
    assert(ret_options != NULL);

    for (size_t i = 0; i < words->count; i++) {
        const struct option_word *word = find_word(words->items[i]);

        if (word == NULL && add_id_map(&options, words->items[i]))
            continue;
        if (word == NULL) {
            options.data = xrealloc(options.data, options.data_count + 1, sizeof(options.data[0]));
            options.data[options.data_count++] = words->items[i];
            continue;
        }
        r = add_word(&options, word, err);
        if (r < 0) {
            mount_options_clear(&options);
            return r;
        }
    }
    *ret_options = options;
    return 0;
}

void mount_options_clear(struct mount_options *options)
{
    free(options->data);
    *options = (struct mount_options){ 0 };
}

/* --- binds ------------------------------------------------------------------------------------ */

static bool names_access_times(const struct mount_options *options)
{
    return (options->attr_clear & ATIME_ANY) != 0;
}

void mount_options_plan_bind(const struct mount_options *options, uint64_t *ret_set,
                             uint64_t *ret_clear)
{
    uint64_t clear = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
                     MOUNT_ATTR_NOSYMFOLLOW;

    *ret_set = options->attr_set;
    *ret_clear = options->attr_clear;
    if (options->attr_set == 0 && options->attr_clear == 0)
        return;
    /* One word about access times is about all of them (mount(2)). */
    if (names_access_times(options))
        clear |= MOUNT_ATTR_NODIRATIME;
    else if ((options->attr_set & MOUNT_ATTR_NODIRATIME) != 0)
        clear |= ATIME_ANY;
    *ret_clear |= clear & ~(options->attr_set | options->attr_recursive_set);
}

static int refuse_locked(const char *word, const char *locked, struct error *err)
{
    return error_set(err, EPERM,
                     "'%s': the source is mounted with '%s', which is locked in the user namespace",
                     word, locked);
}

static const char *access_time_word(uint64_t attributes)
{
    uint64_t mode = attributes & ATIME_ANY;

    return mode == MOUNT_ATTR_NOATIME       ? "noatime"
           : mode == MOUNT_ATTR_STRICTATIME ? "strictatime"
                                            : "relatime";
}

int mount_options_plan_locked_bind(const struct mount_options *options, uint64_t has,
                                   uint64_t *ret_set, uint64_t *ret_clear, struct error *err)
{
    static const struct {
        uint64_t attribute;
        const char *word, *opposite;
    } lockable[] = {
        { MOUNT_ATTR_RDONLY, "ro", "rw" },
        { MOUNT_ATTR_NOSUID, "nosuid", "suid" },
        { MOUNT_ATTR_NODEV, "nodev", "dev" },
        { MOUNT_ATTR_NOEXEC, "noexec", "exec" },
        { MOUNT_ATTR_NODIRATIME, "nodiratime", "diratime" },
    };
    uint64_t set, clear;

    for (size_t i = 0; i < ARRAY_SIZE(lockable); i++) {
        if ((has & options->attr_clear & lockable[i].attribute) != 0)
            return refuse_locked(lockable[i].opposite, lockable[i].word, err);
    }
    if (names_access_times(options) && ((has ^ options->attr_set) & ATIME_ANY) != 0)
        return refuse_locked(access_time_word(options->attr_set), access_time_word(has), err);
    mount_options_plan_bind(options, &set, &clear);
    *ret_set = set & ~(uint64_t)ATIME_ANY;
    *ret_clear = clear & MOUNT_ATTR_NOSYMFOLLOW;
    return 0;
}

const char *mount_options_value(const struct mount_options *options, const char *key)
{
    size_t length = strlen(key);

    for (size_t i = options->data_count; i-- > 0;) {
        if (strncmp(options->data[i], key, length) == 0 && options->data[i][length] == '=')
            return options->data[i] + length + 1;
    }
    return NULL;
}

bool mount_options_has(const struct mount_options *options, const char *word)
{
    for (size_t i = 0; i < options->data_count; i++) {
        if (strcmp(options->data[i], word) == 0)
            return true;
    }
    return false;
}

int mount_propagation_parse(const char *word, struct mount_propagation *ret_propagation,
                            struct error *err)
{
    const struct option_word *found = find_word(word);

    if (found == NULL ||
        (found->effect != WORD_PROPAGATION && found->effect != WORD_PROPAGATION_RECURSIVE))
        return error_set(err, EINVAL, "'%s' is not a kind of mount propagation", word);
    ret_propagation->flag = found->set;
    ret_propagation->is_recursive = found->effect == WORD_PROPAGATION_RECURSIVE;
    return 0;
}
