"""Provenance: the processor as Linux describes it, and older trials without one."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers.trials import BASELINE, PROVENANCE, measured
from hil.board import load_board
from hil.codegen.build import compiler_version
from hil.farm import worker
from hil.measure.provenance import processor, provenance
from hil.store.trial_json import trial_from_json, trial_to_json
from hil.trial.candidate import Outcome, Prepared

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8481C
flags\t\t: fpu sse4_2 avx f16c avx2 {more}

processor\t: 1
model name\t: another
"""
ARM = """\
processor\t: 0
Features\t: fp asimd evtstrm crc32
CPU implementer\t: 0x41
CPU part\t: 0xd0c
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            X86.format(more=""),
            "Intel(R) Xeon(R) Platinum 8481C, cpu family 6, model 143, avx2",
        ),
        (
            X86.format(more="avx512f"),
            "Intel(R) Xeon(R) Platinum 8481C, cpu family 6, model 143, avx512f",
        ),
        (ARM, "aarch64, CPU implementer 0x41, CPU part 0xd0c, asimd"),
    ],
)
def test_the_first_core_is_told_with_its_widest_vectors(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(text)
    assert processor(cpuinfo) == told


def test_without_cpuinfo_the_architecture_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert processor(tmp_path / "none") == "arm64"


def test_a_measurement_here_names_this_processor() -> None:
    assert provenance(load_board("m3"), 0).processor == processor() != ""


def test_a_trial_from_before_processors_were_noted_is_read() -> None:
    trial = measured(1, BASELINE, provenance=replace(PROVENANCE, processor="some"))
    fields = trial_to_json(trial)
    assert trial_from_json(fields) == trial
    del fields["provenance"]["processor"], fields["provenance"]["oracles"]
    assert trial_from_json(fields).provenance == replace(PROVENANCE, processor="", oracles="")


def test_on_a_farm_the_compiler_is_the_benchs_and_the_processor_the_trainers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(context: object, prepared: Prepared) -> Outcome:
        return Outcome(prepared.trial)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(worker, "measure_prepared", answer)
    made = replace(PROVENANCE, processor="elsewhere", oracles="an oracle")
    model: Any = object()
    context: Any = SimpleNamespace(board=load_board("m3"))
    ticket: Any = SimpleNamespace(session="one", start=SimpleNamespace(seed=0, saves="ram"))
    prepared = Prepared(measured(1, BASELINE, provenance=made), model)
    told = worker._measure(context, ticket, prepared).trial.provenance
    assert (told.processor, told.oracles) == ("elsewhere", "an oracle")
    assert told.compiler == compiler_version()
