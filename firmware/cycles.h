/* Counting what one call costs. firmware/port/counter_<kind>.c reads the counter of one kind. */
#ifndef CYCLES_H
#define CYCLES_H

#include <stdint.h>

enum counter_kind { COUNTER_NONE = 0, COUNTER_INSN = 1, COUNTER_DWT = 2, COUNTER_SYSTICK = 3 };

/* COUNTER_NONE if the counter does not run (no emulator plug-in): it then always reads 0. */
enum counter_kind counter_kind(void);

/* `count` is in the counter's unit; an emulator also models the core's cycles, elsewhere they are
 * 0. */
struct counts {
    uint64_t count;
    uint64_t model_cycles;
};

struct counts counter_read(void);

/* What `bx lr` counts for: the cost of cycles_nothing itself, not an overhead. Its modelled cycles
 * differ from core to core and are left out of what is measured. */
extern const uint32_t counter_of_return;

static inline struct counts counts_difference(struct counts end, struct counts start)
{
    return (struct counts){end.count - start.count, end.model_cycles - start.model_cycles};
}

/* One path for calibration and measurement, so that what lies between the reads is the same. */
__attribute__((noinline, noclone, unused)) static struct counts cycles_between_reads(void (*run)(void))
{
    struct counts start = counter_read();
    run();
    return counts_difference(counter_read(), start);
}

__attribute__((naked, unused)) static void cycles_nothing(void) { __asm volatile("bx lr"); }

/* What the reads and the call count for; to be subtracted from cycles_between_reads. */
static inline struct counts cycles_overhead(void)
{
    if (counter_kind() == COUNTER_NONE)
        return (struct counts){0, 0};
    (void)cycles_between_reads(cycles_nothing); /* brings the code into the caches of silicon */
    struct counts overhead = cycles_between_reads(cycles_nothing);
    overhead.count -= counter_of_return;
    return overhead;
}

#endif
