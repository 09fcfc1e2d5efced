"""What an importer makes of a file, and the line that names the operators without a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import fx

from compress.model_files.values import Extents

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A network, and how its input lies in the file.

    `file_shape` is a sample's shape in the file; `order[j]` is the file's axis (0 is the batch)
    that is axis j of the network's input. `origins` names the node of the file that each operation
    of the network belongs to.
    """

    module: fx.GraphModule
    file_shape: Extents
    order: Extents
    origins: Mapping[fx.Node, str] = field(default_factory=dict)
    producer: str = ""


def without_form(labels: Sequence[str], nearest: Mapping[str, str]) -> str:
    """The refusal of operators, by labels "node (kind)"; `nearest` says what to use for a kind."""
    by_kind: dict[str, list[str]] = {}
    for label in labels:
        name, _, kind = label.rpartition(" (")
        by_kind.setdefault(kind.rstrip(")"), []).append(name)
    parts = []
    for kind, names in by_kind.items():
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        advice = f"; nearest: {nearest[kind]}" if nearest.get(kind) else ""
        parts.append(f"{kind} has no form here ({', '.join(names[:_MOST_NAMED])}{more}){advice}")
    return "; ".join(parts)
