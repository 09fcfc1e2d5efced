"""The texts and tables of a report follow from the trials."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from compress.errors import UserError
from compress.genome import Genome, Quantize
from compress.pipeline.diagnosis import CoarseInput, Diagnosis
from helpers.reports import BASE, HOSTILE, SMALL, TINY, TRIALS, Page, make, plain, printed
from helpers.trials import BASELINE, infeasible, measured, pruned, with_cycles
from hil.board import load_board
from hil.figures import HalfFigures
from hil.objective.goal import ObjectiveWeights, make_goal
from hil.report import findings
from hil.report.report import (
    Summary,
    print_profile,
    print_summary,
    print_table,
    summarize,
    summary_to_json,
)
from hil.report.report import write_html as write
from hil.store.merge import merge
from hil.store.run_folder import save_diagnosis
from hil.store.store import Final, RunIdentity, Store
from hil.types import Trial


def test_summary_follows_from_the_store(tmp_path: Path) -> None:
    summary = make(tmp_path)
    assert (summary.task, summary.board, summary.seed) == ("digits", "m4", 7)
    assert summary.baseline == BASE
    assert summary.front == (BASE, SMALL, TINY)
    assert summary.chosen == SMALL
    assert summary.ranked_front() == (SMALL, BASE, TINY)
    assert summary.stopped_by == "target"


def test_last_session_sets_the_target(tmp_path: Path) -> None:
    make(tmp_path, target=0.95)
    assert make(tmp_path, target=0.89).chosen == TINY
    assert make(tmp_path, target=0.99).chosen is None


def test_last_session_sets_the_limits(tmp_path: Path) -> None:
    m4 = load_board("m4")
    summary = make(tmp_path, goal=make_goal(m4, 0.5, max_flash=25_000))
    assert summary.chosen == TINY
    assert [summary.meets_target(trial) for trial in TRIALS] == [False, False, True, True]
    assert summary_to_json(summary)["goal"]["flash_bytes"] == 25_000
    summary = make(tmp_path, goal=make_goal(m4, 0.5, max_flash=10_000))
    assert summary.chosen is None
    text = " ".join(printed(lambda console: print_table(summary, console)).split())
    assert "meets the whole goal: accuracy 50.00 %, at most 9.77 KiB of flash" in text
    assert (
        make(tmp_path, goal=make_goal(m4, 0.95, weights=ObjectiveWeights(1, 0, 0, 0, 0))).chosen
        == BASE
    )


def test_a_store_that_knows_no_goal_goes_by_the_states(tmp_path: Path) -> None:
    lifted = measured(5, pruned(0.7), accuracy=0.99, flash=600_000)  # hil evolve --limits none
    assert make(tmp_path, (lifted,)).chosen == lifted
    over = replace(lifted, state="infeasible", reason="too large")
    other = make(tmp_path / "other", (BASE, over))
    assert other.chosen == BASE
    text = " ".join(printed(lambda console: print_table(other, console)).split())
    assert "2 trials in full: 1 measured, 1 infeasible" in text


def test_time_and_energy_are_shown_where_known_and_say_what_they_are(tmp_path: Path) -> None:
    assert SMALL.measurement is not None
    modelled = with_cycles(SMALL, 500_000, load_board("m4"), error=0.2)
    summary = make(tmp_path, (BASE, modelled))
    lines = printed(lambda console: print_table(summary, console)).splitlines()
    line = next(line for line in lines if "★3" in line)
    # 500 kcycles at the part's 180 MHz: 2.78 ms; with 163 mW 453 microjoules
    assert line.split()[-2:] == ["2.78", "453"]
    text = " ".join(" ".join(lines).split())
    assert (
        "at 180 MHz of the STM32F446RE: modelled cycles of a cortex-m4, not measured, flash of 16 "
        "bytes a read with 5 wait states"
    ) in text
    assert "(chapter 3)), \N{PLUS-MINUS SIGN}20 %" in text
    # sqrt(20 ^ 2 + 20 ^ 2)
    assert "energy: estimate of one inference, \N{PLUS-MINUS SIGN}28 %: 163 mW at 180 MHz" in text
    write(summary, tmp_path / "report.html")
    page = " ".join(Page(tmp_path / "report.html").text.split())
    assert "ms, modelled \N{MICRO SIGN}J, estimate score" in page
    untimed = printed(lambda console: print_table(make(tmp_path / "other"), console))
    assert " ms" not in untimed.split("goal:")[0]


def test_screened_trials_are_counted_and_never_shown(tmp_path: Path) -> None:
    early = replace(SMALL, number=9, state="screened", measurement=None, fidelity=0.25)
    summary = make(tmp_path, (*TRIALS, early))
    text = " ".join(printed(lambda console: print_table(summary, console)).split())
    assert "1 screened, 4 trials in full: 3 measured, 1 infeasible" in text
    write(summary, tmp_path / "report.html")
    assert "trial-9" not in Page(tmp_path / "report.html").ids


USED_UP = "used up by all sessions of this run together"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("target", "target met"),
        ("trials", f"trial budget {USED_UP}; to continue, raise --trials"),
        ("minutes", f"time budget {USED_UP}; to continue, raise --minutes"),
        ("energy", f"energy budget {USED_UP}; to continue, raise --energy-budget"),
        ("exhausted", "the engine has nothing left to try"),
        ("interrupt", "interrupted; to continue, run the same command again"),
    ],
)
def test_every_reason_has_a_sentence(tmp_path: Path, reason: str, words: str) -> None:
    summary = make(tmp_path, stopped_by=reason)
    text = " ".join(printed(lambda console: print_table(summary, console)).split())
    assert f"stopped: {words}" in text


def test_profile_on_the_terminal(tmp_path: Path) -> None:
    summary = make(tmp_path)
    known = replace(summary.profile, wall_seconds=60.0, capacity_seconds=None)
    summary = replace(summary, profile=known)
    text = printed(lambda console: print_profile(summary, console), width=80)
    assert max(map(len, text.splitlines())) <= 80
    step = next(line for line in text.splitlines() if "train " in line)
    assert step.split() == ["train", "6", "s", "85.7", "%"]  # 4 x 1.5 s of 4 x 1.75 s
    assert "trials per hour:" in text


def test_plain_quantization_is_the_baseline(tmp_path: Path) -> None:
    other = measured(1, Genome((Quantize(99.0),)))
    assert make(tmp_path / "one", (other, SMALL)).baseline == other
    plain = measured(9, BASELINE)
    assert make(tmp_path / "two", (other, SMALL, plain)).baseline == plain
    assert make(tmp_path / "three", (SMALL, infeasible(9, BASELINE))).baseline is None


def test_json_is_what_the_design_promises(tmp_path: Path) -> None:
    final = Final(3, "test", 190, 200, 0.955, samples=360, drop_error=0.004)
    report = json.loads(
        json.dumps(summary_to_json(make(tmp_path, finals=(final,))), allow_nan=False)
    )
    assert {"task", "board", "baseline", "trials", "front", "chosen", "stopped_by"} <= set(report)
    assert [trial["number"] for trial in report["trials"]] == [1, 2, 3, 4]
    for trial in report["trials"]:
        assert {"number", "genome", "state", "measurement", "reason"} <= set(trial)
    assert report["trials"][1]["measurement"] is None
    assert report["trials"][1]["reason"] == HOSTILE
    assert report["chosen"] == report["trials"][2]
    assert report["baseline"] == report["trials"][0]
    assert [trial["number"] for trial in report["front"]] == [1, 3, 4]
    assert report["chosen"]["measurement"]["flash_bytes"]["total"] == 20_000
    assert report["finals"] == [
        {
            "number": 3,
            "split": "test",
            "correct": 190,
            "total": 200,
            "accuracy": 0.955,
            "samples": 360,
            "drop_error": 0.004,
        }
    ]


def test_table_shows_values_and_ratios(tmp_path: Path) -> None:
    summary = make(tmp_path, finals=(Final(3, "test", 190, 200, 0.955),))
    text = printed(lambda console: print_table(summary, console))
    line = next(line for line in text.splitlines() if "★3" in line)
    cells = "prune → quantize 96.00 % 192/200 95.50 % 19.53 0.50x 3.91 0.50x 250.0 k 0.25x"
    assert " ".join(line.split()) == f"★3 {cells}"
    assert "0.50x the flash, 0.50x the RAM and 0.25x the instructions" in " ".join(text.split())
    assert "•1" in text
    for word in ("instructions (emulator, exact)", "m4", "arm-none-eabi-gcc", "CMSIS-NN"):
        assert word in text
    assert "4 trials in full: 3 measured, 1 infeasible" in text


def test_narrow_terminal_loses_no_number(tmp_path: Path) -> None:
    summary = make(tmp_path)
    text = printed(lambda console: print_table(summary, console), width=80)
    assert max(map(len, text.splitlines())) <= 80
    line = next(line for line in text.splitlines() if "★3" in line)
    cells = "PQ 96.00 % 192/200 19.53 0.50x 3.91 0.50x 250.0 k 0.25x"
    assert " ".join(line.split()) == f"★3 {cells}"


def test_long_front_says_what_it_hides(tmp_path: Path) -> None:
    trials = tuple(
        measured(n, pruned(1 / n), accuracy=0.99 - n / 1000, flash=40_000 - n) for n in range(1, 31)
    )
    summary = make(tmp_path, trials)
    assert len(summary.front) == 30
    assert "14 more on the front" in printed(lambda console: print_table(summary, console))


def test_trials_from_elsewhere_are_held_to_what_was_asked_there(tmp_path: Path) -> None:
    useless = measured(5, pruned(0.01), accuracy=0.2, flash=9_500, ram=1_500, count=10)
    goal = make_goal(load_board("m4"), 0.955, max_flash=30_000)
    identity = RunIdentity("digits", "m4", 7, "5e" * 32)
    make(tmp_path / "a", (*TRIALS, useless), target=0.955, goal=goal)
    with Store.open(tmp_path / "merged", identity) as store:
        with Store.read(tmp_path / "a") as source:
            merge(store, source)
            merge(store, source)
        merged = summarize(store)
        assert len(store.sessions()) == 1
    assert merged.goal == goal
    assert merged.goal_source == "session"
    assert merged.chosen == SMALL
    assert (merged.used_minutes, merged.stopped_by) == (0.0, "merged")
    text = printed(lambda console: print_table(merged, console))
    assert "merged from other runs" in text
    assert "the task's default" not in text


def test_trials_that_nobody_asked_for_are_held_to_the_task(tmp_path: Path) -> None:
    useless = measured(5, pruned(0.01), accuracy=0.2, flash=9_500, ram=1_500, count=10)
    with Store.open(tmp_path, RunIdentity("digits", "m4", 7, "5e" * 32)) as store:
        for trial in (*TRIALS, useless):
            store.add(trial)
        summary = summarize(store)
    assert summary.accuracy_target == 0.95
    assert summary.chosen == SMALL
    assert summary_to_json(summary)["goal_source"] == "task"
    text = " ".join(printed(lambda console: print_table(summary, console)).split())
    assert "goal: accuracy 95.00 % (the task's default, since no search ran here)" in text
    assert "4 measured, 1 infeasible; imported" in text


def test_summary_says_where_the_files_are(tmp_path: Path) -> None:
    summary = make(tmp_path)
    text = printed(lambda console: print_summary(summary, Path("runs/x"), console))
    assert "runs/x/report.html" in text


def test_a_baseline_that_weights_choose_is_not_called_the_smallest(tmp_path: Path) -> None:
    goal = make_goal(load_board("m4"), 0.9, weights=ObjectiveWeights(accuracy=5.0, flash=1.0))
    large, small = replace(BASE, accuracy=0.97), replace(SMALL, accuracy=0.95)
    summary = make(tmp_path, (large, small), goal=goal)
    assert summary.chosen == large
    assert summary.meets_target(small)
    text = findings.headline(summary)
    assert "No network smaller" not in text
    assert text.startswith("By the given weights, no network that reaches the accuracy target")
    assert text.endswith("is better than the int8 baseline yet.")


def test_with_weights_the_score_is_what_they_ask_for(tmp_path: Path) -> None:
    goal = make_goal(
        load_board("m4"), 0.9, weights=ObjectiveWeights(flash=1.0, ram=0.0, latency=2.0)
    )
    lean = measured(5, pruned(0.3), accuracy=0.95, flash=12_000, ram=1_500, count=500_000)
    summary = make(tmp_path, (BASE, SMALL, lean), goal=goal)
    plain_score = make(tmp_path / "plain", (BASE, SMALL, lean), target=0.9)
    assert (summary.chosen, plain_score.chosen) == (SMALL, lean)
    for one, first in ((summary, SMALL), (plain_score, lean)):
        assert one.ranked_front()[0] == first
        assert min(one.measured, key=lambda t: one.score(t) or 0.0) == first
    # SMALL has half of the flash and a quarter of the count, lean 0.3 and a half
    assert summary_to_json(summary)["scores"] == {
        "1": pytest.approx(1.0), "3": pytest.approx(1 / 3), "5": pytest.approx(1.3 / 3)
    }  # fmt: skip
    lines = printed(lambda console: print_table(summary, console)).splitlines()
    assert next(line for line in lines if "★3" in line).split()[-1] == "0.333"
    text = " ".join(" ".join(lines).split())
    assert (
        "score: mean of the ratios of flash, RAM and cycles to the int8 baseline, with the given"
        in text
    )
    assert "score:" not in printed(lambda console: print_table(plain_score, console))
    write(summary, tmp_path / "report.html")
    assert "0.333" in Page(tmp_path / "report.html").text


CLASSES = Diagnosis(
    ("good", "fault"),
    (900, 100),
    (899, 90),
    inputs=(CoarseInput(0, 400.0, 20.0, 101_325.0, 101_200.0, 101_400.0),),
)


def _counted(number: int, genome: Genome, right: tuple[int, int], flash: int) -> Trial:
    trial = measured(number, genome, accuracy=sum(right) / 1000, flash=flash)
    assert trial.measurement is not None
    return replace(trial, measurement=replace(trial.measurement, right=right))


def _diagnosed(folder: Path, target: float = 0.97) -> Summary:
    save_diagnosis(folder, CLASSES)
    with Store.open(folder, RunIdentity("digits", "m4", 7, "5e" * 32)) as store:
        store.set_original_accuracy("val", CLASSES.accuracy)
        store.set_original_accuracy("test", 0.96)
    trials = (
        _counted(1, BASELINE, (899, 89), 40_000),
        _counted(2, pruned(0.5), (900, 78), 20_000),
    )
    return make(folder, trials, target=target)


def test_float_figures_stand_beside_those_of_the_integers(tmp_path: Path) -> None:
    summary = _diagnosed(tmp_path)
    text = printed(lambda console: print_table(summary, console), width=200)
    assert "(float network 98.90 %, int8 baseline 98.80 %, target 97.00 %)" in text
    assert "float network: accuracy 98.90 % on the validation split, 96.00 % on the test" in text
    found = summary_to_json(summary)
    assert found["float_accuracies"] == {"val": CLASSES.accuracy, "test": 0.96}
    assert found["recalls"]["float"] == {"good": 899 / 900, "fault": 0.9}
    assert found["recalls"]["chosen"] == {"good": 1.0, "fault": 0.78}
    json.dumps(found)


def test_warnings_are_on_the_terminal_in_the_page_and_in_json(tmp_path: Path) -> None:
    summary = _diagnosed(tmp_path, target=0.89)
    assert [remark.kind for remark in summary.remarks] == ["input", "goal", "recall"]
    write(summary, tmp_path / "report.html")
    text = " ".join(printed(lambda console: print_table(summary, console), width=400).split())
    page = " ".join(Page(tmp_path / "report.html").text.split())
    for shown in (text, page):
        assert "subtract the mean (101325)" in shown
        assert "always answering 'good' reaches it" in shown
        assert "the chosen network finds some classes less often" in shown
        assert "fault 100 90.00 % 89.00 % 78.00 %" in shown
    assert [remark["kind"] for remark in summary_to_json(summary)["remarks"]] == [
        *("input", "goal", "recall")
    ]


def test_without_a_chosen_network_the_float_figure_is_in_the_headline(tmp_path: Path) -> None:
    assert "the best has 98.80 %, the float network 98.90 %" in plain(
        findings.headline(_diagnosed(tmp_path, target=0.995))
    )


def test_older_runs_have_no_float_figures_and_no_warnings(tmp_path: Path) -> None:
    summary = make(tmp_path)
    found = summary_to_json(summary)
    assert (found["diagnosis"], found["recalls"], found["remarks"]) == (None, None, [])
    write(summary, tmp_path / "report.html")
    assert "float network" not in Page(tmp_path / "report.html").text


def test_trials_without_right_answers_by_class_have_no_recall(tmp_path: Path) -> None:
    save_diagnosis(tmp_path, CLASSES)
    summary = make(tmp_path)
    assert summary_to_json(summary)["recalls"] == {"float": {"good": 899 / 900, "fault": 0.9}}
    assert [remark.kind for remark in summary.remarks] == ["input"]


def test_a_damaged_diagnosis_is_named(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "diagnosis.json").write_text('{"classes": 3}')
    with pytest.raises(UserError, match=r"diagnosis\.json is damaged: delete it"):
        make(tmp_path)


def test_a_merged_run_takes_the_diagnosis_along(tmp_path: Path) -> None:
    _diagnosed(tmp_path / "one")
    identity = RunIdentity("digits", "m4", 7, "5e" * 32)
    with Store.open(tmp_path / "two", identity) as target, Store.read(tmp_path / "one") as source:
        merge(target, source)
        assert summarize(target).diagnosis == CLASSES
        assert summarize(target).originals["test"] == 0.96


def with_halves(trial: Trial, error: float) -> Trial:
    """The trial with the same accuracy on both halves, and this standard error of each."""
    assert trial.measurement is not None
    assert trial.accuracy is not None
    half = HalfFigures(trial.accuracy, error, 0.98 - trial.accuracy, error)
    return replace(trial, measurement=replace(trial.measurement, halves=(half, half)))


def test_the_probability_of_keeping_the_floor_is_told(tmp_path: Path) -> None:
    """One standard error above the floor: 0.84, as a normal distribution has it."""
    goal = replace(make_goal(load_board("m4"), 0.95), confidence=0.8)
    sure = with_halves(SMALL, 0.01 * 2**0.5)
    summary = make(tmp_path / "sure", (BASE, sure), goal=goal)
    assert summary.chosen == sure
    assert "probability 0.84 (0.80 asked for)" in findings.certainty(summary)
    assert "no network is more certain" not in findings.certainty(summary)
    assert summary_to_json(summary)["floor_odds"]["3"]["probability"] == pytest.approx(
        0.8413, abs=1e-3
    )
    unsure = with_halves(SMALL, 0.05)
    summary = make(tmp_path / "unsure", (BASE, unsure), goal=goal)
    assert "no network is more certain" in findings.certainty(summary)
    text = " ".join(printed(lambda console: print_table(summary, console)).split())
    assert "On unseen data it keeps the target with probability" in text


def test_runs_without_figures_by_halves_say_nothing_of_probabilities(tmp_path: Path) -> None:
    goal = replace(make_goal(load_board("m4"), 0.95), confidence=0.8)
    assert findings.certainty(make(tmp_path, goal=goal)) == ""
