/* STM32G071 (RM0444): 64 MHz from the internal 16 MHz through the PLL, at voltage range 1, the
 * reset default; instruction cache and prefetch on; USART2 on PA2 and PA3, clocked by the internal
 * 16 MHz. Sleep stops neither memory nor debug port here: there is no DBG_SLEEP. */
#include "port.h"
#include "stm32_usart_v2.h"

enum {
    RCC_CR = 0x40021000, /* RM0444, 5.4 */
    RCC_CFGR = 0x40021008,
    RCC_PLLCFGR = 0x4002100C,
    RCC_IOPENR = 0x40021034,
    RCC_APBENR1 = 0x4002103C,
    RCC_CCIPR = 0x40021054,
    FLASH_ACR = 0x40022000, /* RM0444, 3.7.1 */
    GPIOA = 0x50000000,
    USART2 = 0x40004400,
    USART2_IRQ = 28, /* RM0444, table 60 */
};
enum { PLLON = 1 << 24, PLLRDY = 1 << 25, SW_PLL = 2 << 0, SWS = 7 << 3, SWS_PLL = 2 << 3 };
enum { PLLSRC_HSI16 = 2 << 0, PLLM_1 = 0 << 4, PLLREN = 1 << 28 };
#define PLLR_2 (1u << 29)
enum { GPIOAEN = 1 << 0, USART2EN = 1 << 17, USART2SEL_HSI16 = 2 << 2 };
enum { LATENCY = 7, PRFTEN = 1 << 8, ICEN = 1 << 9 };
enum { HSI_HZ = 16000000, PLL_N = BOARD_CLOCK_HZ / HSI_HZ * 2 };
enum { TX_PIN = 2, RX_PIN = 3, USART_FUNCTION = 1 }; /* AF1: DS12232, table 13 */

static bool start_clock(void)
{
    /* The register also holds the debugger's access bit: its other bits must not change. */
    stm32_modify(FLASH_ACR, LATENCY, BOARD_FLASH_WAIT_STATES | ICEN | PRFTEN);
    if (!stm32_reaches(FLASH_ACR, LATENCY, BOARD_FLASH_WAIT_STATES))
        return false;
    REGISTER(RCC_PLLCFGR) = PLLSRC_HSI16 | PLLM_1 | PLL_N << 8 | PLLREN | PLLR_2;
    stm32_modify(RCC_CR, 0, PLLON);
    if (!stm32_reaches(RCC_CR, PLLRDY, PLLRDY))
        return false;
    stm32_modify(RCC_CFGR, 0, SW_PLL);
    return stm32_reaches(RCC_CFGR, SWS, SWS_PLL);
}

void port_start(void)
{
    bool clock_runs = start_clock();
    stm32_enable(RCC_IOPENR, GPIOAEN);
    stm32_modify(RCC_CCIPR, 0, USART2SEL_HSI16);
    stm32_enable(RCC_APBENR1, USART2EN);
    stm32_pin(GPIOA, TX_PIN, USART_FUNCTION);
    stm32_pin(GPIOA, RX_PIN, USART_FUNCTION);
    stm32_usart_start(USART2, stm32_divider(HSI_HZ));
    if (!clock_runs)
        stm32_clock_failed();
}

uint8_t port_receive(void) { return stm32_usart_receive(USART2, USART2_IRQ); }

void port_send(uint8_t byte) { stm32_usart_send(USART2, byte); }
