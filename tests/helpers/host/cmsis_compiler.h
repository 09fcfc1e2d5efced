/* What CMSIS-NN uses of CMSIS-Core's header of the same name, for builds on the host. */
#ifndef CMSIS_COMPILER_H
#define CMSIS_COMPILER_H

#include "arm_acle.h"

#define __ASM __asm
#define __INLINE inline
#define __STATIC_INLINE static inline
#define __STATIC_FORCEINLINE __attribute__((always_inline)) static inline
#define __RESTRICT __restrict
#define __WEAK __attribute__((weak))
#define __CLZ __clz
#define __SSAT __ssat

#endif
