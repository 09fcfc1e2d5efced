/* Counts the cost of one call. firmware/port/counter_<kind>.c reads the counter of one kind. */
#ifndef CYCLES_H
#define CYCLES_H

#include <stdint.h>

enum counter_kind { COUNTER_NONE = 0, COUNTER_INSN = 1, COUNTER_DWT = 2, COUNTER_SYSTICK = 3 };

/* The kind of the counter; COUNTER_NONE if it does not run (no emulator plug-in) and reads 0. */
enum counter_kind counter_kind(void);

/* `count` is in the counter's unit. `model_cycles` are modeled by the emulator; 0 on silicon. */
struct counts {
    uint64_t count;
    uint64_t model_cycles;
};

struct counts counter_read(void);

/* The count of cycles_nothing's `bx lr`, which is not overhead: the measured call returns, too. The
 * modeled cycles of the return differ between cores and stay in the overhead. */
extern const uint32_t counter_of_return;

static inline struct counts counts_difference(struct counts end, struct counts start)
{
    return (struct counts){end.count - start.count, end.model_cycles - start.model_cycles};
}

/* Shared by calibration and measurement, so that both have the same code between the reads. */
__attribute__((noinline, noclone, unused)) static struct counts cycles_between_reads(void (*run)(void))
{
    struct counts start = counter_read();
    run();
    return counts_difference(counter_read(), start);
}

__attribute__((naked, unused)) static void cycles_nothing(void) { __asm volatile("bx lr"); }

/* The cost of the reads and the call, to be subtracted from cycles_between_reads. */
static inline struct counts cycles_overhead(void)
{
    if (counter_kind() == COUNTER_NONE)
        return (struct counts){0, 0};
    (void)cycles_between_reads(cycles_nothing); /* warms the caches of silicon */
    struct counts overhead = cycles_between_reads(cycles_nothing);
    overhead.count -= counter_of_return;
    return overhead;
}

#endif
