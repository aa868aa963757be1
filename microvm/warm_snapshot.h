#ifndef MICROVM_WARM_SNAPSHOT_H
#define MICROVM_WARM_SNAPSHOT_H

#include <stddef.h>

#include "base/auto.h"
#include "base/error.h"

/* A saved machine in a directory that berth-vmm has in its jail: of each number of network
 * interfaces, which only berth-vmm knows, the files state.N, memory.N and whole.N. The last one is
 * written last, says what the others are, and is empty until then: so what was interrupted is not
 * believed, but begun again. */

enum warm_use {
    WARM_NOT,  /* somebody else is saving such a machine just now */
    WARM_LOAD, /* it is there */
    WARM_SAVE, /* it is not, and the lock for making it is held */
};

struct warm_snapshot {
    enum warm_use use;
    int state_fd, memory_fd, whole_fd; /* whole_fd holds the lock */
};
struct warm_snapshot warm_snapshot_empty(void);
void warm_snapshot_clear(struct warm_snapshot *snapshot);

/** Opens the snapshot of a machine with so many interfaces, for what can be done with it. */
int warm_snapshot_open(int dir_fd, size_t interfaces, struct warm_snapshot *ret_snapshot,
                       struct error *err);
/** Says that the state and the memory are whole. By calls that the session's filter allows. */
int warm_snapshot_commit(const struct warm_snapshot *snapshot, struct error *err);
/** Empties its files, so that what was not made whole takes no space. By such calls too. */
int warm_snapshot_abandon(const struct warm_snapshot *snapshot, struct error *err);

#endif
