"""A few hostile inputs of each kind; `make fuzz` tries many."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.targets import TARGETS, Target, check


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_hostile_inputs_end_in_one_line_or_are_read(
    target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = set()
    for seed in range(target.short):
        try:
            ends.add(check(target, seed, tmp_path))
        except BaseException as error:
            error.add_note(f"input {seed} of {target.name}: {tmp_path}")
            raise
    assert len(ends) > 1  # some were damaged, some were not too badly
