"""Whether a value read from JSON is of the type that its dataclass states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_MOST = 2**63 - 1  # of a whole number: SQLite's largest


def require_types(value: object, skipped: tuple[type, ...] = ()) -> None:
    """Raise TypeError for a field of the dataclass `value` that is not of its type.

    Fields are checked in depth, but for values of the types `skipped`. Whole numbers are within 64
    bits, others finite.
    """
    _require(value, type(value), type(value).__name__.lower(), skipped)


def _require(value: object, hint: Any, name: str, skipped: tuple[type, ...]) -> None:
    if isinstance(value, skipped) or _is_plain(value, hint):
        return
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and type(None) in parts:
            return
        (wanted,) = (part for part in parts if part is not type(None))
        _require(value, wanted, name, skipped)
    elif is_dataclass(hint) and isinstance(hint, type) and isinstance(value, hint):
        hints = get_type_hints(hint)
        for field in fields(hint):
            inner = getattr(value, field.name)
            _require(inner, hints[field.name], f"{name}.{field.name}", skipped)
    elif origin is tuple and isinstance(value, tuple):
        for inner in value:
            _require(inner, parts[0], name, skipped)
    elif isinstance(value, Mapping) and isinstance(origin, type) and issubclass(origin, Mapping):
        for key, inner in value.items():
            _require(key, parts[0], f"{name}, key", skipped)
            _require(inner, parts[1], f"{name}.{key}", skipped)
    else:
        wanted = (
            " or ".join(map(repr, parts)) if origin is Literal else getattr(hint, "__name__", hint)
        )
        raise TypeError(f"{name} is {str(value)[:40]!r}, must be {wanted}")


def _is_plain(value: object, hint: Any) -> bool:
    """True for a text, flag, number or one of the literals that `hint` asks for."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint is int:
        return number and isinstance(value, int) and abs(value) <= _MOST
    if hint is float:
        return number and _is_finite(value)
    return hint in (str, bool) and isinstance(value, hint)


def _is_finite(value: object) -> bool:
    whole = isinstance(value, int) and abs(value) <= _MOST
    return whole or (isinstance(value, float) and math.isfinite(value))
