"""An imported network is an ordinary one: trainable, prunable, captured, and told by its file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from compress.errors import UserError
from compress.genome import Quantize
from compress.integer import reference
from compress.model_files import onnx_network, tflite_operators
from compress.model_files.float_model import FloatModel, imported_file, load_float_model
from compress.pruning.groups import find_groups
from compress.pruning.prune import prune
from compress.quantization.lower import lower, quantize_input
from compress.tflite_records.file import KIND_NAMES
from compress.types import Split
from helpers.checkout import ROOT
from helpers.float_networks import export, network
from helpers.float_tflite import RELU, SAME, FloatFile


def loaded(tmp_path: Path, name: str, **options: bool) -> FloatModel:
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(export(*network(name), **options))  # type: ignore[arg-type]
    return load_float_model(path)


def flat_tflite(tmp_path: Path) -> FloatModel:
    """A .tflite whose map is flattened before a dense layer."""
    f = FloatFile(1, 8, 6, 2)
    x = f.conv(f.input, 8, (1, 4, 3, 8), stride=2, activation=RELU)
    x = f.add("RESHAPE", (x, f.constant([1, 96], "int32")), (1, 96))
    path = tmp_path / "flat.tflite"
    path.write_bytes(f.finish(f.dense(x, 3)))
    return load_float_model(path)


def test_facts_of_a_file(tmp_path: Path) -> None:
    model = loaded(tmp_path, "residual")
    assert (model.name, model.input_shape, model.output_shape, model.outputs) == (
        "residual", (2, 8, 8), (3,), 3
    )  # fmt: skip
    assert model.producer.startswith("pytorch")
    flat = flat_tflite(tmp_path)
    assert (flat.input_shape, flat.file_shape, flat.order) == ((2, 8, 6), (8, 6, 2), (0, 3, 1, 2))


def test_samples_may_lie_as_in_the_file_or_as_in_torch(tmp_path: Path) -> None:
    flat = flat_tflite(tmp_path)
    x = np.arange(4 * 2 * 8 * 6, dtype=np.float32).reshape(4, 2, 8, 6)
    np.testing.assert_array_equal(flat.network_input(x.transpose(0, 2, 3, 1)), x)
    np.testing.assert_array_equal(flat.network_input(x), x)
    with pytest.raises(UserError, match=r"must have \(N, 8, 6, 2\) or \(N, 2, 8, 6\)"):
        flat.network_input(x[:, :1])


def test_batch_norms_stay_where_the_file_has_them(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(export(*network("mobile"), keep_norms=True))
    original, module = network("mobile")[0], imported_file(path).module
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == sum(isinstance(m, nn.BatchNorm2d) for m in original.modules())
    first = next(m for m in original.modules() if isinstance(m, nn.BatchNorm2d))
    torch.testing.assert_close(norms[0].running_var, first.running_var)
    assert norms[0].momentum == pytest.approx(first.momentum)
    assert sum(isinstance(m, nn.ReLU6) for m in module.modules()) == 6


def test_activations_in_parts_become_one_module(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    for options in ({"opset": 11}, {"opset": 17}, {"dynamo": True}):
        path.write_bytes(export(*network("smooth"), **options))  # type: ignore[arg-type]
        kinds = [type(m) for m in imported_file(path).module.children()]
        wanted = [nn.Linear, nn.SiLU, nn.GELU, nn.GELU, nn.ELU, nn.Softplus, nn.Linear]
        assert sorted(k.__name__ for k in kinds) == sorted(k.__name__ for k in wanted)
        assert list(imported_file(path).module.parameters())


def test_every_weight_trains(tmp_path: Path) -> None:
    for model in (loaded(tmp_path, "residual"), loaded(tmp_path, "mobile"), flat_tflite(tmp_path)):
        torch.manual_seed(1)
        x, y = torch.randn(32, *model.input_shape), torch.randint(0, 3, (32,))
        optimizer = torch.optim.Adam(model.module.parameters(), 0.02)
        losses = []
        model.module.train()
        for _ in range(25):
            loss = nn.functional.cross_entropy(model.module(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.7 * losses[0]
        assert all(p.grad is not None for p in model.module.parameters())


def test_channels_are_pruned(tmp_path: Path) -> None:
    for model in (loaded(tmp_path, "mobile"), loaded(tmp_path, "series"), flat_tflite(tmp_path)):
        shape = model.input_shape
        groups = find_groups(model.module, shape)
        assert groups
        rng = np.random.default_rng(0)
        x = rng.normal(size=(16, *shape)).astype(np.float32)
        probe = Split(x, rng.integers(0, 3, 16))
        pruned = prune(model.module, shape, (0.5,) * len(groups), "l1", "group", probe)
        before, after = (sum(p.numel() for p in m.parameters()) for m in (model.module, pruned))
        assert after < 0.8 * before
        assert pruned(torch.from_numpy(x)).shape == (16, 3)


def test_integers_follow_the_float_model(tmp_path: Path) -> None:
    for model in (loaded(tmp_path, "residual"), loaded(tmp_path, "mobile"), flat_tflite(tmp_path)):
        x = np.random.default_rng(3).normal(size=(64, *model.input_shape)).astype(np.float32)
        graph = lower(model.module, Quantize(), x, model.name)
        found = reference.run(graph, quantize_input(graph, x)).astype(np.float64).reshape(64, -1)
        found = (found - graph.output_tensor.zero_point) * graph.output_tensor.scale
        with torch.no_grad():
            wanted = model.module(torch.from_numpy(x)).numpy()
        assert 10 * np.log10(np.sum(wanted**2) / np.sum((found - wanted) ** 2)) > 25


def test_a_flattened_map_of_a_tflite_file_needs_no_transpose(tmp_path: Path) -> None:
    targets = [node.target for node in flat_tflite(tmp_path).module.graph.nodes]  # type: ignore[union-attr]
    assert torch.permute not in targets


def test_the_page_lists_the_operators_that_are_read() -> None:
    page = (ROOT / "docs" / "model-files.md").read_text(encoding="utf-8")
    lists = re.findall(r"<!-- (\w+) -->\n(.*?)\n<!-- end -->", page, re.DOTALL)
    found = {name: " ".join(text.split()) for name, text in lists}
    tflite = sorted(KIND_NAMES[code] for code in tflite_operators.TFLITE_OPERATORS)
    assert found["onnx"] == ", ".join(sorted(onnx_network.ONNX_OPERATORS)) + "."
    assert found["tflite"] == ", ".join(tflite) + "."


def test_padding_of_two_widths_is_exact_in_capture(tmp_path: Path) -> None:
    f = FloatFile(1, 7, 8, 2)
    x = f.conv(f.input, 4, (1, 4, 4, 4), stride=2, activation=RELU)
    x = f.pool("MAX_POOL_2D", x, (1, 2, 2, 4), 3, 2, SAME)
    path = tmp_path / "same.tflite"
    path.write_bytes(f.finish(x))
    assert load_float_model(path).output_shape == (4, 2, 2)
