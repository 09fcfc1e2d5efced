"""A synthetic objective for searches, without training or board; its best genomes are known."""

from __future__ import annotations

from compress.genome import Genome, Prune
from compress.space.space import Space
from helpers.trials import measured
from hil.board import load_board
from hil.objective.goal import Goal
from hil.types import Trial

SPACE = Space(groups=3, layers=4, epochs=(1, 2))
GOAL = Goal(load_board("m4"), accuracy=0.9, flash_bytes=60_000, ram_bytes=20_000)


def world(number: int, genome: Genome) -> Trial:
    """A measured trial: sizes and count follow the kept channels; accuracy falls below half."""
    keep = [r for s in genome.stages if isinstance(s, Prune) for r in s.keep] or [1.0]
    mean = sum(keep) / len(keep)
    return measured(
        number,
        genome,
        accuracy=0.97 if mean >= 0.5 else 0.97 - (0.5 - mean),
        flash=int(20_000 + 30_000 * mean),
        ram=int(4_000 + 8_000 * max(keep)),
        count=int(1e6 * mean**2),
    )
