"""The noise that int8 rounding must be expected to cause in a torch module's answers.

Independent of how the project captures and quantizes: the module runs as it is, and each value that
a function of torch returns is disturbed as int8 rounding disturbs it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class _Noise(TorchFunctionMode):
    """Adds uniform noise of one int8 step of the value's range, which includes 0, either way.

    That is twice the error of rounding a value: the other half is for the layer's weights. In
    place, so that every other name of the value sees the same.
    """

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.samples = samples
        self.generator = torch.Generator().manual_seed(0)

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.dim() > 1 and len(result) == self.samples:
            span = float(result.max().clamp(min=0) - result.min().clamp(max=0))
            noise = torch.empty(result.shape).uniform_(-1, 1, generator=self.generator)
            result += noise * (span / 255)
        return result


def expected_noise(module: nn.Module, x: Tensor) -> float:
    """The root mean square of the change of the answers to x that int8 rounding may cause."""
    with torch.no_grad():
        exact = module(x.clone())
        with _Noise(len(x)):
            disturbed = module(x.clone())
    return float((disturbed - exact).square().mean().sqrt())
