"""Model files that are refused: one line that names the culprit, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from compress.errors import HilError, UnsupportedLayer, UserError
from compress.model_files.float_model import load_float_model
from helpers.float_networks import export, network
from helpers.float_tflite import FloatFile


def graph_file(
    nodes: list[onnx.NodeProto],
    shape: tuple[object, ...] = ("n", 2, 4, 4),
    opset: int = 17,
    constants: dict[str, np.ndarray] | None = None,  # type: ignore[type-arg]
    kind: int = TensorProto.FLOAT,
) -> bytes:
    """An ONNX file of nodes that compute `y` from `x`."""
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(values, name) for name, values in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return bytes(model.SerializeToString())


def node(kind: str, *inputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs or ["x"], ["y"], name=f"/it/{kind}", **attributes)


def relu() -> list[onnx.NodeProto]:
    return [node("Relu")]


def huge() -> bytes:
    shape = np.array([60_000, 60_000], np.int64)
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["big"], name="zeros"),
        node("Add", "x", "big"),
    ]
    return graph_file(nodes, constants={"s": shape})


def doubled() -> bytes:
    """A value that is joined with itself, again and again."""
    nodes = [
        helper.make_node("Concat", [name, name], [after], name=f"join{place}", axis=1)
        for place, (name, after) in enumerate(
            zip(
                ["x", *(f"v{i}" for i in range(39))],
                [*(f"v{i}" for i in range(39)), "y"],
                strict=True,
            )
        )
    ]
    return graph_file(nodes)


def quantized() -> bytes:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    constants = {"s": np.float32(0.1), "z": np.int8(0)}
    return graph_file(nodes, constants={name: np.array(v) for name, v in constants.items()})


def outside() -> bytes:
    """Weights in a file that is not there."""
    model = onnx.load_model_from_string(
        graph_file([node("Add", "x", "w")], constants={"w": np.ones((1, 2, 4, 4), np.float32)})
    )
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../secret.bin"), ("length", "128")):
        tensor.external_data.add(key=key, value=value)
    return bytes(model.SerializeToString())


ONNX: dict[str, tuple[Callable[[], bytes], type[HilError], str]] = {
    "empty": (lambda: b"", UserError, "not an ONNX model: it has no graph"),
    "text": (lambda: b"hello, world\n" * 40, UserError, "not an ONNX model, or a damaged one"),
    "opset": (lambda: graph_file(relu(), opset=9), UserError, "of opset 9, must be 11 or newer"),
    "quantized": (quantized, UnsupportedLayer, "a quantized model (DequantizeLinear, Quantize"),
    "operator": (
        lambda: graph_file([node("InstanceNormalization", "x", "x", "x")]),
        UnsupportedLayer,
        "InstanceNormalization has no form here (/it/InstanceNormalization); nearest: nn.Batch",
    ),
    "own domain": (
        lambda: graph_file([helper.make_node("Fancy", ["x"], ["y"], domain="mine")]),
        UnsupportedLayer,
        "mine.Fancy has no form here (Fancy_0)",
    ),
    "sizes": (
        lambda: graph_file(relu(), ("n", 2, "height", "width")),
        UserError,
        "its input x has the shape (n, 2, height, width); needed are a batch and fixed",
    ),
    "integers": (
        lambda: graph_file(relu(), kind=TensorProto.INT64),
        UserError,
        "its input x is int64, must be float32",
    ),
    "samples mixed": (
        lambda: graph_file(
            [node("Reshape", "x", "s")], ("n", 6), constants={"s": np.array([3, 2], np.int64)}
        ),
        UnsupportedLayer,
        "/it/Reshape (Reshape): reshape of (1, 6) to (3, 2) mixes the samples",
    ),
    "a name of two lines": (
        lambda: graph_file([helper.make_node("Det", ["x"], ["y"], name="a\nb")]),
        UnsupportedLayer,
        "Det has no form here (a?b)",
    ),
    "unconnected": (
        lambda: graph_file([node("Add", "x", "nothing")]),
        UserError,
        "/it/Add (Add): damaged: nothing computes its input nothing",
    ),
    "shapes": (
        lambda: graph_file(
            [node("Conv", "x", "w")], constants={"w": np.zeros((3, 5, 3, 3), np.float32)}
        ),
        UnsupportedLayer,
        "/it/Conv (Conv): torch cannot compute it: ",
    ),
    "huge constant": (huge, UserError, "zeros (ConstantOfShape): makes a constant of 3,600,000"),
    "huge values": (doubled, UnsupportedLayer, "(Concat): makes 33,554,432 values of a sample"),
    "huge padding": (
        lambda: graph_file(
            [node("Pad", "x", "p")],
            constants={"p": np.array([0, 0, 0, 0, 0, 0, 10**6, 10**6], np.int64)},
        ),
        UnsupportedLayer,
        "/it/Pad (Pad): makes 2,000,016,000,032 values of a sample",
    ),
    "weights elsewhere": (outside, UserError, "its weights cannot be read from ../secret.bin"),
    "no kernel": (
        lambda: graph_file([node("Div", "x", "x")]),
        UnsupportedLayer,
        "/it/Div (Div): division by a value of the network has no integer kernel",
    ),
}


@pytest.mark.parametrize("case", ONNX)
def test_onnx_files(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made, kind, said = ONNX[case]
    path = tmp_path / "net.onnx"
    path.write_bytes(made())
    with pytest.raises(kind) as refused:
        load_float_model(path)
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        load_float_model(tmp_path / "net.onnx")
    with pytest.raises(UserError, match="No such file"):
        load_float_model(tmp_path / "net.tflite")
    with pytest.raises(UserError, match=r"neither an \.onnx nor a \.tflite"):
        load_float_model(tmp_path / "net.pb")


def test_a_tflite_file_names_its_operator(tmp_path: Path) -> None:
    f = FloatFile(1, 4, 4, 2)
    path = tmp_path / "net.tflite"
    path.write_bytes(f.finish(f.add("SIN", (f.add("FLOOR", (f.input,), (1, 4, 4, 2)),), (1, 2))))
    with pytest.raises(UnsupportedLayer, match=r"net.tflite: FLOOR has no form here \(t1\)"):
        load_float_model(path)


@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
def test_damaged_bytes_never_end_in_a_traceback(suffix: str, tmp_path: Path) -> None:
    if suffix == "onnx":
        whole = export(*network("residual"))
    else:
        f = FloatFile(1, 8, 8, 2)
        x = f.conv(f.input, 4, (1, 4, 4, 4), stride=2)
        whole = f.finish(f.dense(f.add("MEAN", (x, f.constant([1, 2], "int32")), (1, 4)), 3))
    rng, path = np.random.default_rng(0), tmp_path / f"net.{suffix}"
    outcomes = []
    for attempt in range(60):
        damaged = bytearray(whole)
        if attempt % 5 == 0:
            del damaged[int(rng.integers(len(damaged))) :]
        else:
            for place in rng.integers(0, len(damaged), 1 + attempt % 8):
                damaged[place] = int(rng.integers(256))
        path.write_bytes(bytes(damaged))
        try:
            load_float_model(path)
        except HilError as error:
            outcomes.append(str(error))
    assert len(outcomes) > 10
    assert all("\n" not in said for said in outcomes)


def test_data_dependent_shapes_are_refused(tmp_path: Path) -> None:
    class Masked(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * x.size(0)

    path = tmp_path / "net.onnx"
    path.write_bytes(export(Masked(), (4,)))
    with pytest.raises(UnsupportedLayer, match="number of samples of a batch"):
        load_float_model(path)
