"""What layers cost with weights of fewer bits, relative to int8, as the board measured it.

Beside the networks from which the cost table is made, some of mixed bits are profiled. A layer's
factors for a width of bits are means over the networks in which it has that width, of what was
measured relative to what the table predicts. What was never measured is taken to scale in stored
bytes alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hil.search.cost_tables import CostTable, LayerFactors, Profiled

# Factors by name of the layer and bits.
BitFactors = Mapping[tuple[str, int], LayerFactors]


def measured_factors(
    table: CostTable, profiled: Sequence[tuple[Profiled, Mapping[str, int]]]
) -> BitFactors:
    """The factors by `table`, from profiled networks with the bits of their layers by name."""
    ratios: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    models = {model.name: model for model in table.layers}
    for network, bits in profiled:
        row = np.array((*network.widths, 1.0))
        for layer in network.layers:
            width = bits.get(layer.name, 8)
            if width == 8 or layer.name not in models:
                continue
            _, count, stored, live = models[layer.name].predict(row)
            found = (
                layer.count / max(count, 1.0),
                layer.weight_bytes / max(stored, 1.0),
                max(0.0, layer.live_bytes - live) / max(stored, 1.0),
            )
            ratios.setdefault((layer.name, width), []).append(found)
    return {key: LayerFactors(*map(float, np.mean(rows, axis=0))) for key, rows in ratios.items()}


def factors_of(known: BitFactors, bits: Mapping[str, int]) -> dict[str, LayerFactors]:
    """The factors of the layers with these bits, by name; none for int8."""
    return {
        name: known.get((name, width), LayerFactors(weight_bytes=width / 8))
        for name, width in bits.items()
        if width != 8
    }
