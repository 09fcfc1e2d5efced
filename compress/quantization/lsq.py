"""Learned step size quantization (LSQ, arXiv:1902.08153): steps that train with the weights.

Zero points stay as calibrated, so that the output of a ReLU keeps its whole grid.
"""

import math
from typing import Any

import torch
from torch import Tensor as Values
from torch import nn


class _Rounded(torch.autograd.Function):
    """step * (clip(round(x / step) + zero point) - zero point), differentiable by x and step."""

    @staticmethod
    def forward(
        ctx: Any, x: Values, step: Values, zero_point: int, ends: tuple[int, int], gain: float
    ) -> Values:
        low, high = ends[0] - zero_point, ends[1] - zero_point
        exact = x / step
        whole = exact.round().clamp_(low, high)
        ctx.save_for_backward(exact, whole, step)
        ctx.ends, ctx.gain = (low, high), gain
        return whole * step

    @staticmethod
    def backward(ctx: Any, *grads: Values) -> Any:
        exact, whole, step = ctx.saved_tensors
        (grad,) = grads
        passed = inside(grad, exact, *ctx.ends)
        # Inside, d/dstep is round(x / step) - x / step; outside, the end itself (equation 3).
        slope = (grad * whole).addcmul_(passed, exact, value=-1.0)
        return passed, slope.sum_to_size(step.shape) * ctx.gain, None, None, None


def inside(grad: Values, x: Values, low: float, high: float) -> Values:
    """The gradient where low <= x <= high, else 0: one pass, while masks take several."""
    # The operator leaves out the ends, which ReLU's zeros are on: a millionth lets them in.
    low, high = (end + sign * 1e-6 * max(1.0, abs(end)) for end, sign in ((low, -1), (high, 1)))
    passed: Values = torch.ops.aten.hardtanh_backward(grad, x, low, high)
    return passed


class StepSize(nn.Module):
    """Rounds to a grid whose step is learned: `initial * exp(change)`, so that it stays positive.

    `initial` float32, of a shape that broadcasts against the values. `features` is how many
    values share a step (of one sample): gradients are scaled by 1 / sqrt(features * highest
    integer), section 2.2 of the paper. Learning the logarithm makes steps of all sizes change at
    one relative rate, whatever the optimizer makes of the gradient's size.
    """

    initial: Values

    def __init__(
        self, initial: Values, zero_point: int, ends: tuple[int, int], features: int
    ) -> None:
        super().__init__()
        self.register_buffer("initial", initial)
        self.change = nn.Parameter(torch.zeros_like(initial))
        self.zero_point = zero_point
        self.ends = ends
        self.gain = 1.0 / math.sqrt(features * ends[1])

    @property
    def step(self) -> Values:
        return self.initial * torch.exp(self.change)

    def forward(self, x: Values) -> Values:
        rounded: Values = _Rounded.apply(x, self.step, self.zero_point, self.ends, self.gain)  # type: ignore[no-untyped-call]
        return rounded
