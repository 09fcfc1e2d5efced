"""Values for each of several outputs: a table in hil.toml, {shape = ..., angle = ...}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.types import TaskType

# Pairs of an output's name and its value, in the order of the network's outputs.
ByOutput = tuple[tuple[str, Any], ...]
# The type of a task, or that of each of its outputs.
TaskTypes = TaskType | tuple[tuple[str, TaskType], ...]


def pairs_of(value: Any) -> ByOutput | None:
    """The pairs of a table, or of text as "shape=classification,angle=regression".

    None for a value that is not given by output.
    """
    if isinstance(value, Mapping):
        return tuple((str(name), one) for name, one in value.items())
    if isinstance(value, str) and "=" in value:
        parts = (part.partition("=") for part in value.split(","))
        return tuple((name.strip(), one.strip()) for name, _, one in parts)
    return None


def is_by_output(value: Any) -> bool:
    """True for a checked value that is given by output."""
    return isinstance(value, tuple) and bool(value) and all(isinstance(x, tuple) for x in value)


def kind_words(kind: TaskTypes) -> str:
    """A task's type for messages."""
    if isinstance(kind, str):
        return kind
    return ", ".join(f"{name} = {of}" for name, of in kind)
