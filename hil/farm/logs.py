"""What Dask logs, one line each: an error that ends a command is told by the command itself."""

from __future__ import annotations

import logging

_LOGGERS = ("distributed", "tornado", "asyncio")


class _OneLine(logging.Filter):
    """Takes the traceback from a record, and all lines of its text but the first."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = record.getMessage().strip().partition("\n")[0]
        record.args, record.exc_info, record.exc_text = (), None, None
        return True


def log_lines(level: int) -> None:
    """Let Dask, and what it is made of, log from `level` on, in single lines on stderr."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(level)
        if not logger.handlers:
            logger.addHandler(logging.StreamHandler())
            logger.propagate = False
        for handler in logger.handlers:
            if not any(isinstance(one, _OneLine) for one in handler.filters):
                handler.addFilter(_OneLine())
