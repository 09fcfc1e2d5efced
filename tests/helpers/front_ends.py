"""Front ends with the scaling of made-up data, and signals to try them on."""

from __future__ import annotations

import numpy as np

from compress.features.front_end import FrontEnd
from compress.features.integer import IntegerFrontEnd, integers_of
from compress.tasks import log_mel, mfcc, motion
from compress.types import Array, DType, Tensor

SCALE, ZERO = 0.05, -3  # of the networks' inputs
# Of speech: the mean and deviation of task kws's coefficients, to two digits.
MFCC_MEAN = np.array([-9.6, 4.1, -0.1, 0.8, 0.0, 0.3, -0.1, 0.2, 0.0, 0.1])
MFCC_DEVIATION = np.array([14.0, 4.0, 2.6, 2.1, 1.7, 1.5, 1.3, 1.1, 1.0, 0.9])
WATCH_MEAN = np.array([-0.2, 0.6, 0.1, 0.02, -0.01, 0.03])
WATCH_DEVIATION = np.array([0.5, 0.4, 0.45, 1.1, 0.7, 0.8])


def declared(name: str) -> FrontEnd:
    """The front end of a kind: mfcc, log_mel (a power spectrum), motion, or anomaly (planar)."""
    if name == "mfcc":
        return mfcc.mfcc_front_end(MFCC_MEAN, MFCC_DEVIATION)
    if name == "log_mel":
        return log_mel.log_mel_front_end(5, -30.0, 14.0)
    window = {"motion": 128, "anomaly": 32}[name]
    return motion.watch_front_end(WATCH_MEAN, WATCH_DEVIATION, window, name == "anomaly")


def in_integers(name: str, dtype: DType = "int8") -> IntegerFrontEnd:
    """The same in integers, for an input of scale `SCALE` and zero point `ZERO`."""
    elements = {"mfcc": 490, "log_mel": 640, "motion": 768, "anomaly": 192}[name]
    scale, zero = (SCALE, ZERO) if dtype == "int8" else (SCALE / 256, 0)
    return integers_of(declared(name), Tensor("input", (1, elements), dtype, (scale,), zero))


def signals(samples: int, channels: int = 1) -> dict[str, Array]:
    """Signals int16 (samples, channels) from silence to full scale."""
    rng = np.random.default_rng(7)
    shape = (samples, channels)
    time_s = np.arange(samples)[:, None] / 16_000 + np.zeros(shape)
    tone = 3000 * np.sin(2 * np.pi * 440 * time_s)
    found = {
        "silence": np.zeros(shape),
        "lowest": np.full(shape, -32768),
        "square": np.where(np.sin(2 * np.pi * 250 * time_s) >= 0, 32767, -32768),
        "alternating": np.where(np.arange(samples)[:, None] % 2 == 0, 32767, -32768) + 0 * time_s,
        "full noise": rng.integers(-32768, 32767, shape, endpoint=True),
        "noise": rng.normal(0, 1000, shape),
        "whisper": rng.normal(0, 8, shape),
        "tone": tone + rng.normal(0, 30, shape),
    }
    return {name: np.rint(one).clip(-32768, 32767).astype(np.int16) for name, one in found.items()}
