"""Python files of the user: run once per process and text, and their functions called."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard, TypeVar

from compress.cache import content_hash
from compress.errors import HilError, UserError

_T = TypeVar("_T")


def run_user_file(path: Path, what: str, defines: str) -> tuple[ModuleType, str]:
    """The module made by running the file, and the hash of its path and text.

    `what` names the file in errors, as "task file" does, `defines` what it must define. Its module
    stays in `sys.modules` under a name that is the same in every process, because pickles name
    classes by module. Raises UserError for a file that cannot be read, does not parse or raises.
    """
    path = path.resolve()
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read {what} {path}: {error.strerror}; give the path of a Python file that "
            f"defines {defines}"
        ) from error
    return run_user_source(path, source, what)


def run_user_source(path: Path, source: bytes, what: str) -> tuple[ModuleType, str]:
    """As `run_user_file`, of the text `source`, which `path` had when it was read."""
    key = content_hash([str(path), source])
    return _module(path, source, f"{what.replace(' ', '_')}_{key}", what), key


def call_user_function(path: Path, module: ModuleType, function: str, what: str) -> Any:
    """What the function `function` of the file answers, called without arguments.

    `what` is the option that named it, as "--model". Raises UserError if the file defines no such
    function, or if it raises: then with the line of the file, and the exception.
    """
    found = getattr(module, function, None)
    if not callable(found):
        names = sorted(
            name
            for name, value in vars(module).items()
            if getattr(value, "__module__", None) == module.__name__ and callable(value)
        )
        there = f"it has {', '.join(names)}" if names else "it defines none"
        raise UserError(f"{what}: {path} has no function {function}; {there}")
    return run_user_function(path, found, f"{what}: {function} of {path}")


def run_user_function(path: Path, function: Callable[..., _T], where: str, *values: Any) -> _T:
    """What a function of the file answers; `where` begins the message of an error.

    Raises UserError if it raises, with the line of the file and the exception.
    """
    try:
        return function(*values)
    except (Exception, SystemExit) as error:
        if isinstance(error, HilError):
            raise
        raise UserError(
            f"{where}{_line(error, path)}: {type(error).__name__}: {_first_line(error)}; correct "
            "the file"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _module(path: Path, source: bytes, name: str, what: str) -> ModuleType:
    """The module made by running `source`. Raises UserError if it does not parse or raises.

    It runs the bytes that were hashed, so neither a later edit nor an old .pyc is taken for them.
    """
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if spec is None:
        raise UserError(f"{what} {path}: the name of a {what} must end in .py")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        said = error.msg if _is_syntax_of(error, path) else error
        raise UserError(
            f"{what} {path}{_line(error, path)}: {type(error).__name__}: {said}; correct the "
            f"file (it is run when it is loaded){_beside(error, path)}"
        ) from error
    return module


def _beside(error: BaseException, path: Path) -> str:
    """Advice where the module that is missing lies beside the file; '' for any other error."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    beside = path.with_name(f"{error.name.partition('.')[0]}.py")
    if not beside.is_file():
        return ""
    return (
        f"; {beside.name} lies beside it, but only files that are named are run: put its code into "
        f"{path.name}, or install it as a package"
    )


def _line(error: BaseException, path: Path) -> str:
    """', line N' for the last line of the file that `error` came through; '' if there is none."""
    if _is_syntax_of(error, path) and error.lineno:
        return f", line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _is_syntax_of(error: BaseException, path: Path) -> TypeGuard[SyntaxError]:
    """True for a syntax error of this file, not of a module that it imports."""
    return isinstance(error, SyntaxError) and error.filename == str(path)
