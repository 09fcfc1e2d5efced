/* STM32F446 (RM0390) and F405 (RM0090): the PLL from the internal 16 MHz, with the power scale and
 * overdrive of the board's settings; prefetch, instruction and data cache on. USART1 is on PA9 and
 * PA10, USART2 on PA2 and PA3. */
#include "port.h"
#include "stm32_usart_v1.h"

enum {
    RCC_CR = 0x40023800, /* RM0390, 6.3; RM0090, 7.3 */
    RCC_PLLCFGR = 0x40023804,
    RCC_CFGR = 0x40023808,
    RCC_AHB1ENR = 0x40023830,
    RCC_APB1ENR = 0x40023840,
    RCC_APB2ENR = 0x40023844,
    PWR_CR = 0x40007000, /* RM0390, 5.4; RM0090, 5.4 */
    PWR_CSR = 0x40007004,
    FLASH_ACR = 0x40023C00, /* RM0390, 3.8.1; RM0090, 3.9.1 */
    GPIOA = 0x40020000,
    USART1 = 0x40011000,
    USART2 = 0x40004400,
};
enum { PLLON = 1 << 24, PLLRDY = 1 << 25, SW_PLL = 2 << 0, SWS = 3 << 2, SWS_PLL = 2 << 2 };
enum { PPRE1_DIV4 = 5 << 10, PPRE2_DIV2 = 4 << 13, APB1_DIVIDER = 4, APB2_DIVIDER = 2 };
enum { GPIOAEN = 1 << 0, USART1EN = 1 << 4, USART2EN = 1 << 17, PWREN = 1 << 28 };
enum { VOS = POWER_SCALE << 14, VOSRDY = 1 << 14 };
enum { ODEN = 1 << 16, ODSWEN = 1 << 17, ODRDY = 1 << 16, ODSWRDY = 1 << 17 };
enum { PRFTEN = 1 << 8, ICEN = 1 << 9, DCEN = 1 << 10 };
enum { HSI_HZ = 16000000, PLL_INPUT_HZ = 2000000, PLL_M = HSI_HZ / PLL_INPUT_HZ };
enum { PLL_N = BOARD_CLOCK_HZ / PLL_INPUT_HZ * 2, PLL_P_2 = 0 << 16, PLL_Q = 8 };

static const struct {
    uint32_t base, irq, enable_register, enable_bit, tx_pin, rx_pin, divider;
} uart = {
    USART == 1 ? USART1 : USART2,
    USART == 1 ? 37 : 38, /* RM0390, table 38; RM0090, table 61 */
    USART == 1 ? RCC_APB2ENR : RCC_APB1ENR,
    USART == 1 ? USART1EN : USART2EN,
    USART == 1 ? 9 : 2,
    USART == 1 ? 10 : 3,
    USART == 1 ? APB2_DIVIDER : APB1_DIVIDER,
};
enum { USART_FUNCTION = 7 }; /* AF7: DS10693, table 11; DS8626, table 9 */

static bool start_overdrive(void)
{
    stm32_modify(PWR_CR, 0, ODEN);
    if (!stm32_reaches(PWR_CSR, ODRDY, ODRDY))
        return false;
    stm32_modify(PWR_CR, 0, ODSWEN);
    return stm32_reaches(PWR_CSR, ODSWRDY, ODSWRDY);
}

/* The order of power scale, PLL, overdrive and wait states: RM0390, 5.1.4. */
static bool start_clock(void)
{
    stm32_enable(RCC_APB1ENR, PWREN);
    stm32_modify(PWR_CR, 0, VOS); /* takes effect once the PLL runs */
    REGISTER(RCC_PLLCFGR) = PLL_M | PLL_N << 6 | PLL_P_2 | PLL_Q << 24;
    stm32_modify(RCC_CR, 0, PLLON);
    if (OVERDRIVE && !start_overdrive())
        return false;
    REGISTER(FLASH_ACR) = PRFTEN | ICEN | DCEN | BOARD_FLASH_WAIT_STATES;
    if (!stm32_reaches(RCC_CR, PLLRDY, PLLRDY) || !stm32_reaches(PWR_CSR, VOSRDY, VOSRDY))
        return false;
    stm32_modify(RCC_CFGR, 0, PPRE1_DIV4 | PPRE2_DIV2);
    stm32_modify(RCC_CFGR, 0, SW_PLL);
    return stm32_reaches(RCC_CFGR, SWS, SWS_PLL);
}

void port_start(void)
{
    bool clock_runs = start_clock();
    stm32_enable(RCC_AHB1ENR, GPIOAEN);
    stm32_enable(uart.enable_register, uart.enable_bit);
    stm32_pin(GPIOA, uart.tx_pin, USART_FUNCTION);
    stm32_pin(GPIOA, uart.rx_pin, USART_FUNCTION);
    stm32_debug_in_sleep();
    stm32_usart_start(uart.base,
                      stm32_divider(clock_runs ? BOARD_CLOCK_HZ / uart.divider : HSI_HZ));
    if (!clock_runs)
        stm32_clock_failed();
}

uint8_t port_receive(void) { return stm32_usart_receive(uart.base, uart.irq); }

void port_send(uint8_t byte) { stm32_usart_send(uart.base, byte); }
