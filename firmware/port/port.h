/* What a board offers the firmware: a byte pipe to the host, and sleep while there is nothing to do.
 *
 * All code runs with interrupts masked (PRIMASK). A port enables the receive interrupt of its UART
 * only to wake the core from WFI, which a pending interrupt does even while it is masked: so no
 * handler ever runs, nothing disturbs a count, and the emulator's host CPU rests between requests.
 * The exception is SysTick where it counts (counter_systick.c): port_receive masks it again.
 */
#ifndef PORT_H
#define PORT_H

#include <stdint.h>

/* Sets up clocks and the UART, 115200 baud 8N1. */
void port_start(void);

/* Sleeps until a byte has come and returns it. */
uint8_t port_receive(void);

/* Returns when the byte has been handed to the UART. */
void port_send(uint8_t byte);

#endif
