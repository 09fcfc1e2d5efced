"""Names of tensors as messages show them."""

from __future__ import annotations

_LONGEST = 48


def shortened(name: str) -> str:
    """`name` in at most 48 characters: of fused names ("a;b;c") the first, of a path its end."""
    first = name.split(";", 1)[0]
    return first if len(first) <= _LONGEST else f"...{first[3 - _LONGEST :]}"
