"""What runs in each process of a farm's worker, beside the jobs."""

import signal
from typing import Any

from distributed import Worker


class FarmProcess(Worker):
    """Ignores Ctrl-C, which a terminal sends to all processes: the command decides, and ends it."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        super().__init__(*arguments, **settings)
