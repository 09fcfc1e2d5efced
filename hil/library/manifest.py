"""What a library's manifest says beside the SHA-256 of its files: where all of it comes from."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from hil.kernels.cmsis_nn import cmsis_nn
from hil.library.network import Network
from hil.library.variant import ARENA_ALIGNMENT, Variant
from hil.types import Plan


def manifest_facts(
    network: Network, prefix: str, tuned: Variant, portable: Variant
) -> dict[str, Any]:
    """The facts, as JSON has them; `tuned` and `portable` are both forms of the network."""
    measured = network.measured
    return {
        "prefix": prefix,
        "generator": f"hil-compress {version('hil-compress')}",
        "kernels": str(cmsis_nn()),
        "network": network.facts,
        "board": {"name": network.board.name, "core": network.board.core},
        "arena_bytes": {
            "alignment": ARENA_ALIGNMENT,
            "tuned": tuned.arena_bytes,
            "portable": portable.arena_bytes,
        },
        "layers": {one.name: _layers(one.plan) for one in (tuned, portable)},
        "selftest": {"samples": len(network.samples.inputs), "origin": network.origin},
        "measured": None
        if measured is None
        else {
            "what": measured.what,
            "measurement": asdict(measured.measurement),
            "provenance": asdict(measured.provenance),
        },
    }


def _layers(plan: Plan) -> list[dict[str, Any]]:
    return [
        {"name": step.op.name, "operator": type(step.op).__name__, "kernel": step.kernel}
        for step in plan.steps
    ]
