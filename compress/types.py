"""The values that flow through `compress`: task -> genome -> integer graph -> quantized model.

All are frozen. This module imports neither torch nor anything about boards, and NumPy only where
arrays are looked at: the command line needs the types before it knows that it will compute.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from compress.genome import Genome

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from compress.features.front_end import FrontEnd
    from compress.ops import Op

    Array = npt.NDArray[Any]
    Int8Array = npt.NDArray[np.int8]
    IntArray = npt.NDArray[np.signedinteger[Any]]  # values of an activation: int8 or int16
else:
    Array = Int8Array = IntArray = Any  # for annotations only
DType = Literal["int8", "int16", "int32", "int4"]
# One input: (C, H, W), that of a series (C, L), that of a vector (K,). Several: the name of each,
# which is that of a parameter of the network's forward, with its shape, in the order of these.
InputShape = tuple[int, ...] | tuple[tuple[str, tuple[int, ...]], ...]
TaskType = Literal["classification", "multi_label", "regression", "autoencoder", "segmentation"]
Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor of a `Graph`: real value = scale * (quantized value - zero_point).

    `scales` holds float32 values: one, or one per channel along `axis`. `data` is the value of a
    constant (an array of NumPy type `item` and of shape `shape`), and None for an activation.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    scales: tuple[float, ...]
    zero_point: int = 0
    axis: int | None = None
    data: Array | None = None

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of the packed values (two int4 values a byte)."""
        bits = {"int8": 8, "int16": 16, "int32": 32, "int4": 4}[self.dtype]
        return (self.elements * bits + 7) // 8

    @property
    def item(self) -> npt.DTypeLike:
        """The NumPy type that holds the values: int8 for int4, which NumPy does not have."""
        import numpy as np

        return np.dtype("int8" if self.dtype == "int4" else self.dtype)

    @property
    def scale(self) -> float:
        """The only scale. Raises ValueError for a tensor that is quantized per channel."""
        if len(self.scales) != 1:
            raise ValueError(f"{self.name} is quantized per channel")
        return self.scales[0]


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """State that a network keeps from one inference to the next.

    `read` is the activation that holds the state at the start of an inference, `written` the one
    that has it at its end. `initial` is the state before the first inference, of the shape and
    type of both.
    """

    read: int
    written: int
    initial: Array


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """An integer network: operators in execution order over indexed tensors; batch 1, NHWC.

    `other_precision` is false for all networks but those that are compared with an oracle that
    computes constants in another precision than TFLite: ratios of scales in double instead of
    single precision, and the reciprocals of a softmax on int16 in single instead of double.

    `uint8` is true for a network in the uint8 quantization of TensorFlow 1. Its tensors are int8
    here: values and zero points are the file's less 128. TFLite's uint8 kernels differ from those
    of int8 in three ways: weights have a zero point, convolutions multiply the scales of input and
    weights in single precision, and average pools round ties upwards.
    """

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    variables: tuple[Variable, ...] = ()
    other_precision: bool = False
    uint8: bool = False

    @property
    def input(self) -> int:
        """The only input. Raises ValueError if there are several."""
        return self._only(self.inputs, "inputs")

    @property
    def output(self) -> int:
        """The only output. Raises ValueError if there are several."""
        return self._only(self.outputs, "outputs")

    @property
    def input_tensor(self) -> Tensor:
        return self.tensors[self.input]

    @property
    def output_tensor(self) -> Tensor:
        return self.tensors[self.output]

    @property
    def input_tensors(self) -> tuple[Tensor, ...]:
        return tuple(self.tensors[index] for index in self.inputs)

    @property
    def output_tensors(self) -> tuple[Tensor, ...]:
        return tuple(self.tensors[index] for index in self.outputs)

    @property
    def sources(self) -> tuple[int, ...]:
        """The activations that no operator computes: inputs and states."""
        return (*self.inputs, *(variable.read for variable in self.variables))

    @property
    def results(self) -> tuple[int, ...]:
        """The activations that must last to the end of an inference: outputs and states."""
        states = (index for v in self.variables for index in (v.read, v.written))
        return (*self.outputs, *states)

    def _only(self, indices: tuple[int, ...], what: str) -> int:
        if len(indices) != 1:
            raise ValueError(f"{self.name} has {len(indices)} {what}")
        return indices[0]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A part of a data set: samples x float32 (N, *input shape) and what is to be learned, y.

    The x of several inputs is a structured array (N,) with a field for each (`compress.inputs`).

    y is, by the task's type:

    - classification: int64 (N,), the number of each sample's class
    - multi_label: float32 (N, K), 1 for each label that the sample has, else 0
    - regression: float32 (N, K), the K numbers to predict
    - autoencoder: int64 (N,), 0 for a normal sample, 1 for an anomalous one; the network learns x
    - segmentation: int64 (N, H, W), the number of the class at each position

    The y of several outputs is a structured array (N,) with a field of its type for each
    (`compress.outputs`).
    """

    x: Array
    y: Array

    def __post_init__(self) -> None:
        import numpy as np

        # torch reads no array with negative strides, as slicing with a step of -1 makes them.
        for name in ("x", "y"):
            array = getattr(self, name)
            if isinstance(array, np.ndarray) and min(array.strides, default=0) < 0:
                object.__setattr__(self, name, array.copy())

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """The splits of a task's data.

    `train` is for fitting and calibration, `val` for every decision of the search. `test` is the
    confirmation split: it has speakers, persons or sources that are in no other split where the
    data tell them apart, it decides nothing, and it alone says whether a chosen network keeps its
    floor.
    """

    train: Split
    val: Split
    test: Split


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters of training with AdamW, one-cycle learning rate and the loss of the type.

    An epoch runs over `samples_per_epoch` samples, drawn anew for each epoch; None is all samples.
    `huber_delta`, of a regression, is the error in the targets' unit above which its loss grows
    linearly (Huber's loss); None is the squared error.
    """

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float = 1e-4
    samples_per_epoch: int | None = None
    huber_delta: float | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """What a task's networks are judged by: `name` as people see it, and its direction.

    `compute` gets outputs float32 (N, *output shape in torch's layout), y and x of the same samples
    (`Split`) and returns the value of the metric over them. It uses NumPy only. Several outputs are
    a structured array (N,) with a field for each. The metric of one of them is called
    "output.metric".
    """

    name: str
    better: Better
    compute: Callable[[npt.NDArray[np.float32], Array, Array], float]


@dataclass(frozen=True, slots=True)
class Output:
    """One of several outputs of a network: its name, the type of what it answers, and its shape.

    `classes` are those of a `Task` of this type. `shape` is that of the output in torch, without
    the batch: (classes, H, W) of a segmentation; that of other types, (K,), follows from `classes`.
    The loss that trains the network is the sum of the outputs' losses, each times its `weight`.
    """

    name: str
    type: TaskType
    classes: tuple[str, ...]
    shape: tuple[int, ...] = ()
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.shape:
            object.__setattr__(self, "shape", (len(self.classes),))


@dataclass(frozen=True, slots=True)
class Task:
    """A network, its data, how it is trained, and the accuracy to keep.

    `net` makes the freshly initialized float network (input (N, *input_shape), output as the type
    has it (`compress.task_types`): logits (N, classes) of a classifier); `load` gets the data
    (cached; may take minutes the first time and then shows a progress bar on stderr). `recipe`
    trains the original, `fine_tune` is what stages are given shares and multiples of.
    `input_shape` is (C, H, W), that of a series (C, L), that of a vector (K,); of several inputs it
    is their names and shapes in the order of the parameters of the network's forward:
    (("image", (3, 32, 32)), ("numbers", (5,))).
    `device_samples` validation samples run on the board with each candidate. `source` is a
    hash of the path and text of the file that defines the task, empty for one of this package.

    `classes` names the outputs: the classes, labels or numbers to predict; ("normal", "anomalous")
    for an autoencoder. `accuracy_floor` is the default goal in the unit of the metric, the most
    that is allowed where less is better. `metric` is by default the first of the type
    (`compress.metrics.registry`). `pretrained` loads trained weights into a fresh network, which is
    then not trained; None if there are none.

    A network that answers with several tensors (a tuple, list or dict) has `outputs` in its order,
    and then neither `type` nor `classes` of the task. The metric that decides is by default the
    first one of the first output's type, of that output (`compress.metrics.outputs`).

    `front_end` says how samples were computed of a signal (`compress.features`), so that a device
    can do the same; it may take as long as `load`. None if they are the signal, or images.
    """

    name: str
    title: str
    input_shape: InputShape
    classes: tuple[str, ...]
    net: Callable[[], nn.Module]
    load: Callable[[], Dataset]
    recipe: Recipe
    fine_tune: Recipe
    accuracy_floor: float
    device_samples: int
    source: str = ""
    type: TaskType = "classification"
    metric: Metric | None = None
    pretrained: Callable[[nn.Module], None] | None = None
    outputs: tuple[Output, ...] = ()
    front_end: Callable[[], FrontEnd] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Inputs for the device, their labels, and the outputs it must give, bit for bit.

    Labels are the classes of a classifier's samples; for any other type, and without labels, they
    are the positions of the largest of the reference's outputs.

    `inputs` has the bytes of all inputs of the network, int8 (N, ...); where there is one, of int8,
    the shape may be (N, *input shape without batch). `labels` is int64 (N,). `outputs` has the
    bytes of all outputs of the integer reference, int8 (N, bytes): (N, classes) for a classifier.
    `compress.integer.rows` converts between bytes and values.
    """

    inputs: Int8Array
    labels: npt.NDArray[np.int64]
    outputs: Int8Array


@dataclass(frozen=True, slots=True)
class StageCost:
    """Cost of a stage: epochs of training, and seconds on one thread.

    A stage whose result came from the prefix cache (`cached`) has the seconds of its first run, so
    that costs stay comparable. The last entry of a model, "lower", is the lowering to integers.
    """

    stage: str
    epochs: float
    seconds: float
    cached: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedModel:
    """A compressed candidate: the integer graph, its accuracy on the host, and what it cost.

    `accuracy` is that of the integer reference on the validation samples that candidates are judged
    on: the task's metric as a share where more is better (`compress.metrics.scale`). `samples` are
    those of them that run on the device. `right` is the number of right answers on them by class,
    of screened candidates on fewer; empty where answers are not classes. `device_value` is the
    metric of the samples for the device, in its own unit, from the outputs that they must have.
    `others` are the metrics of several outputs beside the one that decides, on the same samples as
    `accuracy`: name and value in its unit. `drop_error` is the standard error of the difference of
    `accuracy` to the float network's on the same samples, None where it is not known. `answers`
    (N, ...) are the reference's to these samples, as metrics get them; None where nobody needs them
    any more.
    """

    genome: Genome
    graph: Graph
    accuracy: float
    samples: Samples
    costs: tuple[StageCost, ...]
    right: tuple[int, ...] = ()
    device_value: float | None = None
    others: tuple[tuple[str, float], ...] = ()
    drop_error: float | None = None
    answers: Array | None = None

    @property
    def epochs(self) -> float:
        """Epochs of training of this candidate, without those of the original network."""
        return sum(cost.epochs for cost in self.costs)


@dataclass(frozen=True, slots=True)
class LabeledMatrix:
    """Numbers with labels of rows and columns; None for a cell without a measurement."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
