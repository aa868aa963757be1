#ifndef MICROVM_MACHINE_STATE_H
#define MICROVM_MACHINE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

/* What a machine on KVM is, besides its memory, as bytes: one part behind the other, each with a
 * mark before it, in the byte order and the layouts of this machine and its kernel's headers
 * (linux/kvm.h), which never change. In a file they stand behind a header with a version, their
 * length and a hash.
 *
 * The files are ours, yet nothing that stands in them is believed: a reader never goes beyond their
 * end, and what each part means is checked where it is used. */

#define MACHINE_STATE_VERSION 2
/* 64 processors with the largest registers that there are, and eight shares (FUSE_STATE_MAX). */
#define MACHINE_STATE_MAX ((16U + 8 * 16U) << 20)

struct state_writer {
    uint8_t *bytes; /* owned */
    size_t length;
    size_t room;
};

struct state_reader {
    const uint8_t *bytes; /* borrowed */
    size_t left;
};

/** Adds bytes, or the mark of a part: four letters. */
void state_put(struct state_writer *writer, const void *bytes, size_t length);
void state_put_mark(struct state_writer *writer, const char mark[5]);
void state_writer_clear(struct state_writer *writer);

/** Takes bytes. -EBADMSG: there are fewer, or another part begins here. */
int state_take(struct state_reader *reader, void *ret_bytes, size_t length, struct error *err);
int state_take_mark(struct state_reader *reader, const char mark[5], struct error *err);
/** Skips bytes, which stay where they are: returned is where they begin. */
int state_take_place(struct state_reader *reader, size_t length, const uint8_t **ret_bytes,
                     struct error *err);

/** Writes the file's header and what was put. */
int state_write_file(const struct state_writer *writer, int fd, struct error *err);
/**
 * Reads a whole file, checking its header.
 *
 * @ret_bytes  free it; the parts begin at @ret_reader, which points into it
 *
 * -EBADMSG: no state of a machine, or damaged. -EXDEV: of another version.
 */
int state_read_file(int fd, uint8_t **ret_bytes, struct state_reader *ret_reader,
                    struct error *err);
/** The same for a file's bytes. Pure. */
int state_open(const uint8_t *bytes, size_t length, struct state_reader *ret_reader,
               struct error *err);

/** Writes the memory of a machine; pages of zeros become holes. */
int state_write_memory(const uint8_t *memory, uint64_t bytes, int fd, struct error *err);

#endif
