/* The USART of STM32F1 and F4, with one data register (RM0008, 27.6; RM0390, 25.6). */
#ifndef STM32_USART_H
#define STM32_USART_H

#include "stm32.h"

#define USART_SR(base) REGISTER((base) + 0x00u)
#define USART_DR(base) REGISTER((base) + 0x04u)
#define USART_BRR(base) REGISTER((base) + 0x08u)
#define USART_CR1(base) REGISTER((base) + 0x0Cu)

enum { USART_RE = 1u << 2, USART_TE = 1u << 3, USART_RXNEIE = 1u << 5, USART_UE = 1u << 13 };
enum { USART_ORE = 1u << 3, USART_RXNE = 1u << 5, USART_TXE = 1u << 7 };

static inline void stm32_usart_start(uint32_t base, uint32_t divider)
{
    USART_BRR(base) = divider;
    USART_CR1(base) = USART_UE | USART_TE | USART_RE | USART_RXNEIE;
}

static inline uint8_t stm32_usart_receive(uint32_t base, uint32_t irq)
{
    core_wake_on(irq);
    for (;;) {
        /* Clear the interrupt first, then check: a later byte leaves it pending. */
        core_forget(irq);
        uint32_t status = USART_SR(base);
        if (status & (USART_RXNE | USART_ORE)) {
            uint8_t byte = (uint8_t)USART_DR(base); /* clears RXNE and, after SR, an overrun */
            if (status & USART_RXNE)
                return byte;
        }
        core_sleep();
    }
}

static inline void stm32_usart_send(uint32_t base, uint8_t byte)
{
    while (!(USART_SR(base) & USART_TXE)) {
    }
    USART_DR(base) = byte;
}

#endif
