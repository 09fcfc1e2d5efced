/* UART 0 of the MPS2 FPGA images AN385, AN386 and AN500 (Arm DAI 0385 and 0386: memory map,
 * interrupts). */
#include "cmsdk_uart.h"
#include "port.h"

enum { UART0 = 0x40004000, UART0_RX_IRQ = 0, CLOCK_HZ = 25000000 };

void port_start(void) { cmsdk_uart_start(UART0, UART0_RX_IRQ, CLOCK_HZ); }

uint8_t port_receive(void) { return cmsdk_uart_receive(UART0, UART0_RX_IRQ); }

void port_send(uint8_t byte) { cmsdk_uart_send(UART0, byte); }
