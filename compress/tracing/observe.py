"""What a network computes when it just runs: each operation's value, name and source line.

The network is run as it is, with its hooks and in-place operations, without torch.fx. Watched are
the functions of torch that it calls, and calls of those modules that torch.fx does not look into.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor as Values
from torch import nn
from torch.overrides import TorchFunctionMode

from compress.tracing.batches import Batch
from compress.tracing.recording import is_foreign


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One operation of a run: `value` is a copy of its result, at the time when it was made.

    `name` is the path of a module, or the name of a function; `line` is "file.py, line 3", or empty
    for an operation that no line of the user's calls, as the layers of a plain Sequential.
    """

    name: str
    line: str
    value: Values


class _Functions(TorchFunctionMode):
    """Records torch's functions, except those called inside of a watched module."""

    def __init__(self, events: list[Event]) -> None:
        super().__init__()
        self.events = events
        self.depth = 0

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.record(getattr(func, "__name__", str(func)), result)
        return result

    def record(self, name: str, result: object) -> None:
        if self.depth == 0 and isinstance(result, Values):
            self.depth += 1  # the copy is not an operation of the network
            self.events.append(Event(name, _line(), result.detach().clone()))
            self.depth -= 1


def observe(module: nn.Module, x: Batch, leaves: Set[str]) -> tuple[Any, list[Event]]:
    """The answer of `module` to a copy of x, and the operations it ran, in order.

    `leaves` are the paths of the modules that are one operation each.
    """
    events: list[Event] = []
    functions = _Functions(events)
    batch = [values.clone() for values in x]
    with torch.no_grad(), _watched(module, leaves, functions), functions:
        answer = module(*batch)
    return answer, events


@contextmanager
def _watched(module: nn.Module, leaves: Set[str], functions: _Functions) -> Iterator[None]:
    """Hooks around the leaves: before all other hooks of a module, and after them."""
    handles = []
    for path, layer in module.named_modules():
        if path not in leaves:
            continue

        def enter(layer: nn.Module, args: object) -> None:
            functions.depth += 1

        def leave(layer: nn.Module, args: object, result: object, path: str = path) -> None:
            functions.depth -= 1
            functions.record(path, result)

        handles.append(layer.register_forward_pre_hook(enter, prepend=True))
        handles.append(layer.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _line() -> str:
    """The place of the innermost frame that is neither torch's nor of this folder."""
    frame = sys._getframe(1)
    while frame.f_code is not observe.__code__ and frame.f_back is not None:
        if is_foreign(frame.f_code.co_filename):
            return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"
        frame = frame.f_back
    return ""
