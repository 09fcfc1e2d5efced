"""Synthetic trials, and a pool without processes that returns them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Self

from compress.genome import Genome, Prune, Quantize
from hil.errors import NoReply
from hil.search.engine import Proposal
from hil.store.store import Final
from hil.trial.candidate import Outcome
from hil.types import Board, Estimate, Measurement, Provenance, Sizes, Trial

PROVENANCE = Provenance(
    git_sha="0123456789abcdef",
    dirty=False,
    compiler="arm-none-eabi-gcc 12.2.1",
    flags="-O2",
    kernels="CMSIS-NN 4.0.0",
    board="m4",
    core="cortex-m4",
    probe="qemu",
    emulator="QEMU 7.2",
    python="3.11.2",
    torch="2.13.0",
    seed=1,
)
BASELINE = Genome((Quantize(),))


def pruned(keep: float) -> Genome:
    return Genome((Prune((keep,)), Quantize()))


def measured(
    number: int,
    genome: Genome,
    *,
    accuracy: float = 0.95,
    flash: int = 30_000,
    ram: int = 8_000,
    count: int = 1_000_000,
    **changes: Any,
) -> Trial:
    """A measured trial with these totals, split into the parts that the linker reports."""
    measurement = Measurement(
        counter="insn",
        count=count,
        count_min=count,
        count_max=count,
        flash=Sizes({"weights": flash - 9_000, "kernels": 6_000, "harness": 3_000}),
        ram=Sizes({"arena": ram - 1_000, "stack": 1_000}),
        correct=round(200 * accuracy),
        total=200,
        outputs_sha256="ab" * 32,
    )
    fields: dict[str, Any] = {
        "number": number,
        "genome": genome,
        "state": "measured",
        "accuracy": accuracy,
        "measurement": measurement,
        "reason": "",
        "violation": 0.0,
        "epochs": 2,
        "seconds": {"train": 1.5, "build": 0.25},
        "program_sha256": "cd" * 32,
        "provenance": PROVENANCE,
    }
    return Trial(**{**fields, **changes})


def with_cycles(trial: Trial, cycles: int, board: Board, error: float | None = None) -> Trial:
    """The measured trial with so many modeled cycles; every tenth waits where `board` has waits."""
    assert trial.measurement is not None
    waits = cycles // 10 if board.memory.waits else None
    changed = replace(
        trial.measurement,
        model_cycles=cycles - (waits or 0),
        model_error=error,
        wait_cycles=waits,
        memory_timing=board.memory.key,
    )
    return replace(trial, measurement=changed)


def infeasible(number: int, genome: Genome, reason: str = "too big", **changes: Any) -> Trial:
    trial = measured(number, genome)
    return replace(
        trial,
        **{
            "state": "infeasible",
            "accuracy": None,
            "measurement": None,
            "reason": reason,
            "violation": 0.5,
            **changes,
        },
    )


def screened(
    number: int,
    genome: Genome,
    fidelity: float,
    accuracy: float = 0.9,
    *,
    macs: int = 1_000_000,
    weight_bytes: int = 20_000,
    arena_bytes: int = 7_000,
    **changes: Any,
) -> Trial:
    """A trial that was screened on the host at a fidelity below 1."""
    return replace(
        measured(number, genome, accuracy=accuracy),
        **{
            "state": "screened",
            "measurement": None,
            "program_sha256": "",
            "fidelity": fidelity,
            "estimate": Estimate(macs, 64 * macs, weight_bytes, arena_bytes, 4),
            **changes,
        },
    )


class AnsweringPool:
    """A pool whose futures are done at once; records the requests, looks by job.

    Trials whose genomes are `fatal` raise NoReply instead.
    """

    def __init__(self, count: int = 2, fatal: Collection[Genome] = ()) -> None:
        self.count = count
        self.fatal = fatal
        self.tried: list[str] = []
        self.looked: list[list[str]] = []
        self.tested: list[int] = []

    def trial(self, number: int, proposal: Proposal) -> Future[Outcome]:
        self.tried.append(proposal.genome.key)
        told = measured(number, proposal.genome, repeat=proposal.repeat)
        if proposal.fidelity < 1.0:
            told = replace(told, fidelity=proposal.fidelity, state="screened", measurement=None)
        future: Future[Outcome] = Future()
        if proposal.genome in self.fatal:
            future.set_exception(NoReply("no answer in 60 s"))
        else:
            future.set_result(Outcome(told, b"network"))
        return future

    def inherited(self, number: int, proposals: Sequence[Proposal]) -> Future[list[Outcome]]:
        future: Future[list[Outcome]] = Future()
        singles = [self.trial(number + i, one).result() for i, one in enumerate(proposals)]
        self.looked.append([one.genome.key for one in proposals])
        future.set_result([Outcome(one.trial) for one in singles])
        return future

    def final(self, number: int, tflite: bytes) -> Future[Final]:
        assert tflite == b"network"
        self.tested.append(number)
        future: Future[Final] = Future()
        future.set_result(Final(number, "test", 9, 10, 0.9))
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None
