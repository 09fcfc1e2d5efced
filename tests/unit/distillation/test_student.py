"""Students: the effect of each gene, and the weights that the student inherits."""

import numpy as np
import pytest
import torch
from torch import nn

from compress.distillation.student import student
from compress.errors import Infeasible
from compress.genome import Distill, Quantize
from compress.integer.check import check_graph
from compress.integer.cost import total_macs
from compress.pruning.blocks import block_names
from compress.pruning.prune import group_names, kept_channels
from compress.quantization.lower import lower
from compress.tasks import digits, kws

NETS = {"digits": (digits.net, (1, 8, 8)), "kws": (kws.net, (1, 49, 10))}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def _macs(module: nn.Module, shape: tuple[int, int, int]) -> int:
    graph = lower(module, Quantize(), np.zeros((2, *shape), np.float32), "test")
    check_graph(graph)
    return total_macs(graph)


def _weights(module: nn.Module) -> list[torch.Tensor]:
    return [p.detach() for p in module.parameters()]


@pytest.mark.parametrize("name", NETS)
def test_without_genes_the_student_is_a_copy(name: str) -> None:
    net, shape = NETS[name]
    module = net().eval()
    made = student(module, shape, Distill())
    x = torch.randn(3, *shape)
    assert torch.equal(made(x), module(x))
    assert not {id(p) for p in made.parameters()} & {id(p) for p in module.parameters()}


@pytest.mark.parametrize(
    ("name", "genes", "smaller"),
    [
        ("digits", Distill(width=0.5), True),
        ("digits", Distill(kernel=5), False),
        ("digits", Distill(separable=True), True),
        ("digits", Distill(width=0.5, kernel=5, separable=True, fresh=True), True),
        ("kws", Distill(depth=0.5), True),
        ("kws", Distill(width=0.5, depth=0.25, kernel=5), True),
        ("kws", Distill(kernel=5), False),
    ],
)
def test_students_answer_alike_and_cost_less(name: str, genes: Distill, smaller: bool) -> None:
    net, shape = NETS[name]
    module = net().eval()
    made = student(module, shape, genes)
    x = torch.randn(3, *shape)
    assert made(x).shape == module(x).shape
    assert (_macs(made, shape) < _macs(module, shape)) == smaller


def test_separable_macs_are_those_counted_by_hand() -> None:
    made = student(digits.net(), (1, 8, 8), Distill(separable=True))
    stem, on_8x8, on_4x4 = 64 * 9 * 16, 64 * 16 * (9 + 16), 16 * 16 * (9 + 32)
    assert _macs(made, (1, 8, 8)) == stem + on_8x8 + on_4x4 + 32 * 10


def test_the_module_is_left_as_it_was() -> None:
    module = digits.net().eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    student(module, (1, 8, 8), Distill(width=0.5, kernel=5, separable=True, fresh=True))
    after = module.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_student_inherits_or_starts_afresh() -> None:
    module = digits.net()
    inherited = student(module, (1, 8, 8), Distill(width=0.5))
    fresh = student(module, (1, 8, 8), Distill(width=0.5, fresh=True))
    assert inherited[0].conv.weight.shape == fresh[0].conv.weight.shape == (8, 1, 3, 3)
    originals = {tuple(w.flatten().tolist()) for w in module[0].conv.weight}
    assert all(tuple(w.flatten().tolist()) in originals for w in inherited[0].conv.weight)
    assert not any(tuple(w.flatten().tolist()) in originals for w in fresh[0].conv.weight)


def test_each_group_has_its_own_width() -> None:
    module, names = digits.net(), group_names(digits.net(), (1, 8, 8))
    made = student(module, (1, 8, 8), Distill(keep=(0.5, 0.25, 0.75)), names)
    assert [len(made.get_submodule(name).weight) for name in names] == [8, 4, 24]


def test_equal_widths_are_a_uniform_width() -> None:
    module, names = digits.net(), group_names(digits.net(), (1, 8, 8))
    each = student(module, (1, 8, 8), Distill(keep=(0.5, 0.5, 0.5)), names)
    uniform = student(module, (1, 8, 8), Distill(width=0.5))
    assert all(map(torch.equal, _weights(each), _weights(uniform)))


def test_widths_belong_to_groups_by_name_where_blocks_are_gone() -> None:
    """Half the blocks of kws: their groups are gone, the others keep their ratios."""
    module, shape = kws.net(), (1, 49, 10)
    names = group_names(module, shape)
    keep = tuple(0.25 + 0.125 * i for i in range(len(names)))
    made = student(module, shape, Distill(keep=keep, depth=0.5), names)
    left = group_names(made, shape)
    assert 0 < len(left) < len(names)
    for name, ratio in zip(names, keep, strict=True):
        if name in left:
            assert len(made.get_submodule(name).weight) == kept_channels(64, ratio)


def test_a_width_for_each_group_is_needed() -> None:
    names = group_names(digits.net(), (1, 8, 8))
    with pytest.raises(Infeasible, match="2 keep ratios for 3 groups"):
        student(digits.net(), (1, 8, 8), Distill(keep=(0.5, 0.75)), names)


def test_the_seed_fixes_fresh_weights() -> None:
    module, genes = digits.net(), Distill(separable=True, fresh=True)
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(student(module, (1, 8, 8), genes))
    first, again, other = map(_weights, made)
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))


def test_blocks_that_stay_are_evenly_spaced() -> None:
    module, shape = kws.net(), (1, 49, 10)
    names = block_names(module, shape)
    assert len(names) == 4

    def left(depth: float) -> tuple[str, ...]:
        return block_names(student(module, shape, Distill(depth=depth)), shape)

    assert left(0.01) == names[:1]
    assert left(0.5) == (names[0], names[3])
    assert left(0.75) == (names[0], names[2], names[3])
    assert left(1.0) == names
    assert left(0.87) == (names[0], names[2], names[3])
    assert left(0.88) == names


def test_a_smaller_kernel_keeps_the_center_and_a_larger_one_everything() -> None:
    module = nn.Sequential(
        nn.Conv2d(2, 4, 5, stride=2, padding=2), nn.Conv2d(4, 4, 5, padding="same", groups=4)
    )
    smaller = student(module, (2, 9, 9), Distill(kernel=3))
    for old, new in zip(module, smaller, strict=True):
        assert torch.equal(new.weight, old.weight[:, :, 1:4, 1:4])
        assert torch.equal(new.bias, old.bias)
    larger = student(smaller, (2, 9, 9), Distill(kernel=5))
    x = torch.randn(3, 2, 9, 9)
    torch.testing.assert_close(larger(x), smaller(x))
    assert larger[0].kernel_size == (5, 5)
    assert larger[0].weight.count_nonzero() == smaller[0].weight.numel()


@pytest.mark.parametrize(
    ("conv", "unchanged"),
    [
        (nn.Conv2d(2, 4, 3, dilation=2), False),  # needs padding with the larger kernel
        (nn.Conv2d(2, 4, 3, padding=(2, 1), stride=2), False),
        (nn.Conv2d(2, 4, 3, padding="valid"), False),
        (nn.Conv2d(2, 4, 3, padding="same", dilation=3), False),
        (nn.Conv2d(2, 4, 1), True),
        (nn.Conv2d(2, 4, (4, 2)), True),
        (nn.Conv2d(2, 4, 5), True),
    ],
)
def test_kernels_grow_without_a_change_of_the_function(conv: nn.Conv2d, unchanged: bool) -> None:
    module, x = nn.Sequential(conv), torch.randn(2, 2, 11, 8)
    made = student(module, (2, 11, 8), Distill(kernel=5))
    torch.testing.assert_close(made(x), module(x))
    assert made[0].kernel_size == (conv.kernel_size if unchanged else (5, 5))


@pytest.mark.parametrize(
    ("conv", "genes", "reason"),
    [
        (nn.Conv2d(2, 4, 5), Distill(kernel=3), r"^0: kernel 5x5 to 3x3: padding \(0, 0\)"),
        (nn.Conv2d(2, 4, 2), Distill(kernel=3), "odd size"),
        (nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"), Distill(kernel=5), "reflect"),
        (nn.Conv2d(2, 4, 3), Distill(kernel=1), "kernel 1: allowed are 0, 3, 5"),
        (nn.Conv2d(2, 4, 3), Distill(depth=0.0), "0 < depth"),
        (nn.Conv2d(2, 4, 3), Distill(width=1.5), "0 < ratio"),
    ],
)
def test_what_cannot_be_applied_is_refused(conv: nn.Conv2d, genes: Distill, reason: str) -> None:
    module = nn.Sequential(conv, nn.Flatten(), nn.LazyLinear(3))
    module(torch.zeros(1, 2, 9, 9))
    with pytest.raises(Infeasible, match=reason):
        student(module, (2, 9, 9), genes)


def test_a_separable_filter_is_found_exactly() -> None:
    """A convolution that is exactly separable is reproduced without error."""
    depthwise, pointwise = nn.Conv2d(3, 3, 3, groups=3, bias=False), nn.Conv2d(3, 8, 1)
    conv = nn.Conv2d(3, 8, 3, stride=2, padding=2, dilation=2)
    with torch.no_grad():
        conv.weight.copy_(pointwise.weight * depthwise.weight[:, 0])
        conv.bias.copy_(pointwise.bias)
    module = nn.Sequential(conv)
    made = student(module, (3, 9, 8), Distill(separable=True))
    assert [name for name, _ in made.named_modules()][2:] == ["0.depthwise", "0.pointwise"]
    assert made[0].depthwise.groups == 3
    assert made[0].pointwise.stride == (1, 1)
    x = torch.randn(4, 3, 9, 8)
    torch.testing.assert_close(made(x), module(x), rtol=1e-4, atol=1e-5)


def test_the_separable_filter_is_the_nearest() -> None:
    """No random change of the separable weights reduces the error to the full convolution."""
    conv = nn.Conv2d(4, 6, 3, bias=False)
    pair = student(nn.Sequential(conv), (4, 8, 8), Distill(separable=True))[0]

    def error(spatial: torch.Tensor, mixing: torch.Tensor) -> float:
        return float((mixing * spatial[:, 0] - conv.weight.detach()).square().sum())

    spatial, mixing = (layer.weight.detach() for layer in (pair.depthwise, pair.pointwise))
    least = error(spatial, mixing)
    assert least < float(conv.weight.detach().square().sum())
    for scale in (0.3, 0.03, 0.003):
        for _ in range(20):
            step = scale * torch.randn_like(spatial), scale * torch.randn_like(mixing)
            assert error(spatial + step[0], mixing + step[1]) > least


def test_a_shared_convolution_stays_shared() -> None:
    conv = nn.Conv2d(4, 4, 3, padding=1)
    module = nn.Sequential(conv, nn.ReLU(), conv)
    for genes in (Distill(separable=True), Distill(kernel=5)):
        made = student(module, (4, 6, 6), genes)
        assert made[0] is made[2]
        assert made(torch.zeros(1, 4, 6, 6)).shape == (1, 4, 6, 6)


def test_genes_that_apply_to_no_layer_change_nothing() -> None:
    """kws has no full convolution with several input channels, and all its kernels are 3x3."""
    module, shape = kws.net().eval(), (1, 49, 10)
    made = student(module, shape, Distill(separable=True, kernel=3))
    assert made.state_dict().keys() == module.state_dict().keys()
    assert all(map(torch.equal, _weights(made), _weights(module)))
