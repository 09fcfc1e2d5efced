"""A project file: its keys, values and paths, and each mistake in one line."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

from compress.errors import UserError
from compress.projects.find import find_task, label_of, task_ref
from compress.projects.keys import SEARCH_KEYS, TASK_KEYS, TRAINING_KEYS
from compress.projects.project import ProjectSettings, project_of
from compress.projects.project_json import settings_from_json, settings_to_json, to_toml
from compress.projects.toml_file import read_project_file
from helpers.projects import DATA, NET, TOML, opened, read, write_project


def test_a_project_is_a_task_by_its_file_or_folder(tmp_path: Path) -> None:
    path = write_project(tmp_path / "mine")
    for name in (str(path), str(path.parent)):
        ref = task_ref(name)
        task = find_task(ref)
        assert (label_of(ref), task.name, task.input_shape) == ("mine", "mine", (1, 6, 6))
        assert task.classes == ("0", "1", "2")
        assert type(task.net()).__name__ == "Net"
        assert [len(part) for part in (task.load().train, task.load().val)] == [36, 12]


def test_paths_start_at_the_file_not_at_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_project(tmp_path / "mine")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    model = read(Path("../mine/hil.toml")).settings.model
    assert (model.path, model.function) == (path.parent / "net.py", "build")


def test_all_keys_are_fields_and_sections_share_none() -> None:
    fields = set(ProjectSettings.__dataclass_fields__)
    assert fields == {*TASK_KEYS, *TRAINING_KEYS}
    assert not set(TASK_KEYS) & set(TRAINING_KEYS)
    assert not {*TASK_KEYS, *TRAINING_KEYS} & set(SEARCH_KEYS)


def test_files_are_kept_with_their_hashes_and_code_with_its_text(tmp_path: Path) -> None:
    path = write_project(tmp_path)
    project = read(path)
    assert {file.key for file in project.files} == {"hil.toml", "model", "data"}
    assert project.file("model").sha256 == hashlib.sha256(NET.encode()).hexdigest()
    assert project.file("data").content == DATA.encode()
    before = project.source
    (tmp_path / "net.py").write_text(NET + "# more\n")
    assert read(path).source != before
    assert type(find_task(project).net()).__name__ == "Net"  # runs the text that was read


def test_settings_survive_json_and_toml(tmp_path: Path) -> None:
    text = TOML + 'classes = ["a", "b", "c"]\nmean = [0.5]\nstd = 2\nfloor = 0.8\nname = "é"\n'
    path = write_project(tmp_path, text.replace("é", "e-1") + "[training]\nepochs = 3\n")
    project = read(path)
    assert settings_from_json(settings_to_json(project.settings)) == project.settings
    task = find_task(project)
    toml = to_toml(project.settings, task.recipe, task.fine_tune, {})
    (tmp_path / "again.toml").write_text(toml, encoding="utf-8")
    again = read(tmp_path / "again.toml")
    assert again.settings.classes == ("a", "b", "c")
    assert find_task(again).recipe == task.recipe
    assert tomllib.loads(toml)["training"]["epochs"] == 3


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[task]\nmodle = 'net.py'\n", r"\[task\] modle: unknown key; did you mean model\?"),
        ("[trainig]\nepochs = 1\n", r"unknown section \[trainig\]: did you mean training\?"),
        ("[task]\nepochs = 1\n", r"\[task\] epochs: belongs to \[training\]"),
        ("model = 'net.py'\n", r"key model stands in no section: write it below \[task\]"),
        ("task = 1\n", r"task must be a section"),
        ("[task\n", r"hil\.toml: Expected .* correct the file"),
        ("[task]\nmodel = 'net.py'\n", r"\[task\] data is missing: a project needs model and"),
        ("[task]\nmodel = 'net.h5'\n", r"model = 'net\.h5': must be FILE\.py:FUNCTION.*\.onnx"),
        (TOML + "floor = 'high'\n", r"\[task\] floor = 'high': must be a number, or relative"),
        (TOML + "type = 'regresion'\n", r"type = 'regresion': .*did you mean regression\?"),
        (TOML + "std = 0\n", r"\[task\] std = 0: must be more than 0"),
        (TOML + "classes = ['a', 'a']\n", r"classes = .*: must be names that differ"),
        (TOML + "name = 'a/b'\n", r"name = 'a/b': must be a name of letters"),
        (TOML + "name = 'kws'\n", r"name 'kws' is a task that ships with hil-compress"),
        (TOML + "image_size = '0x3'\n", r"image_size = '0x3': must be HEIGHTxWIDTH"),
        (TOML + "[training]\nepochs = 1.5\n", r"epochs = 1\.5: must be a whole number"),
        (TOML + "[training]\nbatch = true\n", r"batch = True: must be a whole number"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(tmp_path: Path, toml: str, message: str) -> None:
    path = write_project(tmp_path, toml)
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("toml", "net", "data", "message"),
    [
        (
            TOML.replace("build", "make"),
            NET,
            DATA,
            r"model: .*net\.py has no function make; .*build",
        ),
        (TOML, "1/0\n", DATA, r"project file .*net\.py, line 1: ZeroDivisionError"),
        (TOML, NET.replace("nn.Linear", "nn.Liner"), DATA, r"build of .*, line 9: AttributeError"),
        (TOML, "class build: pass\n", DATA, r"gives a build, must be a torch\.nn\.Module"),
        (TOML, "def build(): pass\n", DATA, r"gives a NoneType, must be a torch\.nn\.Module"),
        (TOML, NET.replace("Conv2d(1", "Conv2d(2"), DATA, r"cannot take samples of \(1, 6, 6\)"),
        (
            TOML,
            NET,
            "def load():\n    raise ValueError('no')\n",
            r"data: load of .*line 2: Val.*no",
        ),
        (TOML, NET, "def load(): return 3\n", r"data: load of .* gives a int: needed is a comp"),
        (TOML, NET, "import other\n", r"other\.py lies beside it, but only files that are named"),
        (TOML + "color = 'gray'\n", NET, DATA, r"color is of a folder of images"),
        (TOML + "mean = [1, 2]\n", NET, DATA, r"mean: 2 numbers, but the samples have 1 channels"),
        (TOML + "classes = ['a', 'b']\n", NET, DATA, r"classes: 2 names, but the data have 3"),
        (TOML + "metric = 'auc'\n", NET, DATA, r"metric 'auc': a task of type classification allo"),
        (TOML + "metric = 'net.py:f'\n", NET, DATA, r"metric: .*net\.py has no function f"),
        (TOML + "better = 'lower'\n", NET, DATA, r"better is of a metric of your own"),
    ],
)
def test_a_mistake_in_the_code_is_one_line(
    tmp_path: Path, toml: str, net: str, data: str, message: str
) -> None:
    (tmp_path / "other.py").touch()
    path = write_project(tmp_path, toml, net, data)
    with pytest.raises(UserError, match=message) as caught:
        opened(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("gone", ["gone.py", "~nobody-here/gone.py"])
@pytest.mark.parametrize("key", ["model", "data", "metric", "weights"])
def test_a_missing_file_is_named(tmp_path: Path, key: str, gone: str) -> None:
    values = {"model": "net.py", "data": "data.py", key: gone}
    toml = "[task]\n" + "".join(f'{name} = "{value}"\n' for name, value in values.items())
    with pytest.raises(UserError, match=rf"{key}: cannot read .*gone\.py: No such file"):
        read(write_project(tmp_path, toml))
    with pytest.raises(UserError, match=r"cannot read .*hil\.toml: No such file.*hil init"):
        read_project_file(tmp_path / "none" / "hil.toml")


def test_a_metric_of_the_users_own_has_a_direction_and_needs_a_floor(tmp_path: Path) -> None:
    net = NET + "\ndef wrong(outputs, y, x):\n    return float((outputs.argmax(1) != y).mean())\n"
    toml = TOML + 'metric = "net.py:wrong"\nbetter = "lower"\n'
    with pytest.raises(UserError, match=r"floor is missing: what wrong is good enough\?"):
        opened(write_project(tmp_path, toml, net))
    metric = opened(write_project(tmp_path, toml + "floor = 0.1\n", net)).task.metric
    assert metric is not None
    assert (metric.name, metric.better) == ("wrong", "lower")


def test_training_is_derived_from_the_data_and_told(tmp_path: Path) -> None:
    found = opened(write_project(tmp_path))
    assert (found.task.recipe.epochs, found.task.recipe.batch) == (30, 16)
    assert any("training: 30 epochs, learning rate 0.005; " in note for note in found.notes)
    assert any("from 36 training samples: epochs, batch" in note for note in found.notes)
    keys = "epochs = 2\nbatch = 8\nlearning_rate = 0.1\nfine_tune_epochs = 1\n"
    toml = f"{TOML}[training]\n{keys}fine_tune_learning_rate = 0.01\n"
    whole = opened(write_project(tmp_path, toml))
    assert (whole.task.recipe.epochs, whole.task.fine_tune.learning_rate) == (2, 0.01)
    assert not any("training:" in note for note in whole.notes)


def test_a_name_is_derived_that_no_task_of_the_package_has(tmp_path: Path) -> None:
    assert read(write_project(tmp_path / "kws")).name == "own-kws"
    assert read(write_project(tmp_path / "a b")).name == "a-b"
    values = read_project_file(write_project(tmp_path / "c")).values
    assert project_of(values).name == "net"  # without a hil.toml: the stem of the network's file
