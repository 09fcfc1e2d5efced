"""Which statements of the tuned kernels' proofs refuse layers: those there are, those seen."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import hil.tuned

# Questions whose answer refuses no layer.
_HARMLESS = ("rises_from_least",)
_ROOMS = ("tuned", "tuned_depthwise", "tuned_scalar", "tuned_mve", "tuned_short")
_HIL = Path(hil.tuned.__file__).parent.parent


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """A statement that can return nothing, False or None, as `room/module.py:function`."""

    place: str
    line: int
    text: str = field(compare=False)


def proofs() -> list[Path]:
    """The modules that prove and refuse."""
    return [path for room in _ROOMS for path in sorted((_HIL / room).glob("*.py"))]


def refusals() -> list[Refusal]:
    """All statements that can refuse: in functions whose results are None, False or nothing."""
    found = []
    for path in proofs():
        source = path.read_text(encoding="utf-8")
        for function in ast.walk(ast.parse(source)):
            if isinstance(function, ast.FunctionDef) and function.name not in _HARMLESS:
                place = f"{path.parent.name}/{path.name}:{function.name}"
                found += [
                    Refusal(place, node.lineno, ast.unparse(node))
                    for node in _own(function)
                    if isinstance(node, ast.Return) and _may_refuse(function, node.value)
                ]
    return sorted(set(found))


def _own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions in it."""
    left: list[ast.AST] = [*function.body]
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, ast.FunctionDef):
            left += ast.iter_child_nodes(node)


def _may_refuse(function: ast.FunctionDef, value: ast.expr | None) -> bool:
    if value is None:
        return True
    if isinstance(value, ast.IfExp):
        return _may_refuse(function, value.body) or _may_refuse(function, value.orelse)
    if isinstance(value, ast.Constant):
        return value.value is None or value.value is False
    if isinstance(value, ast.Tuple):
        return not value.elts
    # The result of a question.
    return isinstance(function.returns, ast.Name) and function.returns.id == "bool"


@contextmanager
def watching() -> Iterator[set[tuple[str, int]]]:
    """The (place, line) of each statement by which a function of the proofs returned nothing.

    Results that were cached before are forgotten: they would hide what refused.
    """
    _forget()
    seen: set[tuple[str, int]] = set()
    files = {str(path): f"{path.parent.name}/{path.name}" for path in proofs()}

    def local(frame: FrameType, event: str, value: Any) -> Any:
        refused = value is None or (isinstance(value, tuple) and not value) or _is_false(value)
        if event == "return" and refused:
            place = f"{files[frame.f_code.co_filename]}:{frame.f_code.co_name}"
            seen.add((place, frame.f_lineno))
        return local

    def calls(frame: FrameType, event: str, value: Any) -> Any:
        return local if frame.f_code.co_filename in files else None

    before = sys.gettrace()
    sys.settrace(calls)
    try:
        yield seen
    finally:
        sys.settrace(before)


def _forget() -> None:
    for path in proofs():
        module = importlib.import_module(f"hil.{path.parent.name}.{path.stem}")
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def _is_false(value: object) -> bool:
    """True for False, NumPy's too."""
    return isinstance(value, bool | np.bool_) and not value
