"""The smallest task that a search can be given: its candidates cost next to nothing to train."""

import numpy as np
from torch import nn

from compress.types import Dataset, Recipe, Split, Task

CLASSES = ("first", "second", "third")


def _split(seed: int, samples: int) -> Split:
    """Noise of six values, of which the one of the label is raised."""
    rng = np.random.default_rng(seed)
    labels = np.arange(samples) % len(CLASSES)
    values = rng.normal(0, 0.4, (samples, 6)).astype(np.float32)
    values[np.arange(samples), labels] += 2
    return Split(values, labels.astype(np.int64))


TASK = Task(
    name="tiny",
    title="which of three values is raised",
    input_shape=(6,),
    classes=CLASSES,
    net=lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)),
    load=lambda: Dataset(_split(0, 96), _split(1, 48), _split(2, 24)),
    recipe=Recipe(epochs=4, batch=16, learning_rate=0.02),
    fine_tune=Recipe(epochs=1, batch=48, learning_rate=0.01),
    accuracy_floor=0.5,
    device_samples=4,
)
