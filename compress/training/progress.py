"""How far the training in this process is, for a listener that another program shows it by.

A training is deep inside a stage of a genome, in a process that nobody looks at. So it tells the
one listener of its process, if there is one.
"""

from __future__ import annotations

from collections.abc import Callable

# gets the epochs done, which need not be whole, and those of the whole training
Listener = Callable[[float, float], None]

_listener: Listener | None = None


def listen(listener: Listener | None) -> None:
    """Call `listener` after each step of every training of this process from now on."""
    global _listener
    _listener = listener


def tell_epochs(done: float, epochs: float) -> None:
    """Tell the listener, if there is one, that `done` of `epochs` are done."""
    if _listener is not None:
        _listener(done, epochs)
