/* Runs one fuzz target without a fuzzer, as part of `make check`: over each file of its corpus, so
 * that what broke once cannot break again, and over a fixed number of inputs that are mutated from
 * these files, the same ones each time. Prints TAP.
 *
 *     replay_NAME [DIRECTORY]               the corpus; otherwise $srcdir/tests/fuzz/corpus/NAME
 *     replay_NAME --mutation N [DIRECTORY]  writes mutated input N to standard output
 *
 * Each case runs in a child, so that one that dies is counted and the next ones still run. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"

#define INPUT_MAX        (64u << 10)
#define MUTATIONS        2000u
#define MUTATION_STEPS   8u
#define MUTATION_MS_MAX  2000u /* a slow target gets fewer, but the same ones */
#define CASE_SECONDS_MAX 60u   /* more is a hang */
#define SEED             0x9e3779b97f4a7c15ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Not every target has one. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

struct corpus {
    struct strings names;
    struct text *inputs; /* one for each name */
};

/* Written by the child, read by its parent after the child died. */
struct progress {
    unsigned mutation;
};

/* --- mutations ---------------------------------------------------------------------------- */

/* xorshift64*: the same numbers on each machine. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

/* 0 to @limit - 1; 0 for a limit of 0. */
static size_t random_below(uint64_t *state, size_t limit)
{
    return limit == 0 ? 0 : (size_t)((random_next(state) >> 33) % limit);
}

static void replace(struct text *input, size_t at, size_t old_length, const void *bytes,
                    size_t length)
{
    struct text result = { 0 };

    assert(at + old_length <= input->length);
    text_add_bytes(&result, input->data, at);
    text_add_bytes(&result, bytes, length);
    text_add_bytes(&result, input->data + at + old_length, input->length - at - old_length);
    text_clear(input);
    *input = result;
}

static void change_byte(struct text *input, uint64_t *state)
{
    static const char bytes[] = "\0\1\x7f\x80\xff\n\r\t \"\\/.,:;{}[]()$%-+09aZ";
    char byte = bytes[random_below(state, sizeof(bytes))];

    replace(input, random_below(state, input->length), input->length == 0 ? 0 : 1, &byte, 1);
}

static void flip_bit(struct text *input, uint64_t *state)
{
    size_t at = random_below(state, input->length);

    if (input->length != 0)
        input->data[at] = (char)(input->data[at] ^ (1 << random_below(state, 8)));
}

static void insert_word(struct text *input, uint64_t *state)
{
    static const char *const words[] = {
        "null",  "true", "-1",   "0",  "4294967296",           "9223372036854775808",
        "1e999", "\"\"", "[[[",  "{}", "18446744073709551615", "00000000000",
        "../",   "%s%n", "\\u0", "}}", "{{range .}}",          "\xc3\xa9\xf0\x9f\x92\xa9",
    };
    const char *word = words[random_below(state, ARRAY_SIZE(words))];

    replace(input, random_below(state, input->length + 1), 0, word, strlen(word));
}

static void delete_part(struct text *input, uint64_t *state)
{
    size_t at = random_below(state, input->length);

    replace(input, at, random_below(state, (input->length - at) / 4 + 2) % (input->length - at + 1),
            "", 0);
}

static void repeat_part(struct text *input, uint64_t *state)
{
    size_t at = random_below(state, input->length);
    size_t length = random_below(state, input->length - at + 1) % 512;
    auto_free char *part = xmemdup(input->length == 0 ? "" : input->data + at, length);

    replace(input, random_below(state, input->length + 1), 0, part, length);
}

static void truncate_end(struct text *input, uint64_t *state)
{
    size_t length = random_below(state, input->length + 1);

    replace(input, length, input->length - length, "", 0);
}

typedef void mutator(struct text *input, uint64_t *state);

static mutator *const mutators[] = { change_byte, change_byte, flip_bit,    flip_bit,
                                     insert_word, delete_part, repeat_part, truncate_end };

/* The beginning of one input and the end of another, changed in a few places. */
static void mutate(const struct corpus *corpus, uint64_t *state, struct text *ret_input)
{
    const struct text *head = &corpus->inputs[random_below(state, corpus->names.count)];
    const struct text *tail = &corpus->inputs[random_below(state, corpus->names.count)];
    size_t steps = 1 + random_below(state, MUTATION_STEPS);

    text_add_bytes(ret_input, head->data, head->length);
    if (random_below(state, 4) == 0) {
        size_t cut = random_below(state, head->length + 1);
        size_t from = random_below(state, tail->length + 1);

        replace(ret_input, cut, head->length - cut, tail->length == 0 ? "" : tail->data + from,
                tail->length - from);
    }
    for (size_t i = 0; i < steps; i++)
        mutators[random_below(state, ARRAY_SIZE(mutators))](ret_input, state);
}

/* Each input has a state of its own, so that one can be made without those before it. */
static void mutation_make(const struct corpus *corpus, unsigned number, struct text *ret_input)
{
    uint64_t state = SEED * (number + 1);

    mutate(corpus, &state, ret_input);
}

/* --- the corpus ---------------------------------------------------------------------------- */

static int corpus_list(int dir_fd, struct strings *ret_names, struct error *err)
{
    DIR *directory = fdopendir(fcntl(dir_fd, F_DUPFD_CLOEXEC, 0));
    struct dirent *entry;

    if (directory == NULL)
        return error_errno(err, "list the corpus");
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.')
            strings_add(ret_names, entry->d_name);
    }
    closedir(directory);
    if (ret_names->count == 0)
        return error_set(err, ENOENT, "the corpus has no files");
    strings_sort(ret_names);
    return 0;
}

static int corpus_read(const char *path, struct corpus *ret_corpus, struct error *err)
{
    auto_close int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (dir_fd < 0)
        return error_errno(err, "open the corpus '%s'", path);
    r = corpus_list(dir_fd, &ret_corpus->names, err);
    if (r < 0)
        return error_prefix(err, r, "'%s'", path);
    ret_corpus->inputs = xcalloc(ret_corpus->names.count, sizeof(*ret_corpus->inputs));
    for (size_t i = 0; i < ret_corpus->names.count; i++) {
        struct text *input = &ret_corpus->inputs[i];

        r = file_read(dir_fd, ret_corpus->names.items[i], INPUT_MAX, &input->data, &input->length,
                      err);
        if (r < 0)
            return r;
        input->capacity = input->length + 1;
    }
    return 0;
}

static void corpus_clear(struct corpus *corpus)
{
    for (size_t i = 0; i < corpus->names.count && corpus->inputs != NULL; i++)
        text_clear(&corpus->inputs[i]);
    free(corpus->inputs);
    strings_clear(&corpus->names);
}

/* --- running ---------------------------------------------------------------------------- */

/* In a block of exactly its size, so that AddressSanitizer sees a read behind it. */
static void run_input(const struct text *input)
{
    auto_free uint8_t *data = xcalloc(input->length == 0 ? 1 : input->length, 1);

    if (input->length != 0)
        memcpy(data, input->data, input->length);
    (void)LLVMFuzzerTestOneInput(data, input->length);
}

static uint64_t clock_ms(void)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void run_mutations(const struct corpus *corpus, struct progress *progress)
{
    uint64_t end_ms = clock_ms() + MUTATION_MS_MAX;

    for (progress->mutation = 0; progress->mutation < MUTATIONS; progress->mutation++) {
        struct text input = { 0 };

        if (clock_ms() > end_ms)
            return;
        mutation_make(corpus, progress->mutation, &input);
        run_input(&input);
        text_clear(&input);
    }
}

/* File @index, or the mutations when there is no such file. */
static _Noreturn void run_case_child(const struct corpus *corpus, size_t index,
                                     struct progress *progress)
{
    char *arguments[] = { program_invocation_name, NULL };
    char **argv = arguments;
    int argc = 1;

    (void)alarm(CASE_SECONDS_MAX);
    if (LLVMFuzzerInitialize != NULL)
        (void)LLVMFuzzerInitialize(&argc, &argv);
    if (index < corpus->names.count)
        run_input(&corpus->inputs[index]);
    else
        run_mutations(corpus, progress);
    exit(0); /* not _exit: atexit() of the target, and LeakSanitizer looks now */
}

/* Returns the wait status. */
static int run_case(const struct corpus *corpus, size_t index, struct progress *progress)
{
    int status = -1;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0)
        run_case_child(corpus, index, progress);
    if (pid > 0)
        (void)waitpid(pid, &status, 0); /* without a status it counts as a failure */
    return status;
}

static const char *verdict(int status)
{
    return status == 0 ? "ok" : "not ok";
}

/* Returns how many cases failed. */
static int replay(const struct corpus *corpus, struct progress *progress)
{
    size_t count = corpus->names.count;
    int failed = 0, status;

    printf("1..%zu\n", count + 1);
    for (size_t i = 0; i < count; i++) {
        status = run_case(corpus, i, progress);
        failed += status != 0;
        printf("%s %zu - replays %s\n", verdict(status), i + 1, corpus->names.items[i]);
    }
    status = run_case(corpus, count, progress);
    failed += status != 0;
    if (status != 0)
        printf("# died of mutation %u: write it to a file with --mutation %u\n", progress->mutation,
               progress->mutation);
    printf("%s %zu - replays %u mutations\n", verdict(status), count + 1, progress->mutation);
    return failed;
}

static int print_mutation(const struct corpus *corpus, const char *number, struct error *err)
{
    struct text input = { 0 };
    uint64_t value;
    int r;

    r = text_parse_u64(number, "--mutation", MUTATIONS - 1, &value, err);
    if (r < 0)
        return r;
    mutation_make(corpus, (unsigned)value, &input);
    r = fd_write_all(STDOUT_FILENO, input.data, input.length, "standard output", err);
    text_clear(&input);
    return r;
}

/* "tests/fuzz/replay_decode" has its corpus in tests/fuzz/corpus/decode. */
static char *corpus_path(const char *program, const char *given)
{
    const char *top = getenv("srcdir");
    const char *name = strstr(program, "replay_");

    if (given != NULL)
        return xstrdup(given);
    return xasprintf("%s/tests/fuzz/corpus/%s", top == NULL ? "." : top,
                     name == NULL ? "" : name + strlen("replay_"));
}

int main(int argc, char **argv)
{
    bool wants_mutation = argc > 2 && strcmp(argv[1], "--mutation") == 0;
    int words = wants_mutation ? 3 : 1;
    auto_free char *path =
        corpus_path(program_invocation_short_name, argc > words ? argv[words] : NULL);
    AUTO_CLEAR(corpus) struct corpus corpus = { 0 };
    struct progress *progress;
    struct error err = { 0 };
    int r;

    r = corpus_read(path, &corpus, &err);
    if (r == 0 && wants_mutation)
        r = print_mutation(&corpus, argv[2], &err);
    if (r < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (wants_mutation)
        return 0;
    progress =
        mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(progress != MAP_FAILED);
    return replay(&corpus, progress) == 0 ? 0 : 1;
}
