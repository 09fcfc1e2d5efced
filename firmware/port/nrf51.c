/* UART 0 of the nRF51822 on the BBC micro:bit v1 (nRF51 Series Reference Manual 3.0, chapter 29;
 * TXD is P0.24, RXD is P0.25). */
#include "core.h"
#include "port.h"

#define UART(offset) REGISTER(0x40002000u + (offset))
#define GPIO_OUTSET REGISTER(0x50000508u)
#define GPIO_DIRSET REGISTER(0x50000518u)

#define STARTRX UART(0x000u)
#define STARTTX UART(0x008u)
#define RXDRDY UART(0x108u)
#define TXDRDY UART(0x11Cu)
#define INTENSET UART(0x304u)
#define ENABLE UART(0x500u)
#define PSELTXD UART(0x50Cu)
#define PSELRXD UART(0x514u)
#define RXD UART(0x518u)
#define TXD UART(0x51Cu)
#define BAUDRATE UART(0x524u)

enum { TX_PIN = 24, RX_PIN = 25, UART0_IRQ = 2, ENABLED = 4, RXDRDY_INTERRUPT = 1u << 2 };
enum { BAUD_115200 = 0x01D7E000, SYST_ENABLE_CORE_CLOCK = 5 };

void port_start(void)
{
    GPIO_OUTSET = 1u << TX_PIN;
    GPIO_DIRSET = 1u << TX_PIN;
    PSELTXD = TX_PIN;
    PSELRXD = RX_PIN;
    BAUDRATE = BAUD_115200;
    ENABLE = ENABLED;
    INTENSET = RXDRDY_INTERRUPT;
    STARTTX = 1;
    STARTRX = 1;
    /* QEMU polls for input only after its next event; starting a timer is one. */
    SYST_RVR = 0xFFFFu;
    SYST_CSR = SYST_ENABLE_CORE_CLOCK;
    SYST_CSR = 0;
}

uint8_t port_receive(void)
{
    core_mask_interrupts(); /* a counter may have unmasked its own */
    core_wake_on(UART0_IRQ);
    for (;;) {
        core_forget(UART0_IRQ);
        if (RXDRDY) {
            RXDRDY = 0; /* before reading RXD, which makes the FIFO's next byte ready */
            return (uint8_t)RXD;
        }
        core_sleep();
    }
}

void port_send(uint8_t byte)
{
    TXDRDY = 0;
    TXD = byte;
    while (!TXDRDY) {
    }
}
