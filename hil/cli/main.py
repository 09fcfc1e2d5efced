"""Entry point of the command `hil`; every error becomes one line and an exit code."""

import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from compress.errors import HilError, Infeasible, UserError
from hil import interruption
from hil.cli.commands import CommandsInOrder
from hil.cli.usage import usage_line
from hil.system_errors import user_error_of

_TYPERS_INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt, whatever the signal

app = typer.Typer(
    cls=CommandsInOrder,
    help="Compress neural networks for Cortex-M boards and measure every candidate on the board.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # paragraphs of docstrings are wrapped to the terminal
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"hil-compress {version('hil-compress')}, Python {platform.python_version()}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and exit."""
    interruption.install()
    with errors_as_lines():
        code = app(standalone_mode=False)
        if code == _TYPERS_INTERRUPTED:
            _interrupted()
        sys.exit(code)


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
    except (OSError, MemoryError, ImportError, RuntimeError) as error:
        told = user_error_of(error)
        if told is None:
            raise
        fail(told)


def _interrupted() -> NoReturn:
    print("hil: interrupted", file=sys.stderr)
    sys.exit(interruption.exit_code() or _TYPERS_INTERRUPTED)


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
