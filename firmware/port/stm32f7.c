/* STM32F767 (RM0410): 216 MHz from the internal 16 MHz, at power scale 1 with overdrive. Code and
 * constants are read over the AXI bus at 0x08000000, through instruction and data cache; the ART
 * accelerator is on the other bus (ITCM). USART3 on PD8 and PD9, clocked by the internal 16 MHz. */
#include "cortex_m7.h"
#include "port.h"
#include "stm32_usart_v2.h"

enum {
    RCC_CR = 0x40023800, /* RM0410, 5.3 */
    RCC_PLLCFGR = 0x40023804,
    RCC_CFGR = 0x40023808,
    RCC_AHB1ENR = 0x40023830,
    RCC_APB1ENR = 0x40023840,
    RCC_DCKCFGR2 = 0x40023890,
    PWR_CR1 = 0x40007000, /* RM0410, 4.4 */
    PWR_CSR1 = 0x40007004,
    FLASH_ACR = 0x40023C00, /* RM0410, 3.7.1 */
    GPIOD = 0x40020C00,
    USART3 = 0x40004800,
    USART3_IRQ = 39, /* RM0410, table 46 */
};
enum { PLLON = 1 << 24, PLLRDY = 1 << 25, SW_PLL = 2 << 0, SWS = 3 << 2, SWS_PLL = 2 << 2 };
enum { PPRE1_DIV4 = 5 << 10, PPRE2_DIV2 = 4 << 13, PLL_P_2 = 0 << 16, PLL_Q_9 = 9 << 24, PLL_R_2 = 2 << 28 };
enum { GPIODEN = 1 << 3, USART3EN = 1 << 18, PWREN = 1 << 28, USART3SEL_HSI = 2 << 4 };
enum { VOS_SCALE_1 = 3 << 14, VOSRDY = 1 << 14, LATENCY = 15 };
enum { ODEN = 1 << 16, ODSWEN = 1 << 17, ODRDY = 1 << 16, ODSWRDY = 1 << 17 };
enum { HSI_HZ = 16000000, PLL_INPUT_HZ = 2000000, PLL_M = HSI_HZ / PLL_INPUT_HZ };
enum { PLL_N = BOARD_CLOCK_HZ / PLL_INPUT_HZ * 2 };
enum { TX_PIN = 8, RX_PIN = 9, USART_FUNCTION = 7 }; /* AF7: DS11532, table 13 */
enum { SRAM = 0x20000000, SRAM_BITS = 19 };          /* DTCM, SRAM1, SRAM2: 512 KB (RM0410, 2.4) */

/* Enters overdrive: RM0410, 4.1.4. */
static bool start_overdrive(void)
{
    stm32_modify(PWR_CR1, 0, ODEN);
    if (!stm32_reaches(PWR_CSR1, ODRDY, ODRDY))
        return false;
    stm32_modify(PWR_CR1, 0, ODSWEN);
    return stm32_reaches(PWR_CSR1, ODSWRDY, ODSWRDY);
}

static bool start_clock(void)
{
    stm32_enable(RCC_APB1ENR, PWREN);
    stm32_modify(PWR_CR1, 0, VOS_SCALE_1); /* takes effect once the PLL runs */
    REGISTER(RCC_PLLCFGR) = PLL_M | PLL_N << 6 | PLL_P_2 | PLL_Q_9 | PLL_R_2;
    stm32_modify(RCC_CR, 0, PLLON);
    if (!start_overdrive())
        return false;
    stm32_modify(FLASH_ACR, LATENCY, BOARD_FLASH_WAIT_STATES);
    if (!stm32_reaches(FLASH_ACR, LATENCY, BOARD_FLASH_WAIT_STATES) ||
        !stm32_reaches(RCC_CR, PLLRDY, PLLRDY) || !stm32_reaches(PWR_CSR1, VOSRDY, VOSRDY))
        return false;
    stm32_modify(RCC_CFGR, 0, PPRE1_DIV4 | PPRE2_DIV2);
    stm32_modify(RCC_CFGR, 0, SW_PLL);
    return stm32_reaches(RCC_CFGR, SWS, SWS_PLL);
}

void port_start(void)
{
    bool clock_runs = start_clock();
    m7_leave_uncached(SRAM, SRAM_BITS);
    m7_start_caches();
    stm32_enable(RCC_AHB1ENR, GPIODEN);
    stm32_modify(RCC_DCKCFGR2, 0, USART3SEL_HSI);
    stm32_enable(RCC_APB1ENR, USART3EN);
    stm32_pin(GPIOD, TX_PIN, USART_FUNCTION);
    stm32_pin(GPIOD, RX_PIN, USART_FUNCTION);
    stm32_debug_in_sleep();
    stm32_usart_start(USART3, stm32_divider(HSI_HZ));
    if (!clock_runs)
        stm32_clock_failed();
}

uint8_t port_receive(void) { return stm32_usart_receive(USART3, USART3_IRQ); }

void port_send(uint8_t byte) { stm32_usart_send(USART3, byte); }
