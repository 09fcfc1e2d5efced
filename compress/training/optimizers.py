"""torch's optimizers without torch's compiler, which nothing here uses.

Their methods are wrapped so that `torch.compile` skips them, or breaks a graph at them. What wraps
them imports the compiler (`torch._dynamo`, with sympy) at the first call: 1.5 s, nearly as long as
to import torch, in every process that trains. The functions inside are called here directly.
"""

from __future__ import annotations

from inspect import unwrap
from typing import TypeVar

import torch

_Kind = TypeVar("_Kind", bound=type[torch.optim.Optimizer])


def _without_compiler(kind: _Kind) -> _Kind:
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        setattr(kind, name, unwrap(getattr(kind, name)))
    kind.step = torch.no_grad()(unwrap(kind.step))  # type: ignore[method-assign]
    return kind


@_without_compiler
class Adam(torch.optim.Adam):
    """`torch.optim.Adam`."""


@_without_compiler
class AdamW(torch.optim.AdamW):
    """`torch.optim.AdamW`."""
