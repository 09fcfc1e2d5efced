"""Random torch modules: integers agree with the module as it runs, or a layer is refused by name.

`--random-modules 10000` is the long run.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from compress.errors import UnsupportedLayer
from compress.genome import Quantize
from compress.integer import reference
from compress.quantization.lower import lower, quantize_input
from helpers.random_modules import random_module
from helpers.rounding_noise import expected_noise

torch.set_num_threads(1)  # two wait for each other where a core is shared

# Integers may differ from the module by this many times the noise that rounding must be expected to
# cause. Of 300 modules the largest ratio was 1.2; without the check of capture, modules whose hooks
# are left out are at 2 to 16.
MOST = 3.0
# "layer (file.py, line 3): why", the line where one of the user's calls the layer.
NAMED = re.compile(r"^[\w.]+( \(\w+\.py, line \d+\))?: ")


def _outcome(seed: int) -> str:
    """'' for a module that agrees, 'refused' for one that is refused, else what is wrong."""
    module, shape = random_module(seed)
    x = np.random.default_rng(seed).standard_normal((48, *shape)).astype(np.float32)
    samples = torch.from_numpy(x)
    try:
        graph = lower(module, Quantize(), x, "random")
    except UnsupportedLayer as refusal:
        named = NAMED.match(str(refusal))
        return "refused" if named else f"module {seed}: refused without a name: {refusal}"
    with torch.no_grad():
        wanted = module(samples.clone()).numpy()
    output = graph.output_tensor
    integers = reference.run(graph, quantize_input(graph, x)).reshape(len(x), -1).astype(float)
    found = (integers - output.zero_point) * output.scale
    error = float(np.sqrt(np.mean((found - wanted) ** 2)))
    allowed = MOST * (expected_noise(module, samples) + output.scale)
    if error <= allowed:
        return ""
    program = "\n".join(module.text)
    return f"module {seed}: error {error:.3g}, allowed {allowed:.3g}, not refused\n{program}"


def test_what_goes_in_is_what_runs(request: pytest.FixtureRequest) -> None:
    count = int(request.config.getoption("--random-modules"))
    outcomes = [_outcome(seed) for seed in range(count)]
    wrong = [outcome for outcome in outcomes if outcome not in ("", "refused")]
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n\n".join(wrong[:10])
    # Most modules run: refusing everything would be no achievement.
    assert outcomes.count("") > 0.6 * count
