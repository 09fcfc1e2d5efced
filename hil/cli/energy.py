"""`hil calibrate` and `hil energy`: what a board draws, and what an inference in a trace took."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from compress.errors import UserError
from hil.board import board_names, load_board
from hil.cli.options import JsonFlag, finite
from hil.energy.energy import Energy
from hil.types import Board, PowerFigure

Supply = Annotated[
    float | None, typer.Option(callback=finite, help="Voltage the current is drawn at.")
]
Threshold = Annotated[
    float | None, typer.Option(callback=finite, help="Above this power, mW, the board computes.")
]
Trigger = Annotated[
    str | None, typer.Option(help="Digital channel that is high while the board computes.")
]


def register(app: typer.Typer) -> None:
    """Add both commands to `app`."""

    @app.command()
    def calibrate(
        board: Annotated[str, typer.Option(help=f"One of: {', '.join(board_names())}.")],
        supply_v: Annotated[float, typer.Option(help="Voltage the current is drawn at.")],
        current_ma: Annotated[
            float | None, typer.Option(help="Read while it computes (see --loop-s).")
        ] = None,
        idle_ma: Annotated[float | None, typer.Option(help="Read while it waits.")] = None,
        trace: Annotated[
            Path | None, typer.Option(help="A power analyzer's CSV, instead of readings.")
        ] = None,
        threshold_mw: Threshold = None,
        trigger: Trigger = None,
        loop_s: Annotated[
            float,
            typer.Option(
                min=0, callback=finite, help="Let the board compute so long first, to be read."
            ),
        ] = 0.0,
        as_json: JsonFlag = False,
    ) -> None:
        """Keep what BOARD draws in calibration.toml: energies are then within 5 %, not 20 %."""
        from hil.energy.calibration import check_measurable, save_calibration

        facts = load_board(board)
        check_measurable(facts)
        check_trace_options(supply_v, threshold_mw, trigger)
        if current_ma is not None and trace is not None:
            raise UserError("--current-ma or --trace, not both")
        if idle_ma is not None and trace is not None:
            raise UserError("--idle-ma or --trace, not both: a trace shows what it draws idle")
        if trace is None and (threshold_mw is not None or trigger is not None):
            raise UserError("--threshold-mw and --trigger are for a --trace: give one")
        if current_ma is None and trace is None and not loop_s:
            raise UserError("give --current-ma, or --trace, or --loop-s to be asked")
        if loop_s:
            _compute(facts, loop_s)
        if trace is not None:
            active_mw, idle_mw, how = _from_trace(trace, supply_v, threshold_mw, trigger)
        else:
            if current_ma is None:
                current_ma = float(
                    typer.prompt("current while it computed, mA", type=float, err=True)
                )
            active_mw = current_ma * supply_v
            idle_mw = None if idle_ma is None else idle_ma * supply_v
            how = f"{current_ma:g} mA at {supply_v:g} V read"
        _show(save_calibration(facts, active_mw, supply_v, idle_mw, how), board, as_json)

    @app.command()
    def energy(
        trace: Annotated[Path, typer.Argument(help="A power analyzer's CSV.")],
        supply_v: Supply = None,
        threshold_mw: Threshold = None,
        trigger: Trigger = None,
        inferences: Annotated[
            int, typer.Option(min=1, help="How many of them each window holds.")
        ] = 1,
        as_json: JsonFlag = False,
    ) -> None:
        """Energy per inference in TRACE: while a channel is high, or above a threshold."""
        found = energy_in(trace, supply_v, threshold_mw, trigger, inferences)
        if as_json:
            print(json.dumps(asdict(found)))
            return
        Console().print(
            f"{found.microjoules:.4g} µJ per inference ({found.low:.4g} to {found.high:.4g}): "
            f"{found.source}",
            markup=False,
            highlight=False,
        )


def energy_in(
    path: Path,
    supply_v: float | None,
    threshold_mw: float | None,
    trigger: str | None,
    inferences: int,
) -> Energy:
    """Energy per inference in the trace at `path`. Raises UserError for what is no such trace."""
    from hil.energy.power_trace import energy_from_trace, windows
    from hil.energy.trace_csv import read_trace

    check_trace_options(supply_v, threshold_mw, trigger)
    trace = read_trace(path, supply_v)
    threshold_w = None if threshold_mw is None else threshold_mw / 1e3
    return energy_from_trace(trace, windows(trace, trigger, threshold_w), inferences)


def check_trace_options(
    supply_v: float | None, threshold_mw: float | None, trigger: str | None
) -> None:
    """Raises UserError for options that contradict each other or cannot be."""
    if threshold_mw is not None and trigger is not None:
        raise UserError("--threshold-mw or --trigger, not both: each tells when the board computes")
    if supply_v is not None and not 0 < supply_v < math.inf:
        raise UserError(f"--supply-v {supply_v:g}: must be above 0")


def _from_trace(
    path: Path, supply_v: float, threshold_mw: float | None, trigger: str | None
) -> tuple[float, float | None, str]:
    """Active power and idle power in mW, and how they were read."""
    from hil.energy.power_trace import active_watts, idle_watts, windows
    from hil.energy.trace_csv import read_trace

    trace = read_trace(path, supply_v)
    found = windows(trace, trigger, None if threshold_mw is None else threshold_mw / 1e3)
    idle_w = idle_watts(trace, found)
    return 1e3 * active_watts(found), None if idle_w is None else 1e3 * idle_w, f"trace {path.name}"


def _compute(board: Board, seconds: float) -> None:
    """Keep the board busy, for a meter to be read."""
    from hil.measure.continuous import loop_graph, loop_inferences

    console = Console(stderr=True)
    with console.status(f"{board.name} computes for {seconds:g} s: read the meter now"):
        inferences = loop_inferences(loop_graph(), board, seconds)
    console.print(f"{inferences} inferences in {seconds:g} s")


def _show(figure: PowerFigure, board: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"board": board, **asdict(figure)}))
        return
    idle = "not known" if figure.idle_mw is None else f"{figure.idle_mw:.4g} mW"
    Console().print(
        f"{board}: {figure.active_mw:.4g} mW while it computes, idle {idle} ({figure.source})",
        markup=False,
        highlight=False,
    )
