/*
 * SPDX-FileCopyrightText: Copyright 2010-2022 Arm Limited and/or its affiliates <open-source-office@arm.com>
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Licensed under the Apache License, Version 2.0 (the License); you may
 * not use this file except in compliance with the License.
 * You may obtain a copy of the License at
 *
 * www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an AS IS BASIS, WITHOUT
 * WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 * See the License for the specific language governing permissions and
 * limitations under the License.
 */

/*
 * Modified by the BakeNN project from CMSIS-NN 4.0.0
 * (ca5dc34313be2ee5c46652917c30baac96c52621): add an explicitly gated
 * freestanding memcpy/memset shim and avoid hosted math headers in that mode.
 * See BAKENN_PROVENANCE.md for the upstream and patched file hashes.
 */

/******************************************************************************
 * @file     arm_nn_math_types.h
 * @brief    Compiler include and basic types
 * @version  V1.2.1
 * @date     26 October 2022
 * Target Processor: Cortex-M
 ******************************************************************************/

/**
   Copied from CMSIS/DSP/arm_math_types.h and modified
*/

#ifndef _ARM_NN_MATH_TYPES_H_

#define _ARM_NN_MATH_TYPES_H_

#ifdef __cplusplus
extern "C" {
#endif

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#if defined(BAKENN_CMSIS_NN_FREESTANDING)
#else
#include <float.h>
#include <math.h>
#endif
#if defined(BAKENN_CMSIS_NN_FREESTANDING)
void *bakenn_cmsis_memcpy(void *destination, const void *source, size_t size);
void *bakenn_cmsis_memset(void *destination, int value, size_t size);
#define memcpy bakenn_cmsis_memcpy
#define memset bakenn_cmsis_memset
#elif defined(BAKENN_CMSIS_NN_BUILTIN_MEMORY)
#define memcpy __builtin_memcpy
#define memset __builtin_memset
#else
#include <string.h>
#endif

/* Compiler specific diagnostic adjustment */
#if defined(__CC_ARM)

#elif defined(__ARMCC_VERSION) && (__ARMCC_VERSION >= 6010050)

#elif defined(__GNUC__)

#elif defined(__ICCARM__)

#elif defined(__TI_ARM__)

#elif defined(__CSMC__)

#elif defined(__TASKING__)

#elif defined(_MSC_VER)

#else
#error Unknown compiler
#endif

/* Included for instrinsics definitions */
#if defined(_MSC_VER)
#ifndef __STATIC_FORCEINLINE
#define __STATIC_FORCEINLINE static __forceinline
#endif
#ifndef __STATIC_INLINE
#define __STATIC_INLINE static __inline
#endif
#ifndef __ALIGNED
#define __ALIGNED(x) __declspec(align(x))
#endif

#elif defined(__GNUC_PYTHON__)
#ifndef __ALIGNED
#define __ALIGNED(x) __attribute__((aligned(x)))
#endif
#ifndef __STATIC_FORCEINLINE
#define __STATIC_FORCEINLINE static inline __attribute__((always_inline))
#endif
#ifndef __STATIC_INLINE
#define __STATIC_INLINE static inline
#endif

#else
#include "cmsis_compiler.h"
#include <arm_acle.h>
#endif

/* evaluate ARM DSP feature */
#if (defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1))
#ifndef ARM_MATH_DSP
#define ARM_MATH_DSP 1
#endif
#endif

#if __ARM_FEATURE_MVE
#ifndef ARM_MATH_MVEI
#define ARM_MATH_MVEI
#endif
#endif

/* Compiler specific diagnostic adjustment */
#if defined(__CC_ARM)

#elif defined(__ARMCC_VERSION) && (__ARMCC_VERSION >= 6010050)

#elif defined(__GNUC__)
// #pragma GCC diagnostic pop

#elif defined(__ICCARM__)

#elif defined(__TI_ARM__)

#elif defined(__CSMC__)

#elif defined(__TASKING__)

#elif defined(_MSC_VER)

#else
#error Unknown compiler
#endif

#ifdef __cplusplus
}
#endif

#if __ARM_FEATURE_MVE
#include <arm_mve.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @brief Add necessary typedefs
 */

#define NN_Q31_MAX ((int32_t)(0x7FFFFFFFL))
#define NN_Q15_MAX ((int16_t)(0x7FFF))
#define NN_Q7_MAX ((int8_t)(0x7F))
#define NN_Q31_MIN ((int32_t)(0x80000000L))
#define NN_Q15_MIN ((int16_t)(0x8000))
#define NN_Q7_MIN ((int8_t)(0x80))

/**
 * @brief Error status returned by some functions in the library.
 */

typedef enum
{
    ARM_CMSIS_NN_SUCCESS = 0,        /**< No error */
    ARM_CMSIS_NN_ARG_ERROR = -1,     /**< One or more arguments are incorrect */
    ARM_CMSIS_NN_NO_IMPL_ERROR = -2, /**<  No implementation available */
} arm_cmsis_nn_status;

#if defined(ARM_MATH_DSP)
#define ACLE_SMLABB __smlabb
#define ACLE_SMLATT __smlatt
#endif

#ifdef __cplusplus
}
#endif

#endif /*ifndef _ARM_NN_MATH_TYPES_H_ */
