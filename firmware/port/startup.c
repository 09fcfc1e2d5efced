/* Vector table, C start-up code and fault handler, for every supported Cortex-M core. */
#include "../wire.h"
#include "core.h"
#include "port.h"

extern uint32_t __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[];
extern uint32_t __ram_start[], __stack_limit[], __stack_top[];

int main(void);
void reset_handler(void);
void fault_handler(void);
void fault_report(const uint32_t *frame);

/* SysTick is the only interrupt that may be unmasked: counter_systick.c counts its wraps. */
__attribute__((weak, alias("fault_handler"))) void systick_handler(void);

typedef void (*vector)(void);

/* Every interrupt stays masked, so the table ends after the 16 entries of the architecture. */
__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    [0] = (vector)__stack_top, [1] = reset_handler,
    [2] = fault_handler,       [3] = fault_handler, /* NMI, HardFault */
    [4] = fault_handler,       [5] = fault_handler, /* MemManage, BusFault */
    [6] = fault_handler,       [7] = fault_handler, /* UsageFault, SecureFault */
    [11] = fault_handler,      [12] = fault_handler, /* SVCall, DebugMonitor */
    [14] = fault_handler,      [15] = systick_handler, /* PendSV, SysTick */
};

void reset_handler(void)
{
    core_mask_interrupts();
#if __ARM_ARCH_ISA_THUMB >= 2
    SCB_VTOR = (uint32_t)vectors;
#if __ARM_ARCH >= 8
    __asm volatile("msr msplim, %0" ::"r"(__stack_limit));
#endif
#ifdef __ARM_FP
    SCB_CPACR |= 0xFu << 20; /* CP10 and CP11: FPU and MVE */
#endif
    core_barrier();
#endif
    for (uint32_t *to = __data_start, *from = __data_load; to < __data_end;)
        *to++ = *from++;
    for (uint32_t *to = __bss_start; to < __bss_end;)
        *to++ = 0;
    port_start();
    main();
}

/* Passes the stacked registers to fault_report, on a new stack if the old one has overflowed. */
__attribute__((naked)) void fault_handler(void)
{
    __asm volatile(".syntax unified\n\t"
#if __ARM_ARCH >= 8
                   "movs r0, #0\n\t"
                   "msr msplim, r0\n\t"
#endif
                   "mov r0, sp\n\t"
                   "ldr r1, =__stack_limit\n\t"
                   "cmp r0, r1\n\t"
                   "bhi 1f\n\t"
                   "ldr r1, =__stack_top\n\t"
                   "mov sp, r1\n"
                   "1:\n\t"
                   "ldr r1, =fault_report\n\t"
                   "bx r1\n\t"
                   ".ltorg");
}

/* Sends a FAULT frame and stops. `frame` is the exception frame: r0-r3, r12, lr, pc, xPSR. */
__attribute__((noreturn, used)) void fault_report(const uint32_t *frame)
{
    uint32_t words[7] = {0};
    if (frame >= __ram_start && frame + 8 <= __stack_top) {
        words[0] = frame[6];
        words[1] = frame[5];
        words[2] = frame[7];
    }
#if __ARM_ARCH_ISA_THUMB >= 2
    words[3] = SCB_CFSR;
    words[4] = SCB_HFSR;
    words[5] = SCB_MMFAR;
    words[6] = SCB_BFAR;
#endif
    wire_send(WIRE_FAULT, 0, words, 7);
    for (;;)
        core_sleep();
}
