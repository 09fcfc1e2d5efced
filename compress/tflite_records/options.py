"""Fused activations in the options of stored operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tflite

from compress.ops import Activation

ACTIVATION_CODES: Mapping[Activation, int] = {
    Activation.NONE: tflite.ActivationFunctionType.NONE,
    Activation.RELU: tflite.ActivationFunctionType.RELU,
    Activation.RELU6: tflite.ActivationFunctionType.RELU6,
    Activation.RELU_N1_TO_1: tflite.ActivationFunctionType.RELU_N1_TO_1,
}
ACTIVATIONS: Mapping[int, Activation] = {code: act for act, code in ACTIVATION_CODES.items()}


def activation_option(activation: Activation) -> dict[str, Any]:
    """The option that stores a fused activation."""
    return {"FusedActivationFunction": ACTIVATION_CODES[activation]}
