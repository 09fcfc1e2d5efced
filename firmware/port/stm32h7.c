/* STM32H743 (RM0433) and H7A3 (RM0455): the PLL from the internal 64 MHz, at the highest voltage
 * scale that the board's supply allows; instruction and data cache on. USART3 on PD8 and PD9,
 * clocked by the internal 64 MHz. */
#include "cortex_m7.h"
#include "port.h"
#include "stm32_usart_v2.h"

enum {
    RCC_CR = 0x58024400, /* RM0433, 8.7; RM0455, 8.7 */
    RCC_CFGR = 0x58024410,
    RCC_D1CFGR = 0x58024418, /* CDCFGR1, CDCFGR2 and SRDCFGR on the H7A3 */
    RCC_D2CFGR = 0x5802441C,
    RCC_D3CFGR = 0x58024420,
    RCC_PLLCKSELR = 0x58024428,
    RCC_PLLCFGR = 0x5802442C,
    RCC_PLL1DIVR = 0x58024430,
    RCC_D2CCIP2R = 0x58024454,
    RCC_AHB4ENR = 0x58024410 + RCC_ENABLES, /* another offset on each chip */
    RCC_APB1LENR = 0x58024418 + RCC_ENABLES,
    PWR_CSR1 = 0x58024804, /* RM0433, 6.8; RM0455, 6.8 */
    PWR_CR3 = 0x5802480C,
    PWR_D3CR = 0x58024818,
    FLASH_ACR = 0x52002000, /* RM0433, 4.9.1; RM0455, 4.9.1 */
    GPIOD = 0x58020C00,
    USART3 = 0x40004800,
    USART3_IRQ = 39, /* RM0433, table 139 */
    DBGMCU_CR = 0x5C001004, /* RM0433, 60.5.8 */
};
enum { PLL1ON = 1 << 24, PLL1RDY = 1 << 25, SW_PLL1 = 3 << 0, SWS = 7 << 3, SWS_PLL1 = 3 << 3 };
enum { PLLSRC = 3 << 0, PLLSRC_HSI = 0 << 0, DIVM1 = 63 << 4, PLL1FRACEN = 1 << 0, PLL1VCOSEL = 1 << 1 };
enum { PLL1RGE_8_TO_16_MHZ = 3 << 2, DIVP1EN = 1 << 16 };
enum { HPRE = (AHB_DIVIDER == 1 ? 0 : 8) << 0, D1PPRE_DIV2 = 4 << 4 };
enum { D2PPRE1_DIV2 = 4 << 4, D2PPRE2_DIV2 = 4 << 8, D3PPRE_DIV2 = 4 << 4 };
enum { GPIODEN = 1 << 3, USART3EN = 1 << 18, USART3SEL = 7 << 0, USART3SEL_HSI = 3 << 0 };
enum { BYPASS = 1 << 0, LDOEN = 1 << 1, SMPSEN = 1 << 2, SCUEN = 1 << 2, ACTVOSRDY = 1 << 13 };
enum { VOS_HIGHEST = 3 << 14, VOSRDY = 1 << 13, LATENCY = 15, WRHIGHFREQ = 3 << 4 };
enum { DBGSLEEP_D1 = 1 << 0, D1DBGCKEN = 1 << 21, D3DBGCKEN = 1 << 22 };
enum { HSI_HZ = 64000000, PLL_INPUT_HZ = 8000000, PLL_M = HSI_HZ / PLL_INPUT_HZ };
enum { PLL_N = BOARD_CLOCK_HZ / PLL_INPUT_HZ * 2, PLL_P = 2, PLL_Q = 8, PLL_R = 2 };
enum { TX_PIN = 8, RX_PIN = 9, USART_FUNCTION = 7 }; /* AF7: DS12110, table 11; DS13195, table 8 */
enum { AXI_SRAM = 0x24000000 };

/* The supply must be configured once after power-on, before the voltage may change (RM0433, 6.4.1;
 * RM0455, 6.4.1); later writes have no effect. The H743 has no SMPS; in the place of its bit is the
 * one that allows writing the supply configuration. */
static bool start_power(void)
{
    if (SMPS)
        stm32_modify(PWR_CR3, LDOEN | BYPASS, SMPSEN);
    else
        stm32_modify(PWR_CR3, BYPASS | SCUEN, LDOEN);
    if (!stm32_reaches(PWR_CSR1, ACTVOSRDY, ACTVOSRDY))
        return false;
    stm32_modify(PWR_D3CR, 0, VOS_HIGHEST);
    return stm32_reaches(PWR_D3CR, VOSRDY, VOSRDY);
}

static bool start_clock(void)
{
    if (!start_power())
        return false;
    uint32_t latency = BOARD_FLASH_WAIT_STATES | FLASH_WRITE_DELAY << 4;
    stm32_modify(FLASH_ACR, LATENCY | WRHIGHFREQ, latency);
    if (!stm32_reaches(FLASH_ACR, LATENCY | WRHIGHFREQ, latency))
        return false;
    stm32_modify(RCC_PLLCKSELR, PLLSRC | DIVM1, PLLSRC_HSI | PLL_M << 4);
    stm32_modify(RCC_PLLCFGR, PLL1FRACEN | PLL1VCOSEL, PLL1RGE_8_TO_16_MHZ | DIVP1EN);
    REGISTER(RCC_PLL1DIVR) = (PLL_N - 1) | (PLL_P - 1) << 9 | (PLL_Q - 1) << 16 | (PLL_R - 1) << 24;
    stm32_modify(RCC_CR, 0, PLL1ON);
    if (!stm32_reaches(RCC_CR, PLL1RDY, PLL1RDY))
        return false;
    REGISTER(RCC_D1CFGR) = HPRE | D1PPRE_DIV2;
    REGISTER(RCC_D2CFGR) = D2PPRE1_DIV2 | D2PPRE2_DIV2;
    REGISTER(RCC_D3CFGR) = D3PPRE_DIV2;
    stm32_modify(RCC_CFGR, 0, SW_PLL1);
    return stm32_reaches(RCC_CFGR, SWS, SWS_PLL1);
}

void port_start(void)
{
    bool clock_runs = start_clock();
    m7_leave_uncached(AXI_SRAM, AXI_SRAM_BITS);
    m7_start_caches();
    stm32_enable(RCC_AHB4ENR, GPIODEN);
    stm32_modify(RCC_D2CCIP2R, USART3SEL, USART3SEL_HSI);
    stm32_enable(RCC_APB1LENR, USART3EN);
    stm32_pin(GPIOD, TX_PIN, USART_FUNCTION);
    stm32_pin(GPIOD, RX_PIN, USART_FUNCTION);
    stm32_modify(DBGMCU_CR, 0, DBGSLEEP_D1 | D1DBGCKEN | D3DBGCKEN);
    stm32_usart_start(USART3, stm32_divider(HSI_HZ));
    if (!clock_runs)
        stm32_clock_failed();
}

uint8_t port_receive(void) { return stm32_usart_receive(USART3, USART3_IRQ); }

void port_send(uint8_t byte) { stm32_usart_send(USART3, byte); }
