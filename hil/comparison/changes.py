"""What changed between the figures of two networks, and whether a tolerance is broken."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from compress.errors import UserError
from hil.comparison.figures import ACCURACIES, COMPARED_COSTS, SAME, Figures
from hil.comparison.policy import POLICY_NAMES, Policy

_OF_PART = ("wait_cycles", "energy_uj")
_ROUNDING = 1e-12  # of a share: decimal fractions have no exact form


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one quantity; `worse` is true if it broke its tolerance.

    `allowed` is the most by which it may grow (of an accuracy: fall), in its unit; None where
    nothing depends on it.
    """

    name: str
    old: float
    new: float
    worse: bool
    allowed: float | None = None

    @property
    def change(self) -> float:
        """The relative growth; 0 if both are 0, 1 if only the old one is 0."""
        if self.old == 0:
            return 0.0 if self.new == 0 else 1.0
        return self.new / self.old - 1.0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "change": self.change}


def changes(
    old: Figures, new: Figures, policy: Policy, across: Collection[str] = ()
) -> list[Change]:
    """The change of every quantity that both have and that holds for the same conditions.

    Wait states and energies compare only for one part and its memories, accuracies only by one
    metric. Raises UserError for figures of different boards, counters or compilers, unless `across`
    names what may differ, and if the policy names a quantity that cannot be compared.
    """
    for fact in SAME:
        if fact not in across and old.facts[fact] != new.facts[fact]:
            raise UserError(
                f"results of different {fact}s are not comparable: {old.facts[fact] or 'unknown'} "
                f"({old.name}), {new.facts[fact] or 'unknown'} ({new.name}); --across {fact} "
                "compares them all the same"
            )
    found = list(_changes(old, new, policy))
    names = {one.name for one in found}
    for name in policy.required:
        if not names & set(POLICY_NAMES[name]):
            raise UserError(
                f"the policy names {name}, which {old.name} and {new.name} do not both have for "
                "the same conditions: take it out of the policy, or compare other results"
            )
    return found


def _changes(old: Figures, new: Figures, policy: Policy) -> Iterator[Change]:
    for name in (*COMPARED_COSTS, *ACCURACIES):
        if name not in old.values or name not in new.values:
            continue
        if name in _OF_PART and old.timed_by != new.timed_by:
            continue
        if name in ACCURACIES and None not in (old.metric, new.metric) and old.metric != new.metric:
            continue
        was, now = old.values[name], new.values[name]
        tolerance = policy.tolerances.get(name)
        if tolerance is None:
            yield Change(name, was, now, worse=False)
            continue
        allowed = tolerance.allowed(was)
        grown = was - now if name in ACCURACIES else now - was
        yield Change(name, was, now, worse=grown > allowed + _ROUNDING * abs(was), allowed=allowed)
