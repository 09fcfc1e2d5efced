"""`hil bench` on an emulator: parts add up, numbers are reproducible, comparison is exact."""

import hashlib
import io
import json
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from compress.errors import OverBudget, UserError
from compress.ops import constants_of
from compress.tflite.exporter import export_tflite
from compress.tflite.oracle import installed
from helpers.graph_examples import residual
from helpers.trials import BASELINE, measured
from hil import formatting
from hil.benchmark.benchmark import BenchmarkResult, benchmark
from hil.benchmark.benchmark_json import benchmark_to_json, compare_results
from hil.benchmark.models import BenchmarkModel, load_model
from hil.benchmark.result_text import print_result, warn_unjudged
from hil.benchmark.samples import random_samples
from hil.board import load_board
from hil.cli.energy import power_trace_of
from hil.cli.main import app
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.measure.measure import BoardRunner
from hil.store.store import RunIdentity, Store
from hil.target.bench_file import Bench
from hil.target.open import open_target
from hil.types import Board, OracleCheck


@pytest.fixture(scope="module")
def model() -> BenchmarkModel:
    graph = residual()
    return BenchmarkModel("residual", export_tflite(graph), graph)


@pytest.fixture(scope="module")
def result(board: Board, model: BenchmarkModel) -> BenchmarkResult:
    shares = list[float]()
    with BoardRunner(board, open_target) as runner:
        found = benchmark(
            model, board, runner, random_samples(model.graph, 4), 3, False, tick=shares.append
        )
    assert shares == [0.0, 1 / 3, 2 / 3, 1.0]
    return found


def test_layers_add_up_to_the_network(result: BenchmarkResult) -> None:
    """The total exceeds the layers' sum only by a call, a return and saved registers."""
    layers = sum(layer.count for layer in result.layers)
    assert layers == pytest.approx(result.measurement.count, rel=0.02)
    assert sum(layer.macs for layer in result.layers) == result.macs
    assert all(layer.count >= 0 for layer in result.layers)
    heaviest = max(result.layers, key=lambda layer: layer.count)
    assert heaviest.macs > 0


def test_an_emulator_counts_the_same_every_time(result: BenchmarkResult) -> None:
    assert len(result.counts) == 3
    assert result.spread == 0.0


def test_ram_parts_are_the_measured_total(result: BenchmarkResult) -> None:
    assert result.ram.total == result.measurement.ram.total
    parts = {"arena", "io", "scratch", "expanded", "static", "stack"}
    assert set(result.ram.parts) == parts
    assert min(result.ram.parts.values()) >= 0


@pytest.mark.usefixtures("emulated")
def test_a_stack_that_is_over_the_limit_counts(
    board: Board, model: BenchmarkModel, result: BenchmarkResult
) -> None:
    """The linker does not place the stack: an image that links may still not fit."""
    for spare_bytes, fits in ((0, True), (-1, False)):
        tight = replace(board, ram_limit_bytes=result.measurement.ram.total + spare_bytes)
        refused: AbstractContextManager[Any] = nullcontext()
        if not fits:
            refused = pytest.raises(OverBudget, match="bytes of RAM, limit")
        with BoardRunner(tight, open_target) as runner, refused:
            benchmark(model, tight, runner, random_samples(model.graph, 4), 1, False)


@pytest.mark.usefixtures("emulated")
def test_a_network_that_just_fits_has_no_counts_per_layer(
    board: Board, model: BenchmarkModel, result: BenchmarkResult
) -> None:
    """A profile build needs memory for its readings, which the plain build does not need."""
    placed = sum(result.measurement.ram.parts[part] for part in ("static", "arena"))
    length_bytes = placed + 16 + board.stack_bytes
    full = replace(board, ram=replace(board.ram, length_bytes=length_bytes))
    with BoardRunner(full, open_target) as runner:
        found = benchmark(model, full, runner, random_samples(model.graph, 4), 1, False)
    assert found.measurement.count == result.measurement.count
    assert found.layers == ()
    console = Console(width=120, record=True, file=io.StringIO())
    print_result(found, console)
    assert "no counts per layer" in console.export_text()


def test_json_has_the_promised_keys(result: BenchmarkResult) -> None:
    printed = json.loads(json.dumps(benchmark_to_json(result)))
    promised = {
        *("model", "board", "core", "bit_exact", "compared", "insn", "model_cycles", "macs"),
        *("model_error", "dwt_cycles", "latency_ms", "energy_uj", "flash_bytes", "ram_bytes"),
        *("layers", "provenance"),
    }
    assert promised <= set(printed)
    assert printed["bit_exact"] is True
    assert printed["flash_bytes"]["total"] == result.measurement.flash.total
    assert printed["dwt_cycles"] is None or printed["insn"] is None


def text_of(result: BenchmarkResult) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    print_result(result, console)
    return " ".join(console.export_text().split())


def test_names_of_a_file_are_printed_as_they_are(result: BenchmarkResult) -> None:
    named = [replace(layer, name="[/b]") for layer in result.layers]
    text = text_of(replace(result, model="[red]", layers=tuple(named)))
    assert "[red] on " in text
    assert text.count("[/b]") == len(named)


def test_the_oracles_that_judged_are_named(result: BenchmarkResult) -> None:
    both = replace(result, oracle=OracleCheck(("one 1.0", "two 2.0")))
    assert "to the integer reference, one 1.0 and two 2.0" in text_of(both)
    printed = benchmark_to_json(both)
    assert (printed["oracle"], printed["oracles"]) == (True, ["one 1.0", "two 2.0"])
    one = replace(result, oracle=OracleCheck(("one 1.0",), ("two: no such operator",)))
    assert "to the integer reference and one 1.0" in text_of(one)
    assert "oracles: two: no such operator" in text_of(one)
    assert benchmark_to_json(one)["oracle_remarks"] == ["two: no such operator"]
    none = replace(result, oracle=OracleCheck((), ("one: [no] such operator",)))
    assert "bit-equal on 4 inputs to the integer reference" in text_of(none)
    assert (benchmark_to_json(none)["oracle"], benchmark_to_json(none)["oracles"]) == (False, [])
    console = Console(width=120, record=True, file=io.StringIO())
    warn_unjudged(none, console)
    told = f"no oracle judged {result.model}: one: [no] such operator"
    assert console.export_text().strip() == told


def test_the_installed_oracles_judge_the_network(result: BenchmarkResult) -> None:
    names = [oracle.name for oracle in installed()]
    assert set(result.oracle.oracles) <= set(names)
    assert len(result.oracle.oracles) + len(result.oracle.remarks) >= len(names)
    assert result.provenance.oracles == result.oracle.text


@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize(("error", "words"), [(None, "of unknown error"), (0.2, "±20 %")])
def test_a_modelled_time_is_called_so(
    result: BenchmarkResult, error: float | None, words: str
) -> None:
    """Latency is estimated also for cores whose model error is unknown."""
    console = Console(width=120, record=True, file=io.StringIO())
    told = replace(result.measurement, model_error=error)
    print_result(replace(result, measurement=told), console)
    headline = console.export_text().replace("\N{NO-BREAK SPACE}", " ")
    clock = formatting.time_clock(result.board).replace("\N{NO-BREAK SPACE}", " ")
    assert f"ms at {clock}, modelled, {words}" in " ".join(headline.split())


@pytest.mark.usefixtures("emulated")
def test_the_parts_flash_adds_cycles(model: BenchmarkModel, tmp_path: Path) -> None:
    path = tmp_path / "residual.tflite"
    path.write_bytes(model.tflite)

    def told(*arguments: str) -> dict[str, Any]:
        # Tuned kernels are others where flash waits: cycles without the waits would differ, too.
        done = _invoke(str(path), "--board", "m4", "--kernels", "cmsis-nn", "--json", *arguments)
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout))

    never, part, slower = (
        told("--flash-timing", "none"),
        told(),
        told("--flash-timing", "16:10:64:8", "--delayed-ram", "0x20000000:0x400000"),
    )
    assert never["wait_cycles"] is never["flash_timing"] is None
    assert part["model_cycles"] == never["model_cycles"] == slower["model_cycles"]
    assert 0 < 2 * part["wait_cycles"] < slower["wait_cycles"]  # 10 for 5, and the RAM's
    assert part["flash_timing"]["wait_cycles"] == 5
    for one in (never, part, slower):
        cycles = one["model_cycles"] + (one["wait_cycles"] or 0)
        assert one["latency_ms"] == pytest.approx(cycles / 180e3)  # of an STM32F446RE
        assert one["energy_uj"] == pytest.approx(163.0 * cycles / 180e3)
        assert one["part"] == "STM32F446RE"
    layers = sum(layer["wait_cycles"] for layer in part["layers"])
    assert layers == pytest.approx(part["wait_cycles"], rel=0.1)
    assert {row.name for row in compare_results(never, part, 1.0)}.isdisjoint({"energy_uj"})


def test_comparison_finds_what_grew(result: BenchmarkResult) -> None:
    old = benchmark_to_json(result)
    new = {**old, "insn": 1.04 * old["insn"], "flash_bytes": {"total": 1}}
    worse = {row.name for row in compare_results(old, new, 0.03) if row.worse}
    assert worse == {"insn"}
    assert not [row for row in compare_results(old, new, 0.05) if row.worse]
    slower = [{**old, "model_cycles": cycles} for cycles in (1000, 1030)]
    assert [row.name for row in compare_results(*slower, 0.02) if row.worse] == ["model_cycles"]
    with pytest.raises(UserError, match="different boards"):
        compare_results(old, {**old, "board": "other"}, 0.0)


def _invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["bench", *arguments])


def test_the_command_measures_and_compares(
    board: Board, model: BenchmarkModel, tmp_path: Path
) -> None:
    path = tmp_path / "residual.tflite"
    path.write_bytes(model.tflite)
    done = _invoke(str(path), "--board", board.name, "--samples", "2", "--json")
    assert done.exit_code == 0, done.output
    first = json.loads(done.stdout)
    assert first["compared"] == 2
    for name, insn in (("old", first["insn"]), ("new", first["insn"] + 1)):
        (tmp_path / name).write_text(json.dumps({**first, "insn": insn}))
    arguments = ("--compare", str(tmp_path / "old"), str(tmp_path / "new"))
    assert _invoke(*arguments).exit_code == 1
    assert _invoke(*arguments, "--tolerance", "1").exit_code == 0


def test_dead_channels_can_be_left_out(board: Board, tmp_path: Path) -> None:
    graph = residual()
    for constant in constants_of(graph.ops[1]):
        data = graph.tensors[constant].data
        assert data is not None
        data[[0, 5, 7]] = 0
    (tmp_path / "dead.tflite").write_bytes(export_tflite(graph))
    arguments = (str(tmp_path / "dead.tflite"), "--board", board.name, "--json")
    before, after = (
        json.loads(_invoke(*arguments, *option).stdout) for option in ((), ("--eliminate",))
    )
    assert before["eliminated_macs"] is None
    # Rows of 3x3x8 at 4x4 positions, and as inputs of 12 times 3x3 at as many.
    assert after["eliminated_macs"] == before["macs"] - after["macs"] == 16 * 3 * 9 * (8 + 12)
    assert after["insn"] < before["insn"]
    assert after["flash_bytes"]["total"] < before["flash_bytes"]["total"]


def test_a_power_trace_replaces_the_model(
    board: Board, model: BenchmarkModel, tmp_path: Path
) -> None:
    path, trace = tmp_path / "residual.tflite", tmp_path / "trace.csv"
    path.write_bytes(model.tflite)
    # 10 mA for 2 ms at 3 V: 60 microjoules, in each of two windows.
    rows = [(t, 10_000 if 2 <= t % 10 < 4 else 0) for t in range(30)]
    lines = [f"{t},{microamperes},{int(microamperes > 0)}" for t, microamperes in rows]
    trace.write_text("\n".join(["Timestamp(ms),Current(uA),D0", *lines]))
    done = _invoke(
        *(str(path), "--board", board.name, "--samples", "1", "--json"),
        *("--trace", str(trace), "--supply-v", "3", "--inferences", "2"),
    )
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["energy_uj"] == pytest.approx(30.0, rel=0.05)
    assert "trace.csv" in printed["energy"]["source"]


@pytest.mark.parametrize("running", [True, False])
def test_an_analyzer_that_wrote_nothing_tells_of_another_network(
    board: Board,
    model: BenchmarkModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    running: bool,
) -> None:
    path, trace = tmp_path / "residual.tflite", tmp_path / "trace.csv"
    path.write_bytes(model.tflite)
    rows = [f"{t},{int(2 <= t % 10 < 4)}" for t in range(30)]  # 1 W for 2 ms
    trace.write_text("\n".join(["Timestamp(ms),Power(W)", *rows]))
    monkeypatch.setattr("hil.cli.bench.power_trace_of", lambda board: trace)

    def measure(*arguments: Any, **options: Any) -> BenchmarkResult:
        if running:
            trace.write_text(trace.read_text() + "\n30,0")
        return benchmark(*arguments, **options)

    monkeypatch.setattr("hil.benchmark.benchmark.benchmark", measure)
    options = ("--samples", "1", "--threshold-mw", "500", "--json")
    done = _invoke(str(path), "--board", board.name, *options)
    if running:
        assert json.loads(done.stdout)["energy_uj"] == pytest.approx(2000.0)
    else:
        assert isinstance(done.exception, UserError)
        assert "trace.csv was not written while" in str(done.exception)


def test_a_bench_may_name_its_analyzers_file(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Bench("nucleo-u575zi-q", "066B", "/dev/ttyACM0", Path("traces/u575.csv"))
    monkeypatch.setattr("hil.target.bench_file.find_benches", lambda board: (here,))
    assert power_trace_of(load_board("nucleo-u575zi-q")) == Path("traces/u575.csv")
    assert power_trace_of(load_board("m4")) is None


def test_labels_give_accuracy(board: Board, model: BenchmarkModel, tmp_path: Path) -> None:
    path = tmp_path / "residual.tflite"
    path.write_bytes(model.tflite)
    samples = random_samples(model.graph, 4)
    labels = samples.labels.copy()
    labels[0] = (labels[0] + 1) % samples.outputs.shape[1]
    np.savez(tmp_path / "data.npz", x=samples.inputs, y=labels)
    done = _invoke(str(path), "--board", board.name, "--data", str(tmp_path / "data.npz"), "--json")
    assert json.loads(done.stdout)["accuracy"] == 0.75


def test_what_was_measured_can_be_kept(board: Board, model: BenchmarkModel, tmp_path: Path) -> None:
    path, kept = tmp_path / "residual.tflite", tmp_path / "kept"
    path.write_bytes(model.tflite)
    command = (
        str(path),
        "--board",
        board.name,
        "--kernels",
        "tuned",
        "--keep",
        str(kept),
        "--json",
    )
    measured = json.loads(_invoke(*command).stdout)
    names = {file.name for file in kept.iterdir()}
    files = {"model.c", "model.h", "weights.c", "link.ld", "model.elf", "model.tflite"}
    assert names >= files
    assert all(re.fullmatch(r"kernel_\w+\.S", name) for name in names - files)
    sha256 = hashlib.sha256((kept / "model.elf").read_bytes()).hexdigest()
    assert measured["flash_bytes"]["total"] > 0
    plan = make_plan(load_model(str(path), tmp_path).graph, board, "nothing")
    assert build(render(plan, board), board, tmp_path / "again").sha256 == sha256
    refused = _invoke(*command)
    assert isinstance(refused.exception, UserError)
    assert "is not empty" in str(refused.exception)


@pytest.mark.parametrize("option", ["--data", "--trace"])
def test_a_file_that_is_missing_is_told_before_a_network_is_trained(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(
        "hil.benchmark.models.load_model", lambda *arguments: pytest.fail("too late")
    )
    missing = tmp_path / "missing"
    done = _invoke("digits", "--board", board.name, option, str(missing))
    assert isinstance(done.exception, UserError)
    assert str(missing) in str(done.exception)


@pytest.mark.parametrize(
    ("text", "words"),
    [("nothing", "RUN:NUMBER"), ("no.tflite", "cannot read"), ("a:3", "no run in")],
)
def test_models_that_are_not_there(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load_model(text, tmp_path)


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.tflite"
    path.write_text("not a network")
    with pytest.raises(UserError, match=r"notes\.tflite: not a \.tflite file"):
        load_model(str(path), tmp_path)


def test_a_trial_of_which_only_a_table_tells_has_no_network(tmp_path: Path) -> None:
    with Store.open(tmp_path / "table", RunIdentity("digits", "m4", 0, "5e" * 32)) as store:
        store.add(measured(3, BASELINE))
    with pytest.raises(UserError, match=r"trial 3 in .*0003\.tflite is missing, as in .* imported"):
        load_model("table:3", tmp_path)
