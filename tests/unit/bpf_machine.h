#ifndef TESTS_UNIT_BPF_MACHINE_H
#define TESTS_UNIT_BPF_MACHINE_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/process_setup.h"

/* Runs a seccomp filter as the kernel would, so that tests can ask what it answers. */

struct bpf_machine {
    uint32_t accumulator;
    size_t next;
};

static inline int bpf_jumps(const struct sock_filter *instruction, uint32_t accumulator)
{
    switch (BPF_OP(instruction->code)) {
    case BPF_JEQ:
        return accumulator == instruction->k;
    case BPF_JGT:
        return accumulator > instruction->k;
    case BPF_JGE:
        return accumulator >= instruction->k;
    case BPF_JSET:
        return (accumulator & instruction->k) != 0;
    default:
        abort();
    }
}

/* The action with its data; aborts on what no seccomp filter may contain. */
static inline uint32_t bpf_answer(const struct seccomp_filter *filter,
                                  const struct seccomp_data *data)
{
    const struct sock_filter *program = filter->program;
    struct bpf_machine machine = { 0 };

    while (machine.next < filter->count) {
        const struct sock_filter *instruction = &program[machine.next++];

        switch (BPF_CLASS(instruction->code)) {
        case BPF_LD:
            if (instruction->code != (BPF_LD | BPF_W | BPF_ABS) ||
                instruction->k + 4 > sizeof(*data) || instruction->k % 4 != 0)
                abort();
            memcpy(&machine.accumulator, (const char *)data + instruction->k, 4);
            break;
        case BPF_ALU:
            if (instruction->code != (BPF_ALU | BPF_AND | BPF_K))
                abort();
            machine.accumulator &= instruction->k;
            break;
        case BPF_JMP:
            if (instruction->code == (BPF_JMP | BPF_JA))
                machine.next += instruction->k;
            else
                machine.next +=
                    bpf_jumps(instruction, machine.accumulator) ? instruction->jt : instruction->jf;
            break;
        case BPF_RET:
            return instruction->k;
        default:
            abort();
        }
    }
    abort(); /* ran off the end */
}

#endif
