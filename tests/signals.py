"""Signals that have arrived: they take their time, and a test must not go on before."""

import os
import signal


def stop(pid: int) -> None:
    """Stop a child of this process; returns when it has stopped."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)
