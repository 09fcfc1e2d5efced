"""`hil calibrate` and `hil energy`: what a board draws, and what an inference in a trace took."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from compress.errors import UserError
from hil.board import load_board
from hil.cli.completions import boards
from hil.cli.options import BOARD_HELP, BoardOption, JsonFlag, finite
from hil.energy.energy import Energy
from hil.energy.meter_names import DEFAULT_SHUNT_OHM, MOST_SECONDS, MeterChoice, MeterName
from hil.files import write_file
from hil.types import Board, PowerFigure

if TYPE_CHECKING:
    from hil.energy.trace_csv import Trace

Supply = Annotated[
    float | None,
    typer.Option(
        callback=finite,
        help="Supply voltage in V; needed for a trace of current without power.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        callback=finite,
        help="Power in mW above which the board computes, for a trace without a trigger channel.",
        show_default="a trigger channel",
    ),
]
Trigger = Annotated[
    str | None,
    typer.Option(
        help="Digital channel of the trace that is high while the board computes.",
        show_default="the only channel that changes",
    ),
]


def register(app: typer.Typer, runs: Path = Path("runs")) -> None:
    """Add both commands to `app`; runs are folders in `runs`."""

    @app.command()
    def calibrate(
        board: BoardOption,
        supply_v: Annotated[float, typer.Option(help="Supply voltage in V.")],
        current_ma: Annotated[
            float | None,
            typer.Option(help="Current in mA, read while the board computes (see --loop-s)."),
        ] = None,
        idle_ma: Annotated[
            float | None, typer.Option(help="Current in mA, read while the board is idle.")
        ] = None,
        trace: Annotated[
            Path | None,
            typer.Option(help="A power analyzer's CSV file, instead of --current-ma."),
        ] = None,
        threshold_mw: Threshold = None,
        trigger: Trigger = None,
        loop_s: Annotated[
            float,
            typer.Option(
                min=0,
                callback=finite,
                help="Let the board compute for this many seconds first, to read the meter; then "
                "ask for the current.",
            ),
        ] = 0.0,
        as_json: JsonFlag = False,
    ) -> None:
        """Save the measured power of BOARD in calibration.toml, for energies of this very board."""
        from hil.energy.calibration import check_measurable, save_calibration

        facts = load_board(board)
        check_measurable(facts)
        check_trace_options(supply_v, threshold_mw, trigger)
        if current_ma is not None and trace is not None:
            raise UserError("give --current-ma or --trace, not both")
        if idle_ma is not None and trace is not None:
            raise UserError("give --idle-ma or --trace, not both: a trace has the idle power")
        if trace is None and (threshold_mw is not None or trigger is not None):
            raise UserError("--threshold-mw and --trigger are for a --trace: give one")
        if current_ma is None and trace is None and not loop_s:
            raise UserError(
                "the current is missing: give --current-ma, --trace, or --loop-s to be asked"
            )
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
        trace: Annotated[
            Path | None, typer.Argument(help="A power analyzer's CSV file; none with --capture.")
        ] = None,
        supply_v: Supply = None,
        threshold_mw: Threshold = None,
        trigger: Trigger = None,
        inferences: Annotated[
            int | None,
            typer.Option(
                min=1,
                help="Number of inferences in each window of the trace.",
                show_default="1; with --board those of a run",
            ),
        ] = None,
        capture: Annotated[
            MeterName | None,
            typer.Option(
                help="Record from this meter instead: 'ppk2' as an ampere meter, 'ppk2-source' or "
                "'lpm01a' supplying the board with --supply-v."
            ),
        ] = None,
        meter_port: Annotated[
            str | None,
            typer.Option(
                help="The meter's serial port; BUS:ADDRESS of an ina228.",
                show_default="the only ppk2; 1:0x40",
            ),
        ] = None,
        shunt_ohm: Annotated[
            float, typer.Option(callback=finite, help="Shunt of an ina228 in ohms.")
        ] = DEFAULT_SHUNT_OHM,
        seconds: Annotated[
            float, typer.Option(min=0.1, max=MOST_SECONDS, help="Length of the recording in s.")
        ] = 5.0,
        board: Annotated[
            str | None,
            typer.Option(
                help=f"While it is recorded, this board computes. {BOARD_HELP}",
                autocompletion=boards,
                show_default="whatever its firmware does",
            ),
        ] = None,
        model: Annotated[
            str | None,
            typer.Option(
                help="What BOARD computes: a FILE.tflite, task or RUN:NUMBER.",
                show_default="a small network",
            ),
        ] = None,
        save: Annotated[
            Path | None, typer.Option(help="CSV file for the recording; it can be a TRACE later.")
        ] = None,
        as_json: JsonFlag = False,
    ) -> None:
        """Compute the energy per inference from TRACE, a recording of power or current.

        An inference lasts while a digital channel is high, or while the power is above a threshold.
        With --capture, the recording is made now.
        """
        if capture is None:
            if trace is None:
                raise UserError("what is the trace? give a power analyzer's CSV file, or --capture")
            if board is not None or model is not None or save is not None or meter_port is not None:
                raise UserError("--board, --model, --meter-port and --save are for --capture")
            found = energy_in(trace, supply_v, threshold_mw, trigger, inferences or 1)
        else:
            if trace is not None:
                raise UserError(f"give {trace} or --capture, not both")
            if model is not None and board is None:
                raise UserError("--model is what a board computes: give --board, too")
            check_trace_options(supply_v, threshold_mw, trigger)
            meter = MeterChoice(capture, meter_port, supply_v, shunt_ohm)
            recorded, counted = _recorded(meter, seconds, board, model, runs)
            if save is not None:
                from hil.energy.trace_csv import trace_to_csv

                write_file(save, trace_to_csv(recorded).encode())
            found = _energy(recorded, threshold_mw, trigger, inferences or counted)
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
    from hil.energy.trace_csv import read_trace

    check_trace_options(supply_v, threshold_mw, trigger)
    return _energy(read_trace(path, supply_v), threshold_mw, trigger, inferences)


def _energy(
    trace: Trace, threshold_mw: float | None, trigger: str | None, inferences: int
) -> Energy:
    from hil.energy.power_trace import energy_from_trace, windows

    threshold_w = None if threshold_mw is None else threshold_mw / 1e3
    return energy_from_trace(trace, windows(trace, trigger, threshold_w), inferences)


def _recorded(
    meter: MeterChoice, seconds: float, board: str | None, model: str | None, runs: Path
) -> tuple[Trace, int]:
    """A recording, and the number of inferences in each of its windows (1 without a board)."""
    from hil.energy.calibration import check_measurable
    from hil.energy.meters import open_monitor

    console = Console(stderr=True)
    if board is None:
        with open_monitor(meter) as monitor, console.status(f"recording {seconds:g} s"):
            monitor.start()
            time.sleep(seconds)
            return monitor.stop(), 1
    facts = load_board(board)
    check_measurable(facts)
    from hil.measure.continuous import loop_graph, record_inferences

    graph = loop_graph()
    if model is not None:
        from hil.benchmark.models import load_model  # imports torch

        graph = load_model(model, runs, None, facts).graph
    with open_monitor(meter) as monitor, console.status(f"{facts.name} computes for {seconds:g} s"):
        return record_inferences(graph, facts, seconds, monitor)


def check_trace_options(
    supply_v: float | None, threshold_mw: float | None, trigger: str | None
) -> None:
    """Raise UserError for options that contradict each other or are out of range."""
    if threshold_mw is not None and trigger is not None:
        raise UserError(
            "give --threshold-mw or --trigger, not both: each tells when the board computes"
        )
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
    """Keep the board computing for `seconds`, so that the user can read a meter."""
    from hil.measure.continuous import loop_graph, loop_inferences
    from hil.terminal import notes_console

    console = notes_console()
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


def power_trace_of(board: Board) -> Path | None:
    """The file that the bench's power analyzer writes, if bench.toml names one for `board`."""
    if board.backend != "pyocd":
        return None
    from hil.target.bench_file import find_benches

    return find_benches(board)[0].power


def check_is_new(trace: Path, before: tuple[int, int] | None) -> None:
    """Raise UserError if the trace was not written since `before`: it is of another network."""
    if before is not None and state_of(trace) == before:
        raise UserError(
            f"{trace} was not written while the board computed, although bench.toml names it: "
            "start the recording of the power analyzer"
        )


def state_of(file: Path | None) -> tuple[int, int] | None:
    """The file's modification time (ns since 1970) and size; None if there is no file."""
    try:
        status = None if file is None else file.stat()
    except OSError:
        return None
    return status and (status.st_mtime_ns, status.st_size)
