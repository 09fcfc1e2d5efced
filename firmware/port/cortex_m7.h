/* Caches and memory protection of the Cortex-M7 (Armv7-M ARM, DDI 0403, B2.2.7, B3.2 and B3.5). */
#ifndef CORTEX_M7_H
#define CORTEX_M7_H

#include "core.h"

#define SCB_CCR REGISTER(0xE000ED14u)
#define SCB_CCSIDR REGISTER(0xE000ED80u)
#define SCB_CSSELR REGISTER(0xE000ED84u)
#define SCB_ICIALLU REGISTER(0xE000EF50u)
#define SCB_DCISW REGISTER(0xE000EF60u)
#define MPU_CTRL REGISTER(0xE000ED94u)
#define MPU_RNR REGISTER(0xE000ED98u)
#define MPU_RBAR REGISTER(0xE000ED9Cu)
#define MPU_RASR REGISTER(0xE000EDA0u)

enum { CCR_DC = 1u << 16, CCR_IC = 1u << 17 };
enum { MPU_ENABLE = 1u << 0, MPU_PRIVDEFENA = 1u << 2 };
enum { RASR_ENABLE = 1u << 0, RASR_NORMAL_UNCACHED = 1u << 19, RASR_FULL_ACCESS = 3u << 24 };

/* Makes 2^bits bytes from `start` (aligned to that) uncached: the debug probe reads and writes them
 * and bypasses the cache. Tightly coupled memory is never cached. The region stays executable, for
 * the probe's flash algorithm. */
static inline void m7_leave_uncached(uint32_t start, uint32_t bits)
{
    MPU_RNR = 0;
    MPU_RBAR = start;
    MPU_RASR = RASR_FULL_ACCESS | RASR_NORMAL_UNCACHED | (bits - 1u) << 1 | RASR_ENABLE;
    MPU_CTRL = MPU_PRIVDEFENA | MPU_ENABLE;
    core_barrier();
}

/* Invalidates and enables the instruction and data caches: after a reset they hold garbage. */
static inline void m7_start_caches(void)
{
    core_barrier();
    SCB_ICIALLU = 0;
    core_barrier();
    SCB_CCR |= CCR_IC;
    SCB_CSSELR = 0; /* the data cache of level 1 */
    core_barrier();
    uint32_t size = SCB_CCSIDR;
    uint32_t last_set = size >> 13 & 0x7FFFu;
    uint32_t last_way = size >> 3 & 0x3FFu; /* 3: four ways, lines of 32 bytes (DDI 0489, 3.3.3) */
    for (uint32_t set = 0; set <= last_set; set++)
        for (uint32_t way = 0; way <= last_way; way++)
            SCB_DCISW = way << 30 | set << 5;
    core_barrier();
    SCB_CCR |= CCR_DC;
    core_barrier();
}

#endif
