/* The stack's high-water mark: paints the free part of the stack and finds how much paint is left.
 * */
#ifndef STACK_H
#define STACK_H

#include <stdbool.h>
#include <stdint.h>

extern uint32_t __stack_limit[], __stack_top[];

enum { STACK_PAINT = 0xA5A5A5A5 };

/* Paints from the stack's limit to the stack pointer. Inlined, so as not to paint its own frame. */
__attribute__((always_inline)) static inline void stack_paint(void)
{
    uint32_t *pointer;
    __asm volatile("mov %0, sp" : "=r"(pointer));
    for (volatile uint32_t *word = __stack_limit; word < pointer; word++)
        *word = (uint32_t)STACK_PAINT;
}

/* True if the last word before the limit still has its paint: the stack has not overflowed. */
static inline bool stack_holds(void)
{
    return *(volatile uint32_t *)__stack_limit == (uint32_t)STACK_PAINT;
}

/* Bytes from the top of the stack to the deepest word that has lost its paint. */
static inline uint32_t stack_peak_bytes(void)
{
    const uint32_t *word = __stack_limit;
    while (word < __stack_top && *word == (uint32_t)STACK_PAINT)
        word++;
    return (uint32_t)(__stack_top - word) * (uint32_t)sizeof *word;
}

#endif
