"""Fixtures of tests on a board, which `--board` selects, emulated or real."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator

import pytest

from helpers.programs import PLUS_TWO, program
from hil.board import load_board
from hil.codegen.build import build
from hil.target.open import open_target
from hil.target.target import Target
from hil.types import Board, Image

WATCHDOG_S = 120


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--board", default="m3", help="board for the tests on hardware (m3)")
    parser.addoption("--host-graphs", default="4", help="random graphs for host builds (4)")
    parser.addoption("--random-modules", default="200", help="random torch modules to try (200)")


@pytest.fixture(scope="session")
def board(request: pytest.FixtureRequest) -> Board:
    return load_board(request.config.getoption("--board"))


@pytest.fixture(scope="session")
def image(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image of a program of two layers that computes input + 2."""
    return build(program(board, PLUS_TWO), board, tmp_path_factory.mktemp("plus_two"))


@pytest.fixture(scope="module")
def target(board: Board) -> Iterator[Target]:
    """The target shared by a module's tests; each loads its own image."""
    opened = open_target(board)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def emulated(board: Board) -> None:
    """Skip tests that need an emulated board."""
    if board.backend != "qemu":
        pytest.skip(f"board {board.name} is not emulated")


@pytest.fixture
def watchdog() -> Iterator[None]:
    """End the test run if a test waits longer than WATCHDOG_S."""
    faulthandler.dump_traceback_later(WATCHDOG_S, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
