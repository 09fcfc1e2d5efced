"""The answer of a network: one tensor, or several in a tuple, list or dict.

In training the answer of several outputs is one tensor (N, values): batches of it are kept, stacked
and indexed like those of one output, and the rules of the task take it apart
(`compress.task_types.several`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Answer = Tensor | Sequence[Tensor] | Mapping[str, Tensor]


def parts_of_answer(answer: Any) -> tuple[Any, ...]:
    """What the network returns, by output; one that is no tuple, list or dict is the only one."""
    if isinstance(answer, Mapping):
        return tuple(answer.values())
    return tuple(answer) if isinstance(answer, tuple | list) else (answer,)


def names_of_answer(answer: Any) -> tuple[str, ...]:
    """The keys of a dict or the fields of a named tuple, which name outputs; else none."""
    if isinstance(answer, Mapping):
        return tuple(str(name) for name in answer)
    return tuple(getattr(answer, "_fields", ()))


def joined(answer: Answer) -> Tensor:
    """The answer as one tensor: one output as it is, several flattened and joined, (N, values)."""
    if isinstance(answer, Tensor):
        return answer
    return torch.cat([part.flatten(1) for part in parts_of_answer(answer)], 1)
