"""`hil sensitivity`: each cell of a table is the accuracy of a candidate."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.genome import Genome, Prune, Quantize
from compress.pipeline.pipeline import compress
from compress.pipeline.sensitivity import BITS, RATIOS, Sensitivity, measure_sensitivity
from helpers.networks import original
from hil.cli.main import app
from hil.report.heat_map import Panel, heat_map


@pytest.fixture(scope="module")
def found() -> Sensitivity:
    ticks: list[float] = []
    tables = measure_sensitivity(original("mobile"), 40, 1, None, ticks.append)
    assert ticks[-1] == pytest.approx(1.0)
    assert ticks == sorted(ticks)
    return tables


def test_rows_and_columns_are_those_of_the_network(found: Sensitivity) -> None:
    start = original("mobile")
    assert found.keep.rows == start.groups
    assert found.bits.rows == start.layers
    assert (len(found.keep.columns), len(found.bits.columns)) == (len(RATIOS), len(BITS))
    for table in (found.keep, found.bits, found.pruned, *found.sqnr_db):
        assert len(table.values) == len(table.rows)
        assert all(len(row) == len(table.columns) for row in table.values)


def test_the_float_network_stands_beside_its_integers(found: Sensitivity) -> None:
    start = original("mobile")
    val = start.data.val
    first = type(val)(val.x[:40], val.y[:40])
    assert found.float_accuracy == start.share(first)
    assert {remark.kind for remark in found.remarks} <= {"layer", "gap", "recall"}


def test_a_cell_is_the_accuracy_of_its_genome(found: Sensitivity) -> None:
    start = original("mobile")
    val = start.data.val
    judged = replace(start, data=replace(start.data, val=type(val)(val.x[:40], val.y[:40])))
    narrowed = Genome((Prune((1.0, RATIOS[1]), reestimate=True, epochs=0), Quantize()))
    assert found.keep.values[1][1] == compress(narrowed, judged).accuracy
    each = tuple(BITS[0] if i == 2 else 8 for i in range(len(start.layers)))
    coarser = Genome((Quantize(each, weight_range="mse"),))
    assert found.bits.values[2][0] == compress(coarser, judged).accuracy


def test_fewer_bits_are_more_noise(found: Sensitivity) -> None:
    eight, four = found.sqnr_db
    for fine, coarse in zip(eight.values, four.values, strict=True):
        assert all(a is None or b is None or a > b for a, b in zip(fine, coarse, strict=True))


def test_the_heat_map_has_every_number(found: Sensitivity) -> None:
    figure = heat_map([Panel(found.keep, "{:.3f}", 0.0, 1.0)], "title")
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert texts == {f"{value:.3f}" for row in found.keep.values for value in row if value}


def test_the_command_writes_tables_and_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["sensitivity", "--task", "digits", "--samples", "60", "--epochs", "0", "--json"]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert shown["samples"] == 60
    assert shown["keep"]["rows"] == ["conv1.conv", "conv2.conv", "conv3.conv"]
    folder = tmp_path / "runs" / "sensitivity-digits-0"
    assert json.loads((folder / "sensitivity.json").read_text()) == shown
    assert (folder / "sensitivity.png").read_bytes().startswith(b"\x89PNG")
