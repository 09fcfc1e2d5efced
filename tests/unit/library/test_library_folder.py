"""An exported library as a folder: same bytes, no traces, metadata, no overwriting."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from compress.errors import UserError
from helpers.checkout import ROOT
from helpers.graph_examples import tiny_conv
from helpers.libraries import exported, network
from hil.library.companion import Companion
from hil.library.export import library_files
from hil.library.folder import check_free, write_library
from hil.library.interface import c_float, check_prefix, quoted, symbol_prefix


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(network(tiny_conv()), "tiny", tmp_path_factory.mktemp("library"))


def test_exporting_twice_gives_the_same_bytes(library: Path, tmp_path: Path) -> None:
    again = exported(network(tiny_conv()), "tiny", tmp_path)
    names = {path.relative_to(library) for path in library.rglob("*") if path.is_file()}
    assert names == {path.relative_to(again) for path in again.rglob("*") if path.is_file()}
    assert all((library / name).read_bytes() == (again / name).read_bytes() for name in names)


def test_no_file_names_this_computer(library: Path) -> None:
    for path in library.rglob("*"):
        if path.is_file() and path.suffix != ".tflite":
            text = path.read_text("utf-8")
            assert str(ROOT) not in text
            assert str(library.parent) not in text


def test_the_manifest_lists_every_file(library: Path) -> None:
    manifest = json.loads((library / "manifest.json").read_text("utf-8"))
    present = {p.relative_to(library).as_posix() for p in library.rglob("*") if p.is_file()}
    assert set(manifest["files"]) == present - {"manifest.json"}
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((library / name).read_bytes()).hexdigest() == digest
    assert manifest["files"]["tiny.tflite"] in (library / "src/tiny.h").read_text("utf-8")
    assert [layer["operator"] for layer in manifest["layers"]["tiny_tuned"]] == [
        "Conv2D",
        "MaxPool2D",
        "FullyConnected",
    ]


def test_an_earlier_export_is_replaced_and_nothing_else(library: Path, tmp_path: Path) -> None:
    files = library_files(network(tiny_conv()), "tiny")
    out = tmp_path / "lib"
    out.mkdir()
    write_library(files, out)
    write_library(files, out)
    (out / "more.txt").write_text("mine", "utf-8")
    with pytest.raises(UserError, match=r"more\.txt is not as hil export wrote it"):
        write_library(files, out)
    (out / "more.txt").unlink()
    (out / "README.md").write_text("mine", "utf-8")
    with pytest.raises(UserError, match=r"README\.md is not as hil export wrote it"):
        check_free(out)
    assert (out / "README.md").read_text("utf-8") == "mine"
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(UserError, match="not a library that hil export wrote"):
        write_library(files, other)
    with pytest.raises(UserError, match="is a file"):
        check_free(other / "notes.txt")
    assert [path.name for path in other.iterdir()] == ["notes.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lib", "other"]


def test_build_systems_can_read_their_files(library: Path) -> None:
    module = yaml.safe_load((library / "zephyr/module.yml").read_text("utf-8"))
    assert (library / module["build"]["cmake"] / "CMakeLists.txt").is_file()
    kconfig = (library / module["build"]["kconfig"]).read_text("utf-8")
    symbol = re.findall(r"^config (\w+)$", kconfig, re.MULTILINE)
    assert symbol == ["TINY_NETWORK"]
    assert f"if(CONFIG_{symbol[0]})" in (library / "zephyr/CMakeLists.txt").read_text("utf-8")
    lines = (library / "library.properties").read_text("utf-8").splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    assert properties["name"] == "tiny"
    assert re.fullmatch(r"\d+\.\d+\.\d+", properties["version"])
    assert (library / "src" / properties["includes"]).is_file()
    pack = ElementTree.parse(library / "hil-compress.tiny.pdsc").getroot()
    files = [one.attrib["name"] for one in pack.iter("file")]
    assert all((library / name).exists() for name in files)
    compiled = {p.relative_to(library).as_posix() for p in library.glob("src/**/*.[cS]")}
    assert compiled == {name for name in files if name.endswith((".c", ".S"))}
    for name in ("CMakeLists.txt", "tiny.mk", "zephyr/CMakeLists.txt"):
        text = (library / name).read_text("utf-8")
        assert all(path in text for path in compiled), name


def test_companions_are_compiled_listed_and_tested() -> None:
    companion = Companion(
        sources={"tiny_front.c": "int tiny_front(void);\n", "tiny_front.h": "", "inner.h": ""},
        public=frozenset({"tiny_front.h"}),
        files={"golden/front.json": b"{}"},
        selftest="tiny_front_selftest",
        readme="## Front end",
    )
    files = library_files(network(tiny_conv()), "tiny", (companion,))
    assert {"src/tiny/tiny_front.c", "src/tiny_front.h", "src/tiny/inner.h"} <= set(files)
    assert b"src/tiny/tiny_front.c" in files["CMakeLists.txt"]
    assert b"if (tiny_front_selftest(print))" in files["src/tiny/tiny_selftest.c"]
    assert b"## Front end" in files["README.md"]
    assert "golden/front.json" in json.loads(files["manifest.json"])["files"]


@pytest.mark.parametrize("prefix", ["", "Kws", "1st", "a-b", "int", "x" * 32, "network", "a b"])
def test_prefixes_that_c_would_refuse(prefix: str) -> None:
    with pytest.raises(UserError, match="--prefix"):
        check_prefix(prefix)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("kws", "kws"), ("My Net-2", "my_net_2"), ("7seg", "seg"), ("int", "int_network"),
     ("\N{GREEK SMALL LETTER ALPHA}", "the_network"), ("x" * 40, "x" * 31)],
)  # fmt: skip
def test_prefix_of_a_name(name: str, prefix: str) -> None:
    assert symbol_prefix(name) == prefix
    assert check_prefix(prefix) == prefix


def test_constants_of_c() -> None:
    assert quoted('a"b\\?\n\N{LATIN SMALL LETTER E WITH ACUTE}') == r'"a\"b\\\?\n\303\251"'
    for value in (1.0, 0.1, 1e-30, 3.4e38, 0.00390625, 1 / 3):
        assert np.float32(c_float(value).rstrip("f")) == np.float32(value)
