/* Runs a fuzz target over each file of its corpus, without a fuzzer: part of `make check`, so that
 * what broke once cannot break again. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/file.h"

#define INPUT_MAX (16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int count, char **arguments)
{
    const char *corpus = count > 1 ? arguments[1] : FUZZ_CORPUS;
    DIR *directory = opendir(corpus);
    struct dirent *entry;
    int replayed = 0;

    if (directory == NULL) {
        fprintf(stderr, "open the corpus '%s': %m\n", corpus);
        return 1;
    }
    while ((entry = readdir(directory)) != NULL) {
        auto_free char *bytes = NULL;
        struct error err = { 0 };
        size_t length;

        if (entry->d_name[0] == '.')
            continue;
        if (file_read(dirfd(directory), entry->d_name, INPUT_MAX, &bytes, &length, &err) < 0) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        printf("%s\n", entry->d_name);
        fflush(stdout); /* named already when the target dies on it */
        (void)LLVMFuzzerTestOneInput((const uint8_t *)bytes, length);
        replayed++;
    }
    closedir(directory);
    return replayed > 0 ? 0 : 1;
}
