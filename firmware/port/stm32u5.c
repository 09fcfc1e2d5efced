/* STM32U575 without TrustZone (RM0456): 160 MHz from the internal 16 MHz, at voltage range 1 with
 * the booster, supplied by the SMPS; instruction cache and prefetch on (the data cache of this chip
 * is for external memory). USART1 on PA9 and PA10, clocked by the internal 16 MHz. Sleep stops
 * neither memory nor debug port here: there is no DBG_SLEEP. */
#include "port.h"
#include "stm32_usart_v2.h"

enum {
    RCC_CR = 0x46020C00, /* RM0456, 11.8 */
    RCC_CFGR1 = 0x46020C1C,
    RCC_CFGR2 = 0x46020C20,
    RCC_PLL1CFGR = 0x46020C28,
    RCC_PLL1DIVR = 0x46020C34,
    RCC_AHB2ENR1 = 0x46020C8C,
    RCC_AHB3ENR = 0x46020C94,
    RCC_APB2ENR = 0x46020CA4,
    RCC_CCIPR1 = 0x46020CE0,
    PWR_CR3 = 0x46020808, /* RM0456, 10.10 */
    PWR_VOSR = 0x4602080C,
    PWR_SVMSR = 0x4602083C,
    FLASH_ACR = 0x40022000, /* RM0456, 7.9.1 */
    ICACHE_CR = 0x40030400, /* RM0456, 8.7 */
    ICACHE_SR = 0x40030404,
    GPIOA = 0x42020000,
    USART1 = 0x40013800,
    USART1_IRQ = 61, /* RM0456, table 182 */
};
enum { HSION = 1 << 8, HSIRDY = 1 << 10, PLL1ON = 1 << 24, PLL1RDY = 1 << 25 };
enum { SW_PLL1 = 3 << 0, SWS = 3 << 2, SWS_PLL1 = 3 << 2, HPRE = 15 << 0, HPRE_DIV2 = 8 << 0 };
enum { PLL1SRC_HSI16 = 2 << 0, PLL1RGE_8_TO_16_MHZ = 3 << 2, PLL1M_1 = 0 << 8, PLL1MBOOST_1 = 0 << 12 };
enum { PLL1REN = 1 << 18, PWREN = 1 << 2, GPIOAEN = 1 << 0, USART1EN = 1 << 14 };
enum { USART1SEL = 3 << 0, USART1SEL_HSI16 = 2 << 0, REGSEL_SMPS = 1 << 1, REGS_SMPS = 1 << 1 };
enum { BOOSTRDY = 1 << 14, VOSRDY = 1 << 15, VOS_RANGE_1 = 3 << 16, BOOSTEN = 1 << 18 };
enum { LATENCY = 15, PRFTEN = 1 << 8, CACHE_EN = 1 << 0, BUSYF = 1 << 0 };
enum { HSI_HZ = 16000000, PLL_N = BOARD_CLOCK_HZ / HSI_HZ * 2, PLL_P = 2, PLL_Q = 2, PLL_R = 2 };
enum { TX_PIN = 9, RX_PIN = 10, USART_FUNCTION = 7 }; /* AF7: DS13737, table 28 */
enum { BOOST_SETTLES_TURNS = 200 };                   /* some instructions each: at least 1 us */

static bool start_power(void)
{
    stm32_enable(RCC_AHB3ENR, PWREN);
    stm32_modify(PWR_CR3, 0, REGSEL_SMPS);
    if (!stm32_reaches(PWR_SVMSR, REGS_SMPS, REGS_SMPS))
        return false;
    /* The booster is clocked by the PLL's source, which must be selected first (RM0456, 10.5.4). */
    stm32_modify(RCC_CR, 0, HSION);
    if (!stm32_reaches(RCC_CR, HSIRDY, HSIRDY))
        return false;
    REGISTER(RCC_PLL1CFGR) = PLL1SRC_HSI16 | PLL1RGE_8_TO_16_MHZ | PLL1M_1 | PLL1MBOOST_1 | PLL1REN;
    stm32_modify(PWR_VOSR, 0, VOS_RANGE_1 | BOOSTEN);
    return stm32_reaches(PWR_VOSR, VOSRDY, VOSRDY);
}

static bool start_clock(void)
{
    if (!start_power())
        return false;
    stm32_modify(FLASH_ACR, LATENCY, BOARD_FLASH_WAIT_STATES | PRFTEN);
    if (!stm32_reaches(FLASH_ACR, LATENCY, BOARD_FLASH_WAIT_STATES))
        return false;
    REGISTER(RCC_PLL1DIVR) = (PLL_N - 1) | (PLL_P - 1) << 9 | (PLL_Q - 1) << 16 | (PLL_R - 1) << 24;
    stm32_modify(RCC_CR, 0, PLL1ON);
    if (!stm32_reaches(RCC_CR, PLL1RDY, PLL1RDY) || !stm32_reaches(PWR_VOSR, BOOSTRDY, BOOSTRDY))
        return false;
    /* Half the bus clock first, so that the load on the regulator grows in two steps. */
    stm32_modify(RCC_CFGR2, HPRE, HPRE_DIV2);
    stm32_modify(RCC_CFGR1, 0, SW_PLL1);
    if (!stm32_reaches(RCC_CFGR1, SWS, SWS_PLL1))
        return false;
    for (volatile uint32_t turn = 0; turn < BOOST_SETTLES_TURNS; turn++) {
    }
    stm32_modify(RCC_CFGR2, HPRE, 0);
    return true;
}

/* Enables the instruction cache, which invalidates itself after a reset and must finish first. */
static bool start_cache(void)
{
    if (!stm32_reaches(ICACHE_SR, BUSYF, 0))
        return false;
    stm32_modify(ICACHE_CR, 0, CACHE_EN);
    return true;
}

void port_start(void)
{
    bool clock_runs = start_clock() && start_cache();
    stm32_modify(RCC_CR, 0, HSION);
    stm32_enable(RCC_AHB2ENR1, GPIOAEN);
    stm32_modify(RCC_CCIPR1, USART1SEL, USART1SEL_HSI16);
    stm32_enable(RCC_APB2ENR, USART1EN);
    stm32_pin(GPIOA, TX_PIN, USART_FUNCTION);
    stm32_pin(GPIOA, RX_PIN, USART_FUNCTION);
    stm32_usart_start(USART1, stm32_divider(HSI_HZ));
    if (!clock_runs)
        stm32_clock_failed();
}

uint8_t port_receive(void) { return stm32_usart_receive(USART1, USART1_IRQ); }

void port_send(uint8_t byte) { stm32_usart_send(USART1, byte); }
