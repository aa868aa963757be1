#ifndef CLI_IMAGE_OUTPUT_H
#define CLI_IMAGE_OUTPUT_H

#include "base/auto.h"
#include "base/error.h"

/* An archive that a command writes: to standard output, or to a file that has its name only when it
 * is complete. */
struct image_output {
    int fd;
    char *path;      /* NULL: written as it is */
    char *temporary; /* beside it */
};

/** @path  NULL or "-": standard output, which must not be a terminal */
int image_output_open(const char *path, struct image_output *ret_output, struct error *err);
/** Gives the file its name. */
int image_output_finish(struct image_output *output, struct error *err);
/** Removes what was not finished. */
void image_output_clear(struct image_output *output);

#endif
