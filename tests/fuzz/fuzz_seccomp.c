/* Any bytes as a seccomp profile, in the form of the runtime specification and in docker's. What is
 * accepted becomes a program that the kernel would take. */
#include <assert.h>
#include <linux/filter.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bundle.h"
#include "runtime/process_setup.h"
#include "runtime/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As bpf_check_classic() of the kernel: each jump ends in the program, which ends with a return. */
static void check_program(const struct sock_filter *program, size_t count)
{
    assert(count > 0 && count <= BPF_MAXINSNS);
    for (size_t i = 0; i < count; i++) {
        size_t left = count - i - 1;

        if (BPF_CLASS(program[i].code) != BPF_JMP)
            continue;
        if (BPF_OP(program[i].code) == BPF_JA)
            assert(program[i].k < left);
        else
            assert(program[i].jt < left && program[i].jf < left);
    }
    assert(BPF_CLASS(program[count - 1].code) == BPF_RET);
}

static void plan(const struct spec_seccomp *profile)
{
    AUTO(seccomp_filter) struct seccomp_filter *filter = NULL;
    struct error err = { 0 };

    if (seccomp_filter_plan(profile, -1, &filter, &err) < 0) {
        assert(err.message[0] != '\0' && filter == NULL);
        return;
    }
    assert(seccomp_check(profile, NULL) == 0);
    check_program(filter->program, filter->count);
}

static void plan_docker(const char *json, size_t length)
{
    char *names[] = { (char *)"CAP_CHOWN", (char *)"CAP_SYS_ADMIN", NULL };
    const struct strings capabilities = { names, 2 };
    struct spec_seccomp *profile = NULL;
    struct error err = { 0 };

    if (seccomp_profile_decode(json, length, &capabilities, &profile, &err) < 0) {
        assert(err.message[0] != '\0' && profile == NULL);
        return;
    }
    plan(profile);
    object_clear(&spec_seccomp_object, profile);
    free(profile);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *json = (const char *)data;
    struct spec_seccomp profile = { 0 };
    struct error err = { 0 };

    if (decode_text(&spec_seccomp_object, json, size, &profile, "profile", &err) == 0) {
        plan(&profile);
        object_clear(&spec_seccomp_object, &profile);
    }
    plan_docker(json, size);
    return 0;
}
