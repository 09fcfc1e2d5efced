"""Start from a trained network: load a file of weights into it, and say exactly what differs."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from compress.errors import UserError
from compress.projects.project import NamedFile

_NAMED = 4  # keys named of each kind; the rest is counted
_READ_ERRORS = (EOFError, RuntimeError, pickle.UnpicklingError, ValueError, KeyError, TypeError)


def load_weights(file: NamedFile, module: nn.Module) -> None:
    """Load the state dict in the file, or that below its key "state_dict", into `module`.

    The file is read with `weights_only`: no code of it runs. Raises UserError for a file that
    cannot be read, has changed since the project was read, or has other keys or shapes than the
    network, listing missing, unexpected and differing ones.
    """
    state = _state_dict(file)
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    missing = [name for name in wanted if name not in state]
    unexpected = [name for name in state if name not in wanted]
    shapes = [
        f"{name} is {tuple(state[name].shape)}, the network's {shape}"
        for name, shape in wanted.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    problems = [
        f"{kind}: {_some(found)}"
        for kind, found in (("missing", missing), ("unexpected", unexpected), ("shape", shapes))
        if found
    ]
    if problems:
        raise UserError(f"weights: {file.path} does not fit the network: {'; '.join(problems)}")
    module.load_state_dict(dict(state))


def _state_dict(file: NamedFile) -> Mapping[str, Tensor]:
    try:
        content = file.path.read_bytes()
    except OSError as error:
        raise UserError(f"weights: cannot read {file.path}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise UserError(f"weights: {file.path} has changed since this command began: run it again")
    try:
        found: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except _READ_ERRORS as error:
        raise UserError(
            f"weights: {file.path} is no file of weights alone ({_first_line(error)}): save the "
            "trained network with torch.save(net.state_dict(), FILE)"
        ) from error
    inner = found.get("state_dict", found) if isinstance(found, Mapping) else found
    if not isinstance(inner, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in inner.items()
    ):
        raise UserError(
            f"weights: {file.path} holds a {type(inner).__name__}, must be a state dict (names "
            'with tensors), or a dict with one below "state_dict"'
        )
    return inner


def _some(found: list[str]) -> str:
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"{', '.join(found[:_NAMED])}{more}"


def _first_line(error: BaseException) -> str:
    text = str(error).partition("\n")[0].partition(". ")[0]
    return text or type(error).__name__
