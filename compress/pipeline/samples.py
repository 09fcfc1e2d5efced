"""Which samples of a split networks are evaluated on."""

from __future__ import annotations

from compress.splits import evenly_spaced as evenly_spaced
from compress.types import Split

# Validation samples for the accuracy below fidelity 1: the standard error at 90 % is
# sqrt(0.9 * 0.1 / 480) = 1.4 points, and evaluating takes a sixth of `JUDGED_SAMPLES`'s time.
SCREENING_SAMPLES = 480
# Validation samples that a candidate trained in full is judged on. On kws the integer reference
# takes 1.9 ms each on a busy core, 5.6 s for these and 20 s for the whole split, where an epoch of
# fine-tuning takes 7 s; the standard error of a difference is 0.46 points with them and 0.24 points
# with all (docs/decisions/0034).
JUDGED_SAMPLES = 2_880


def judged(val: Split) -> Split:
    """The validation samples that the search compares networks on, the float network included."""
    return evenly_spaced(val, JUDGED_SAMPLES)
