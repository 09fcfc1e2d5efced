"""Empirical bias correction: take back the mean error that rounding leaves in each channel.

arXiv:1906.04721, section 4.2, measured on calibration data as in appendix D of it;
arXiv:2106.08295, section 3.3.
"""

from dataclasses import replace

import numpy as np
from torch import Tensor as Values

from compress.quantization.weight_grids import Weights


def corrected(weights: Weights, wanted: Values, got: Values) -> Weights:
    """`weights` with the bias moved by the mean of wanted - got, channel by channel.

    `wanted` and `got` (N, C, ...) are the layer's outputs before its activation: those of the
    float network, and those of the rounded weights on rounded inputs.
    """
    others = [d for d in range(wanted.dim()) if d != 1]
    error = (wanted - got).mean(others).numpy()
    return replace(weights, bias=(weights.bias + error).astype(np.float32))
