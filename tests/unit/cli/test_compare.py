"""What `hil bench --compare` takes for a result of `hil bench --json`."""

from __future__ import annotations

from pathlib import Path

import pytest

from compress.errors import UserError
from hil.cli.compare import show_comparison

GOOD = '{"flash_bytes": {"total": 9}, "ram_bytes": {"total": 5}, "insn": 7}'


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[1]",
        '{"flash_bytes": 1}',
        '{"flash_bytes": {"total": 1}}',
        '{"flash_bytes": {"total": "a"}, "ram_bytes": {"total": "b"}}',
        GOOD.replace("5", "9" * 400),
        GOOD.replace("7", '"many"'),
        "[" * 100_000,
    ],
)
def test_a_file_that_is_no_result_is_named(tmp_path: Path, content: str) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(GOOD)
    bad.write_text(content)
    with pytest.raises(UserError, match=r"--compare .*bad\.json: .*result of hil bench --json"):
        show_comparison(good, bad, 0.0, as_json=True)


def test_equal_results_have_no_worse_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "good.json"
    path.write_text(GOOD)
    show_comparison(path, path, 0.0, as_json=True)
    assert '"worse": 0' in capsys.readouterr().out
