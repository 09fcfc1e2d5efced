"""The report on budgets: their use by each arm, and the results of the warm start alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from helpers.studies import int8, network, study, trace
from hil import formatting
from hil.study.choices import choices
from hil.study.report import study_page, study_to_json
from hil.study.result import StudyResult
from hil.study.tables import use_table, warm_table
from hil.study.verdicts import goal_verdicts
from hil.study.volume import curves
from hil.types import Trial


def trained(number: int, epochs: float, **changes: Any) -> Trial:
    """A network with so many epochs of training."""
    return replace(network(number, 0.9), epochs=epochs, **changes)


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_the_table_has_the_budget_used_by_each_arm_and_its_end() -> None:
    untrained = replace(int8(), epochs=0.0)
    looked = trained(2, 0.0, fidelity=0.0, state="screened", measurement=None)
    part = trained(2, 2.0, fidelity=0.25, state="screened", measurement=None)
    too_large = trained(3, 2.0, state="infeasible", measurement=None)
    result = study(
        trace("int8", untrained, kind="single"),
        trace("int8", untrained, kind="single", seed=1),
        trace("adaptive", part, too_large, trained(4, 3.0), looked, looked, ended="epochs"),
        trace("adaptive", trained(4, 1.0), trained(5, 1.0), seed=1, ended="epochs"),
        trace("tpe", trained(6, 1.5), ended="measurements"),
        trace("tpe", seed=1, ended=None),
    )
    base, adaptive, tpe = rows(use_table(result))
    assert base == ["int8 only", "1", "0", "0", "0", "2", "all settings tried"]
    # 2 epochs of screening, 2 for what did not fit, 3; or 1 and 1. Two looks are no screening.
    assert adaptive[1:5] == ["1.5 (1 to 2)", "1 (0 to 2)", "0.5 (0 to 1)", "4.5 (2 to 7)"]
    assert adaptive[5:] == ["6.5 (4 to 9)", "epochs used up"]
    assert tpe[1:5] == ["0.5 (0 to 1)", "0", "0", "0.75 (0 to 1.5)"]
    assert tpe[6] == "measurements used up in 1 of 2 seeds, not finished in 1"


def warm_started() -> StudyResult:
    """The warm start reaches half of int8's costs, the whole search a quarter."""
    base, warm = int8(), network(2, 0.9, 0.5, 0.5, 0.5)
    later, other = network(3, 0.9, 0.25, 0.25, 0.25), network(4, 0.7)
    known = frozenset({base.genome.key, warm.genome.key, "never tried"})
    return study(
        trace("int8", base, kind="single"),
        trace("adaptive", base, warm, later, other, warm=known),
        trace("tpe", other),
    )


def test_the_warm_start_and_the_whole_search_are_separate_rows() -> None:
    result = warm_started()
    grown = curves(result)
    alone, whole = rows(warm_table(result, choices(result), grown))
    assert alone[:3] == ["warm start alone", "2", formatting.ratio(0.5)]
    assert whole[:3] == ["whole search", "4", formatting.ratio(0.25)]
    assert alone[-1] == f"{(2 / 3) * (1 - 0.5 / 1.5) ** 3:.4f}"
    assert whole[-1] == f"{(2 / 3) * (1 - 0.25 / 1.5) ** 3:.4f}"


def test_the_report_says_how_many_networks_are_the_warm_start() -> None:
    text = study_page(warm_started(), "hil study")
    assert "measured in a seed (4), 2 are of its warm start" in text
    assert "| warm start alone | 2 |" in text
    (told,) = (t for t in study_to_json(warm_started())["traces"] if t["arm"] == "adaptive")
    assert (told["measured_of_warm_start"], told["ended"]) == (2, "settings")


def test_the_report_says_where_a_search_was_no_more_than_random() -> None:
    first, second, learned = int8(), network(2, 0.9), network(3, 0.9)
    too_large = trained(4, 1.0, state="infeasible", measurement=None)
    result = study(
        trace("int8", int8(), kind="single"),
        trace("int8", int8(), kind="single", seed=1),
        trace("tpe", first, too_large, second, learned, drawn=3),
        trace("tpe", first, second, seed=1, drawn=3),
        trace("nsga2", first, learned, drawn=1),
        trace("random", first, second),
    )
    text = study_page(result, "hil study")
    assert (
        "- Of the networks that TPE (Optuna) measured in a seed (2 to 3), it drew 2 at random "
        "before it used what it had learned: all of them in 1 of 2 seeds, where it is no more "
        "than random search.\n"
    ) in text
    assert "that NSGA-II, plain measured in a seed (2), it drew 1 at random" in text
    assert text.count("at random before") == 2
    told = [one["measured_of_random_start"] for one in study_to_json(result)["traces"]]
    assert told == [0, 0, 2, 2, 1, 0]


def test_without_a_warm_start_the_report_does_not_mention_one() -> None:
    result = study(trace("int8", int8(), kind="single"), trace("adaptive", network(2, 0.9)))
    assert warm_table(result, choices(result), curves(result)) == ""
    assert "warm start" not in study_page(result, "hil study")


def test_a_cost_is_that_of_the_network_where_it_is_smallest() -> None:
    # Smallest in weights: 0.2 of 20,000 bytes in an image of 14,000 of 30,000; best in all: 0.4.
    small, best = network(2, 0.9, 0.2, 1.0, 1.0), network(3, 0.9, 0.4, 0.4, 0.4)
    result = study(trace("int8", int8(), kind="single"), trace("adaptive", small, best))
    flash, count, *_ = goal_verdicts(result, choices(result), curves(result))
    by_all = f"; in those of the best weighted mean {formatting.ratio(0.4)}"
    by_flash = "in the networks where it is smallest 0.20 (by seed 0.20), their image flash "
    assert flash.numbers == f"{by_flash}{formatting.ratio(14 / 30)}{by_all}"
    assert count.numbers == f"in the networks where it is smallest 0.40 (by seed 0.40){by_all}"
