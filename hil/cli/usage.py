"""What is wrong with a command line, in one line: typer's own way takes a box of five."""

from __future__ import annotations

import typer


def usage_line(error: typer.TyperException) -> str:
    """The option, the value, what is allowed, and where to read on.

    "" for a command without arguments, whose help typer has already shown.
    """
    text = " ".join(error.format_message().split())
    if not text:
        return ""
    # typer chains pydantic's error, and that one has the value.
    parsed = getattr(error.__cause__, "errors", None)
    if parsed is not None:
        text = text.replace("Invalid value", f"Invalid value {parsed()[0]['input']!r}", 1)
    context = getattr(error, "ctx", None)
    command = "hil" if context is None else context.command_path
    return f"{text[0].lower()}{text[1:].rstrip('.')}; see {command} --help"
