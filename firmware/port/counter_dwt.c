/* The cycle counter of the Data Watchpoint and Trace unit: Cortex-M3 and up, in silicon only
 * (Armv7-M ARM, DDI 0403, C1.8; Armv8-M ARM, DDI 0553, D1.2.59). It counts clock cycles of the
 * core, including wait states of memory, and wraps after 2^32: 8.9 s at 480 MHz, more at lower
 * clocks. */
#include "../cycles.h"
#include "core.h"

#define DEMCR REGISTER(0xE000EDFCu)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define DWT_LAR REGISTER(0xE0001FB0u)

enum { TRCENA = 1u << 24, CYCCNTENA = 1u << 0, NOCYCCNT = 1u << 25, UNLOCK = 0xC5ACCE55 };

/* The cost of a return depends on the pipeline: it stays in the overhead. */
const uint32_t counter_of_return = 0;

static uint32_t wraps;
static uint32_t last;

/* Must be called at least once in 2^32 cycles; every measurement calls it twice. */
struct counts counter_read(void)
{
    core_barrier();
    uint32_t now = DWT_CYCCNT;
    core_barrier();
    if (now < last)
        wraps++;
    last = now;
    return (struct counts){(uint64_t)wraps << 32 | now, 0};
}

enum counter_kind counter_kind(void)
{
    DEMCR |= TRCENA;
    DWT_LAR = UNLOCK; /* the Cortex-M7 has a software lock (DDI 0489, 9.1) */
    if (DWT_CTRL & NOCYCCNT)
        return COUNTER_NONE;
    DWT_CTRL |= CYCCNTENA;
    uint32_t start = DWT_CYCCNT;
    core_barrier();
    return DWT_CYCCNT != start ? COUNTER_DWT : COUNTER_NONE;
}
