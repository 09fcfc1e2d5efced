"""Values in another tensor's scale, as CONCATENATION on uint8 converts its inputs.

Source, of TensorFlow Lite release 2.14: ConcatenationWithScaling of
tensorflow/lite/kernels/internal/reference/concatenation.h.
"""

from __future__ import annotations

import numpy as np

from compress.arithmetic.fixedpoint import Int64Array
from compress.types import Array, Tensor

_SHIFT = 128  # values and zero points of uint8 less those of int8


def rescaled(values: Array, source: Tensor, out: Tensor) -> Int64Array:
    """int8 values of `source` in steps of `out`, without its zero point, not clamped.

    The kernel computes round(value * scale + bias) in float32 on values of uint8, ties away from
    zero. The results may leave int8; they stay within int32 for ratios of scales below 2**22.
    """
    scale = np.float32(source.scale) * (np.float32(1) / np.float32(out.scale))
    bias = np.float32(-(source.zero_point + _SHIFT)) * scale
    real = (values.astype(np.int64) + _SHIFT).astype(np.float32) * scale + bias
    rounded: Int64Array = (np.sign(real) * np.floor(np.abs(real.astype(np.float64)) + 0.5)).astype(
        np.int64
    )
    return rounded
