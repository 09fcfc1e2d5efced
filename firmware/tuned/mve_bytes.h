/* Copies and fills of bytes for cores with MVE: loops of 16 bytes whose last turn takes what is left. They touch no byte
 * behind the last. */
#ifndef MVE_BYTES_H
#define MVE_BYTES_H

#include <arm_mve.h>
#include <stdint.h>

static inline void mve_copy(int8_t *to, const int8_t *from, int32_t bytes)
{
    __asm volatile("wlstp.8 lr, %[bytes], 2f\n"
                   "1: vldrb.8 q0, [%[from]], #16\n"
                   "vstrb.8 q0, [%[to]], #16\n"
                   "letp lr, 1b\n"
                   "2:"
                   : [to] "+r"(to), [from] "+r"(from)
                   : [bytes] "r"(bytes)
                   : "q0", "r14", "memory");
}

static inline void mve_fill(int8_t *to, int8x16_t values, int32_t bytes)
{
    __asm volatile("wlstp.8 lr, %[bytes], 2f\n"
                   "1: vstrb.8 %q[values], [%[to]], #16\n"
                   "letp lr, 1b\n"
                   "2:"
                   : [to] "+r"(to)
                   : [bytes] "r"(bytes), [values] "w"(values)
                   : "r14", "memory");
}

#endif
