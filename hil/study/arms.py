"""The arms of a study: single methods, fixed recipes, and searches over the whole space.

A single method or a recipe is swept over the settings that an engineer would try: ratios or widths,
8 or 4 bits, shorter or longer training. The searches' space holds the same methods, trained as
long, in any order, except that its ratios are those in `compress.space.space.KEEP_RATIOS`, and
no training from scratch. Some searches are controls: they search the elastic network of the engine
"elastic" in other ways (`hil.elastic.controls`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from compress.genome import Distill, Features, Genome, Prune, Quantize, Sparsify, Stage, Teacher
from compress.pipeline.network import Original, space_of
from compress.space.canonical import canonical
from compress.space.space import STUDENT_LENGTH_FACTOR, student_lengths
from hil.elastic.controls import CONTROL_ENGINES
from hil.objective.goal import Goal
from hil.search.engine import Engine, Proposal
from hil.search.registry import open_engine
from hil.study.arm_names import FIXED, SEARCHES, ArmKind
from hil.types import Trial

RATIOS = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25)
_RECIPE_RATIOS = (0.75, 0.625, 0.5, 0.375)
# Only networks so narrow are taught longer, too: all of them would take a study's whole budget.
_LONG_RATIOS = (0.5, 0.375)


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of a study; `open` makes its engine from an original network, a goal and a seed."""

    name: str
    title: str
    kind: ArmKind
    open: Callable[[Original, Goal, int], Engine]


class Sweep:
    """The engine of a fixed arm: tries each of its settings once, in an order given by the seed."""

    def __init__(self, genomes: Iterable[Genome], seed: int, batch: int = 4) -> None:
        spelled = [canonical(genome) for genome in genomes]
        self.waiting = list({genome.key: genome for genome in spelled}.values())
        random.Random(f"sweep:{seed}").shuffle(self.waiting)
        self.batch = batch

    def ask(self) -> list[Proposal]:
        """The next batch of settings."""
        asked, self.waiting = self.waiting[: self.batch], self.waiting[self.batch :]
        return [Proposal(genome) for genome in asked]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Ignore the trials: a fixed arm learns nothing."""


def arms() -> tuple[Arm, ...]:
    """All arms, the fixed ones first: searches reuse their trials."""
    fixed = [Arm(name, title, kind, _sweep(name)) for name, (kind, title) in FIXED.items()]
    searches = [Arm(name, title, "search", _search(name)) for name, title in SEARCHES.items()]
    return (*fixed, *searches)


def settings_of(name: str, epochs: Sequence[float]) -> tuple[Genome, ...]:
    """The settings of a fixed arm; stages train for the two largest values of `epochs`.

    Students train longer (`_student_lengths`).
    """
    lengths = tuple(sorted(epochs)[-2:])
    families: dict[str, Callable[[Sequence[float]], Iterator[tuple[Stage, ...]]]] = {
        "int8": _int8,
        "int4": _int4,
        "structured": _structured,
        "unstructured": _unstructured,
        "distilled": _distilled,
        "scratch": _scratch,
    }
    family = families.get(name)
    stages = _recipe(name, lengths) if family is None else family(lengths)
    return tuple(map(Genome, stages))


def _sweep(name: str) -> Callable[[Original, Goal, int], Engine]:
    return lambda original, goal, seed: Sweep(settings_of(name, space_of(original).epochs), seed)


def _search(name: str) -> Callable[[Original, Goal, int], Engine]:
    if name in CONTROL_ENGINES:
        return CONTROL_ENGINES[name]
    return lambda original, goal, seed: open_engine(name, original, goal, seed)


def _int8(lengths: Sequence[float]) -> Iterator[tuple[Stage, ...]]:
    yield (Quantize(),)
    yield (Quantize(symmetric=True),)
    yield (Quantize(calibration="percentile", percentile=99.9),)
    yield (Quantize(calibration="mse"),)
    yield (Quantize(weight_range="mse", correct_bias=True),)
    yield (Quantize(equalize=True, granularity="tensor"),)
    for epochs, learned in product(lengths, (False, True)):
        yield (Quantize(learn_ranges=learned, epochs=epochs),)


def _int4(lengths: Sequence[float]) -> Iterator[tuple[Stage, ...]]:
    yield (Quantize((4,)),)
    yield (Quantize((4,), weight_range="mse"),)
    yield (Quantize((4,), weight_range="mse", correct_bias=True),)
    yield (Quantize((4,), weight_range="mse", rounding="adaround"),)
    for epochs, learned in product(lengths, (False, True)):
        yield (Quantize((4,), weight_range="mse", learn_ranges=learned, epochs=epochs),)
        yield (Quantize((4,), weight_range="mse", learn_ranges=learned, epochs=epochs, rate=0.3),)


def _structured(lengths: Sequence[float]) -> Iterator[tuple[Stage, ...]]:
    for ratio, epochs in product(RATIOS, lengths):
        yield Prune((ratio,), scope="uniform", epochs=epochs), Quantize()


def _unstructured(lengths: Sequence[float]) -> Iterator[tuple[Stage, ...]]:
    for share, epochs in product((0.5, 0.6, 0.7, 0.8, 0.9), lengths):
        yield Sparsify(share, scope="global", epochs=epochs), Quantize()
    yield Sparsify(0.5, "2:4", epochs=lengths[-1]), Quantize()
    yield Sparsify(0.75, "1:4", epochs=lengths[-1]), Quantize()


def _student_lengths(lengths: Sequence[float], ratio: float) -> tuple[float, ...]:
    """How long students of so many channels train: as in every arm, and of the narrow ones longer.

    On kws, where a length is an epoch, 8, 16 and 32 epochs.
    """
    usual = STUDENT_LENGTH_FACTOR * lengths[-1]
    longer = (length for length in student_lengths(lengths) if length > usual)
    return (usual, *(longer if ratio in _LONG_RATIOS else ()))


def _distilled(lengths: Sequence[float]) -> Iterator[tuple[Stage, ...]]:
    kinds: tuple[tuple[Features, bool], ...] = (
        ("attention", False),
        ("none", False),
        ("attention", True),
    )
    for (features, fresh), ratio in product(kinds, _RECIPE_RATIOS):
        every = _student_lengths(lengths, ratio)
        for epochs in every if (features, fresh) == kinds[0] else every[:1]:
            yield Distill(width=ratio, fresh=fresh, features=features, epochs=epochs), Quantize()


def _scratch(lengths: Sequence[float]) -> Iterator[tuple[Stage, ...]]:
    for ratio in RATIOS:
        student = Distill(
            weight=0.0, width=ratio, fresh=True, epochs=STUDENT_LENGTH_FACTOR * lengths[-1]
        )
        yield student, Quantize()


def _recipe(order: str, lengths: Sequence[float]) -> Iterator[tuple[Stage, ...]]:
    """The stages in the given order (letters P, Q, D) at every ratio, with 8 and with 4 bits.

    A stage after other training has 0.3 of the learning rate. If P comes after D, each narrows the
    network by the square root of the ratio; without P, D narrows it alone. D after Q is taught by
    the compressed network (arXiv:2403.17447), otherwise by the original, as in QD, which stands for
    the order that was best on kws (docs/decisions/0033).
    """
    for ratio, bits in product(_RECIPE_RATIOS, (8, 4)):
        made = [_stage(order, place, ratio, bits, lengths[-1]) for place in range(len(order))]
        yield tuple(made)
        taught = [place for place, letter in enumerate(order) if letter == "D"]
        for place, epochs in product(taught, _student_lengths(lengths, ratio)[1:]):
            yield *made[:place], replace(made[place], epochs=epochs), *made[place + 1 :]


def _stage(order: str, place: int, ratio: float, bits: int, epochs: float) -> Stage:
    letter, before = order[place], order[:place]
    rate = 0.3 if "P" in before or "D" in before else 1.0
    if letter == "P":
        # D narrowed the network by the same factor: together they keep `ratio`.
        keep = ratio**0.5 if "D" in before else ratio
        return Prune((keep,), scope="uniform", epochs=epochs, rate=rate)
    if letter == "D":
        width = 1.0 if "P" in before else ratio if "P" not in order else ratio**0.5
        teacher: Teacher = "compressed" if "Q" in before and "P" in order else "original"
        # A student of another shape trains as long as in the other arms.
        length = STUDENT_LENGTH_FACTOR * epochs if width < 1.0 else epochs
        return Distill(teacher=teacher, width=width, epochs=length, rate=rate)
    if bits == 8:
        return Quantize(learn_ranges=order == "QD")
    length = 0 if order == "QD" else epochs  # D trains under the scheme
    return Quantize((4,), weight_range="mse", learn_ranges=True, epochs=length)
