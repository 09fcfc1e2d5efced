"""Task `fashion_resnet`: Fashion-MNIST as in task `fashion`, MLPerf Tiny's ResNet-8 on 28x28."""

from torch import nn

from compress.datasets.fashion import CLASSES
from compress.tasks.cifar10 import resnet8
from compress.tasks.fashion import load
from compress.types import Recipe, Task


def net() -> nn.Module:
    """ResNet-8 of one input channel: input (N, 1, 28, 28), output logits (N, 10)."""
    return resnet8(1, len(CLASSES))


TASK = Task(
    name="fashion_resnet",
    title="Fashion-MNIST, 28x28 photographs of clothes, ResNet-8",
    input_shape=(1, 28, 28),
    classes=CLASSES,
    net=net,
    load=load,
    recipe=Recipe(epochs=5, batch=100, learning_rate=0.01),
    fine_tune=Recipe(epochs=1, batch=100, learning_rate=0.005, samples_per_epoch=10_000),
    accuracy_floor=0.91,
    device_samples=64,
)
