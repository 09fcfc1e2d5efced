"""Small projects as users write them: a network, data and a hil.toml in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compress.projects.opened import OpenedProject, open_project
from compress.projects.project import Project, project_of
from compress.projects.toml_file import read_project_file
from compress.types import Array

NET = """
from torch import nn

class Net(nn.Sequential):
    pass

def build():
    return Net(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
               nn.Linear(4, 3))
"""
DATA = """
import numpy as np

def load():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    return rng.normal(size=(60, 1, 6, 6)) + y.reshape(-1, 1, 1, 1), y
"""
TOML = '[task]\nmodel = "net.py:build"\ndata = "data.py:load"\n'


def write_project(folder: Path, toml: str = TOML, net: str = NET, data: str = DATA) -> Path:
    """Write the three files; return the path of the hil.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("net.py", net), ("data.py", data), ("hil.toml", toml)):
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "hil.toml"


def read(path: Path) -> Project:
    """The project at a hil.toml."""
    file = read_project_file(path)
    return project_of(file.values, file)


def opened(path: Path) -> OpenedProject:
    """The opened project at a hil.toml."""
    return open_project(read(path))


def blobs(count: int = 60, classes: int = 3) -> tuple[Array, Array]:
    """Samples float64 (N, 1, 6, 6) around their class number, and the labels (N,)."""
    y = np.arange(count) % classes
    noise = np.random.default_rng(0).normal(size=(count, 1, 6, 6))
    return noise + y.reshape(-1, 1, 1, 1), y
