#ifndef IMAGE_ARCHIVE_STREAM_H
#define IMAGE_ARCHIVE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

/* What berth-archive tells berth-image of an archive, through a pipe: frames, each of a header and
 * a payload of known length. berth-archive parses what anyone may have written, so whatever comes
 * is checked as if somebody had taken it over.
 *
 *     FILE      its size (8 bytes), its name
 *     DATA      the next bytes of that file
 *     LINK      its name, a zero byte, the name of the file that has the content
 *     PROGRESS  nothing; a sign that it goes on
 *     END       nothing
 *     FAILED    an errno value (4 bytes), a sentence
 *
 * A file's DATA follow it, with PROGRESS at most between them, and are as many as its size says.
 * Names are clean (archive_name.h), and such as the reader asks for. END or FAILED is the last
 * frame. */

enum archive_frame {
    ARCHIVE_FRAME_FILE = 1,
    ARCHIVE_FRAME_DATA,
    ARCHIVE_FRAME_LINK,
    ARCHIVE_FRAME_PROGRESS,
    ARCHIVE_FRAME_END,
    ARCHIVE_FRAME_FAILED,
};

/* Both ends are of one build on one machine: numbers are as they are in memory. */
struct archive_frame_header {
    uint32_t type;
    uint32_t length; /* bytes of payload */
    uint64_t taken;  /* bytes of the archive, as it is, that were read until now */
};

#define ARCHIVE_FRAME_DATA_MAX (16u << 20) /* more than one block of libarchive's */

/* --- berth-archive's end ---------------------------------------------------------------------- */

struct archive_sender {
    int fd; /* a pipe */
    uint64_t taken;
    uint64_t told; /* of it, in the last frame */
};

int archive_send_file(struct archive_sender *sender, const char *name, uint64_t size,
                      struct error *err);
/** In as many frames as it takes. */
int archive_send_data(struct archive_sender *sender, const void *bytes, size_t length,
                      struct error *err);
int archive_send_link(struct archive_sender *sender, const char *name, const char *target,
                      struct error *err);
/** Tells that more was taken: when it is much, as what does not matter is in no frame. */
int archive_send_progress(struct archive_sender *sender, struct error *err);
int archive_send_end(struct archive_sender *sender, struct error *err);
/** That it goes no further, and why. Nobody is left to be told when it fails. */
void archive_send_failure(struct archive_sender *sender, const struct error *failure);

/* --- berth-image's end ------------------------------------------------------------------------ */

struct archive_event {
    enum archive_frame frame; /* never FAILED, which is an error */
    uint64_t taken;
    const char *name; /* FILE, LINK; the stream's until the next call */
    const char *link; /* LINK; the same */
    uint64_t size;    /* FILE */
    const void *bytes;
    size_t length; /* DATA: at least 1, and no more than its file misses */
};

struct archive_stream;

/** @fd borrowed; @matters whether a file of this clean name is one to be told of */
struct archive_stream *archive_stream_open(int fd, bool (*matters)(const char *name));
void archive_stream_free(struct archive_stream *stream);
DEFINE_AUTO(archive_stream)

/**
 * The next event; END comes once, and nothing may be asked for after it.
 *
 * -EPIPE: the other end closed before its END. -EBADMSG: it sends what it must not, or the code of
 * its failure is none that it may have. All else is its failure.
 */
int archive_stream_next(struct archive_stream *stream, struct archive_event *ret_event,
                        struct error *err);

#endif
