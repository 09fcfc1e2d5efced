"""Hyperband's brackets (Li et al., JMLR 18, 2018, algorithm 1) over fidelities."""

from __future__ import annotations

from dataclasses import dataclass

ETA = 3


@dataclass(frozen=True, slots=True)
class Rung:
    """`count` candidates are tried at `fidelity` (a share of 1)."""

    count: int
    fidelity: float


def brackets(halvings: int = 2) -> tuple[tuple[Rung, ...], ...]:
    """The brackets of one iteration: the first halves `halvings` times, the last not at all.

    Bracket s begins with n = ceil((s_max + 1) / (s + 1) * eta^s) candidates at fidelity eta^-s;
    floor(n / eta^i) of them reach its rung i. All brackets take about as much training.
    """
    return tuple(_bracket(halvings, s) for s in range(halvings, -1, -1))


def _bracket(halvings: int, s: int) -> tuple[Rung, ...]:
    first = -(-(halvings + 1) * ETA**s // (s + 1))
    return tuple(Rung(first // ETA**i, 1.0 / ETA ** (s - i)) for i in range(s + 1))
