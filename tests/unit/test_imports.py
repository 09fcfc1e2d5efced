"""Who may import whom, read from the sources: docs/ARCHITECTURE.md, "Layout"."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from helpers.checkout import ROOT

PACKAGES = ("compress", "hil")
# From the ground up: a room imports only the rooms of lines above its own. The root comes first,
# after the operators that its values are made of.
ROOMS = {
    "compress": (
        ("ops",),
        ("",),
        ("recurrent_layers",),
        ("arithmetic", "datasets", "features", "judging", "metrics", "space", "tracing"),
        ("frontend", "task_types", "tasks"),
        ("training",),
        ("pruning", "tflite_records"),
        ("operator_interface",),
        ("movement", "recurrent"),
        ("operators",),
        ("integer",),
        ("quantization", "tflite"),
        ("distillation", "model_files"),
        ("elastic",),
        ("pipeline", "projects"),
    ),
    "hil": (
        ("",),
        ("comparison", "emulator", "energy", "kernel_interface", "store"),
        ("recurrent", "tuned"),
        ("tuned_depthwise", "tuned_mve", "tuned_scalar"),
        ("tuned_short",),
        ("tuned_kernels",),
        ("kernels",),
        ("codegen",),
        ("objective", "target"),
        ("measure",),
        ("features",),
        ("benchmark", "library", "search"),
        ("elastic",),
        ("networks",),
        ("options", "report", "trial"),
        ("farm", "handover"),
        ("loop",),
        ("study",),
        ("cli",),
    ),
}
MOST_MODULES = 20  # of a room, without its __init__.py
ROOMS_OF_TORCH = {
    *("recurrent_layers", "frontend", "projects", "tracing", "task_types", "training", "pruning"),
    *("quantization", "distillation", "elastic", "model_files", "pipeline"),
}
TORCH = {"torch", "torch_pruning"}


def modules(root: Path, package: str) -> dict[str, Path]:
    """Source file by dotted module name, sub-packages included."""
    files = sorted((root / package).rglob("*.py"))
    return {".".join(path.relative_to(root).with_suffix("").parts): path for path in files}


def module_name(name: str) -> str:
    return name.removesuffix(".__init__")


def imports(path: Path, for_types: bool = False) -> Iterator[str]:
    """Every name imported anywhere in a file; `from a import b` gives both a and a.b.

    Blocks under `if TYPE_CHECKING` count with `for_types` only: nothing runs them.
    """
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if is_for_types(node) and not for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        pending += ast.iter_child_nodes(node)


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def graph(root: Path, package: str) -> dict[str, set[str]]:
    """The modules of `package` that each of its modules imports."""
    files = modules(root, package)
    names = {module_name(name) for name in files}
    return {
        module_name(name): {found for found in imports(path) if found in names}
        - {module_name(name), package}
        for name, path in files.items()
    }


def cycle(edges: dict[str, set[str]]) -> list[str]:
    """The modules of one import cycle; empty if there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def top_levels(path: Path, for_types: bool = False) -> set[str]:
    return {name.split(".")[0] for name in imports(path, for_types)}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_rules_below_look_at_real_modules(package: str) -> None:
    edges = graph(ROOT, package)
    assert len(edges) > 20
    assert sum(map(len, edges.values())) > len(edges)


def test_compress_never_imports_hil() -> None:
    files = modules(ROOT, "compress")
    assert [name for name, path in files.items() if "hil" in top_levels(path, True)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_cycle(package: str) -> None:
    assert cycle(graph(ROOT, package)) == []


def test_a_cycle_would_be_seen(tmp_path: Path) -> None:
    package = tmp_path / "ring"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from ring import b\n")
    (package / "b.py").write_text("def late():\n    from ring.c import thing\n")
    (package / "c.py").write_text("import ring.a\n")
    assert set(cycle(graph(tmp_path, "ring"))) == {"ring.a", "ring.b", "ring.c"}
    (package / "c.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ring.a\n"
    )
    assert cycle(graph(tmp_path, "ring")) == []


def test_only_the_training_side_imports_torch() -> None:
    importers = {
        module_name(name)
        for package in PACKAGES
        for name, path in modules(ROOT, package).items()
        if TORCH & top_levels(path)
    }
    assert "compress.training.train" in importers
    rooms = {f"compress.{room}" for room in ROOMS_OF_TORCH | {"tasks"}}
    assert {name for name in importers if name.rpartition(".")[0] not in rooms} == set()


def room_of(module: str) -> str:
    """The folder of a module below its package, "" for a module of the package itself."""
    return ".".join(module.split(".")[1:-1])


def upward(edges: dict[str, set[str]], ranks: dict[str, int]) -> list[str]:
    """Imports of another room that does not lie below, as "importer -> imported"."""
    return [
        f"{importer} -> {imported}"
        for importer, importeds in sorted(edges.items())
        for imported in sorted(importeds)
        if room_of(importer) != room_of(imported)
        and ranks[room_of(importer)] <= ranks[room_of(imported)]
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_room_imports_only_the_rooms_below(package: str) -> None:
    ranks = {room: rank for rank, line in enumerate(ROOMS[package]) for room in line}
    edges = {
        name: found - {f"{package}.{room}" for room in ranks}  # `from hil.search import gate`
        for name, found in graph(ROOT, package).items()
        if name not in {package, f"{package}.__main__", *(f"{package}.{room}" for room in ranks)}
    }
    assert {room_of(name) for name in edges} == set(ranks)
    assert upward(edges, ranks) == []


def test_an_import_of_a_room_above_would_be_seen() -> None:
    edges = {"hil.loop.evolve": {"hil.types", "hil.cli.main"}, "hil.types": set[str]()}
    assert upward(edges, {"": 0, "loop": 1, "cli": 2}) == ["hil.loop.evolve -> hil.cli.main"]
    assert upward(edges, {"": 0, "loop": 2, "cli": 1}) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_room_has_at_most_20_modules(package: str) -> None:
    for folder in {path.parent for path in modules(ROOT, package).values()}:
        names = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
        assert len(names) <= MOST_MODULES, f"{folder.name}: {sorted(names)}"


def test_no_module_is_longer_than_400_lines() -> None:
    files = {**modules(ROOT, "compress"), **modules(ROOT, "hil")}
    lengths = {name: path.read_text("utf-8").count("\n") for name, path in files.items()}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}
