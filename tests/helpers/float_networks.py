"""Small float networks of many kinds of layers, and their ONNX files as torch exports them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.frontend.check_capture import vary


class Residual(nn.Module):
    """A residual CNN with an odd stride, and a batch-norm that no convolution can take."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8))
        self.first = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.after = nn.BatchNorm2d(8)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = self.after(torch.relu(x + self.first(x)))
        return self.out(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Inverted(nn.Module):
    """An inverted bottleneck of MobileNetV2."""

    def __init__(self, inputs: int, outputs: int, stride: int, factor: int = 3) -> None:
        super().__init__()
        wide = inputs * factor
        self.skips = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layers(x)
        return x + made if self.skips else made


class Mobile(nn.Sequential):
    """A small MobileNetV2."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(2, 8, 3, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            Inverted(8, 8, 1),
            Inverted(8, 12, 2),
            nn.Conv2d(12, 16, 1),
            nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(16, 3),
        )


class Joined(nn.Module):
    """Branches that are joined, split, enlarged and viewed by the batch's size."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(2, 4, 1)
        self.up = nn.Upsample(scale_factor=2)
        self.out = nn.Linear(8 * 64, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([torch.tanh(self.left(x)), functional.leaky_relu(self.right(x), 0.1)], 1)
        small = functional.max_pool2d(x, 2)
        x = x - self.up(small)
        return self.out(x.view(x.size(0), -1))


class Activations(nn.Module):
    """Activations one after the other."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.first, self.layers, self.out = nn.Linear(6, 8), nn.Sequential(*layers), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.out(self.layers(self.first(x)))
        return made


class Pools(nn.Module):
    """Pools with and without padding that counts, rounding up, and a padding before."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, (3, 1), padding=(1, 0))
        self.pools = nn.Sequential(
            nn.AvgPool2d(3, 2, padding=1),
            nn.MaxPool2d(2, 2, ceil_mode=True),
            nn.ConstantPad2d((0, 1, 0, 1), 0.5),
            nn.AvgPool2d(3, 1, padding=1, count_include_pad=False),
        )
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(x, (0, 1, 1, 0))
        return self.out(self.pools(self.conv(x)).mean((2, 3)))


class Parted(nn.Module):
    """Splits, slices, single steps, transposes and other constants."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 8, 3, padding=1)
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 8).reshape(1, 8, 1))
        self.register_buffer("shift", torch.linspace(-1, 1, 8).reshape(8, 1))
        self.inner, self.out = nn.Linear(16, 6), nn.Linear(4 * 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x) * self.scale + self.shift
        first, second = x.chunk(2, 1)
        x = torch.minimum(first, second[:, :, :]) / 2 + 1 - torch.maximum(first, second)
        x = x.transpose(1, 2).reshape(x.size(0), 16, 4).permute(0, 2, 1)
        x = self.inner(x)
        return self.out(x.flatten(1)) + x[:, 1, 3:]


class Recurrent(nn.Module):
    """A GRU or LSTM over time; the answer comes from the last step, or from all of them."""

    def __init__(self, kind: type[nn.RNNBase], last: bool, both: bool = False) -> None:
        super().__init__()
        self.layer = kind(3, 5, batch_first=True, bidirectional=both)  # type: ignore[call-arg, arg-type]
        self.last = last
        self.out = nn.Linear(10 if both else 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.layer(x.transpose(1, 2))
        return self.out(y[:, -1] if self.last else y.mean(1))


class Hidden(nn.Module):
    """A GRU whose last state is the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.GRU(3, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        _, h = self.layer(x.transpose(1, 2))
        return self.out(h[-1])


class Attention(nn.Module):
    """A small encoder block: attention of two heads, LayerNorm, GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv1d(3, 8, 1)
        self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))
        self.norm, self.wide, self.narrow = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).transpose(1, 2)
        q, k, v = (
            f(x).reshape(x.size(0), -1, 2, 4).transpose(1, 2) for f in (self.q, self.k, self.v)
        )
        weights = torch.softmax(q @ k.transpose(-2, -1) / 2.0, -1)
        mixed = (weights @ v).transpose(1, 2).flatten(2)
        x = self.norm(x + mixed)
        x = x + self.narrow(functional.gelu(self.wide(x)))
        return self.out(x.mean(1))


class Decoder(nn.Module):
    """Transposed convolutions, and enlargement in two ways."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2, 6, 3, stride=2, padding=1, output_padding=1)
        self.more = nn.ConvTranspose2d(6, 6, 2, stride=2)
        self.smooth = nn.Upsample(scale_factor=2, mode="bilinear")
        self.aligned = nn.Upsample(size=(20, 20), mode="bilinear", align_corners=True)
        self.out = nn.Conv2d(6, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.more(torch.relu(self.up(x))))
        return self.out(self.aligned(self.smooth(functional.avg_pool2d(x, 4))))


def series() -> nn.Module:
    """A 1-D CNN."""
    return nn.Sequential(
        nn.Conv1d(3, 8, 5, padding=2),
        nn.ReLU(),
        nn.BatchNorm1d(8),
        nn.Conv1d(8, 8, 3, stride=2, padding=1, groups=4),
        nn.MaxPool1d(2),
        nn.Conv1d(8, 8, 2, dilation=2),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
        nn.Softmax(-1),
    )


def perceptron() -> nn.Module:
    """Linear layers, one without a bias, with batch-norm."""
    return nn.Sequential(
        nn.Linear(6, 8, bias=False),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Linear(8, 5, bias=False),
        nn.Sigmoid(),
        nn.Linear(5, 3),
    )


MAP, SERIES, VECTOR = (2, 8, 8), (3, 16), (6,)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual": (Residual, MAP),
    "mobile": (Mobile, MAP),
    "joined": (Joined, MAP),
    "pools": (Pools, MAP),
    "decoder": (Decoder, MAP),
    "parted": (Parted, SERIES),
    "series": (series, SERIES),
    "attention": (Attention, SERIES),
    "perceptron": (perceptron, VECTOR),
    "smooth": (
        lambda: Activations(nn.SiLU(), nn.GELU(), nn.GELU("tanh"), nn.ELU(0.7), nn.Softplus()),
        VECTOR,
    ),
    "clipped": (
        lambda: Activations(
            nn.Hardswish(), nn.Hardsigmoid(), nn.Hardtanh(-0.4, 2.0), nn.PReLU(8), nn.SELU()
        ),
        VECTOR,
    ),
    "gru": (lambda: Recurrent(nn.GRU, True), SERIES),
    "gru_both": (lambda: Recurrent(nn.GRU, False, True), SERIES),
    "gru_state": (Hidden, SERIES),
    "lstm": (lambda: Recurrent(nn.LSTM, True), SERIES),
}


def network(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """The network with random batch-norms, in evaluation mode, and its input's shape."""
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    module = make()
    vary(module)
    return module.eval(), shape


def export(
    module: nn.Module,
    shape: tuple[int, ...],
    opset: int | None = None,
    dynamo: bool = False,
    dynamic: bool = True,
    keep_norms: bool = False,
) -> bytes:
    """The ONNX file of a module, by torch's exporter (`dynamo`) or its older one.

    Its batch is dynamic or 1. With `keep_norms` batch-norms stay nodes of their own.
    """
    x, file = torch.randn(2 if dynamic else 1, *shape), io.BytesIO()
    options: dict[str, object] = {"input_names": ["x"], "opset_version": opset, "dynamo": dynamo}
    if dynamo:
        options |= {"verbose": False, "external_data": False}
        options |= {"dynamic_shapes": ({0: torch.export.Dim("n")},)} if dynamic else {}
    else:
        options |= {"dynamic_axes": {"x": {0: "n"}}} if dynamic else {}
        if keep_norms:
            options |= {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), file, **options)  # type: ignore[arg-type]
    return file.getvalue()
