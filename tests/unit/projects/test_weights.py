"""A project that starts from trained weights: what fits is taken, what does not is listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from compress.errors import UserError
from compress.pipeline.network import train_original
from helpers.projects import TOML, opened, read, write_project

WITH = TOML + 'weights = "trained.pt"\n'


def trained(folder: Path) -> dict[str, torch.Tensor]:
    """The state dict of a network that tells the three classes of `DATA` by the mean of x."""
    write_project(folder)
    module = opened(folder / "hil.toml").task.net()
    state = {name: torch.zeros_like(value) for name, value in module.state_dict().items()}
    state["0.weight"][0, 0, 1, 1] = 1.0
    state["0.bias"][0] = 3.0  # above zero for nearly every pixel, which the ReLU keeps
    state["4.weight"][:, 0] = torch.tensor([-2.0, 0.0, 2.0])
    state["4.bias"] = torch.tensor([7.0, 0.0, -9.0])
    return state


@pytest.mark.parametrize("wrap", [False, True])
def test_weights_are_taken_and_nothing_is_trained(tmp_path: Path, wrap: bool) -> None:
    state: Any = trained(tmp_path)
    torch.save({"state_dict": state, "epoch": 3} if wrap else state, tmp_path / "trained.pt")
    found = opened(write_project(tmp_path, WITH))
    (said,) = (note for note in found.notes if note.startswith("training: "))
    assert "the original network is not trained, it keeps the weights given" in said
    assert f"{found.task.recipe.epochs} epochs" not in said
    task = found.task
    torch.manual_seed(0)
    original = train_original(task, task.load(), 0, tmp_path / "original.pt", pytest.fail)
    kept = torch.load(tmp_path / "original.pt", weights_only=True)
    assert all(torch.equal(kept[name], state[name]) for name in state)
    assert original.module.training is False


def test_weights_that_learned_nothing_are_refused(tmp_path: Path) -> None:
    state = {name: torch.zeros_like(value) for name, value in trained(tmp_path).items()}
    torch.save(state, tmp_path / "trained.pt")
    task = opened(write_project(tmp_path, WITH)).task
    with pytest.raises(UserError, match=r"as given, has learned nothing.*its weights are those"):
        train_original(task, task.load(), 0, tmp_path / "original.pt")
    assert not (tmp_path / "original.pt").exists()


def test_what_does_not_fit_is_listed_in_one_line(tmp_path: Path) -> None:
    state = trained(tmp_path)
    state["module.0.weight"] = state.pop("0.weight")
    state["4.bias"] = torch.zeros(10)
    torch.save(state, tmp_path / "trained.pt")
    task = opened(write_project(tmp_path, WITH)).task
    assert task.pretrained is not None
    with pytest.raises(
        UserError,
        match=r"missing: 0\.weight; unexpected: module\.0\.weight; shape: 4\.bias is \(10,\), "
        r"the network's \(3,\)$",
    ):
        task.pretrained(task.net())


class Evil:
    """Unpickled, it would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run",))


@pytest.mark.parametrize("value", [b"no file of torch", Evil(), [1, 2], {"a": 1}])
def test_other_files_are_refused_and_run_no_code(
    tmp_path: Path, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trained.pt"
    if isinstance(value, bytes):
        path.write_bytes(value)
    else:
        torch.save(value, path)
    task = opened(write_project(tmp_path, WITH)).task
    assert task.pretrained is not None
    with pytest.raises(
        UserError, match=r"weights: .*trained\.pt (is no file of|holds a)"
    ) as caught:
        task.pretrained(task.net())
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_weights_that_changed_meanwhile_are_refused(tmp_path: Path) -> None:
    torch.save(trained(tmp_path), tmp_path / "trained.pt")
    task = opened(write_project(tmp_path, WITH)).task
    torch.save({}, tmp_path / "trained.pt")
    assert task.pretrained is not None
    with pytest.raises(UserError, match=r"trained\.pt has changed since this command began"):
        task.pretrained(task.net())
    assert read(tmp_path / "hil.toml").file("weights").content is None
