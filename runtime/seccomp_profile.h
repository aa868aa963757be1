#ifndef RUNTIME_SECCOMP_PROFILE_H
#define RUNTIME_SECCOMP_PROFILE_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "runtime/process_setup.h"
#include "runtime/spec.h"

/* What the files of the seccomp filter share: seccomp_profile.c knows the words, seccomp_stub.c
 * what libseccomp does not know, seccomp_filter.c compiles, seccomp_cache.c keeps the result. */

struct seccomp_word {
    const char *name;
    uint32_t value;
};

/* Each ends with a name of NULL; sorted by name. */
extern const struct seccomp_word seccomp_actions[];   /* SCMP_ACT_* */
extern const struct seccomp_word seccomp_operators[]; /* enum scmp_compare */
extern const struct seccomp_word
    seccomp_architectures[];                      /* SCMP_ARCH_*, an AUDIT_ARCH_* but for x32 */
extern const struct seccomp_word seccomp_flags[]; /* SECCOMP_FILTER_FLAG_* */

/* The functions below expect a profile that seccomp_check() accepted. */

/** The number of a word of a table. */
uint32_t seccomp_word_value(const struct seccomp_word *words, const char *name);
/** What a filter returns for an action: the errno, EPERM unless given, is in its low bits. */
uint32_t seccomp_action_value(const char *action, bool has_errno, uint32_t errno_ret);

#define SECCOMP_ARCHITECTURES_MAX 32

/** The architectures of a profile, each once, and always our own. Returns how many. */
size_t seccomp_profile_architectures(const struct spec_seccomp *profile,
                                     uint32_t ret_tokens[SECCOMP_ARCHITECTURES_MAX]);

/* --- seccomp_stub.c --------------------------------------------------------------------------- */

/* Instructions under construction; starts as { 0 }. */
struct seccomp_program {
    struct sock_filter *items;
    size_t count;
};

/** Number of a system call that came after libseccomp's table, the same on all architectures; -1:
 * unknown. */
int seccomp_newer_call(const char *name);

/**
 * Instructions to put before libseccomp's program, which they fall or jump into: rules for system
 * calls that libseccomp does not know yet, and ENOSYS for those newer than the profile.
 */
void seccomp_stub_plan(const struct spec_seccomp *profile, struct seccomp_program *ret_program);

/** The program of profile->raw_filter, whose length alone is checked. */
int seccomp_raw_decode(const struct spec_seccomp *profile, struct seccomp_program *ret_program,
                       struct error *err);

/* --- seccomp_cache.c -------------------------------------------------------------------------- */

/** The profile and all else that decides about its filter, as bytes that differ when these do. */
void seccomp_cache_text(const struct spec_seccomp *profile, struct text *ret_text);
/** 1 and the program when the cache has it; 0 when not, for whatever reason. */
int seccomp_cache_find(int cache_fd, const struct text *text, struct seccomp_program *ret_program);
/** Stores it; a failure only costs time later. */
void seccomp_cache_store(int cache_fd, const struct text *text,
                         const struct seccomp_program *program);

#endif
