/* The APB UART of Arm's Cortex-M System Design Kit (DDI 0479, section 4.3). */
#ifndef CMSDK_UART_H
#define CMSDK_UART_H

#include "core.h"

#define CMSDK_DATA(base) REGISTER((base) + 0x00u)
#define CMSDK_STATE(base) REGISTER((base) + 0x04u)
#define CMSDK_CTRL(base) REGISTER((base) + 0x08u)
#define CMSDK_INTCLEAR(base) REGISTER((base) + 0x0Cu)
#define CMSDK_BAUDDIV(base) REGISTER((base) + 0x10u)

enum { CMSDK_TX_FULL = 1u << 0, CMSDK_RX_FULL = 1u << 1 };
enum { CMSDK_TX_ENABLE = 1u << 0, CMSDK_RX_ENABLE = 1u << 1, CMSDK_RX_INTERRUPT = 1u << 3 };
enum { CMSDK_RX_PENDING = 1u << 1 };

static inline void cmsdk_uart_start(uint32_t base, uint32_t rx_irq, uint32_t clock_hz)
{
    CMSDK_BAUDDIV(base) = clock_hz / 115200u;
    CMSDK_CTRL(base) = CMSDK_TX_ENABLE | CMSDK_RX_ENABLE | CMSDK_RX_INTERRUPT;
    /* Discards earlier input. QEMU also starts to poll for input only when DATA is read. */
    (void)CMSDK_DATA(base);
    core_wake_on(rx_irq);
}

static inline uint8_t cmsdk_uart_receive(uint32_t base, uint32_t rx_irq)
{
    for (;;) {
        /* Clear the interrupt first, then check: a byte that arrives between is seen; one that
         * arrives later leaves the interrupt pending, and the sleep ends at once. */
        CMSDK_INTCLEAR(base) = CMSDK_RX_PENDING;
        core_forget(rx_irq);
        if (CMSDK_STATE(base) & CMSDK_RX_FULL)
            return (uint8_t)CMSDK_DATA(base);
        core_sleep();
    }
}

static inline void cmsdk_uart_send(uint32_t base, uint8_t byte)
{
    while (CMSDK_STATE(base) & CMSDK_TX_FULL) {
    }
    CMSDK_DATA(base) = byte;
}

#endif
