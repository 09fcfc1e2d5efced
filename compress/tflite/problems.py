"""All reasons why a file cannot be imported, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MOST_KINDS = 8
_MOST_REASONS = 4


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one operator cannot be imported.

    `kind` is the operator's kind, `tensor` the name of its output. `reason`, which begins with the
    operator's label, is empty if there is no kernel for this kind at all.
    """

    kind: str
    label: str
    tensor: str
    reason: str = ""


def in_one_line(problems: Sequence[Problem]) -> str:
    """Kinds without a kernel, with count and first tensor, sorted; then other reasons by kind."""
    parts = []
    lacking = _by_kind([problem for problem in problems if not problem.reason])
    if lacking:
        kinds = [_counted(kind, group) for kind, group in sorted(lacking.items())]
        parts.append(f"there is no integer kernel for {', '.join(_limited(kinds, _MOST_KINDS))}")
    others = _by_kind([problem for problem in problems if problem.reason])
    reasons = []
    said: set[str] = set()
    for kind, group in others.items():
        further = f" (and {len(group) - 1} more {kind})" if len(group) > 1 else ""
        if group[0].reason not in said:
            reasons.append(f"{group[0].reason}{further}")
        said.add(group[0].reason)
    parts += _limited(reasons, _MOST_REASONS)
    return "; ".join(parts)


def _by_kind(problems: Sequence[Problem]) -> dict[str, list[Problem]]:
    groups: dict[str, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(problem.kind, []).append(problem)
    return groups


def _counted(kind: str, group: Sequence[Problem]) -> str:
    first = f"{group[0].label}, output {group[0].tensor}" if group[0].tensor else group[0].label
    return f"{kind} ({first})" if len(group) == 1 else f"{kind} ({len(group)}, first {first})"


def _limited(texts: list[str], most: int) -> list[str]:
    return texts if len(texts) <= most else [*texts[:most], f"{len(texts) - most} further"]
