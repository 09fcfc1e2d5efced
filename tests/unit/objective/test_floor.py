"""Floors: absolute, and relative to the float network, on either side by the metric's direction."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compress.errors import UserError
from compress.metrics.registry import metric_named
from compress.metrics.scale import ACCURACY, MetricScale
from compress.tasks import get_task
from hil.board import load_board
from hil.objective.floor import Floor, check_floor, parse_floor
from hil.objective.goal import Goal
from hil.options.goal_options import floor_of, with_floor

MAE = MetricScale("mae", "lower", 2.0)
GOAL = Goal.of(load_board("m4"), 0.9)
DIGITS = get_task("digits")
REGRESSION = replace(DIGITS, type="regression", accuracy_floor=0.4)


@pytest.mark.parametrize(
    ("text", "floor", "value"),
    [
        ("0.9", Floor(0.9), 0.9),
        ("-3", Floor(-3.0), -3.0),
        ("1e-2", Floor(0.01), 0.01),
        ("float-0.02", Floor(-0.02, "distance"), 0.78),
        ("float+0.1", Floor(0.1, "distance"), 0.9),
        ("float-2%", Floor(-0.02, "relative"), 0.784),
        (" float + 5 % ".replace("+ 5", "+5"), Floor(0.05, "relative"), 0.84),
    ],
)
def test_a_text_gives_a_value_and_is_read_again(text: str, floor: Floor, value: float) -> None:
    assert parse_floor(text) == floor
    assert parse_floor(str(floor)) == floor
    assert floor.value(0.8) == pytest.approx(value)


def test_a_share_of_a_negative_value_is_on_the_same_side() -> None:
    assert parse_floor("float-10%").value(-2.0) == pytest.approx(-2.2)


@pytest.mark.parametrize("text", ["", "float", "float0.02", "-2 points", "1.2.3", "nan", "inf"])
def test_other_texts_are_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UserError, match=r"must be a value such as 0\.9, a distance"):
        parse_floor(text)


def test_percent_without_the_float_network_is_refused_with_the_share() -> None:
    with pytest.raises(UserError, match=r"--floor '95%': write 0\.95, or a share of the float"):
        parse_floor("95%")


def test_a_floor_on_the_wrong_side_is_refused() -> None:
    check_floor("--floor", parse_floor("float+5%"), MAE)
    check_floor("--floor", parse_floor("float-0.02"), ACCURACY)
    with pytest.raises(UserError, match=r"MAE is better where it is lower.*mean float\+0\.1\?"):
        check_floor("--floor", parse_floor("float-0.1"), MAE)
    with pytest.raises(UserError, match=r"did you mean float-2%\?"):
        check_floor("--floor", parse_floor("float+2%"), ACCURACY)


def test_a_floor_of_a_metric_in_percent_is_a_share() -> None:
    with pytest.raises(UserError, match=r"--accuracy 95: .* 0 < accuracy < 1; did you mean 0\.95"):
        check_floor("--accuracy", Floor(95.0), ACCURACY)
    check_floor("--floor", Floor(95.0), MAE)


def test_accuracy_is_the_same_as_a_floor_and_excludes_it() -> None:
    assert floor_of(DIGITS, 0.9, None) == floor_of(DIGITS, None, "0.9") == Floor(0.9)
    assert floor_of(DIGITS, None, None) == Floor(DIGITS.accuracy_floor)
    with pytest.raises(UserError, match="give one of them"):
        floor_of(DIGITS, 0.9, "0.9")


def test_a_number_is_the_accuracy_itself_where_more_is_better() -> None:
    assert with_floor(GOAL, DIGITS, Floor(0.8)) == replace(GOAL, accuracy=0.8)
    auc = replace(DIGITS, type="autoencoder", metric=metric_named("auc", "autoencoder"))
    assert with_floor(GOAL, auc, Floor(0.8)) == replace(GOAL, accuracy=0.8)


def test_other_floors_follow_from_the_float_network() -> None:
    asked = with_floor(GOAL, REGRESSION, Floor(0.4))
    assert asked.floor == Floor(0.4)
    assert asked.settled(MAE, 0.3).accuracy == pytest.approx(0.8)  # 1 - 0.4 / 2
    relative = with_floor(GOAL, REGRESSION, parse_floor("float+50%"))
    assert relative.settled(MAE, 0.3).accuracy == pytest.approx(1 - 0.45 / 2)
    distance = with_floor(GOAL, DIGITS, parse_floor("float-0.02"))
    assert distance.settled(ACCURACY, 0.97).accuracy == pytest.approx(0.95)
    settled = relative.settled(MAE, 0.3)
    assert Goal.from_json(GOAL.board, settled.to_json()) == settled


def test_goals_of_older_runs_have_no_floor() -> None:
    asked = GOAL.to_json()
    del asked["floor"]
    assert Goal.from_json(GOAL.board, asked) == GOAL


def test_a_shortfall_is_relative_to_the_floor_whatever_its_sign() -> None:
    assert replace(GOAL, accuracy=0.8).shortfall(0.6) == pytest.approx(0.25)
    assert replace(GOAL, accuracy=-0.5).shortfall(-1.0) == pytest.approx(1.0)
    assert replace(GOAL, accuracy=0.0).shortfall(-0.25) == 0.25
    assert replace(GOAL, accuracy=-0.5).shortfall(-0.25) == 0.0
