"""The file of a float model as a project's network: its weights, layout, copy, and refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from compress.errors import UserError
from compress.projects.opened import open_project
from compress.projects.project import project_of
from compress.types import Array
from helpers.float_networks import export, network
from helpers.float_tflite import RELU, FloatFile, runtime_output
from helpers.projects import blobs, opened, read
from hil.store.project_files import check_same_project, kept_project, save_project

SHAPE = (1, 6, 6)
TOML = '[task]\nmodel = "{}"\ndata = "data.npz"\n'


def cnn(*end: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    return nn.Sequential(*layers, *end).eval()


def write(folder: Path, content: bytes, name: str = "net.onnx", more: str = "") -> Path:
    """A project of a model's file and 60 samples; the path of its hil.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    x, y = blobs()
    np.savez(folder / "data.npz", x=x, y=y)
    (folder / name).write_bytes(content)
    path = folder / "hil.toml"
    path.write_text(TOML.format(name) + more, encoding="utf-8")
    return path


def answers(module: nn.Module, x: Array) -> Array:
    with torch.no_grad():
        found: Array = module(torch.from_numpy(np.ascontiguousarray(x, np.float32))).numpy()
    return found


def test_the_weights_of_the_file_are_the_originals(tmp_path: Path) -> None:
    module = cnn()
    found = opened(write(tmp_path, export(module, SHAPE)))
    task, x = found.task, blobs()[0]
    assert (task.input_shape, task.classes) == (SHAPE, ("0", "1", "2"))
    np.testing.assert_allclose(answers(task.net(), x), answers(module, x), atol=1e-5)
    fresh = task.net()
    for value in fresh.state_dict().values():
        value.zero_()
    assert task.pretrained is not None
    task.pretrained(fresh)
    np.testing.assert_allclose(answers(fresh, x), answers(module, x), atol=1e-5)
    notes = "\n".join(found.notes)
    assert "model: net, made by pytorch" in notes
    assert "training: the original network is not trained, it keeps the weights given; " in notes
    assert "a stage of a candidate: a half, one or two times 6 epochs" in notes


def test_it_runs_what_was_read_wherever_the_file_has_gone(tmp_path: Path) -> None:
    path = write(tmp_path / "mine", export(cnn(), SHAPE))
    project = read(path)
    found = open_project(project)
    save_project(tmp_path / "run", project, found.task, found.facts)
    (tmp_path / "mine" / "net.onnx").unlink()
    again = kept_project(tmp_path / "run")
    assert again == project
    copy = read(tmp_path / "run" / "project" / "hil.toml")
    assert copy.file("model").path == tmp_path / "run" / "project" / "net.onnx"
    check_same_project(tmp_path / "run", copy)
    x = blobs()[0]
    moved = replace(copy.settings, data=project.settings.data)
    other = open_project(replace(copy, settings=moved)).task.net()
    assert np.array_equal(answers(other, x), answers(found.task.net(), x))
    write(tmp_path / "mine", export(cnn(nn.Linear(3, 3)), SHAPE))
    with pytest.raises(UserError, match=r"net\.onnx \(model\) has changed since .*copy .*net\.onn"):
        check_same_project(tmp_path / "run", read(path))


def test_external_data_come_along(tmp_path: Path) -> None:
    module = cnn(nn.Linear(3, 999), nn.Linear(999, 3))  # torch leaves small weights in the file
    path = write(tmp_path / "mine", b"")
    torch.onnx.export(
        module, (torch.zeros(1, *SHAPE),), tmp_path / "mine" / "net.onnx", verbose=False
    )
    assert (tmp_path / "mine" / "net.onnx.data").is_file()
    project = read(path)
    (tmp_path / "mine" / "net.onnx.data").rename(tmp_path / "away")
    x = blobs()[0]
    np.testing.assert_allclose(
        answers(open_project(project).task.net(), x), answers(module, x), atol=1e-5
    )
    with pytest.raises(UserError, match=r"^model: .*net\.onnx: its weights cannot be read"):
        read(path)


def tflite() -> bytes:
    f = FloatFile(1, 6, 5, 2)
    x = f.conv(f.input, 4, (1, 3, 3, 4), stride=2, activation=RELU)
    x = f.add("RESHAPE", (x, f.constant([1, 36], "int32")), (1, 36))
    return f.finish(f.add("SOFTMAX", (f.dense(x, 3),), (1, 3), Beta=1.0))


@pytest.mark.parametrize("turned", [False, True], ids=["as in the file", "as in torch"])
def test_samples_of_a_tflite_file_lie_as_it_has_them_or_as_torch(
    tmp_path: Path, turned: bool
) -> None:
    pytest.importorskip("tflite_runtime", reason="tflite-runtime computes the float network")
    content = tflite()
    path = write(tmp_path, content, "net.tflite")
    x = np.random.default_rng(0).normal(size=(60, 6, 5, 2)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x.transpose(0, 3, 1, 2) if turned else x, y=np.arange(60) % 3)
    found = opened(path)
    data = found.task.load()
    assert found.task.input_shape == data.train.x.shape[1:] == (2, 6, 5)
    assert "in the file 6x5x2: the data may lie so, too" in "\n".join(found.notes)
    logits = answers(found.task.net(), data.val.x)
    wanted = runtime_output(content, data.val.x.transpose(0, 2, 3, 1))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(shares, wanted.reshape(shares.shape), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "end", "left_out"),
    [
        ("classification", nn.Softmax(1), True),
        ("classification", nn.Sigmoid(), False),
        ("multi_label", nn.Sigmoid(), True),
        ("regression", nn.Sigmoid(), False),
    ],
)
def test_probabilities_become_logits_where_the_type_wants_them(
    tmp_path: Path, kind: str, end: nn.Module, left_out: bool
) -> None:
    floor = "floor = 0.5\n" if kind == "regression" else ""
    path = write(tmp_path, export(cnn(end), SHAPE), more=f'type = "{kind}"\n{floor}')
    x, y = blobs()
    np.savez(tmp_path / "data.npz", x=x, y=y if kind == "classification" else np.eye(3)[y])
    found = opened(path)
    wanted = cnn() if left_out else cnn(end)
    np.testing.assert_allclose(answers(found.task.net(), x), answers(wanted, x), atol=1e-5)
    assert ("is left out, here and on the device" in "\n".join(found.notes)) == left_out


def test_what_does_not_fit_is_one_line(tmp_path: Path) -> None:
    module, shape = network("mobile")
    path = write(tmp_path / "shape", export(module, shape))
    with pytest.raises(UserError, match=r"data: train: samples have the shape \(36, 1, 6, 6\), m"):
        opened(path)
    path = write(tmp_path / "damaged", b"no model")
    with pytest.raises(UserError, match=r"^model: .*net\.onnx: not an ONNX model"):
        opened(path)
    path = write(tmp_path / "weights", export(cnn(), SHAPE), more='weights = "w.pt"\n')
    (tmp_path / "weights" / "w.pt").touch()
    with pytest.raises(UserError, match=r"net\.onnx brings weights of its own: leave weights out"):
        opened(path)


def test_options_alone_name_it(tmp_path: Path) -> None:
    write(tmp_path, export(cnn(), SHAPE), "My Net.ONNX")
    values = {"model": tmp_path / "My Net.ONNX", "data": tmp_path / "data.npz"}
    assert project_of(values).name == "My-Net"
