"""Call the functions that a project names, from the bytes that it holds."""

from __future__ import annotations

from typing import Any

from compress.errors import UserError
from compress.projects.keys import CodeRef
from compress.projects.project import Project
from compress.user_file import call_user_function, run_user_source

_WHAT = "project file"  # one for all keys: a file that two of them name runs once


def call_project_function(project: Project, key: str) -> Any:
    """What the function that `key` names answers. Raises UserError as `call_user_function`."""
    named, file = getattr(project.settings, key), project.file(key)
    if not isinstance(named, CodeRef) or file.content is None:
        raise TypeError(f"{key} names no function: {named!r}")
    module, _ = run_user_source(file.path, file.content, _WHAT)
    return call_user_function(file.path, module, named.function, key)


def project_function(project: Project, key: str) -> Any:
    """The function that `key` names. Raises UserError if the file has none of that name."""
    named, file = getattr(project.settings, key), project.file(key)
    if not isinstance(named, CodeRef) or file.content is None:
        raise TypeError(f"{key} names no function: {named!r}")
    module, _ = run_user_source(file.path, file.content, _WHAT)
    found = getattr(module, named.function, None)
    if not callable(found):
        raise UserError(f"{key}: {file.path} has no function {named.function}")
    return found
