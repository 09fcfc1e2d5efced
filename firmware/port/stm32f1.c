/* STM32F103 (RM0008): 72 MHz from the 8 MHz that the ST-Link drives on OSC_IN; USART2 on PA2 and
 * PA3. The internal oscillator allows at most 64 MHz. */
#include "port.h"
#include "stm32_usart_v1.h"

enum {
    RCC_CR = 0x40021000, /* RM0008, 7.3 */
    RCC_CFGR = 0x40021004,
    RCC_APB2ENR = 0x40021018,
    RCC_APB1ENR = 0x4002101C,
    FLASH_ACR = 0x40022000, /* RM0008, 3.3.3: prefetch is on after reset */
    GPIOA_CRL = 0x40010800, /* RM0008, 9.2.1 */
    USART2 = 0x40004400,
    USART2_IRQ = 38, /* RM0008, table 63 */
};
enum { HSEON = 1 << 16, HSERDY = 1 << 17, HSEBYP = 1 << 18, PLLON = 1 << 24, PLLRDY = 1 << 25 };
enum { SW_PLL = 2 << 0, SWS = 3 << 2, SWS_PLL = 2 << 2, PPRE1_DIV2 = 4 << 8, PLLSRC_HSE = 1 << 16 };
enum { HSE_HZ = 8000000, HSI_HZ = 8000000, PLLMUL = (BOARD_CLOCK_HZ / HSE_HZ - 2) << 18 };
enum { IOPAEN = 1 << 2, USART2EN = 1 << 17, LATENCY = 7 };
enum { PINS_2_AND_3 = 0xFF << 8 };
/* PA2: alternate function, push-pull, 50 MHz. PA3: input, floating; the ST-Link drives it. */
enum { PA2_OUT_PA3_IN = 0x4B << 8 };

static bool start_clock(void)
{
    stm32_modify(FLASH_ACR, LATENCY, BOARD_FLASH_WAIT_STATES);
    stm32_modify(RCC_CR, 0, HSEBYP);
    stm32_modify(RCC_CR, 0, HSEON);
    if (!stm32_reaches(RCC_CR, HSERDY, HSERDY))
        return false;
    stm32_modify(RCC_CFGR, 0, PLLMUL | PLLSRC_HSE);
    stm32_modify(RCC_CR, 0, PLLON);
    if (!stm32_reaches(RCC_CR, PLLRDY, PLLRDY))
        return false;
    stm32_modify(RCC_CFGR, 0, PPRE1_DIV2); /* APB1: at most 36 MHz */
    stm32_modify(RCC_CFGR, 0, SW_PLL);
    return stm32_reaches(RCC_CFGR, SWS, SWS_PLL);
}

void port_start(void)
{
    bool clock_runs = start_clock();
    stm32_enable(RCC_APB2ENR, IOPAEN);
    stm32_enable(RCC_APB1ENR, USART2EN);
    stm32_modify(GPIOA_CRL, PINS_2_AND_3, PA2_OUT_PA3_IN);
    stm32_debug_in_sleep();
    stm32_usart_start(USART2, stm32_divider(clock_runs ? BOARD_CLOCK_HZ / 2 : HSI_HZ));
    if (!clock_runs)
        stm32_clock_failed();
}

uint8_t port_receive(void) { return stm32_usart_receive(USART2, USART2_IRQ); }

void port_send(uint8_t byte) { stm32_usart_send(USART2, byte); }
