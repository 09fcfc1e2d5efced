"""The report of a study, complete or partial, and its verdicts."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from compress.genome import Distill, Genome, Prune, Quantize
from helpers.studies import int8, large_study, network, study, trace
from helpers.trials import infeasible
from hil.study.arm_names import ELASTIC, FIXED, NAMES, ArmKind
from hil.study.choices import choices
from hil.study.confirmed import chosen_numbers
from hil.study.csv_files import write_csv
from hil.study.gaps import gaps
from hil.study.method import about_p
from hil.study.orders import orders_won
from hil.study.report import study_page, study_to_json, write_study
from hil.study.result import ArmTrace, StudyResult
from hil.study.verdicts import GoalVerdict, goal_verdicts
from hil.study.volume import curves

COMMAND = "hil study --task digits --board m4"


def verdicts_of(result: StudyResult) -> tuple[GoalVerdict, ...]:
    return goal_verdicts(result, choices(result), curves(result))


def rivals(seeds: int, best: float, ours: str = ELASTIC) -> StudyResult:
    """A study with one network per arm besides int8: ratios above 0.6, our arm's given."""
    traces: list[ArmTrace] = []
    for seed in range(seeds):
        traces.append(trace("int8", int8(), seed=seed, kind="single"))
        for number, arm in enumerate(sorted(set(NAMES) - {"int8", ours}), 2):
            ratio = 0.6 + 0.001 * seed + 0.001 * number
            kind: ArmKind = FIXED[arm][0] if arm in FIXED else "search"
            traces.append(
                trace(arm, network(number, 0.9, ratio, ratio, ratio), seed=seed, kind=kind)
            )
        ratio = best + 0.002 * seed
        traces.append(trace(ours, network(99, 0.9, ratio, ratio, ratio), seed=seed))
    return study(*traces, measurements=1)


def without(result: StudyResult, *arms: str) -> StudyResult:
    return replace(result, traces=tuple(one for one in result.traces if one.arm not in arms))


def test_goals_reached_and_not_reached() -> None:
    assert [one.verdict for one in verdicts_of(rivals(5, 0.4))] == [
        "reached", "reached", "not decided", "reached", "reached",
    ]  # fmt: skip
    assert [one.verdict for one in verdicts_of(rivals(5, 0.9))] == [
        "not reached", "not reached", "not decided", "not reached", "not reached",
    ]  # fmt: skip


def test_one_worse_seed_is_enough_to_miss_the_goal_of_every_seed() -> None:
    result = rivals(5, 0.4)
    traces = [
        replace(one, trials=(network(99, 0.9, 0.7, 0.7, 0.7),))
        if (one.arm, one.seed) == (ELASTIC, 3)
        else one
        for one in result.traces
    ]
    verdict = verdicts_of(replace(result, traces=tuple(traces)))[3]
    assert verdict.verdict == "not reached"
    assert "in 4 of 5 seeds" in verdict.numbers


def test_with_few_seeds_there_is_no_p_value() -> None:
    volume = verdicts_of(rivals(3, 0.4))[-1]
    assert volume.verdict == "not decided"
    assert "smallest possible p is 0.125" in volume.numbers


def test_the_best_fixed_arm_is_not_known_without_all_of_them() -> None:
    best = verdicts_of(without(rivals(5, 0.4), "PDQ", "scratch"))[3]
    assert best.verdict == "not decided"
    assert "in 5 of 5 seeds" in best.numbers
    assert "without scratch, PDQ" in best.numbers
    # A search that is left out is no fixed arm: it is missed where searches are compared.
    without_tpe = verdicts_of(without(rivals(5, 0.4), "tpe"))
    assert [one.verdict for one in without_tpe[3:]] == ["reached", "not decided"]


def test_the_goal_of_every_seed_needs_enough_seeds() -> None:
    best = verdicts_of(rivals(4, 0.4))[3]
    assert best.verdict == "not decided"
    assert "in 4 of 4 seeds" in best.numbers
    assert "every seed: at least 5" in best.numbers


def test_the_verdict_has_the_measurements_of_each_search() -> None:
    result = replace(rivals(5, 0.4), budget_measurements=200)
    longer = [
        trace("tpe", *one.trials, network(100, 0.5), seed=3)
        if (one.arm, one.seed) == ("tpe", 3)
        else one
        for one in result.traces
    ]
    volume = verdicts_of(replace(result, traces=tuple(longer)))[-1]
    assert "at 200 measurements, or where the training ended before" in volume.goal
    assert "measured: elastic 1, random 1, tpe 1 to 2, nsga2 1" in volume.numbers


def test_orders_are_counted_by_floor_and_arm() -> None:
    small = Genome((Prune((0.5,)), Distill(), Quantize()))
    other = Genome((Quantize(), Distill()))
    result = study(
        trace("int8", int8(), kind="single"),
        trace("adaptive", network(2, 0.893, 0.5, 0.5, 0.5, genome=small)),
        trace("tpe", network(3, 0.9, 0.9, 0.9, 0.9, genome=other)),
        trace("P-Q", network(4, 0.9, 0.4, 0.4, 0.4), kind="recipe"),
    )
    at_half, at_one, _ = orders_won(result, choices(result))
    assert at_half.won == {"tpe": Counter({"QD": 1})}
    assert at_one.won == {"adaptive": Counter({"PDQ": 1}), "tpe": Counter({"QD": 1})}
    assert at_one.front == Counter({"PDQ": 1, "QD": 1})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    return write_study(large_study(seeds=5, steps=12), folder, COMMAND)


def test_a_whole_study_is_written_with_its_pictures(written: Path) -> None:
    text = written.read_text("utf-8")
    assert "partial" not in text.lower()
    assert COMMAND in text
    assert "Energy is left out" in text
    for picture in ("hypervolume", "floors", "orders"):
        path = written.with_name(f"study-digits-m4-{picture}.png")
        assert f"]({path.name})" in text
        assert path.read_bytes().startswith(b"\x89PNG")


def test_every_row_of_a_table_has_the_cells_of_its_head(written: Path) -> None:
    blocks = written.read_text("utf-8").split("\n\n")
    tables = [block.strip().splitlines() for block in blocks if block.strip().startswith("|")]
    assert len(tables) == 9
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1


def test_the_traces_are_all_in_the_raw_figures(written: Path) -> None:
    result = large_study(seeds=5, steps=12)
    packed = written.with_name("study-digits-m4-traces.csv.gz").read_bytes()
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(packed).decode("utf-8"))))
    assert len(rows) == sum(len(one.trials) for one in result.traces)
    first = next(row for row in rows if row["arm"] == "adaptive")
    trial = next(one for one in result.traces if one.arm == "adaptive").trials[0]
    assert trial.measurement is not None
    assert first["step"] == "1"
    assert first["key"] == trial.genome.key
    assert float(first["accuracy"]) == trial.accuracy
    assert int(first["flash_weights_bytes"]) == trial.measurement.flash.parts["weights"]
    assert int(first["flash_bytes"]) == trial.measurement.flash.total
    assert first["energy_uj"] == ""


def test_a_fresh_trial_and_a_stored_one_are_written_alike(tmp_path: Path) -> None:
    """A fresh trial may have an int for its epochs, a stored one has a float."""
    result = large_study(seeds=1, steps=3)
    told = []
    for kind in (int, float):
        traces = tuple(
            replace(
                one, trials=tuple(replace(t, epochs=kind(2), violation=kind(0)) for t in one.trials)
            )
            for one in result.traces
        )
        write_csv(replace(result, traces=traces), tmp_path / "traces.csv.gz")
        told.append((tmp_path / "traces.csv.gz").read_bytes())
    assert told[0] == told[1]


def test_a_partial_study_is_written_and_labeled() -> None:
    result = study(
        trace("int8", int8(), kind="single"),
        replace(trace("adaptive", network(2, 0.9, 0.5, 0.5, 0.5)), ended=None),
        trace("adaptive", network(2, 0.7), seed=1),
        trace("tpe"),
    )
    text = study_page(result, COMMAND)
    assert "(partial)" in text
    assert "seed 1 has no int8 network" in text
    assert "adaptive, seed 0, is not finished (1 measured)" in text
    assert any("test split" in gap for gap in gaps(result))
    assert text.count("**Not decided**") == 5
    assert text.count("So far ") == 5
    assert "**Reached**" not in text


def test_a_study_of_fewer_seeds_than_were_asked_for_is_partial() -> None:
    """It ended between two seeds: those begun are complete."""
    assert not gaps(large_study(seeds=5, steps=1))
    result = replace(rivals(5, 0.4), not_begun=(7, 8))
    text = study_page(result, COMMAND)
    head = text[: text.index("## In short")]
    assert "(partial)" in head
    assert "not begun: seed 7, 8" in head
    assert {one.verdict for one in verdicts_of(result)} == {"not decided"}


def test_a_study_of_some_arms_lists_the_missing_arms_at_the_top() -> None:
    result = without(rivals(5, 0.4), "bohb", "QDP")
    text = study_page(result, COMMAND)
    head = text[: text.index("## In short")]
    assert "(partial)" in head
    assert "without the arms QDP, bohb" in head


def test_a_network_that_cannot_be_recreated_is_no_gap_but_reported() -> None:
    alone = replace(study(trace("int8", int8(), kind="single")), finals={})
    assert any("test split" in gap for gap in gaps(alone))
    numbers = chosen_numbers(alone)[0]
    told = replace(alone, lost={0: frozenset(numbers)})
    assert not any("test split" in gap for gap in gaps(told))
    text = study_page(told, COMMAND)
    assert f"{len(numbers)} chosen network known from the log alone" in text


def test_an_arm_that_had_infeasible_candidates_is_finished_all_the_same() -> None:
    result = study(
        trace("int8", int8(), kind="single"),
        trace("adaptive", network(2, 0.9), infeasible(3, Genome(()))),
        measurements=2,
    )
    assert not [gap for gap in gaps(result) if "finished" in gap]


def test_one_arm_alone_has_no_test() -> None:
    whole = rivals(5, 0.4)
    assert "the first of 23 arms" in about_p(whole)
    alone = without(whole, *(set(NAMES) - {"int8"}))
    assert about_p(alone) == "No test: there is nothing to compare the one arm with.\n"


def test_a_study_without_any_trial_is_written() -> None:
    result = study(trace("adaptive"), trace("int8", kind="single"))
    assert "(partial)" in study_page(result, COMMAND)


def test_json_has_the_same_figures() -> None:
    result = rivals(5, 0.4)
    found = json.loads(json.dumps(study_to_json(result)))
    verdicts = verdicts_of(result)
    assert [one["verdict"] for one in found["goals"][-len(verdicts) :]] == [
        one.verdict for one in verdicts
    ]
    (flash,) = [
        one
        for one in found["choices"]
        if (one["arm"], one["seed"], one["floor_points"], one["aim"])
        == ("elastic", 2, 1.0, "model flash")
    ]
    assert (flash["number"], flash["ratio"]) == (99, pytest.approx(0.404))
    assert flash["test_drop_points"] is None
    assert found["hypervolume"]["elastic"]["0"] == pytest.approx((2 / 3) * (1 - 0.4 / 1.5) ** 3)
