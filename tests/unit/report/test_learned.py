"""What a search has learned, by the orders of stages of its networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from compress.genome import Distill, Genome, Prune, Quantize
from helpers.reports import BASE, SMALL, TINY, make, printed
from helpers.trials import infeasible, measured, pruned
from hil.board import load_board
from hil.objective.goal import make_goal
from hil.report.findings import headline
from hil.report.learned import OrderFigures, learned, order_figures
from hil.report.report import print_table
from hil.report.summary_json import summary_to_json

GOAL = make_goal(load_board("m4"), 0.95)
DISTILLED = measured(
    5, Genome((Distill(), Quantize())), accuracy=0.96, flash=20_000, ram=4_000, count=500_000
)


def test_orders_are_compared_by_their_best_score_and_told_with_their_numbers(
    tmp_path: Path,
) -> None:
    # SMALL has half of flash and RAM and a quarter of the count, DISTILLED half of all
    summary = make(tmp_path, (BASE, SMALL, TINY, DISTILLED, infeasible(6, pruned(0.9))), goal=GOAL)
    assert order_figures(summary) == (
        OrderFigures("prune → quantize", 2, 1, 3, pytest.approx(0.25 ** (2 / 3))),
        OrderFigures("distill → quantize", 1, 1, 5, pytest.approx(0.5)),
        OrderFigures("quantize", 1, 1, 1, pytest.approx(1.0)),
    )
    line = learned(summary)
    assert line == (
        "Learned: best score by order of stages: prune → quantize 0.40 (1 of 2 met the goal); "
        "distill → quantize 0.50 (1 of 1 met the goal); quantize 1.00 (1 of 1 met the goal)."
    )
    assert line in " ".join(printed(lambda console: print_table(summary, console)).split())
    assert [one["number"] for one in summary_to_json(summary)["learned"]] == [3, 5, 1]


def test_where_one_order_alone_meets_the_goal_nothing_is_learned(tmp_path: Path) -> None:
    assert learned(make(tmp_path, (BASE, TINY), goal=GOAL)) == ""
    never = Genome((Prune((0.5,)), Distill(), Quantize()))
    failed = make(tmp_path / "2", (BASE, measured(2, never, accuracy=0.5)), goal=GOAL)
    assert learned(failed) == ""


def test_a_search_that_could_measure_nothing_says_the_commonest_reason(tmp_path: Path) -> None:
    trials = (
        infeasible(1, pruned(0.9), "too big"),
        infeasible(2, pruned(0.8), "too big"),
        infeasible(3, pruned(0.7), "no kernel"),
    )
    text = headline(make(tmp_path, trials, goal=GOAL))
    assert text == "No network could be measured; 2 of 3: too big."
