"""Entry point of the command `hil`; every error becomes one line and an exit code."""

import errno
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console

from compress.errors import HilError, Infeasible, UserError
from compress.scratch import sweep_cache, sweep_temporary
from hil.cli import (
    bench,
    boards,
    doctor,
    energy,
    evolve,
    farm,
    init,
    operators,
    report,
    sensitivity,
    store,
    study,
)
from hil.cli.usage import usage_line

app = typer.Typer(
    help="Compress neural networks for Cortex-M boards and measure every candidate on the board.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",  # paragraphs of docstrings are wrapped to the terminal
)

RUNS = Path("runs")
_INTERRUPTED_CODE = 130  # of shells: 128 and the number of SIGINT

evolve.register(app, RUNS)
report.register(app, RUNS)
bench.register(app, RUNS)
boards.register(app)
doctor.register(app)
energy.register(app)
farm.register(app)
init.register(app)
operators.register(app)
sensitivity.register(app, RUNS)
store.register(app, RUNS)
study.register(app, RUNS)


def main() -> None:
    """Run the command line and exit.

    SIGTERM ends it as Ctrl-C does, so that nothing is left behind; what killed processes left
    before is removed.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sweep_temporary()
    sweep_cache()
    with errors_as_lines():
        sys.exit(app(standalone_mode=False))


@contextmanager
def errors_as_lines() -> Iterator[None]:
    """Turn errors, also typer's, into one line on stderr and the exit code of the error's class."""
    try:
        yield
    except HilError as error:
        fail(error)
    except KeyboardInterrupt:
        _interrupted()
    except typer.TyperException as error:
        line = usage_line(error)
        if not line:
            sys.exit(UserError.exit_code)
        fail(UserError(line))
    except typer.Abort as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            _interrupted()
        if error.__cause__ is not None:  # typer turns every EOFError into Abort, also ours
            raise error.__cause__ from None
        fail(UserError("input ended before the question was answered; nothing was changed"))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" ({error.filename})" if error.filename else ""
        fail(
            UserError(f"disk full{where}: free some space and run again; finished trials are kept")
        )


def _interrupted() -> NoReturn:
    print("hil: interrupted", file=sys.stderr)
    sys.exit(_INTERRUPTED_CODE)


def fail(error: HilError) -> NoReturn:
    """Print the error on stderr and exit with its code.

    What the user or the model causes needs no class name; those of the bench and of bugs have it.
    """
    kind = "" if isinstance(error, UserError | Infeasible) else f"{type(error).__name__}: "
    width = shutil.get_terminal_size().columns
    Console(stderr=True, width=max(width, 200), highlight=False).print(
        f"hil: error: {kind}{error}", markup=False, soft_wrap=True
    )
    sys.exit(error.exit_code)
