#ifndef BASE_STAGING_H
#define BASE_STAGING_H

#include "base/auto.h"
#include "base/disk_usage.h"
#include "base/error.h"

/* A private directory below DATA/staging/ for work that becomes visible by one rename. Its lock
 * file is held while in use; a staging directory whose lock is free belongs to a dead process and
 * is removed by whoever sees it. */
struct staging {
    int fd; /* the directory */
    int lock_fd;
    int parent_fd;
    char *name; /* below DATA/staging */
};

int staging_create(int data_fd, struct staging **ret_staging, struct error *err);
/** Removes the directory with what is still in it. */
void staging_free(struct staging *staging);
DEFINE_AUTO(staging)

/** Removes staging directories without a live owner, and everything in DATA/trash. */
int staging_clean(int data_fd, struct error *err);
/**
 * The same in a process of low priority that nobody waits for: it outlives the caller, and holds
 * none of the caller's files. What it does not get done is left to the next staging_clean().
 */
int staging_clean_behind(int data_fd, struct error *err);

/* What is in DATA/staging and DATA/trash. */
struct staging_usage {
    struct disk_usage held;      /* at work, or being deleted, just now */
    struct disk_usage abandoned; /* what staging_clean() would remove */
    uint64_t held_count, abandoned_count;
};
int staging_usage(int data_fd, struct staging_usage *ret_usage, struct error *err);

/** Renames @name below @dir_fd into DATA/trash; staging_clean() removes it. Missing is fine. */
int staging_trash(int data_fd, int dir_fd, const char *name, struct error *err);
/** Renames @name below @dir_fd into DATA/trash at once, then removes it; missing is fine. */
int staging_discard(int data_fd, int dir_fd, const char *name, struct error *err);

#endif
