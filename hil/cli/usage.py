"""Errors of the command line in one line; typer itself prints a box of five."""

from __future__ import annotations

import typer


def usage_line(error: typer.TyperException) -> str:
    """The error in one line: option, value, allowed values, and the command with the help.

    "" for a command group without a command, whose help typer has already printed.
    """
    text = " ".join(error.format_message().split())
    if not text:
        return ""
    # The value is only in pydantic's error, the cause of typer's.
    parsed = getattr(error.__cause__, "errors", None)
    if parsed is not None:
        text = text.replace("Invalid value", f"Invalid value {parsed()[0]['input']!r}", 1)
    context = getattr(error, "ctx", None)
    command = "hil" if context is None else context.command_path
    return f"{text[0].lower()}{text[1:].rstrip('.')}; see {command} --help"
