"""The network that is exported as a library, with what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from compress.features.integer import IntegerFrontEnd
from compress.types import Graph, Samples
from hil.library.figures import Measured
from hil.types import Board, Plan


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """What is exported: a graph with its .tflite, and the plan for the board it was tuned for.

    `samples` are those of the self-test, `origin` says in words what they are. `classes` name the
    values of the first output; empty where there are none. `facts` go to the manifest as they are.
    `measured` is None if no board measured it, `front_end` None unless it takes features.
    """

    title: str
    tflite: bytes
    graph: Graph
    board: Board
    plan: Plan
    samples: Samples
    origin: str
    classes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    measured: Measured | None = None
    front_end: IntegerFrontEnd | None = None
