"""The figures of a study: curves end where their arms do, panels share one scale."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from helpers.studies import int8, network, study, trace
from hil.study.orders import Orders, grouped
from hil.study.plots import hypervolume_figure, orders_figure
from hil.study.result import StudyResult
from hil.study.tables import orders_table, volume_table
from hil.study.volume import curves


def of_lengths(**lengths: tuple[int, int]) -> StudyResult:
    """Arms with these numbers of networks in seeds 0 and 1, half an epoch each, ever smaller."""
    traces = []
    for seed in (0, 1):
        base = int8(accuracy=0.89)
        traces.append(trace("int8", base, seed=seed, kind="single"))
        for arm, counts in lengths.items():
            sizes = np.linspace(0.9, 0.5, counts[seed])
            drawn = [network(2 + i, 0.9, s, s, s, epochs=0.5) for i, s in enumerate(sizes)]
            kind = "search" if arm in ("adaptive", "tpe") else "single"
            traces.append(trace(arm, *drawn, seed=seed, kind=kind))
    return study(*traces, measurements=200)


def end_of(axes: Axes, label: str) -> tuple[float, float]:
    """The end point of the arm's line."""
    (line,) = (line for line in axes.get_lines() if str(line.get_label()).startswith(label))
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    return float(x[-1]), float(y[-1])


def test_a_curve_ends_where_the_last_seed_of_its_arm_did() -> None:
    result = of_lengths(adaptive=(3, 5), tpe=(40, 32), distilled=(6, 7))
    grown = curves(result)
    by_count, by_epochs = hypervolume_figure(result, grown).axes
    for arm, last in {"adaptive": 5, "tpe": 40, "distilled": 7}.items():
        volume = np.mean(list(grown[arm].at_count(200).values()))
        assert end_of(by_count, arm) == (last, pytest.approx(volume))
        # Half an epoch a network: the grid of epochs has no place at all of these ends.
        assert end_of(by_epochs, arm) == (last / 2, pytest.approx(volume))


def test_the_best_fixed_arm_has_its_name() -> None:
    result = of_lengths(adaptive=(3, 5), distilled=(6, 6), scratch=(2, 1))
    (legend,) = hypervolume_figure(result, curves(result)).legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert "distilled, best fixed arm" in texts
    assert not [text for text in texts if text.startswith("scratch")]
    assert "other fixed arms" in texts


def test_the_table_says_at_which_measurement_a_volume_is() -> None:
    result = of_lengths(adaptive=(3, 5), tpe=(40, 32), distilled=(6, 6))
    head, _, *lines = volume_table(result, curves(result)).splitlines()
    titles = [cell.strip() for cell in head.split("|")[1:-1]]
    assert titles[:-2] == ["arm", "at 2", "at 5", "at 10", "at 20"]
    cells = {
        line.split("|")[1].split()[0].strip("*"): [c.strip() for c in line.split("|")[2:-1]]
        for line in lines
    }
    assert cells["adaptive"][4].endswith(" at 3 to 5")
    assert cells["TPE"][4].endswith(" at 32 to 40")
    assert cells["distillation"][4].endswith(" at 6")
    # Nothing stands under a count that no seed of the arm came to.
    assert [bool(cell) for cell in cells["adaptive"][:4]] == [True, True, False, False]
    assert [bool(cell) for cell in cells["TPE"][:4]] == [True] * 4


WON = Counter({name: 30 - i for i, name in enumerate("ABCDEFGHIJKLMNO")})
ORDERS = (
    Orders(0.5, {"adaptive": Counter(A=3), "tpe": WON - Counter(A=3)}, Counter(A=1, Z=3)),
    Orders(1.0, {"tpe": Counter(A=2)}, Counter(A=1)),
)


def test_orders_beyond_the_most_frequent_are_counted_together() -> None:
    rows = grouped(ORDERS, 10)
    assert list(rows) == [*"ABCDEFGHIJ", "6 others"]
    assert sorted(rows["6 others"]) == [*"KLMNOZ"]
    assert list(grouped(ORDERS, 99)) == [*"ABCDEFGHIJKLMNO", "Z"]  # one alone has its name
    last = [
        cell.strip() for cell in orders_table(ORDERS, "adaptive").splitlines()[-1].split("|")[1:-1]
    ]
    assert last == ["4 others", str(18 + 17 + 16), "0", "75 %", "0", "0", "0 %"]


def test_the_panels_of_the_orders_have_one_scale_and_nothing_is_cut() -> None:
    figure = orders_figure(ORDERS, "adaptive")
    first, second = figure.axes
    assert first.get_xlim() == second.get_xlim()
    bars = [patch for patch in first.patches if isinstance(patch, Rectangle)]
    assert sum(bar.get_width() for bar in bars) == WON.total()
    assert "5 others" in [label.get_text() for label in first.get_yticklabels()]
