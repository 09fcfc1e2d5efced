"""Learned step size quantization (LSQ, arXiv:1902.08153): scales trained with the weights.

Zero points stay as calibrated, so that the output of a ReLU keeps the whole integer range.
"""

import math
from typing import Any

import torch
from torch import Tensor as Values
from torch import nn


class _Rounded(torch.autograd.Function):
    """step * (clip(round(x / step) + zero_point, *ends) - zero_point), with gradients.

    The gradient of x is the straight-through estimator's. The gradient of the step is equation 3 of
    the paper, times `gain` (section 2.2).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Values, step: Values, zero_point: int, ends: tuple[int, int], gain: float
    ) -> Values:
        low, high = ends[0] - zero_point, ends[1] - zero_point
        exact = x / step
        integers = exact.round().clamp_(low, high)
        ctx.save_for_backward(exact, integers, step)
        ctx.ends, ctx.gain = (low, high), gain
        return integers * step

    @staticmethod
    def backward(ctx: Any, *grads: Values) -> Any:
        exact, integers, step = ctx.saved_tensors
        (grad,) = grads
        passed = straight_through(grad, exact, *ctx.ends)
        # d/dstep is round(x / step) - x / step inside the range and the clipped integer outside
        # (equation 3). `passed` is 0 outside, which leaves the integer alone there.
        slope = (grad * integers).addcmul_(passed, exact, value=-1.0)
        return passed, slope.sum_to_size(step.shape) * ctx.gain, None, None, None


def straight_through(grad: Values, x: Values, low: float, high: float) -> Values:
    """Straight-through estimator of clipping: `grad` where low <= x <= high, else 0."""
    # One fused pass instead of several with masks. hardtanh's gradient excludes both ends, where
    # the zeros of a ReLU lie: widening the range by a millionth includes them.
    low, high = (end + sign * 1e-6 * max(1.0, abs(end)) for end, sign in ((low, -1), (high, 1)))
    passed: Values = torch.ops.aten.hardtanh_backward(grad, x, low, high)
    return passed


class StepSize(nn.Module):
    """Fake quantization with a learned step size, initial * exp(log_ratio), always positive.

    `initial` is float32, in a shape that broadcasts against the values. `ends` are the lowest and
    the highest integer. `features` is the number of values of one sample that share a step;
    gradients are scaled by 1 / sqrt(features * highest integer), section 2.2 of the paper.

    The trained parameter is a logarithm because Adam's updates have a size that does not depend on
    the gradient's: all steps, small or large, then change at the same relative rate.
    """

    initial: Values

    def __init__(
        self, initial: Values, zero_point: int, ends: tuple[int, int], features: int
    ) -> None:
        super().__init__()
        self.register_buffer("initial", initial)
        self.log_ratio = nn.Parameter(torch.zeros_like(initial))
        self.zero_point = zero_point
        self.ends = ends
        self.gain = 1.0 / math.sqrt(features * ends[1])

    @property
    def step(self) -> Values:
        """The step size as trained so far, in the shape of `initial`."""
        return self.initial * torch.exp(self.log_ratio)

    def forward(self, x: Values) -> Values:
        rounded: Values = _Rounded.apply(x, self.step, self.zero_point, self.ends, self.gain)  # type: ignore[no-untyped-call]
        return rounded


class PartOfSteps:
    """Fake quantization by some of the step sizes of another one, which are trained through it."""

    def __init__(self, whole: StepSize, rows: Values) -> None:
        self.whole, self.rows = whole, rows

    @property
    def step(self) -> Values:
        """The step sizes of the `rows` (indices along the first axis)."""
        return self.whole.step.index_select(0, self.rows)

    def __call__(self, x: Values) -> Values:
        whole = self.whole
        rounded: Values = _Rounded.apply(x, self.step, whole.zero_point, whole.ends, whole.gain)  # type: ignore[no-untyped-call]
        return rounded
