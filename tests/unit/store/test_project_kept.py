"""A run keeps its project and is continued with the same files only."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from compress.errors import UserError
from compress.projects.find import find_task
from compress.projects.opened import open_project
from compress.projects.project import Project
from helpers.projects import DATA, NET, TOML, blobs, read, write_project
from hil.store.project_files import (
    check_same_project,
    copy_project,
    kept_facts,
    kept_project,
    run_task,
    save_project,
)


def kept(run: Path, project: Project) -> None:
    opened = open_project(project)
    save_project(run, project, opened.task, opened.facts)


def test_the_kept_project_is_the_same_also_when_its_files_are_gone(tmp_path: Path) -> None:
    project = read(write_project(tmp_path / "mine", TOML + "mean = 0.5\n"))
    kept(tmp_path / "run", project)
    shutil.rmtree(tmp_path / "mine")
    again = kept_project(tmp_path / "run")
    assert again == project
    assert find_task(run_task(tmp_path / "run", "mine")).source == project.source
    facts = kept_facts(tmp_path / "run")
    assert facts is not None
    assert facts["mean"] == [0.5]
    assert run_task(tmp_path / "other", "digits") == "digits"
    copied = {path.name for path in (tmp_path / "run" / "project").iterdir()}
    assert copied == {"hil.toml", "net.py", "data.py", "project.json"}


def test_the_copy_is_a_project_of_its_own(tmp_path: Path) -> None:
    kept(tmp_path / "run", read(write_project(tmp_path / "mine")))
    copy = read(tmp_path / "run" / "project" / "hil.toml")
    assert copy.name == "mine"
    check_same_project(tmp_path / "run", copy)
    assert find_task(copy).recipe == find_task(run_task(tmp_path / "run", "")).recipe


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("net.py", NET + "#\n", r"net\.py \(model\) has changed since the run .*copy .*net\.py"),
        ("data.py", DATA + "#\n", r"data\.py \(data\) has changed since"),
        ("hil.toml", TOML + "[training]\nepochs = 9\n", r"epochs was 30 when the run .*, is now 9"),
        ("hil.toml", TOML + "std = 2.0\n", r"std was not given .*, is now \[2\.0\]"),
        ("hil.toml", TOML + 'weights = "w.pt"\n', r"weights: the project has one, the run none"),
        ("hil.toml", TOML.replace("build", "other"), r"model was build .*, is now other"),
    ],
)
def test_a_change_is_named_with_what_to_do(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = write_project(tmp_path / "mine")
    (tmp_path / "mine" / "w.pt").touch()
    kept(tmp_path / "run", read(path))
    (tmp_path / "mine" / name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        check_same_project(tmp_path / "run", read(path))
    assert "--run" in str(caught.value)


def test_goal_words_comments_and_place_may_change(tmp_path: Path) -> None:
    kept(tmp_path / "run", read(write_project(tmp_path / "mine")))
    more = f"# moved\n{TOML}floor = 0.5\ntitle = 'other'\n[search]\nminutes = 5\n"
    check_same_project(tmp_path / "run", read(write_project(tmp_path / "moved" / "mine", more)))


def test_changed_data_are_named(tmp_path: Path) -> None:
    x, y = blobs()
    path = write_project(tmp_path / "mine", TOML.replace("data.py:load", "d.npz"))
    np.savez(tmp_path / "mine" / "d.npz", x=x, y=y)
    project = read(path)
    kept(tmp_path / "run", project)
    np.savez(tmp_path / "mine" / "d.npz", x=x + 1, y=y)
    with pytest.raises(UserError, match=r"d\.npz \(data\) has changed .* or restore it"):
        check_same_project(tmp_path / "run", read(path))
    with pytest.raises(UserError, match=r"d\.npz is not what the search has"):
        open_project(Project(project.settings, (*project.files[:-1], project.files[-1])[::-1]))


def test_two_files_of_one_name_are_both_kept(tmp_path: Path) -> None:
    write_project(tmp_path / "mine" / "a")
    toml = '[task]\nmodel = "a/net.py"\ndata = "b/net.py:load"\n'
    path = write_project(tmp_path / "mine", toml)
    (tmp_path / "mine" / "b").mkdir()
    (tmp_path / "mine" / "b" / "net.py").write_text(DATA, encoding="utf-8")
    kept(tmp_path / "run", read(path))
    copy = read(tmp_path / "run" / "project" / "hil.toml")
    assert copy.file("model").content == NET.encode()
    assert copy.file("data").content == DATA.encode()


def test_a_merged_run_has_the_project_of_its_source(tmp_path: Path) -> None:
    path = write_project(tmp_path / "mine")
    kept(tmp_path / "run", read(path))
    (tmp_path / "merged").mkdir()
    copy_project(tmp_path / "run", tmp_path / "merged")
    assert kept_project(tmp_path / "merged") == read(path)
    copy_project(tmp_path / "none", tmp_path / "merged")
    kept(tmp_path / "other", read(write_project(tmp_path / "mine", net=NET + "#\n")))
    with pytest.raises(UserError, match=r"net\.py \(model\) has changed"):
        copy_project(tmp_path / "other", tmp_path / "merged")
