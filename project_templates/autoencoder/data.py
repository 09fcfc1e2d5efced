"""The data: replace them by your own. `load` may answer with

- x, y: split here into 60 % training, 20 % validation and 20 % test;
- {"x": ..., "y": ..., "groups": ...}: samples of one group (machine, day) stay in one split;
- {"x_train": ..., "y_train": ..., "x_val": ..., "y_val": ..., "x_test": ..., "y_test": ...}.

x is (N, channels, height, width), (N, channels, length) or (N, features); y is (N,), 0 for a normal
sample and 1 for an anomalous one. Anomalous samples of the training split are left out: the network
learns normal ones only. An .npz file with these arrays needs no function: data = "mine.npz".
"""

import numpy as np

SAMPLES = 2500
RATE_HZ = 2000
LENGTH = 512
BANDS = 32


def load() -> tuple[np.ndarray, np.ndarray]:
    """Levels of a motor's vibration in 32 bands, (N, 32), and 1 for each with a worn bearing."""
    rng = np.random.default_rng(0)
    worn = np.arange(SAMPLES) % 5 == 0
    t = np.arange(LENGTH) / RATE_HZ
    x = np.stack([_levels(_vibration(rng, t, bool(is_worn))) for is_worn in worn])
    return (x - x[~worn].mean(0)) / x[~worn].std(), worn.astype(np.int64)


def _vibration(rng: np.random.Generator, t: np.ndarray, is_worn: bool) -> np.ndarray:
    """Harmonics of a speed that varies, and noise; a worn bearing rings at each of its turns."""
    speed_hz, load = rng.uniform(45, 55), rng.uniform(0.5, 1.5)
    signal = rng.normal(0, 0.1 * load, len(t))
    for number in range(1, 9):
        phase = rng.uniform(0, 2 * np.pi)
        signal += load / number * np.sin(2 * np.pi * number * speed_hz * t + phase)
    if is_worn:
        since = t % (1 / (3.6 * speed_hz))
        strength = rng.uniform(0.05, 0.4) * load
        signal += strength * np.exp(-since * 400) * np.sin(2 * np.pi * 700 * since)
    return signal


def _levels(signal: np.ndarray) -> np.ndarray:
    """The logarithm of the power in bands of equal width."""
    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))[1:]) ** 2
    return np.log10(power.reshape(BANDS, -1).mean(1) + 1e-3)
