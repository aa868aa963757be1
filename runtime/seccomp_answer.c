#include <assert.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>

#include "runtime/process_setup.h"

/* A small machine for the part of classic BPF that filters are made of (kernel, filter.rst). */

/* What is not a seccomp filter kills, as one that the kernel does not understand would not load;
 * and so does, here, what no compiler of ours writes: registers, memory, an answer that was
 * computed. */
#define MALFORMED SECCOMP_RET_KILL_PROCESS

static bool is_true(const struct sock_filter *instruction, uint32_t accumulator)
{
    switch (BPF_OP(instruction->code)) {
    case BPF_JEQ:
        return accumulator == instruction->k;
    case BPF_JGT:
        return accumulator > instruction->k;
    case BPF_JGE:
        return accumulator >= instruction->k;
    default: /* BPF_JSET */
        return (accumulator & instruction->k) != 0;
    }
}

static size_t jump(const struct sock_filter *instruction, uint32_t accumulator)
{
    if (instruction->code == (BPF_JMP | BPF_JA))
        return instruction->k;
    return is_true(instruction, accumulator) ? instruction->jt : instruction->jf;
}

uint32_t seccomp_filter_answer(const struct seccomp_filter *filter, const struct seccomp_data *data)
{
    const struct sock_filter *program = filter->program;
    uint32_t accumulator = 0;
    size_t next = 0;

    assert(data != NULL);

    while (next < filter->count) {
        const struct sock_filter *instruction = &program[next++];

        switch (BPF_CLASS(instruction->code)) {
        case BPF_LD:
            if (instruction->code != (BPF_LD | BPF_W | BPF_ABS) ||
                instruction->k > sizeof(*data) - 4 || instruction->k % 4 != 0)
                return MALFORMED;
            memcpy(&accumulator, (const char *)data + instruction->k, 4);
            break;
        case BPF_ALU:
            if (instruction->code != (BPF_ALU | BPF_AND | BPF_K))
                return MALFORMED;
            accumulator &= instruction->k;
            break;
        case BPF_JMP:
            if (BPF_SRC(instruction->code) != BPF_K)
                return MALFORMED;
            next += jump(instruction, accumulator);
            break;
        case BPF_RET:
            return instruction->code == (BPF_RET | BPF_K) ? instruction->k : MALFORMED;
        default:
            return MALFORMED;
        }
    }
    return MALFORMED; /* ran off the end */
}
