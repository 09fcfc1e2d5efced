/* The USART and LPUART of STM32G0, L4, F7, H7 and U5, with a data register each way (RM0444, 33.8;
 * RM0351, 40.8; RM0410, 34.8; RM0433, 48.7; RM0456, 66.8). FIFOs stay off. */
#ifndef STM32_USART_H
#define STM32_USART_H

#include "stm32.h"

#define USART_CR1(base) REGISTER((base) + 0x00u)
#define USART_BRR(base) REGISTER((base) + 0x0Cu)
#define USART_ISR(base) REGISTER((base) + 0x1Cu)
#define USART_ICR(base) REGISTER((base) + 0x20u)
#define USART_RDR(base) REGISTER((base) + 0x24u)
#define USART_TDR(base) REGISTER((base) + 0x28u)

enum { USART_UE = 1u << 0, USART_RE = 1u << 2, USART_TE = 1u << 3, USART_RXNEIE = 1u << 5 };
enum { USART_ORE = 1u << 3, USART_RXNE = 1u << 5, USART_TXE = 1u << 7 };

static inline void stm32_usart_start(uint32_t base, uint32_t divider)
{
    USART_BRR(base) = divider;
    USART_CR1(base) = USART_TE | USART_RE | USART_RXNEIE;
    USART_CR1(base) |= USART_UE;
}

static inline uint8_t stm32_usart_receive(uint32_t base, uint32_t irq)
{
    core_mask_interrupts(); /* a counter may have unmasked its own */
    core_wake_on(irq);
    for (;;) {
        /* Clear the interrupt first, then check: a later byte leaves it pending. */
        core_forget(irq);
        if (USART_ISR(base) & USART_RXNE)
            return (uint8_t)USART_RDR(base);
        USART_ICR(base) = USART_ORE; /* an overrun would keep the core awake */
        core_sleep();
    }
}

static inline void stm32_usart_send(uint32_t base, uint8_t byte)
{
    while (!(USART_ISR(base) & USART_TXE)) {
    }
    USART_TDR(base) = byte;
}

#endif
