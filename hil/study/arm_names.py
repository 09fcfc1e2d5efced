"""The names, titles and kinds of the arms of a study; `hil.study.arms` makes the arms."""

from __future__ import annotations

from itertools import permutations
from typing import Literal

ArmKind = Literal["single", "recipe", "search"]

FIXED: dict[str, tuple[ArmKind, str]] = {
    "int8": ("single", "int8 only"),
    "int4": ("single", "int4 only"),
    "structured": ("single", "structured pruning only"),
    "unstructured": ("single", "unstructured pruning only"),
    "distilled": ("single", "distillation only"),
    "scratch": ("single", "same size from scratch"),
    "PQ": ("recipe", "P→Q"),
    "QD": ("recipe", "Q→D"),
    **{"".join(order): ("recipe", "→".join(order)) for order in permutations("PQD")},
}
ELASTIC, ADAPTIVE = "elastic", "adaptive"
CONTROLS: dict[str, str] = {
    "elastic-tpe": "elastic network, TPE",
    "elastic-random": "elastic network, random",
    "elastic-nsga2": "elastic network, NSGA-II, plain",
    "elastic-uniform": "elastic network, uniform",
}
SEARCHES: dict[str, str] = {
    ELASTIC: "elastic search (ours)",
    **CONTROLS,
    ADAPTIVE: "adaptive search (ours)",
    "random": "random search",
    "tpe": "TPE (Optuna)",
    "bohb": "BOHB (TPE and Hyperband)",
    "nsga2": "NSGA-II, plain",
}
NAMES = (*FIXED, *SEARCHES)


def title(name: str) -> str:
    """The arm's title; its name if there is no arm of that name."""
    known = {**{arm: words for arm, (_, words) in FIXED.items()}, **SEARCHES}
    return known.get(name, name)
