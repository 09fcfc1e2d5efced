"""The modules of torch.nn that are captured, each with the function that reads it.

These are also the modules that tracing keeps as one operation.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from compress.frontend import capture_elementwise as elementwise
from compress.frontend import capture_pools as pools
from compress.frontend import capture_resizing as resizing
from compress.frontend import capture_shapes as shapes
from compress.frontend import capture_tables as tables
from compress.frontend import capture_weighted as weighted
from compress.frontend.reader import Handler
from compress.recurrent_layers.layer import RecurrentLayer
from compress.recurrent_layers.replace import REPLACED
from compress.tracing import decompose


@dataclass(frozen=True, slots=True)
class Captured:
    """How a kind of module is read: the function, and the attributes that it gets by name.

    Without `attributes`, the function gets the module itself.
    """

    read: Handler
    attributes: tuple[str, ...] | None = ()

    def arguments(self, module: nn.Module) -> dict[str, Any]:
        """The keyword arguments for `read`."""
        if self.attributes is None:
            return {"module": module}
        return {name: getattr(module, name) for name in self.attributes}


_WHOLE = None
_MAX_POOL = Captured(
    pools.max_pool,
    ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
)
_POOL_1D = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
_SIZE = ("output_size",)
_PAD = Captured(pools.pad_module, ("padding", "value"))
_UPSAMPLE = Captured(
    resizing.upsample_module,
    ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor"),
)
_IDENTITY = Captured(shapes.identity)

MODULES: dict[type[nn.Module], Captured] = {
    nn.Conv2d: Captured(weighted.convolution, _WHOLE),
    nn.Conv1d: Captured(weighted.convolution, _WHOLE),
    nn.Linear: Captured(weighted.linear, _WHOLE),
    nn.ConvTranspose2d: Captured(weighted.transposed_convolution, _WHOLE),
    nn.ConvTranspose1d: Captured(weighted.transposed_convolution, _WHOLE),
    RecurrentLayer: Captured(weighted.recurrent_layer, _WHOLE),
    nn.BatchNorm2d: Captured(weighted.batch_norm, _WHOLE),
    nn.BatchNorm1d: Captured(weighted.batch_norm, _WHOLE),
    nn.ReLU: Captured(elementwise.relu),
    nn.ReLU6: Captured(elementwise.relu6),
    nn.Hardtanh: Captured(elementwise.hardtanh, ("min_val", "max_val")),
    nn.LeakyReLU: Captured(elementwise.leaky, ("negative_slope",)),
    nn.Sigmoid: Captured(elementwise.sigmoid),
    nn.Tanh: Captured(elementwise.tanh),
    nn.Hardswish: Captured(elementwise.hardswish),
    nn.PReLU: Captured(elementwise.prelu, _WHOLE),
    nn.SiLU: Captured(tables.silu),
    nn.GELU: Captured(tables.gelu, ("approximate",)),
    nn.Softplus: Captured(tables.softplus, ("beta", "threshold")),
    nn.ELU: Captured(tables.elu, ("alpha",)),
    nn.CELU: Captured(tables.celu, ("alpha",)),
    nn.SELU: Captured(tables.selu),
    nn.Mish: Captured(tables.mish),
    nn.Softsign: Captured(tables.softsign),
    nn.LogSigmoid: Captured(tables.logsigmoid),
    nn.Tanhshrink: Captured(tables.tanhshrink),
    nn.Hardshrink: Captured(tables.hardshrink, ("lambd",)),
    nn.Softshrink: Captured(tables.softshrink, ("lambd",)),
    nn.Threshold: Captured(tables.threshold, ("threshold", "value")),
    nn.RReLU: Captured(tables.rrelu, ("lower", "upper")),
    nn.Softmax: Captured(elementwise.softmax, ("dim",)),
    nn.MaxPool2d: _MAX_POOL,
    nn.MaxPool1d: _MAX_POOL,
    nn.AvgPool2d: Captured(pools.average_pool, (*_POOL_1D, "divisor_override")),
    nn.AvgPool1d: Captured(pools.average_pool, _POOL_1D),
    nn.AdaptiveAvgPool2d: Captured(pools.adaptive_average_pool, _SIZE),
    nn.AdaptiveAvgPool1d: Captured(pools.adaptive_average_pool, _SIZE),
    nn.AdaptiveMaxPool2d: Captured(pools.adaptive_max_pool, (*_SIZE, "return_indices")),
    nn.AdaptiveMaxPool1d: Captured(pools.adaptive_max_pool, (*_SIZE, "return_indices")),
    nn.ZeroPad2d: _PAD,
    nn.ZeroPad1d: _PAD,
    nn.ConstantPad2d: _PAD,
    nn.ConstantPad1d: _PAD,
    nn.Upsample: _UPSAMPLE,
    nn.UpsamplingNearest2d: _UPSAMPLE,
    nn.UpsamplingBilinear2d: _UPSAMPLE,
    nn.PixelShuffle: Captured(shapes.shuffle, _WHOLE),
    nn.PixelUnshuffle: Captured(shapes.shuffle, _WHOLE),
    nn.ChannelShuffle: Captured(shapes.shuffle, _WHOLE),
    nn.Flatten: Captured(shapes.reshape),
    nn.Unflatten: Captured(shapes.reshape),
    nn.Identity: _IDENTITY,
    nn.Dropout: _IDENTITY,
    nn.Dropout1d: _IDENTITY,
    nn.Dropout2d: _IDENTITY,
    nn.Dropout3d: _IDENTITY,
    nn.AlphaDropout: _IDENTITY,
    nn.FeatureAlphaDropout: _IDENTITY,
}


def captured(module: nn.Module) -> Captured | None:
    """How `module` is read; None for a module that has no integer kernel."""
    return next((MODULES[kind] for kind in type(module).__mro__ if kind in MODULES), None)


def supported_modules() -> str:
    """The names of all supported modules, for messages."""
    kinds = {*MODULES, *decompose.REPLACED_MODULES, *REPLACED} - {RecurrentLayer}
    return ", ".join(sorted(kind.__name__ for kind in kinds))
