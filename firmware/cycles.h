/* Counting what one call costs. firmware/port/counter_<kind>.c reads the counter of one kind. */
#ifndef CYCLES_H
#define CYCLES_H

#include <stdint.h>

enum counter_kind { COUNTER_NONE = 0, COUNTER_INSN = 1, COUNTER_DWT = 2, COUNTER_SYSTICK = 3 };

/* COUNTER_NONE if the counter does not run (no emulator plug-in): it then always reads 0. */
enum counter_kind counter_kind(void);

uint64_t counter_read(void);

/* What `bx lr` counts for: the cost of cycles_nothing itself, not an overhead. */
extern const uint32_t counter_of_return;

/* One path for calibration and measurement, so that what lies between the reads is the same. */
__attribute__((noinline, noclone)) static uint64_t cycles_between_reads(void (*run)(void))
{
    uint64_t start = counter_read();
    run();
    return counter_read() - start;
}

__attribute__((naked)) static void cycles_nothing(void) { __asm volatile("bx lr"); }

/* What the reads and the call count for; to be subtracted from cycles_between_reads. */
static inline uint64_t cycles_overhead(void)
{
    if (counter_kind() == COUNTER_NONE)
        return 0;
    return cycles_between_reads(cycles_nothing) - counter_of_return;
}

#endif
