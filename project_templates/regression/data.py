"""The data: replace them by your own. `load` may answer with

- x, y: split here into 60 % training, 20 % validation and 20 % test;
- {"x": ..., "y": ..., "groups": ...}: samples of one group (person, device) stay in one split;
- {"x_train": ..., "y_train": ..., "x_val": ..., "y_val": ..., "x_test": ..., "y_test": ...}.

x is (N, channels, height, width), (N, channels, length) or (N, features); y is (N, K), the K
numbers to predict, or (N,) for one. Scale them to about 1: int8 cuts the range of each output into
255 steps. An .npz file with these arrays needs no function: data = "mine.npz" in hil.toml.
"""

import numpy as np

SAMPLES = 2000
LENGTH = 64


def load() -> tuple[np.ndarray, np.ndarray]:
    """Decaying oscillations with noise, (N, 1, 64), and their frequency and damping, (N, 2)."""
    rng = np.random.default_rng(0)
    frequency = rng.uniform(2, 8, (SAMPLES, 1))  # periods in the window
    damping = rng.uniform(0, 4, (SAMPLES, 1))
    phase = rng.uniform(0, 2 * np.pi, (SAMPLES, 1))
    t = np.arange(LENGTH) / LENGTH
    signal = np.exp(-damping * t) * np.sin(2 * np.pi * frequency * t + phase)
    x = signal + rng.normal(0, 0.05, signal.shape)
    y = np.concatenate([frequency / 4, damping / 2], 1)
    return x[:, np.newaxis], y
