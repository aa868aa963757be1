/* A server's state goes to another one, of the same directory or of another, as in another
 * process. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/fuse_guest.h"

#include "microvm/fuse_locks.h"
#include "microvm/fuse_state.h"

#define STATE_MAX   4096
#define PIECE_BYTES 100

struct state {
    uint8_t bytes[STATE_MAX];
    size_t length;
};

/* --- by messages ------------------------------------------------------------------------------ */

static int ask_state(enum fuse_state_opcode opcode, const uint8_t *bytes, size_t length)
{
    return ask(opcode, 0, bytes, length, NULL, 0);
}

static size_t body_length(void)
{
    return fixture->reply_length - sizeof(struct fuse_out_header);
}

/* The sentence of the last answer. */
static const char *sentence(void)
{
    fixture->reply[fixture->reply_length] = '\0';
    return reply_body();
}

static int save(struct state *state)
{
    int r = ask_state(FUSE_STATE_SAVE, NULL, 0);

    state->length = 0;
    if (r < 0)
        return r;
    while ((r = ask_state(FUSE_STATE_READ, NULL, 0)) == 0 && body_length() > 0) {
        assert_true(body_length() <= STATE_MAX - state->length);
        memcpy(state->bytes + state->length, reply_body(), body_length());
        state->length += body_length();
    }
    return r;
}

/* A new server of the directory takes the state. */
static int restore(const struct state *state)
{
    size_t piece;
    int r = 0;

    server_start(false, 1000, 100);
    for (size_t done = 0; r == 0 && done < state->length; done += piece) {
        piece = state->length - done < PIECE_BYTES ? state->length - done : PIECE_BYTES;
        r = ask_state(FUSE_STATE_WRITE, state->bytes + done, piece);
    }
    return r < 0 ? r : ask_state(FUSE_STATE_RESTORE, NULL, 0);
}

static void move(void)
{
    struct state state;

    assert_int_equal(save(&state), 0);
    if (restore(&state) < 0)
        fail_msg("%s", sentence());
}

/* The next server is one of another directory. */
static void change_root(const char *name)
{
    int fd = openat(fixture->folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(dup2(fd, fixture->root_fd), fixture->root_fd);
    (void)close(fd);
}

static int write_file(uint64_t node, uint64_t fh, uint64_t offset, const char *text)
{
    struct fuse_write_in in = { .fh = fh, .offset = offset, .size = (uint32_t)strlen(text) };

    return ask(FUSE_WRITE, node, &in, sizeof(in), text, strlen(text));
}

/* @owner  0: by flock(2) */
static int lock_file(uint64_t node, uint64_t fh, uint64_t owner, uint32_t type, uint64_t start,
                     uint64_t end)
{
    struct fuse_lk_in in = { .fh = fh,
                             .owner = owner,
                             .lk = { .start = start, .end = end, .type = type },
                             .lk_flags = owner == 0 ? FUSE_LK_FLOCK : 0 };

    return ask(FUSE_SETLK, node, &in, sizeof(in), NULL, 0);
}

/* Whether somebody else can lock so many bytes of "d/f" from @start on, for writing. */
static bool is_free(off_t start, off_t length)
{
    auto_close int fd = openat(fixture->root_fd, "d/f", O_RDWR | O_CLOEXEC);
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = length
    };

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static bool is_flock_free(int operation)
{
    auto_close int fd = openat(fixture->root_fd, "d/f", O_RDWR | O_CLOEXEC);

    return flock(fd, operation | LOCK_NB) == 0;
}

/* "d" with "f" in it, which is open. */
static void open_in_directory(uint64_t *ret_directory, uint64_t *ret_node, uint64_t *ret_fh)
{
    auto_close int fd = -1;

    assert_int_equal(mkdirat(fixture->root_fd, "d", 0755), 0);
    fd = openat(fixture->root_fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put_file(fd, "f", "text");
    assert_int_equal(look_up(FUSE_ROOT_ID, "d", ret_directory), 0);
    assert_int_equal(look_up(*ret_directory, "f", ret_node), 0);
    assert_int_equal(open_node(FUSE_OPEN, *ret_node, O_RDWR, ret_fh), 0);
}

/* --- what goes on ----------------------------------------------------------------------------- */

static void files_are_found_by_their_numbers(void **state)
{
    uint64_t directory, node, fh, again, other;

    (void)state;
    open_in_directory(&directory, &node, &fh);
    move();
    assert_int_equal(read_file(node, fh, 1, 10), 0);
    assert_memory_equal(reply_body(), "ext", 3);
    assert_int_equal(get_attributes(directory), 0);
    assert_int_equal(look_up(directory, "f", &again), 0);
    assert_int_equal(again, node);
    /* No number is given out twice. */
    put_file(fixture->root_fd, "g", "");
    assert_int_equal(look_up(FUSE_ROOT_ID, "g", &other), 0);
    assert_true(other != node && other != directory);
    assert_int_equal(open_node(FUSE_OPEN, other, O_RDONLY, &again), 0);
    assert_int_not_equal(again, fh);
    assert_int_equal(read_file(node, again, 0, 1), -EBADF);
}

static void numbers_between_are_given_out_again_but_not_the_same(void **state)
{
    uint64_t nodes[5];
    uint64_t more[3];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
        char name[] = { (char)('a' + i), '\0' };

        put_file(fixture->root_fd, name, name);
        assert_int_equal(look_up(FUSE_ROOT_ID, name, &nodes[i]), 0);
    }
    for (size_t i = 1; i < 4; i += 2) {
        struct fuse_forget_in forget = { .nlookup = 1 };

        (void)ask(FUSE_FORGET, nodes[i], &forget, sizeof(forget), NULL, 0);
    }
    move();
    for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
        assert_int_equal(get_attributes(nodes[i]), i % 2 == 1 ? -ESTALE : 0);
    for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
        char name[] = { (char)('x' + i), '\0' };

        put_file(fixture->root_fd, name, name);
        assert_int_equal(look_up(FUSE_ROOT_ID, name, &more[i]), 0);
        for (size_t k = 0; k < ARRAY_SIZE(nodes); k++)
            assert_int_not_equal(more[i], nodes[k]);
    }
    /* The places of the two, and a new one. */
    assert_int_equal((uint32_t)more[0], (uint32_t)nodes[1]);
    assert_int_equal((uint32_t)more[1], (uint32_t)nodes[3]);
    assert_int_equal((uint32_t)more[2], (uint32_t)nodes[4] + 1);
}

static void lookups_are_counted_on(void **state)
{
    struct fuse_forget_in forget = { .nlookup = 1 };
    uint64_t node;

    (void)state;
    put_file(fixture->root_fd, "f", "");
    assert_int_equal(look_up(FUSE_ROOT_ID, "f", &node), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "f", &node), 0);
    move();
    (void)ask(FUSE_FORGET, node, &forget, sizeof(forget), NULL, 0);
    assert_int_equal(get_attributes(node), 0);
    (void)ask(FUSE_FORGET, node, &forget, sizeof(forget), NULL, 0);
    assert_int_equal(get_attributes(node), -ESTALE);
}

static void a_file_is_open_as_it_was(void **state)
{
    uint64_t node, reads, appends, lists;

    (void)state;
    put_file(fixture->root_fd, "f", "text");
    assert_int_equal(look_up(FUSE_ROOT_ID, "f", &node), 0);
    assert_int_equal(open_node(FUSE_OPEN, node, O_RDONLY, &reads), 0);
    assert_int_equal(open_node(FUSE_OPEN, node, O_WRONLY | O_APPEND, &appends), 0);
    assert_int_equal(open_node(FUSE_OPENDIR, FUSE_ROOT_ID, 0, &lists), 0);
    move();
    assert_int_equal(write_file(node, reads, 0, "no"), -EBADF);
    assert_int_equal(read_file(node, appends, 0, 1), -EBADF);
    assert_int_equal(write_file(node, appends, 0, "more"), 0);
    assert_int_equal(read_file(node, reads, 0, 100), 0);
    assert_memory_equal(reply_body(), "textmore", 8);
    assert_int_equal(ask(FUSE_READDIR, FUSE_ROOT_ID,
                         &(struct fuse_read_in){ .fh = lists, .size = 1000 },
                         sizeof(struct fuse_read_in), NULL, 0),
                     0);
    assert_true(body_length() > 0);
}

static void the_server_that_was_saved_serves_on(void **state)
{
    uint64_t directory, node, fh;
    struct state saved;

    (void)state;
    open_in_directory(&directory, &node, &fh);
    assert_int_equal(save(&saved), 0);
    assert_int_equal(read_file(node, fh, 0, 10), 0);
    assert_int_equal(restore(&saved), 0);
    move();
    assert_int_equal(read_file(node, fh, 0, 10), 0);
}

static void what_was_agreed_upon_holds(void **state)
{
    struct fuse_init_in in = { .major = 7, .minor = 38, .flags = FUSE_SUBMOUNTS };
    struct state before, after;

    (void)state;
    assert_int_equal(ask(FUSE_INIT, 0, &in, sizeof(in), NULL, 0), 0);
    assert_int_equal(save(&before), 0);
    assert_int_equal(restore(&before), 0);
    assert_int_equal(save(&after), 0);
    assert_int_equal(before.length, after.length);
    assert_memory_equal(before.bytes, after.bytes, before.length);
    /* A guest that had mounted nothing has not yet. */
    server_start(false, 1000, 100);
    move();
    assert_int_equal(get_attributes(FUSE_ROOT_ID), -ENOTCONN);
    assert_int_equal(init_minor(7, 38), 0);
}

/* --- what is not there ------------------------------------------------------------------------ */

static void what_was_removed_or_replaced_is_stale(void **state)
{
    uint64_t removed, replaced, kept, directory, inner, fh;
    struct state saved;

    (void)state;
    put_file(fixture->root_fd, "removed", "x");
    put_file(fixture->root_fd, "replaced", "x");
    put_file(fixture->root_fd, "kept", "x");
    assert_int_equal(look_up(FUSE_ROOT_ID, "removed", &removed), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "replaced", &replaced), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "kept", &kept), 0);
    open_in_directory(&directory, &inner, &fh);
    assert_int_equal(ask(FUSE_RELEASE, inner, &(struct fuse_release_in){ .fh = fh },
                         sizeof(struct fuse_release_in), NULL, 0),
                     0);
    assert_int_equal(save(&saved), 0);
    assert_int_equal(unlinkat(fixture->root_fd, "removed", 0), 0);
    put_file(fixture->root_fd, "other", "other");
    assert_int_equal(renameat(fixture->root_fd, "other", fixture->root_fd, "replaced"), 0);
    /* A link in place of a directory leads nowhere. */
    assert_int_equal(renameat(fixture->root_fd, "d", fixture->folder_fd, "d"), 0);
    assert_int_equal(symlinkat("../d", fixture->root_fd, "d"), 0);
    assert_int_equal(restore(&saved), 0);
    assert_int_equal(get_attributes(removed), -ESTALE);
    assert_int_equal(get_attributes(replaced), -ESTALE);
    assert_int_equal(get_attributes(directory), -ESTALE);
    assert_int_equal(get_attributes(inner), -ESTALE);
    assert_int_equal(open_node(FUSE_OPEN, inner, O_RDONLY, &fh), -ESTALE);
    assert_int_equal(get_attributes(kept), 0);
    /* Nor later, when another one has the name. */
    put_file(fixture->root_fd, "removed", "new");
    assert_int_equal(get_attributes(removed), -ESTALE);
    move();
    assert_int_equal(get_attributes(removed), -ESTALE);
    assert_int_equal(look_up(FUSE_ROOT_ID, "removed", &inner), 0);
    assert_int_not_equal(inner, removed);
}

static void an_open_file_that_is_gone_refuses_the_restore(void **state)
{
    uint64_t directory, node, fh;
    struct state saved;

    (void)state;
    open_in_directory(&directory, &node, &fh);
    assert_int_equal(save(&saved), 0);
    assert_int_equal(renameat(fixture->root_fd, "d/f", fixture->root_fd, "f"), 0);
    assert_int_equal(restore(&saved), -ESTALE);
    assert_string_equal(sentence(), "file 'd/f', which the saved guest has open, is not there any "
                                    "more, or is another one");
    /* It knows nothing now, as at first. */
    assert_int_equal(get_attributes(directory), -ENOTCONN);
    assert_int_equal(init_minor(7, 38), 0);
    assert_int_equal(get_attributes(directory), -ESTALE);
}

static void an_open_file_without_a_name_refuses_the_saving(void **state)
{
    uint64_t directory, node, fh;
    struct state saved;

    (void)state;
    open_in_directory(&directory, &node, &fh);
    assert_int_equal(ask_name(FUSE_UNLINK, directory, "f"), 0);
    assert_int_equal(save(&saved), -EBUSY);
    assert_string_equal(sentence(), "the guest has file 'd/f' open, which was removed or has "
                                    "another name now");
    assert_int_equal(read_file(node, fh, 0, 10), 0);
    assert_int_equal(ask(FUSE_RELEASE, node, &(struct fuse_release_in){ .fh = fh },
                         sizeof(struct fuse_release_in), NULL, 0),
                     0);
    assert_int_equal(save(&saved), 0);
    assert_int_equal(restore(&saved), 0);
    assert_int_equal(get_attributes(node), -ESTALE);
    assert_int_equal(get_attributes(directory), 0);
}

/* --- locks ------------------------------------------------------------------------------------ */

static void locks_are_held_on(void **state)
{
    uint64_t directory, node, fh;

    (void)state;
    open_in_directory(&directory, &node, &fh);
    assert_int_equal(lock_file(node, fh, 5, F_WRLCK, 10, 19), 0);
    assert_int_equal(lock_file(node, fh, 5, F_RDLCK, 30, 30), 0);
    assert_int_equal(lock_file(node, fh, 6, F_RDLCK, 100, INT64_MAX), 0);
    assert_int_equal(lock_file(node, fh, 0, F_RDLCK, 0, INT64_MAX), 0);
    move();
    assert_true(is_free(0, 10) && is_free(20, 10) && is_free(31, 69));
    assert_false(is_free(10, 1) || is_free(19, 1) || is_free(30, 1) || is_free(1 << 30, 0));
    assert_true(is_flock_free(LOCK_SH));
    assert_false(is_flock_free(LOCK_EX));
    /* Each is its holder's. */
    assert_int_equal(lock_file(node, fh, 7, F_UNLCK, 0, INT64_MAX), 0);
    assert_int_equal(lock_file(node, fh, 7, F_WRLCK, 10, 10), -EAGAIN);
    assert_false(is_free(10, 1));
    assert_int_equal(lock_file(node, fh, 5, F_UNLCK, 0, INT64_MAX), 0);
    assert_true(is_free(0, 100));
    assert_false(is_free(100, 1));
    assert_int_equal(lock_file(node, fh, 6, F_UNLCK, 0, INT64_MAX), 0);
    assert_true(is_free(0, 0));
    assert_int_equal(lock_file(node, fh, 0, F_WRLCK, 0, INT64_MAX), 0);
    move();
    assert_false(is_flock_free(LOCK_SH));
    assert_int_equal(lock_file(node, fh, 0, F_UNLCK, 0, INT64_MAX), 0);
    move();
    assert_true(is_flock_free(LOCK_EX));
}

static void a_lock_that_somebody_else_holds_refuses_the_restore(void **state)
{
    auto_close int fd = -1;
    uint64_t directory, node, fh;
    struct state saved;

    (void)state;
    open_in_directory(&directory, &node, &fh);
    assert_int_equal(lock_file(node, fh, 0, F_WRLCK, 0, INT64_MAX), 0);
    assert_int_equal(save(&saved), 0);
    server_start(false, 1000, 100);
    fd = openat(fixture->root_fd, "d/f", O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
    assert_int_equal(restore(&saved), -EAGAIN);
    assert_string_equal(sentence(),
                        "file 'd/f', which the saved guest has locked, is locked by somebody else");
    assert_int_equal(flock(fd, LOCK_UN), 0);
    assert_int_equal(restore(&saved), 0);
    assert_false(is_flock_free(LOCK_SH));
}

static void impossible_locks_are_refused(void **state)
{
    enum { LOCK = 40 }; /* before the end */
    static const struct {
        const char *what;
        size_t at;
        uint8_t byte;
        int code;
    } rows[] = {
        { "no such file", 0, 9, -EBADMSG },
        { "no such open file", 8, 9, -EINVAL },
        { "a beginning before 0", 16 + 7, 0x80, -EBADMSG },
        { "a negative length", 24 + 7, 0x80, -EBADMSG },
        { "no lock at all", 32, F_UNLCK, -EBADMSG },
        { "a type that is none", 32, 7, -EBADMSG },
    };
    uint64_t directory, node, fh;
    struct state saved;

    (void)state;
    open_in_directory(&directory, &node, &fh);
    assert_int_equal(lock_file(node, fh, 0, F_WRLCK, 0, INT64_MAX), 0);
    assert_int_equal(save(&saved), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct state changed = saved;
        int r;

        changed.bytes[saved.length - LOCK + rows[i].at] = rows[i].byte;
        r = restore(&changed);
        if (r != rows[i].code)
            fail_msg("%s: %d, %s", rows[i].what, r, r < 0 ? sentence() : "taken");
    }
    assert_int_equal(restore(&saved), 0);
}

static void the_kernel_s_lines_are_read(void **state)
{
    static const struct {
        const char *line;
        bool is_flock, is_lock;
        short type;
        int64_t start, length;
    } rows[] = {
        { "lock:\t1: OFDLCK ADVISORY  WRITE -1 fe:00:42 0 EOF", false, true, F_WRLCK, 0, 0 },
        { "lock:\t12: OFDLCK ADVISORY  READ -1 fe:00:42 7 7", false, true, F_RDLCK, 7, 1 },
        { "lock:\t1: OFDLCK ADVISORY  READ -1 fe:00:42 7 9223372036854775806", false, true, F_RDLCK,
          7, 9223372036854775800 },
        { "lock:\t1: FLOCK  ADVISORY  WRITE 345 fe:00:42 0 EOF", true, true, F_WRLCK, 0, 0 },
        { "lock:\t1: FLOCK  ADVISORY  WRITE 345 fe:00:42 0 EOF", false, false, 0, 0, 0 },
        { "lock:\t1: POSIX  ADVISORY  WRITE 345 fe:00:42 0 EOF", false, false, 0, 0, 0 },
        { "lock:\t1: LEASE  ACTIVE    READ 345 fe:00:42 0 EOF", true, false, 0, 0, 0 },
        { "flags:\t0100002", false, false, 0, 0, 0 },
        { "", true, false, 0, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fuse_lock lock = { 0 };

        print_message("%s\n", rows[i].line);
        assert_int_equal(fuse_lock_parse(rows[i].line, rows[i].is_flock, &lock), rows[i].is_lock);
        assert_int_equal(lock.type, rows[i].type);
        assert_int_equal(lock.start, rows[i].start);
        assert_int_equal(lock.length, rows[i].length);
    }
}

/* --- in another place ------------------------------------------------------------------------- */

static void make_copy(const char *text, bool keeps_times)
{
    auto_close int fd = -1;
    struct stat status;
    struct timespec times[2];

    assert_int_equal(mkdirat(fixture->folder_fd, "copy", 0755), 0);
    assert_int_equal(mkdirat(fixture->folder_fd, "copy/d", 0755), 0);
    fd = openat(fixture->folder_fd, "copy/d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put_file(fd, "f", text);
    assert_int_equal(fstatat(fixture->root_fd, "d/f", &status, 0), 0);
    times[0] = status.st_atim;
    times[1] = status.st_mtim;
    if (!keeps_times)
        times[1].tv_sec -= 1;
    assert_int_equal(utimensat(fd, "f", times, 0), 0);
}

static void a_copy_with_its_times_is_as_good(void **state)
{
    uint64_t directory, node, fh;
    struct state saved;

    (void)state;
    open_in_directory(&directory, &node, &fh);
    assert_int_equal(save(&saved), 0);
    make_copy("copy", true);
    change_root("copy");
    if (restore(&saved) < 0)
        fail_msg("%s", sentence());
    assert_int_equal(read_file(node, fh, 0, 10), 0);
    assert_memory_equal(reply_body(), "copy", 4);
}

static void a_copy_of_another_time_or_size_is_not(void **state)
{
    uint64_t directory, node, fh;
    struct state saved;

    (void)state;
    open_in_directory(&directory, &node, &fh);
    assert_int_equal(save(&saved), 0);
    make_copy("text", false);
    change_root("copy");
    assert_int_equal(restore(&saved), -ESTALE);
    change_root("root");
    assert_int_equal(renameat(fixture->folder_fd, "copy", fixture->folder_fd, "first"), 0);
    make_copy("texts", true);
    change_root("copy");
    assert_int_equal(restore(&saved), -ESTALE);
}

/* --- who may ask, and what is believed -------------------------------------------------------- */

static void a_server_that_is_not_told_to_knows_no_state(void **state)
{
    (void)state;
    fixture->is_savable = false;
    server_start(false, 1000, 100);
    assert_int_equal(init_minor(7, 38), 0);
    for (uint32_t i = FUSE_STATE_SAVE; i <= FUSE_STATE_RESTORE; i++)
        assert_int_equal(ask_state(i, NULL, 0), -ENOSYS);
}

static void a_server_that_serves_takes_no_state(void **state)
{
    struct state saved;

    (void)state;
    assert_int_equal(save(&saved), 0);
    assert_int_equal(ask_state(FUSE_STATE_WRITE, saved.bytes, saved.length), 0);
    assert_int_equal(ask_state(FUSE_STATE_RESTORE, NULL, 0), -EBUSY);
    assert_int_equal(get_attributes(FUSE_ROOT_ID), 0);
}

/* No guest has a file open before it has mounted anything. */
static void a_server_takes_one_state(void **state)
{
    struct state saved;
    uint64_t fh;

    (void)state;
    assert_int_equal(open_node(FUSE_OPENDIR, FUSE_ROOT_ID, 0, &fh), 0);
    assert_int_equal(save(&saved), 0);
    saved.bytes[12] = 0;                 /* struct saved_server, is_ready */
    saved.bytes[saved.length - 24] += 3; /* with places that are free before it */
    assert_int_equal(restore(&saved), 0);
    assert_int_equal(ask_state(FUSE_STATE_WRITE, saved.bytes, saved.length), 0);
    assert_int_equal(ask_state(FUSE_STATE_RESTORE, NULL, 0), -EBUSY);
}

static void a_state_that_is_cut_off_is_refused(void **state)
{
    uint64_t directory, node, fh;
    struct state saved;

    (void)state;
    open_in_directory(&directory, &node, &fh);
    assert_int_equal(save(&saved), 0);
    for (size_t length = saved.length; length-- > 0;) {
        struct state part = saved;

        part.length = length;
        assert_int_equal(restore(&part), -EBADMSG);
        assert_int_equal(get_attributes(FUSE_ROOT_ID), -ENOTCONN);
    }
    saved.bytes[saved.length++] = 0;
    assert_int_equal(restore(&saved), -EBADMSG);
}

/* Where things stand in the state of open_in_directory(): a mark, the server, the root, "d", "f",
 * the open file. */
enum {
    SERVER = 4,
    ROOT = SERVER + 32,
    D = ROOT + 80,
    F = D + 80 + 1,
    OPEN = F + 80 + 1,
    PARENT = 8,
    TYPE = 64,
    FLAGS = 68,
    NAME_LENGTH = 72,
    NAME = 80,
};

static void what_cannot_be_is_refused(void **state)
{
    static const struct {
        const char *what;
        size_t at;
        uint8_t byte;
        int code;
    } rows[] = {
        { "another mark", 0, 'x', -EBADMSG },
        { "unknown flags of the protocol", SERVER + 7, 0x80, -EXDEV },
        { "more files than there are", SERVER + 20, 9, -EBADMSG },
        { "less", SERVER + 20, 2, -EBADMSG },
        { "less that are open", SERVER + 24, 0, -EBADMSG },
        { "more locks than there are", SERVER + 28, 1, -EBADMSG },
        { "the number of the root", D, 1, -EBADMSG },
        { "a number that is taken", F, 2, -EBADMSG },
        { "no number", F, 0, -EBADMSG },
        { "a number beyond the limit", F + 3, 0x10, -EBADMSG },
        { "a file below itself", F + PARENT, 3, -EBADMSG },
        { "a directory that comes later", D + PARENT, 3, -EBADMSG },
        { "no directory, but a name", F + PARENT, 0, -EBADMSG },
        { "what is below a file", D + TYPE + 1, 0x80, -EBADMSG },
        { "no type", F + TYPE + 1, 0, -EBADMSG },
        { "permissions in a type", F + TYPE, 1, -EBADMSG },
        { "an unknown flag", F + FLAGS, 4, -EBADMSG },
        { "a name longer than any", F + NAME_LENGTH + 1, 1, -EBADMSG },
        { "no name", F + NAME_LENGTH, 0, -EBADMSG },
        { "a name that leads up", F + NAME, '.', -EBADMSG },
        { "a name with a slash", F + NAME, '/', -EBADMSG },
        { "a name of a zero", F + NAME, '\0', -EBADMSG },
        { "another name", F + NAME, 'g', -ESTALE },
        { "an open file without a number", OPEN, 0, -EBADMSG },
        { "one of no file", OPEN + 8, 9, -EBADMSG },
        { "one that is emptied", OPEN + 17, O_TRUNC >> 8, -EINVAL },
    };
    uint64_t directory, node, fh;
    struct state saved;

    (void)state;
    open_in_directory(&directory, &node, &fh);
    assert_int_equal(directory & UINT32_MAX, 2);
    assert_int_equal(node & UINT32_MAX, 3);
    assert_int_equal(save(&saved), 0);
    assert_int_equal(saved.length, OPEN + 24);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct state changed = saved;
        int r;

        /* Of numbers, the lower half is changed alone, the other one is as it was given out. */
        changed.bytes[rows[i].at] = rows[i].byte;
        if (rows[i].at == D && rows[i].byte == 1)
            memset(changed.bytes + D + 4, 0, 4);
        if (rows[i].at == F && rows[i].byte == 2)
            memcpy(changed.bytes + F, changed.bytes + D, 8);
        if (rows[i].at == OPEN)
            memset(changed.bytes + OPEN, 0, 8);
        r = restore(&changed);
        if (r != rows[i].code)
            fail_msg("%s: %d, %s", rows[i].what, r, r < 0 ? sentence() : "taken");
        assert_int_equal(get_attributes(FUSE_ROOT_ID), -ENOTCONN);
    }
    assert_int_equal(restore(&saved), 0);
}

static void a_state_longer_than_any_is_refused(void **state)
{
    uint8_t piece[400] = { 0 };
    int r = 0;

    (void)state;
    server_start(false, 1000, 100);
    for (size_t i = 0; r == 0 && i <= FUSE_STATE_MAX / sizeof(piece); i++)
        r = ask_state(FUSE_STATE_WRITE, piece, sizeof(piece));
    assert_int_equal(r, -EBADMSG);
}

static void a_share_that_is_read_only_now_has_no_file_open_for_writing(void **state)
{
    uint64_t directory, node, fh;
    struct state saved;

    (void)state;
    open_in_directory(&directory, &node, &fh);
    assert_int_equal(save(&saved), 0);
    server_start(true, 1000, 100);
    assert_true(saved.length < 512);
    assert_int_equal(ask_state(FUSE_STATE_WRITE, saved.bytes, saved.length), 0);
    assert_int_equal(ask_state(FUSE_STATE_RESTORE, NULL, 0), -EROFS);
    assert_string_equal(sentence(),
                        "open file 'd/f' again for the saved guest: Read-only file system");
}

static void fewer_numbers_and_descriptors_are_enough_or_said(void **state)
{
    uint64_t nodes[20], fh;
    struct state saved;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
        char name[] = { (char)('a' + i), '\0' };

        put_file(fixture->root_fd, name, name);
        assert_int_equal(look_up(FUSE_ROOT_ID, name, &nodes[i]), 0);
    }
    assert_int_equal(open_node(FUSE_OPEN, nodes[3], O_RDONLY, &fh), 0);
    assert_int_equal(save(&saved), 0);
    server_start(false, 1000, 5);
    for (size_t done = 0; done < saved.length; done += PIECE_BYTES)
        assert_int_equal(
            ask_state(FUSE_STATE_WRITE, saved.bytes + done,
                      saved.length - done < PIECE_BYTES ? saved.length - done : PIECE_BYTES),
            0);
    assert_int_equal(ask_state(FUSE_STATE_RESTORE, NULL, 0), 0);
    for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
        assert_int_equal(get_attributes(nodes[i]), 0);
    assert_int_equal(read_file(nodes[3], fh, 0, 10), 0);
    assert_memory_equal(reply_body(), "d", 1);
}

static int set_up_savable(void **state)
{
    int r = set_up(state);

    fixture->is_savable = true;
    server_start(false, 1000, 100);
    return r < 0 ? r : init_minor(7, 38);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up_savable, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(files_are_found_by_their_numbers),
        CASE(numbers_between_are_given_out_again_but_not_the_same),
        CASE(lookups_are_counted_on),
        CASE(a_file_is_open_as_it_was),
        CASE(the_server_that_was_saved_serves_on),
        CASE(what_was_agreed_upon_holds),
        CASE(what_was_removed_or_replaced_is_stale),
        CASE(an_open_file_that_is_gone_refuses_the_restore),
        CASE(an_open_file_without_a_name_refuses_the_saving),
        CASE(locks_are_held_on),
        CASE(a_lock_that_somebody_else_holds_refuses_the_restore),
        CASE(impossible_locks_are_refused),
        CASE(the_kernel_s_lines_are_read),
        CASE(a_copy_with_its_times_is_as_good),
        CASE(a_copy_of_another_time_or_size_is_not),
        CASE(a_server_that_is_not_told_to_knows_no_state),
        CASE(a_server_that_serves_takes_no_state),
        CASE(a_server_takes_one_state),
        CASE(a_state_that_is_cut_off_is_refused),
        CASE(what_cannot_be_is_refused),
        CASE(a_state_longer_than_any_is_refused),
        CASE(a_share_that_is_read_only_now_has_no_file_open_for_writing),
        CASE(fewer_numbers_and_descriptors_are_enough_or_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
