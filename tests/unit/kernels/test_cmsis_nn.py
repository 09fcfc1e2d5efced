"""Choice of the CMSIS-NN to compile: the bundled one or a folder's; folders that are refused."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from compress.errors import UserError
from compress.ops import Padding
from helpers.checkout import ROOT
from helpers.graph_builder import GraphBuilder
from helpers.programs import PARTS, write_pack
from hil.board import load_board
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.kernel_interface.operator_kernels import Kernel
from hil.kernels.choice import choose
from hil.kernels.cmsis_nn import cmsis_nn
from hil.measure.provenance import provenance
from hil.types import Board


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CMSIS_NN", str(tmp_path / "pack"))
    return write_pack(tmp_path / "pack")


def refusal() -> str:
    with pytest.raises(UserError) as refused:
        cmsis_nn()
    return str(refused.value)


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_folder_it_is_the_bundled_one(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMSIS_NN", "")
    if value is None:
        monkeypatch.delenv("CMSIS_NN")
    found = cmsis_nn()
    assert str(found) == "CMSIS-NN 4.0.0 (firmware/third_party)"
    assert not found.since_7
    assert "arm_convolve_s8.c" in {path.name for path in found.sources}
    assert {"arm_nnfunctions.h", "cmsis_gcc.h"} <= {path.name for path in found.headers}


def test_a_pack_says_its_release(pack: Path) -> None:
    found = cmsis_nn()
    assert found.version == "7.0.0"
    assert found.since_7
    assert found.includes == (pack / "Include",)
    assert {path.parent.name for path in found.sources} == set(PARTS)
    assert {path.name for path in found.headers} == {"arm_nnfunctions.h", "arm_nn_compiler.h"}


def test_a_checkout_has_only_its_headers_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMSIS_NN", str(tmp_path))
    write_pack(tmp_path, revision="V.19.1.0", release="0.0.0")
    assert cmsis_nn().version == "of revision V.19.1.0"


def test_floating_point_and_other_parts_are_left_out(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cmsis_nn().sources
    for name in ("PoolingFunctions/arm_max_pool_f16.c", "PoolingFunctions/arm_max_pool_f32.c"):
        (pack / "Source" / name).write_text("#error floating point\n")
    (pack / "Source" / "LSTMFunctions").mkdir()
    (pack / "Source" / "LSTMFunctions" / "arm_lstm_s8.c").write_text("#error not called\n")
    moved = pack.with_name("moved")
    shutil.copytree(pack, moved)
    monkeypatch.setenv("CMSIS_NN", str(moved))
    assert [path.name for path in cmsis_nn().sources] == [path.name for path in before]


def test_the_origin_tells_apart_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origins = []
    for name in ("one", "same", "header", "source"):
        folder = write_pack(tmp_path / name)
        if name == "header":
            (folder / "Include" / "Internal" / "arm_nn_compiler.h").write_text("#define ONE 2\n")
        if name == "source":
            (folder / "Source" / PARTS[0] / "more.c").write_text("int more;\n")
        monkeypatch.setenv("CMSIS_NN", str(folder))
        origins.append(cmsis_nn().origin)
    assert origins[0] == origins[1]
    assert len(set(origins)) == 3
    assert all(origin.startswith("CMSIS_NN, hash ") for origin in origins)


def test_a_missing_folder_and_a_wrong_one_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMSIS_NN", str(tmp_path / "nowhere"))
    assert "nowhere: no Include/arm_nnfunctions.h there (no such folder)" in refusal()
    write_pack(tmp_path / "CMSIS-NN" / "7.0.0")  # where pyOCD and others unpack packs
    monkeypatch.setenv("CMSIS_NN", str(tmp_path / "CMSIS-NN"))
    assert "(it holds 7.0.0)" in refusal()
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("CMSIS_NN", str(tmp_path / "empty"))
    assert "(it holds nothing)" in refusal()


@pytest.mark.parametrize("revision", ["V.11.2.0", "V.16.0.0", "V.17.9.9", "V.20.0.0"])
def test_other_revisions_are_refused(
    revision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMSIS_NN", str(write_pack(tmp_path / "pack", revision=revision)))
    message = refusal()
    assert str(tmp_path / "pack") in message
    assert f"revision {revision}; V.18 and V.19 are supported" in message
    assert "without CMSIS_NN 4.0.0 is used" in message


def test_a_header_without_a_revision_is_refused(pack: Path) -> None:
    (pack / "Include" / "arm_nnfunctions.h").write_text("#define NOTHING\n")
    assert "has revision unknown" in refusal()


@pytest.mark.parametrize("part", PARTS)
def test_a_part_without_sources_is_named(part: str, pack: Path) -> None:
    shutil.rmtree(pack / "Source" / part)
    assert f"no sources in Source/{part}" in refusal()


def test_the_provenance_names_it(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = load_board("m4")
    own = provenance(board, 0, kernel_set="cmsis-nn").kernels
    assert own == str(cmsis_nn())
    assert own.startswith("CMSIS-NN 7.0.0 (CMSIS_NN, hash ")
    monkeypatch.delenv("CMSIS_NN")
    assert provenance(board, 0).kernels == "tuned and CMSIS-NN 4.0.0 (firmware/third_party)"


def conv_and_fully_connected(board: Board) -> dict[str, Kernel]:
    """The kernels of a 3x3 over 3 channels, a row of 1x3, and a layer with one scale."""
    b = GraphBuilder()
    b.conv(b.input((8, 8, 3)), 4, (3, 3))
    window = b.finish(0)
    b = GraphBuilder()
    b.conv(b.input((1, 14, 4)), 4, (1, 3), padding=Padding(0, 0, 0, 0))
    row = b.finish(0)
    b = GraphBuilder()
    b.fully_connected(b.input((1, 1, 8)), 4)
    dense = b.finish(0)
    graphs = {"window": window, "row": row, "dense": dense}
    return {
        name: choose(graph, graph.ops[0], board, kernel_set="cmsis-nn")
        for name, graph in graphs.items()
    }


def test_scratch_and_kernels_of_7_are_counted_by_hand(pack: Path) -> None:
    for name in ("m3", "m4"):  # two columns of int16, each of 27 taps rounded up to 28
        found = conv_and_fully_connected(load_board(name))
        assert found["window"] == Kernel("arm_convolve_s8", 2 * 28 * 2)
        assert found["dense"] == Kernel("arm_fully_connected_s8")
    found = conv_and_fully_connected(load_board("m55"))  # four columns of whole registers
    assert found["window"] == Kernel("arm_convolve_s8", 4 * 32)
    assert found["row"] == Kernel("arm_convolve_s8", 4 * 16)
    assert found["dense"] == Kernel("arm_convolve_1x1_s8_fast")


def test_programs_are_written_for_the_interface_of_the_folder(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 7.0.0 on, arm_convolve_s8 takes one more pointer, `upscale_dims`, after the bias."""
    b = GraphBuilder()
    b.conv(b.input((8, 8, 3)), 4, (3, 3))
    graph, board = b.finish(0), load_board("m4")
    newer = render(make_plan(graph, board, kernel_set="cmsis-nn"), board).files["model.c"]
    monkeypatch.delenv("CMSIS_NN")
    older = render(make_plan(graph, board, kernel_set="cmsis-nn"), board).files["model.c"]
    assert "layer0_bias, NULL,\n" in newer
    assert "layer0_bias,\n" in older


def test_the_bundled_files_are_those_of_their_record() -> None:
    """PROVENANCE.md lists every file with its hash, so that a change of one is seen."""
    folder = ROOT / "firmware" / "third_party"
    record = (folder / "PROVENANCE.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| (cmsis\S+) \| ([0-9a-f]{64}) \|", record, re.MULTILINE))
    files = [path for path in folder.rglob("*") if path.suffix in (".c", ".h")]
    assert listed == {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert len(listed) == 27
