"""ONNX files become networks that compute what torch and ONNX's own reference compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from compress.model_files.float_model import imported_file
from helpers.float_networks import NETWORKS, export, network

# Before opset 14, ONNX's reference takes a batch-norm with a momentum for one in training.
_NORMS_IN_REFERENCE = 14
# torch's newer exporter takes seconds for each: those whose operators it writes differently.
_BY_DYNAMO = ("mobile", "joined", "pools", "parted", "attention", "smooth", "clipped", "gru")


def imported(tmp_path: Path, data: bytes) -> nn.Module:
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    return imported_file(path).module


def check(tmp_path: Path, data: bytes, module: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Compare on a batch of another size than the file's, then with ONNX's reference."""
    found = imported(tmp_path, data)
    x = torch.randn(5, *shape)
    with torch.no_grad():
        close(found(x).numpy(), module(x).numpy())
        file = onnx.load_model_from_string(data)
        norms = any(node.op_type == "BatchNormalization" for node in file.graph.node)
        if norms and file.opset_import[0].version < _NORMS_IN_REFERENCE:
            return found
        batch = file.graph.input[0].type.tensor_type.shape.dim[0].dim_value or 5
        (wanted,) = ReferenceEvaluator(file).run(None, {"x": x[:batch].numpy()})
        close(found(x[:batch]).numpy(), np.asarray(wanted))
    return found


def close(found: np.ndarray, wanted: np.ndarray) -> None:  # type: ignore[type-arg]
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_computes_what_torch_does(name: str, tmp_path: Path) -> None:
    module, shape = network(name)
    check(tmp_path, export(module, shape), module, shape)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_of_batch_1_takes_any_batch(name: str, tmp_path: Path) -> None:
    module, shape = network(name)
    check(tmp_path, export(module, shape, dynamic=False), module, shape)


@pytest.mark.parametrize("name", _BY_DYNAMO)
def test_the_newer_exporter(name: str, tmp_path: Path) -> None:
    module, shape = network(name)
    check(tmp_path, export(module, shape, dynamo=True), module, shape)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("opset", [11, 17])
def test_older_opsets(name: str, opset: int, tmp_path: Path) -> None:
    module, shape = network(name)
    check(tmp_path, export(module, shape, opset=opset), module, shape)
