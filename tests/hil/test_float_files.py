"""`hil bench` of float files: quantized with samples, bit-equal on the device."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from compress.errors import HilError, UserError
from helpers.float_networks import export, network
from helpers.float_tflite import RELU, SAME, FloatFile, runtime_output
from hil.cli.main import app


def tflite() -> bytes:
    f = FloatFile(1, 9, 10, 3)
    x = f.conv(f.input, 8, (1, 5, 5, 8), stride=2, activation=RELU)
    x = f.conv(x, 8, (1, 5, 5, 8), depthwise=True, activation=RELU)
    x = f.pool("AVERAGE_POOL_2D", x, (1, 3, 3, 8), 3, 2, SAME)
    x = f.add("RESHAPE", (x, f.constant([1, 72], "int32")), (1, 72))
    return f.finish(f.dense(x, 4))


def bench(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(app, ["bench", *arguments, "--board", "m4", "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.stdout)
    return found


def compared(result: dict[str, object]) -> dict[str, float]:
    found = result["float_comparison"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", ["mobile", "series", "gru", "gru_state", "lstm"])
def test_an_onnx_file_on_the_device(name: str, tmp_path: Path) -> None:
    module, shape = network(name)
    path, data = tmp_path / f"{name}.onnx", tmp_path / "samples.npz"
    path.write_bytes(export(module, shape))
    x = np.random.default_rng(0).normal(size=(80, *shape)).astype(np.float32)
    with torch.no_grad():
        y = module(torch.from_numpy(x)).numpy().argmax(1)
    np.savez(data, x=x, y=y)
    result = bench(str(path), "--data", str(data))
    assert result["bit_exact"]
    assert result["oracle"]
    found = compared(result)
    assert found["sqnr_db"] > 25
    assert found["accuracy"] == 1.0  # labels are the float network's own answers
    assert found["agreeing"] >= 76
    assert (found["samples"], found["calibrated"]) == (80, 80)


def test_a_float_tflite_file_on_the_device(tmp_path: Path) -> None:
    """Samples lie as in the file; the float outputs are those of tflite-runtime."""
    pytest.importorskip("tflite_runtime", reason="tflite-runtime has wheels for Python 3.11 only")
    path, data = tmp_path / "net.tflite", tmp_path / "samples.npz"
    path.write_bytes(tflite())
    x = np.random.default_rng(0).normal(size=(300, 9, 10, 3)).astype(np.float32)
    y = runtime_output(path.read_bytes(), x).argmax(1)
    np.savez(data, x=x, y=y)
    result = bench(str(path), "--data", str(data), "--samples", "6")
    assert (result["bit_exact"], result["compared"]) == (True, 6)
    found = compared(result)
    assert found["sqnr_db"] > 25
    assert found["accuracy"] == 1.0
    assert (found["samples"], found["calibrated"]) == (300, 256)


@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
def test_samples_are_asked_for(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"net.{suffix}"
    path.write_bytes(export(*network("mobile")) if suffix == "onnx" else tflite())
    shape = "2, 8, 8" if suffix == "onnx" else "9, 10, 3"
    with pytest.raises(UserError, match=rf"add --data samples.npz with x float32 \(N, {shape}\)"):
        raise refusal(str(path))


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.zeros((4, 2, 8, 8), np.int8), None, "needed are finite float32 values"),
        (np.full((4, 2, 8, 8), np.nan, np.float32), None, "needed are finite float32 values"),
        (np.zeros((0, 2, 8, 8), np.float32), None, "at least one sample"),
        (np.zeros((4, 8, 8), np.float32), None, r"must have \(N, 2, 8, 8\)"),
        (np.zeros((4, 2, 8, 8), np.float32), np.zeros(3, np.int64), r"must be integers \(4,\)"),
    ],
)
def test_samples_that_do_not_fit(
    x: np.ndarray,  # type: ignore[type-arg]
    y: np.ndarray | None,  # type: ignore[type-arg]
    said: str,
    tmp_path: Path,
) -> None:
    path, data = tmp_path / "net.onnx", tmp_path / "samples.npz"
    path.write_bytes(export(*network("mobile")))
    np.savez(data, x=x, **({} if y is None else {"y": y}))
    with pytest.raises(UserError, match=said):
        raise refusal(str(path), "--data", str(data))


def refusal(*arguments: str) -> Exception:
    """What `hil bench` raises."""
    done = CliRunner().invoke(app, ["bench", *arguments, "--board", "m4"])
    assert isinstance(done.exception, HilError), done.output
    return done.exception
