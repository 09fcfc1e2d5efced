"""Errors, sorted by culprit, so that the search loop knows what to do with each.

HilError
├── UserError            the user's: options, board file, model, missing tool      exit 2
└── Infeasible           the candidate's: recorded as a trial, the search goes on
    ├── UnsupportedLayer     a layer or parameter that has no integer kernel
    └── OverBudget           does not fit the flash or RAM of the board

The bench's errors (`BenchError`, `Mismatch`) belong to the `hil` package: `hil.errors`.
"""


class HilError(Exception):
    """Base of every error this project raises on purpose."""

    exit_code = 1


class UserError(HilError):
    """The user can mend it: the message gives the value, what is allowed and what to do."""

    exit_code = 2


class Infeasible(HilError):
    """This candidate cannot be built or does not fit; others may."""

    exit_code = 2  # where the candidate is a model the user named, and there are no others


class UnsupportedLayer(Infeasible):
    """A layer (named in the message) that has no integer kernel."""


class OverBudget(Infeasible):
    """The candidate needs more flash or RAM than the board has; says how much, in which region."""
