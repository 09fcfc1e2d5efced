"""The data: replace them by your own. `load` may answer with

- x, y: split here into 60 % training, 20 % validation and 20 % test, by class;
- {"x": ..., "y": ..., "groups": ...}: samples of one group (person, device) stay in one split;
- {"x_train": ..., "y_train": ..., "x_val": ..., "y_val": ..., "x_test": ..., "y_test": ...}.

x is (N, channels, height, width), (N, channels, length) or (N, features); y is (N,), the number of
each sample's class from 0 on, or its name. An .npz file with these arrays needs no function:
data = "mine.npz" in hil.toml. So do images or WAV files in a folder for each class.
"""

import numpy as np
from sklearn.datasets import load_digits


def load() -> tuple[np.ndarray, np.ndarray]:
    """1,797 handwritten digits of scikit-learn, 8x8 pixels, scaled to -1..1."""
    images, labels = load_digits(return_X_y=True)
    return images.reshape(-1, 1, 8, 8) / 8.0 - 1.0, labels
