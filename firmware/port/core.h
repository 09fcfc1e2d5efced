/* Registers and instructions common to the Cortex-M cores: Armv6-M ARM B3.4, Armv7-M ARM B3. */
#ifndef CORE_H
#define CORE_H

#include <stdint.h>

#ifndef REGISTER /* a test replaces it, to record a port's writes */
#define REGISTER(address) (*(volatile uint32_t *)(address))
#endif

#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)
#define NVIC_ISER(n) REGISTER(0xE000E100u + 4u * (n))
#define NVIC_ICER(n) REGISTER(0xE000E180u + 4u * (n))
#define NVIC_ICPR(n) REGISTER(0xE000E280u + 4u * (n))
#define SCB_VTOR REGISTER(0xE000ED08u)
#define SCB_CFSR REGISTER(0xE000ED28u)
#define SCB_HFSR REGISTER(0xE000ED2Cu)
#define SCB_MMFAR REGISTER(0xE000ED34u)
#define SCB_BFAR REGISTER(0xE000ED38u)
#define SCB_CPACR REGISTER(0xE000ED88u)

static inline void core_mask_interrupts(void) { __asm volatile("cpsid i" ::: "memory"); }

static inline void core_unmask_interrupts(void) { __asm volatile("cpsie i" ::: "memory"); }

static inline void core_sleep(void) { __asm volatile("dsb\n\twfi" ::: "memory"); }

static inline void core_barrier(void) { __asm volatile("dsb\n\tisb" ::: "memory"); }

/* Enables interrupt `irq` to wake the core from sleep. */
static inline void core_wake_on(uint32_t irq) { NVIC_ISER(irq / 32u) = 1u << (irq % 32u); }

/* Clears pending interrupt `irq`, so that only the next one wakes the core. */
static inline void core_forget(uint32_t irq) { NVIC_ICPR(irq / 32u) = 1u << (irq % 32u); }

#endif
