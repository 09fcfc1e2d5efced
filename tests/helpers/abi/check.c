/* Compares what a function left with what trampoline.S gave it, and adds it to the function's record. */
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

enum { MOST_CALLS = 8, REGISTERS = 8, FP_REGISTERS = 16 };
enum fault { FAULT_REGISTERS = 1, FAULT_SP = 2, FAULT_FP = 4, FAULT_ALIGNMENT = 8, FAULT_LTPSIZE = 16 };

/* A wrapped function, as WRAP makes it. */
typedef struct {
    uint32_t function, calls, faults, stack_bytes;
} abi_function;

typedef struct {
    uint32_t saved[REGISTERS], lr, sp;
    abi_function *function;
    uint32_t result[2], deepest, after[REGISTERS], after_sp, after_fpscr;
    uint32_t saved_fp[FP_REGISTERS], after_fp[FP_REGISTERS];
} abi_frame;
_Static_assert(sizeof(abi_frame) == F_BYTES, "frame.h");
_Static_assert(offsetof(abi_frame, after_fp) == F_AFTER_FP, "frame.h");

extern const uint32_t abi_patterns[REGISTERS + FP_REGISTERS];
static abi_frame frames[MOST_CALLS + 1];
abi_frame *abi_top = frames;

void abi_check(abi_frame *frame);

void abi_check(abi_frame *frame)
{
    uint32_t faults = 0;
    for (int32_t i = 0; i < REGISTERS; i++)
        if (frame->after[i] != abi_patterns[i])
            faults |= FAULT_REGISTERS;
    if (frame->after_sp != frame->sp)
        faults |= FAULT_SP;
    if (frame->sp % 8u)
        faults |= FAULT_ALIGNMENT;
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    for (int32_t i = 0; i < FP_REGISTERS; i++)
        if (frame->after_fp[i] != abi_patterns[REGISTERS + i])
            faults |= FAULT_FP;
#endif
#ifdef __ARM_FEATURE_MVE
    if ((frame->after_fpscr >> 16 & 7u) != 4) /* AAPCS32, 6.1.2.4: no loop is tail-predicated at a return */
        faults |= FAULT_LTPSIZE;
#endif
    const uint32_t *word = (const uint32_t *)(frame->sp - PAINTED_BYTES);
    while ((uint32_t)word < frame->sp && *word == STACK_PATTERN)
        word++;
    uint32_t deepest = (uint32_t)word < frame->deepest ? (uint32_t)word : frame->deepest;
    if (frame > frames && deepest < frame[-1].deepest)
        frame[-1].deepest = deepest;
    abi_function *function = frame->function;
    function->calls++;
    function->faults |= faults;
    if (frame->sp - deepest > function->stack_bytes)
        function->stack_bytes = frame->sp - deepest;
}
