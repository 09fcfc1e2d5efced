"""Where the checkout is, and beside it the folder of real models that some tests read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED_DATA = ROOT.parent / "shared" / "data"  # not everybody has it: tests of it skip, saying so
MLPERF_TINY = SHARED_DATA / "mlperf_tiny"
