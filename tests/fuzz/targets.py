"""The readers of what comes from outside, each with valid inputs to damage.

A target draws an input (bytes) and reads it. It may raise what `allowed` lists, in one line; any
other exception is a finding.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compress.errors import HilError
from compress.integer import reference
from compress.projects.arrays import npz_data
from compress.projects.output_values import TaskTypes
from compress.projects.toml_file import read_project_file
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.read import read
from compress.tflite.write import write
from compress.tflite_records.file import TensorType
from compress.types import Array, Graph
from fuzz.mutations import damaged, damaged_text
from helpers.checkout import ROOT
from helpers.graph_builder import GraphBuilder
from helpers.graph_examples import EXAMPLES
from helpers.graph_variants import nameless, with_edges
from helpers.stores import example, exported
from hil.benchmark.samples import file_samples, random_samples
from hil.board import load_board, read_board
from hil.cli.compare import show_comparison
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.energy.trace_csv import read_trace
from hil.measure.oracle_check import check_oracle
from hil.store.store import Store
from hil.store.table import read_run_table
from hil.target import wire
from hil.target.bench_file import read_entries
from hil.target.link import Link
from hil.target.wire import Frame, FrameError

KIND: TaskTypes = "classification"

Draw = Callable[[random.Random], bytes]


@dataclass(frozen=True, slots=True)
class Target:
    """A reader. `read` gets the path of a file with the input, whose name ends in `suffix`."""

    name: str
    draw: Draw
    read: Callable[[Path], object]
    suffix: str = ".bin"
    short: int = 100  # inputs in `make test`
    allowed: tuple[type[Exception], ...] = (HilError,)


# ---- models


@functools.cache
def _models() -> tuple[bytes, ...]:
    """Small models with every operator: ours, another converter's, with edges of other types."""
    graphs = [make() for make in EXAMPLES]
    ours = [export_tflite(graph) for graph in graphs]
    others = [write(nameless(read(data))) for data in ours]
    kinds = (TensorType.FLOAT32, TensorType.UINT8)
    return (*ours, *others, *(with_edges(graph, kind) for graph in graphs for kind in kinds))


def _draw_model(rng: random.Random) -> bytes:
    return damaged(rng.choice(_models()), rng)


def _plan_model(path: Path) -> None:
    """Import, plan and render: what is imported has a program, or a reason why it has none."""
    graph = import_tflite(path.read_bytes(), "fuzzed")
    board = load_board("m4")
    render(make_plan(graph, board), board)


def _judge_model(path: Path) -> None:
    """What is imported computes what the oracles do, which end in a remark or not at all."""
    data = path.read_bytes()
    graph = import_tflite(data, "fuzzed")
    check_oracle(data, random_samples(graph, 2))
    again = import_tflite(export_tflite(graph), "again")
    inputs = random_samples(graph, 2).inputs
    np.testing.assert_array_equal(reference.run(again, inputs), reference.run(graph, inputs))


# ---- the serial line


def _draw_line(rng: random.Random) -> bytes:
    """Bytes of a line: frames, damaged frames, noise."""
    parts = []
    for _ in range(rng.randrange(1, 6)):
        payload = rng.randbytes(rng.choice((4, 16, 24, 28, rng.randrange(64))))  # of replies
        kind = rng.choice((*wire.FrameKind, rng.randrange(256)))
        if kind == wire.FrameKind.HELLO_REPLY and rng.randrange(2):
            payload = payload[:20].ljust(20) + bytes((1, 0, 0, 0))
        version = rng.choice((wire.VERSION, wire.VERSION, rng.randrange(256)))
        frame = wire.encode(Frame(kind, rng.choice((1, rng.randrange(1 << 16))), payload, version))
        parts.append(rng.choice((frame, damaged(frame, rng), rng.randbytes(20), b"\0" * 5)))
    return b"".join(parts)


class _Line:
    """A port on which `received` arrives and nothing else."""

    timeout: float | None = 0.0

    def __init__(self, received: bytes) -> None:
        self._received = received

    def read(self, size: int = 1, /) -> bytes:
        data, self._received = self._received[:size], self._received[size:]
        return data

    def write(self, data: bytes, /) -> int | None:
        return len(data)

    def reset_input_buffer(self) -> None: ...

    def close(self) -> None: ...


def _read_line(path: Path) -> None:
    data = path.read_bytes()
    for block in data.split(wire.DELIMITER):
        try:
            frame = wire.decode(block)
        except FrameError:
            continue
        assert wire.encode(frame)[:-1] == block  # a frame has one form
    Link(_Line(data)).hello(0.001)


# ---- files of a user


@functools.cache
def _tables() -> tuple[str, bytes]:
    """A run's table as CSV and as Parquet."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        example(Path(name))
        text = exported(Path(name)).read_bytes().decode()
        return text, exported(Path(name), "run.parquet").read_bytes()


def _draw_packed(rng: random.Random) -> bytes:
    """A table whose text, or whose packed bytes, are damaged."""
    if rng.randrange(2):
        return gzip.compress(damaged_text(_tables()[0], rng))
    return damaged(gzip.compress(_tables()[0].encode()), rng)


@functools.cache
def _stores() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        example(Path(name))
        with Store.read(Path(name)) as store:
            assert store.trials()
        return (Path(name) / "store.sqlite").read_bytes()


def _read_store(path: Path) -> None:
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    (folder / "store.sqlite").write_bytes(path.read_bytes())
    with Store.read(folder) as store:
        store.trials()


@functools.cache
def _boards() -> tuple[str, ...]:
    return tuple(path.read_text() for path in sorted((ROOT / "boards").glob("*.toml")))


NPZ_NAMES = ("x", "y", "x_train", "y_train", "x_val", "y_val", "x_test", "y_test")


@functools.cache
def _any_graph() -> Graph:
    b = GraphBuilder()
    return b.finish(b.fully_connected(b.input((8,)), 3))


def _draw_npz(rng: random.Random) -> bytes:
    """30 samples of 8 values with labels, or arrays of any types and shapes; whole or damaged."""
    generator = np.random.default_rng(rng.randrange(1 << 30))
    arrays: dict[str, Array] = {"x": np.zeros((30, 8), np.int8), "y": np.arange(30) % 3}
    if rng.randrange(2):
        shape = rng.choice(((4, 8), (8,), (), (0, 8), (4, 8, 1), (4, 0), (1, 1, 1, 1, 1, 1)))
        names = NPZ_NAMES[: rng.randrange(9)]
        shapes = {name: shape if name.startswith("x") else shape[:1] for name in names}
        arrays = {name: _any_array(of, rng, generator) for name, of in shapes.items()}
    content = io.BytesIO()
    (np.savez if rng.randrange(2) else np.savez_compressed)(content, **arrays)
    return damaged(content.getvalue(), rng) if rng.randrange(2) else content.getvalue()


def _any_array(shape: tuple[int, ...], rng: random.Random, generator: np.random.Generator) -> Array:
    kinds = ("i1", "i2", "i8", "u8", "f4", "f8", "?", "U1", "S2", "c8", "M8[s]", "i4,f4")
    kind = np.dtype(rng.choice(kinds))
    if kind.kind == "U":
        return np.full(shape, "a")
    return np.frombuffer(generator.bytes(int(np.prod(shape)) * kind.itemsize), kind).reshape(shape)


TRACE = "Timestamp(ms),Current(uA),D0-D7\n" + "".join(
    f"{n / 100},{1000 + n % 7},{n % 2}0000000\n" for n in range(40)
)
BENCH = '[m4]\nprobe = "066BFF3"\nport = "/dev/ttyACM0"\npower = "a.csv"\n[[m7]]\nport = "COM1"\n'
PROJECT = """
[task]
type = "classification"
model = "net.py:build"
data = "data.npz"
[search]
board = "m4"
seed = 3
minutes = 5
"""
SIZES = {"flash_bytes": {"total": 3}, "ram_bytes": {"total": 4}}
RESULT = json.dumps({"total": {"count": 5}, "model_cycles": 7, **SIZES})


def _text(*texts: str) -> Draw:
    return lambda rng: damaged_text(rng.choice(texts), rng)


def _compare(path: Path) -> None:
    show_comparison(path, path, 1.0, as_json=True)


TARGETS = (
    Target("plan", _draw_model, _plan_model, ".tflite", 60),
    Target("judge", _draw_model, _judge_model, ".tflite", 30),
    Target("line", _draw_line, _read_line, short=1000),
    Target("board", lambda rng: damaged_text(rng.choice(_boards()), rng), read_board, ".toml", 150),
    Target("project", _text(PROJECT), read_project_file, ".toml", 300),
    Target("bench", _text(BENCH), read_entries, ".toml", 300),
    Target("table", lambda rng: damaged_text(_tables()[0], rng), read_run_table, ".csv", 150),
    Target(
        "table-gz",
        _draw_packed,
        read_run_table,
        ".csv.gz",
    ),
    Target("parquet", lambda rng: damaged(_tables()[1], rng), read_run_table, ".parquet"),
    Target("store", lambda rng: damaged(_stores(), rng), _read_store, ".sqlite", 60),
    Target("trace", _text(TRACE), lambda path: read_trace(path, 3.3), ".csv", 150),
    Target("npz", _draw_npz, lambda path: npz_data(path, KIND), ".npz", 100),
    Target("samples", _draw_npz, lambda path: file_samples(_any_graph(), path, 4), ".npz", 100),
    Target("compare", _text(RESULT), _compare, ".json", 300),
)


def check(target: Target, seed: int, folder: Path) -> str:
    """Read input number `seed` of a target: the first word of what it was, "ok" or the error."""
    data = target.draw(random.Random(f"{target.name} {seed}"))
    path = folder / f"input{target.suffix}"
    path.write_bytes(data)
    try:
        target.read(path)
    except target.allowed as error:
        told = error
    else:
        return "ok"
    if "\n" in str(told):
        raise AssertionError(f"more than one line: {told!r}")
    return type(told).__name__
