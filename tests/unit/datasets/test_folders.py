"""Missing data sets are told in one line, with what is expected; keys follow the files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compress.datasets import cifar, fashion, machine_sounds, speech_commands, visual_wake_words
from compress.datasets.folders import VARIABLE, Layout, files_key, find_folder
from compress.errors import UserError

LAYOUTS = {
    "cifar": (cifar.LAYOUT, cifar.find_files),
    "speech_commands": (speech_commands.LAYOUT, speech_commands.find),
    "visual_wake_words": (visual_wake_words.LAYOUT, visual_wake_words.find_files),
    "machine_sounds": (machine_sounds.LAYOUT, machine_sounds.find_sounds),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_without_the_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, find = LAYOUTS[name]
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(UserError) as caught:
        find()
    said = str(caught.value)
    assert said.startswith(f"{layout.title} is not there: set HIL_DATA to a folder that has")
    assert layout.folders[0] in said
    assert layout.holds in said
    assert layout.source in said
    assert "\n" not in said


@pytest.mark.parametrize("name", LAYOUTS)
def test_without_the_folder_and_with_an_empty_one(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    layout, find = LAYOUTS[name]
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match=f"^no {layout.title} in {tmp_path} .HIL_DATA.: it must"):
        find()
    (tmp_path / layout.folders[0]).mkdir()
    with pytest.raises(UserError, match=f"{tmp_path / layout.folders[0]} lacks .*: expected is"):
        find()


def test_fashion_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fashion, "PACKAGED", tmp_path / "nowhere")
    for named in (None, str(tmp_path)):
        if named is None:
            monkeypatch.delenv(VARIABLE, raising=False)
        else:
            monkeypatch.setenv(VARIABLE, named)
        with pytest.raises(UserError, match="apt-get install dataset-fashion-mnist") as caught:
            fashion.find_files()
        assert "\n" not in str(caught.value)


def test_the_first_folder_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    layout = Layout("Things", ("one", "two"), "files", "a shop")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    (tmp_path / "two").mkdir()
    assert find_folder(layout) == tmp_path / "two"
    (tmp_path / "one").mkdir()
    assert find_folder(layout) == tmp_path / "one"


def test_a_key_changes_with_files_parameters_and_sources(tmp_path: Path) -> None:
    data, source = tmp_path / "data", tmp_path / "source.py"
    data.write_bytes(b"1234")
    source.write_text("one")
    keys = [files_key([data], ["1"], [source])]
    assert files_key([data], ["1"], [source]) == keys[0]
    keys.append(files_key([data], ["2"], [source]))
    source.write_text("two")
    keys.append(files_key([data], ["1"], [source]))
    data.write_bytes(b"12345")
    keys.append(files_key([data], ["1"], [source]))
    os.utime(data, ns=(0, 10**18))
    keys.append(files_key([data], ["1"], [source]))
    assert len(set(keys)) == len(keys)
