/* Common code of the STM32 ports. Registers and bits have the names of ST's reference manuals. */
#ifndef STM32_H
#define STM32_H

#include <stdbool.h>

#include "core.h"

/* Emulators lack clock and power control: no status bit ever changes. Their board files set
 * STATUS_BITS_MISSING, so that the same code reads each bit once and continues. */
#ifndef STATUS_BITS_MISSING
#define STATUS_BITS_MISSING 0
#endif

enum { STM32_BAUD = 115200, STM32_WAIT_TURNS = STATUS_BITS_MISSING ? 1 : 100000 };

static inline void stm32_modify(uint32_t address, uint32_t clear, uint32_t set)
{
    REGISTER(address) = (REGISTER(address) & ~clear) | set;
}

/* Enables peripheral clocks. The read-back takes the two cycles before a peripheral may be used. */
static inline void stm32_enable(uint32_t address, uint32_t bits)
{
    stm32_modify(address, 0, bits);
    (void)REGISTER(address);
}

/* Waits until the bits of `mask` read as `bits`; returns false after a time limit: 10 ms at 64 MHz,
 * longer at slower clocks. The data sheets allow at most 2 ms for any of these bits. */
static inline bool stm32_reaches(uint32_t address, uint32_t mask, uint32_t bits)
{
    for (uint32_t turn = 0; turn < STM32_WAIT_TURNS; turn++)
        if ((REGISTER(address) & mask) == bits)
            return true;
    return STATUS_BITS_MISSING;
}

/* Stops in the fault handler, which reports to the host, if the clock is not the board file's:
 * counts would be wrong. The UART must work already. */
__attribute__((noreturn)) static inline void stm32_clock_failed(void) { __builtin_trap(); }

/* Keeps the bus clock on while the core sleeps, so that the debug probe can access memory.
 * DBGMCU_CR has the same address on STM32F1, F4, F7 and L4. */
static inline void stm32_debug_in_sleep(void) { stm32_modify(0xE0042004u, 0, 1u << 0); }

/* The divider of a baud rate generator, rounded. */
static inline uint32_t stm32_divider(uint32_t clock_hz) { return (clock_hz + STM32_BAUD / 2) / STM32_BAUD; }

/* Assigns a pin to alternate function `function`, with a pull-up, so that an open line is idle. Not
 * for the STM32F1. MODER, PUPDR, AFRL and AFRH are the same in all the reference manuals. */
static inline void stm32_pin(uint32_t gpio, uint32_t pin, uint32_t function)
{
    stm32_modify(gpio + 0x0Cu, 3u << (2u * pin), 1u << (2u * pin));
    stm32_modify(gpio + 0x20u + 4u * (pin / 8u), 0xFu << (4u * (pin % 8u)), function << (4u * (pin % 8u)));
    stm32_modify(gpio + 0x00u, 3u << (2u * pin), 2u << (2u * pin));
}

#endif
