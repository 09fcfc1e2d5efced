"""The exceptions of this package, by who can correct them, which decides what the search does.

HilError
├── UserError            the user: an option, board file, model or missing tool      exit 2
└── Infeasible           nobody: the candidate is recorded as a trial, the search continues
    ├── UnsupportedLayer     a layer or parameter that has no integer kernel
    └── OverBudget           does not fit into the flash or RAM of the board

Errors of the bench and of measurements are in `hil.errors`.
"""


class HilError(Exception):
    """Base class of all exceptions that this project raises on purpose."""

    exit_code = 1


class UserError(HilError):
    """An error that the user can correct; the message gives value, allowed set and what to do."""

    exit_code = 2


class Infeasible(HilError):
    """A candidate that cannot be built or does not fit the board, while others may."""

    exit_code = 2  # for a model that the user named, where there is no other candidate


class UnsupportedLayer(Infeasible):
    """A layer or parameter without an integer kernel; the message names it."""


class OverBudget(Infeasible):
    """More flash or RAM needed than the board has; the message names the region and the bytes."""
