/* SysTick, counting the core's clock on cores without a cycle counter (Cortex-M0, M0+). It is 24
 * bits wide and counts down (Armv6-M ARM, DDI 0419, B3.3); its interrupt handler counts the wraps.
 * It is the only unmasked interrupt, from the first read to the next port_receive, which masks it
 * again. It adds some 40 cycles to every 2^24. */
#include "../cycles.h"
#include "core.h"

enum { SYST_ENABLE = 1u << 0, SYST_TICKINT = 1u << 1, SYST_CORE_CLOCK = 1u << 2 };
enum { WIDTH = 24, MASK = (1 << WIDTH) - 1 };

const uint32_t counter_of_return = 0; /* see counter_dwt.c */

static volatile uint32_t wraps;

void systick_handler(void);

void systick_handler(void) { wraps++; }

static void start(void)
{
    SYST_RVR = MASK;
    SYST_CVR = 0;
    SYST_CSR = SYST_ENABLE | SYST_TICKINT | SYST_CORE_CLOCK;
}

struct counts counter_read(void)
{
    uint32_t high, value;
    if (!(SYST_CSR & SYST_ENABLE))
        start();
    NVIC_ICER(0) = 0xFFFFFFFFu; /* the others have no handler */
    core_unmask_interrupts();
    do {
        high = wraps;
        value = SYST_CVR;
        core_barrier(); /* takes the interrupt of a wrap before or during the read */
    } while (high != wraps);
    /* The interrupt is raised at the count of 0, which therefore belongs to the next period. */
    return (struct counts){((uint64_t)high << WIDTH) + ((0u - value) & MASK), 0};
}

enum counter_kind counter_kind(void)
{
    start();
    return COUNTER_SYSTICK;
}
