/* A project of its own for the Cortex-M4 of QEMU's mps2-an386: vectors, start, output by semihosting. */
#include <stdarg.h>
#include <stdint.h>

extern uint32_t stack_top[], data_load[], data_start[], data_end[], bss_start[], bss_end[];
int main(void);
int print(const char *format, ...);
void start(void);

static int semihost(int operation, const void *argument)
{
    register int r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void stop(uint32_t code)
{
    const uint32_t reason[] = {0x20026, code}; /* ADP_Stopped_ApplicationExit */
    semihost(0x20, reason);                    /* SYS_EXIT_EXTENDED */
    for (;;)
        ;
}

static void put(char byte)
{
    semihost(0x03, &byte); /* SYS_WRITEC */
}

static void put_number(int number)
{
    unsigned rest = number < 0 ? 0u - (unsigned)number : (unsigned)number;
    char digits[12];
    int count = 0;
    if (number < 0)
        put('-');
    do
        digits[count++] = (char)('0' + rest % 10);
    while (rest /= 10);
    while (count)
        put(digits[--count]);
}

/* %s and %d: all that a self-test asks for. */
int print(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    for (; *format; format++)
        if (*format != '%')
            put(*format);
        else if (*++format == 'd')
            put_number(va_arg(values, int));
        else
            for (const char *text = va_arg(values, const char *); *text; text++)
                put(*text);
    va_end(values);
    return 0;
}

void start(void)
{
    for (uint32_t *to = data_start, *from = data_load; to < data_end;)
        *to++ = *from++;
    for (uint32_t *to = bss_start; to < bss_end;)
        *to++ = 0;
    stop((uint32_t)main());
}

static void fault(void)
{
    stop(99);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {
    stack_top, (const void *)start, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};
