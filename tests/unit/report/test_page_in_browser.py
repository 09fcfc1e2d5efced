"""report.html in a browser: plots, tooltips, keyboard and width, without errors and requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compress.tflite.exporter import export_tflite
from helpers.browser import Visit, chromium, visit
from helpers.graph_examples import tiny_conv
from helpers.reports import BASE, HOSTILE, SMALL, TINY, make, plain
from hil.report.live import LiveRun, LiveServer
from hil.report.page import write_html
from hil.store.run_folder import save_network
from hil.store.store import RunIdentity, Store

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of three networks, whose names of task and layers are hostile."""
    folder = tmp_path_factory.mktemp("run")
    graph = tiny_conv()
    graph = replace(graph, ops=(replace(graph.ops[0], name=HOSTILE), *graph.ops[1:]))
    for trial in (BASE, SMALL):
        save_network(folder, trial.number, export_tflite(graph))
    write_html(make(folder, task=HOSTILE), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def opened(browser: Any, report: Path) -> Iterator[Visit]:
    with visit(browser, report, viewport=WIDE) as found:
        yield found


def drawn(found: Visit, axis: str) -> set[float]:
    """The coordinates of all marks of networks in the front plot."""
    values = found.values(
        "document.getElementById('front-plot').data"
        f".filter((trace) => trace.customdata).flatMap((trace) => [...trace.{axis}])"
    )
    return {round(value, 6) for value in values}


def shown(found: Visit) -> str:
    return str(found.page.locator("#pinned").inner_text())


def place(found: Visit, number: int) -> tuple[float, float]:
    """Where on the screen the mark of a trial is."""
    x, y = found.values(
        "(() => { const plot = document.getElementById('front-plot');"
        " plot.scrollIntoView({ block: 'center' });"
        f" for (const trace of plot.data) {{ const i = (trace.customdata ?? []).indexOf({number});"
        " if (i < 0) continue; const box = plot.getBoundingClientRect(), at = plot._fullLayout;"
        " return [box.x + at.xaxis._offset + at.xaxis.d2p(trace.x[i]),"
        " box.y + at.yaxis._offset + at.yaxis.d2p(trace.y[i])]; } })()"
    )
    return x, y


def test_axes_switch_what_is_drawn(opened: Visit) -> None:
    assert drawn(opened, "x") == {round(size / 1024, 6) for size in (40_000, 20_000, 12_000)}
    assert drawn(opened, "y") == {97.0, 96.0, 90.0}
    opened.page.select_option("#x-axis", "ram")
    assert drawn(opened, "x") == {round(size / 1024, 6) for size in (8_000, 4_000, 2_000)}
    opened.page.select_option("#y-axis", "count")
    assert drawn(opened, "y") == {1e6, 250_000.0, 50_000.0}
    assert opened.page.locator("#front-plot .ytitle").text_content() == "instructions per inference"
    opened.page.select_option("#x-axis", "flash")
    opened.page.select_option("#y-axis", "accuracy")


def test_hover_tells_the_genome_and_a_click_pins(opened: Visit) -> None:
    assert "Trial 3" in shown(opened)  # the chosen one, before anything is clicked
    opened.page.mouse.move(*place(opened, BASE.number))
    text = opened.hover_text()
    assert f"trial {BASE.number}" in text
    assert "1. quantize (as usual)" in text
    assert "97.00" in text
    opened.page.mouse.click(*place(opened, BASE.number))
    opened.page.wait_for_function("location.hash === '#trial-1'")
    assert "Trial 1" in shown(opened)
    assert "1,000,000" in shown(opened)
    opened.page.locator('tr button[data-pin="4"]').first.click()
    assert "Trial 4" in shown(opened)
    assert "0.05x" in plain(shown(opened))


def test_the_keyboard_walks_and_pins(opened: Visit) -> None:
    plot = opened.page.locator("#front-plot")
    plot.focus()
    plot.press("Home")
    assert f"trial {TINY.number}" in opened.hover_text()
    plot.press("ArrowRight")
    assert f"trial {SMALL.number}" in opened.page.locator("#said").inner_text()
    plot.press("Enter")
    assert f"Trial {SMALL.number}" in shown(opened)
    plot.press("Escape")
    assert "Click a mark" in shown(opened)


def test_layers_and_memory_are_drawn_with_hostile_names_as_text(opened: Visit) -> None:
    names = opened.page.locator("#layer-plot .ytick").all_text_contents()
    assert any("alert" in name for name in names)
    boxes = opened.values("document.getElementById('memory-plot').data.flatMap((t) => [...t.base])")
    assert len(boxes) > 3
    assert opened.page.locator("h1").count() == 1
    assert HOSTILE in opened.page.locator(".run").inner_text()


def test_nothing_was_complained_of_and_nothing_was_fetched(opened: Visit) -> None:
    assert opened.complaints() == []


def test_it_fits_a_narrow_dark_screen(browser: Any, report: Path) -> None:
    with visit(browser, report, viewport=NARROW, color_scheme="dark") as found:
        assert found.values("document.documentElement.scrollWidth") <= NARROW["width"]
        ink, paper = found.values(
            "(() => { const style = getComputedStyle(document.body);"
            " return [style.color, style.backgroundColor]; })()"
        )
        assert brightness(ink) > 180 > 60 > brightness(paper)
        assert found.complaints() == []


def brightness(color: str) -> float:
    """The mean of red, green and blue of `rgb(r, g, b)`."""
    parts = color[color.index("(") + 1 : -1].split(",")
    return sum(map(float, parts[:3])) / 3


def test_a_live_page_follows_the_search(browser: Any, tmp_path: Path) -> None:
    identity = RunIdentity("digits", "m4", 7, "5e" * 32)
    with Store.open(tmp_path, identity) as store:
        store.begin_session(0.95, processes=2)
        run = LiveRun(tmp_path)
        run.look()
        with LiveServer(run) as server:
            server.start()
            with visit(browser, server.url, viewport=WIDE) as found:
                assert "No trial has been measured yet" in found.page.locator("h1").inner_text()
                for trial in (BASE, SMALL):
                    store.add(trial)
                assert run.look()
                found.page.wait_for_selector('tr button[data-pin="3"]')
                assert "Trial 3" in found.page.locator("h1").inner_text()
                assert drawn(found, "x") == {round(size / 1024, 6) for size in (40_000, 20_000)}
                assert [one for one in found.asked if not one.startswith(server.url)] == []
                assert found.said == []
            server.stop()
