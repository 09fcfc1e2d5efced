/* A board's port: clocks, and a serial line to the host on which the core sleeps while it waits.
 *
 * All code runs with interrupts masked (PRIMASK). A port enables the receive interrupt of its UART
 * only to wake the core from WFI, which a pending interrupt does even while it is masked: no handler
 * ever runs, nothing disturbs a count, and the emulator uses no host CPU between requests. The
 * exception is SysTick where it counts (counter_systick.c); port_receive masks it again.
 */
#ifndef PORT_H
#define PORT_H

#include <stdint.h>

/* Sets up clocks and the UART: 115200 baud, 8N1. */
void port_start(void);

/* Sleeps until a byte arrives and returns it. */
uint8_t port_receive(void);

/* Sends a byte; returns when the UART has accepted it. */
void port_send(uint8_t byte);

#endif
