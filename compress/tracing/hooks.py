"""Forward hooks of modules that take part in what a network computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor as Values
from torch import nn

from compress.tracing.batches import Batch
from compress.tracing.normalize import FOLDED_HOOKS


def changing_hooks(module: nn.Module, x: Batch) -> tuple[str, ...]:
    """Names of the layers whose forward hooks return a value, or change one in place, on x.

    Runs the module once. Hooks that `compress.tracing.normalize` folds do not count.
    """
    found: dict[str, None] = {}

    def watched(name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any) -> Any:
            tensors = list(_tensors(values[1:]))
            before = [tensor._version for tensor in tensors]
            result = hook(*values)
            after = [tensor._version for tensor in tensors]
            if result is not None or before != after:
                found[name] = None
            return result

        return call

    with _replaced(module, watched), torch.no_grad():
        module(*(values.clone() for values in x))
    return tuple(found)


@contextmanager
def _replaced(
    module: nn.Module, watched: Callable[[str, Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """The module with other hooks in place of its own, in this context."""
    own = []
    for name, layer in module.named_modules():
        for hooks in (layer._forward_hooks, layer._forward_pre_hooks):
            for key, hook in hooks.items():
                if not isinstance(hook, FOLDED_HOOKS):
                    own.append((hooks, key, hook, name or type(layer).__name__))
    try:
        for hooks, key, hook, name in own:
            hooks[key] = watched(name, hook)
        yield
    finally:
        for hooks, key, hook, _ in own:
            hooks[key] = hook


def _tensors(values: Any) -> Iterator[Values]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(values, Values):
        yield values
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)
