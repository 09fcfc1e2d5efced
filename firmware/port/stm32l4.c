/* STM32L476 (RM0351) and L4R5 (RM0432): the PLL from the internal 16 MHz, at voltage range 1, the
 * reset default, on the L4R5 in boost mode; instruction and data cache and prefetch on. The UART,
 * clocked by the internal 16 MHz, is USART2 on PA2 and PA3 or LPUART1 on PG7 and PG8. */
#include "port.h"
#include "stm32_usart_v2.h"

enum {
    RCC_CR = 0x40021000, /* RM0351, 6.4; RM0432, 6.4 */
    RCC_CFGR = 0x40021008,
    RCC_PLLCFGR = 0x4002100C,
    RCC_AHB2ENR = 0x4002104C,
    RCC_APB1ENR1 = 0x40021058,
    RCC_APB1ENR2 = 0x4002105C,
    RCC_CCIPR = 0x40021088,
    PWR_CR2 = 0x40007004, /* RM0351, 5.4; RM0432, 5.4 */
    PWR_CR5 = 0x40007080,
    FLASH_ACR = 0x40022000, /* RM0351, 3.7.1; RM0432, 3.7.1 */
    GPIOA = 0x48000000,
    GPIOG = 0x48001800,
    USART2 = 0x40004400,
    LPUART1 = 0x40008000,
};
enum { HSION = 1 << 8, HSIRDY = 1 << 10, PLLON = 1 << 24, PLLRDY = 1 << 25 };
enum { SW_PLL = 3 << 0, SWS = 3 << 2, SWS_PLL = 3 << 2, HPRE = 15 << 4, HPRE_DIV2 = 8 << 4 };
enum { PLLSRC_HSI16 = 2 << 0, PLLREN = 1 << 24, PLLR_2 = 0 << 25 };
enum { GPIOAEN = 1 << 0, GPIOGEN = 1 << 6, USART2EN = 1 << 17, PWREN = 1 << 28, LPUART1EN = 1 << 0 };
enum { USART2SEL_HSI16 = 2 << 2, LPUART1SEL_HSI16 = 2 << 10 };
enum { IOSV = 1 << 9, R1MODE = 1 << 8, LATENCY = 15, PRFTEN = 1 << 8, ICEN = 1 << 9, DCEN = 1 << 10 };
enum { HSI_HZ = 16000000, PLL_INPUT_HZ = 8000000, PLL_M = HSI_HZ / PLL_INPUT_HZ };
enum { PLL_N = BOARD_CLOCK_HZ / PLL_INPUT_HZ * 2, LPUART_CLOCKS_PER_STEP = 256 };
enum { BOOST_SETTLES_TURNS = 200 }; /* some instructions each: at least 1 us (RM0432, 5.1.8) */

static const struct {
    uint32_t base, irq, gpio, tx_pin, rx_pin, function;
} uart = {
    LPUART ? LPUART1 : USART2,
    LPUART ? 70 : 38, /* RM0432, table 77; RM0351, table 58 */
    LPUART ? GPIOG : GPIOA,
    LPUART ? 7 : 2,
    LPUART ? 8 : 3,
    LPUART ? 8 : 7, /* AF8: DS12023, table 17; AF7: DS10198, table 17 */
};

static bool start_clock(void)
{
    stm32_modify(RCC_CR, 0, HSION);
    if (!stm32_reaches(RCC_CR, HSIRDY, HSIRDY))
        return false;
    if (BOOST)
        stm32_modify(PWR_CR5, R1MODE, 0);
    stm32_modify(FLASH_ACR, LATENCY, BOARD_FLASH_WAIT_STATES | PRFTEN | ICEN | DCEN);
    if (!stm32_reaches(FLASH_ACR, LATENCY, BOARD_FLASH_WAIT_STATES))
        return false;
    REGISTER(RCC_PLLCFGR) = PLLSRC_HSI16 | (PLL_M - 1) << 4 | PLL_N << 8 | PLLREN | PLLR_2;
    stm32_modify(RCC_CR, 0, PLLON);
    if (!stm32_reaches(RCC_CR, PLLRDY, PLLRDY))
        return false;
    /* Above 80 MHz the bus clock must be halved first. */
    stm32_modify(RCC_CFGR, HPRE, HPRE_DIV2);
    stm32_modify(RCC_CFGR, 0, SW_PLL);
    if (!stm32_reaches(RCC_CFGR, SWS, SWS_PLL))
        return false;
    for (volatile uint32_t turn = 0; turn < BOOST_SETTLES_TURNS; turn++) {
    }
    stm32_modify(RCC_CFGR, HPRE, 0);
    return true;
}

static void start_uart(void)
{
    stm32_modify(RCC_CR, 0, HSION);
    if (LPUART) {
        stm32_modify(PWR_CR2, 0, IOSV); /* PG2 to PG15 are supplied by VDDIO2 */
        stm32_enable(RCC_AHB2ENR, GPIOGEN);
        stm32_modify(RCC_CCIPR, 0, LPUART1SEL_HSI16);
        stm32_enable(RCC_APB1ENR2, LPUART1EN);
    } else {
        stm32_enable(RCC_AHB2ENR, GPIOAEN);
        stm32_modify(RCC_CCIPR, 0, USART2SEL_HSI16);
        stm32_enable(RCC_APB1ENR1, USART2EN);
    }
    stm32_pin(uart.gpio, uart.tx_pin, uart.function);
    stm32_pin(uart.gpio, uart.rx_pin, uart.function);
    uint32_t steps = LPUART ? LPUART_CLOCKS_PER_STEP : 1;
    stm32_usart_start(uart.base, (HSI_HZ * steps + STM32_BAUD / 2) / STM32_BAUD);
}

void port_start(void)
{
    stm32_enable(RCC_APB1ENR1, PWREN);
    bool clock_runs = start_clock();
    start_uart();
    stm32_debug_in_sleep();
    if (!clock_runs)
        stm32_clock_failed();
}

uint8_t port_receive(void) { return stm32_usart_receive(uart.base, uart.irq); }

void port_send(uint8_t byte) { stm32_usart_send(uart.base, byte); }
