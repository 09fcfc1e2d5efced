"""Continuous inference runs on every board, with a network that fits all of them."""

from __future__ import annotations

import pytest

from hil.board import board_names, load_board
from hil.codegen.plan import make_plan
from hil.measure.continuous import loop_graph, loop_inferences
from hil.types import Board


@pytest.mark.parametrize("name", board_names())
def test_the_network_fits_every_board_with_samples_to_spare(name: str) -> None:
    board = load_board(name)
    plan = make_plan(loop_graph(), board)
    sample_bytes = 2 * 1024 + 32
    if board.staging is None:
        assert plan.arena_bytes + board.stack_bytes + 4 * sample_bytes < board.ram.length_bytes


def test_it_computes_until_the_time_is_over(board: Board) -> None:
    assert loop_inferences(loop_graph(), board, 0.1) > 0
    assert loop_inferences(loop_graph(), board, 0.0) == 0
