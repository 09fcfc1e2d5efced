"""Paths of the checkout and of the folder beside it with the real models that some tests read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED_DATA = ROOT.parent / "shared" / "data"  # optional: tests that need it skip, and say so
MLPERF_TINY = SHARED_DATA / "mlperf_tiny"
