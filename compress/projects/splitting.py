"""Split samples into training, validation and test: 60, 20 and 20 %, always the same ones.

Samples of one class are spread evenly; those of one group (a person, a device, a recording) stay
together. The splits of scikit-learn do it, with a fixed seed.
"""

from __future__ import annotations

import numpy as np

from compress.errors import UserError
from compress.projects.output_values import TaskTypes
from compress.types import Array, Dataset, Split

SEED = 0
_FOLDS = 5  # one for test, one for validation, three for training
_FEWEST_OF_A_CLASS = 5
_FEWEST_SAMPLES = 10


def split_samples(
    x: Array,
    y: Array,
    groups: Array | None,
    classes: tuple[str, ...],
    kind: TaskTypes,
    where: str,
    otherwise: str = "arrays x_train, y_train and so on",
) -> tuple[Dataset, str]:
    """The splits, and a sentence that tells them, and what `otherwise` would split.

    By class where each sample has one, and is not learned by several outputs. An autoencoder trains
    on normal samples only, so the anomalous ones of its training split are left out. Raises
    UserError for too few samples.
    """
    labeled = y.ndim == 1 and y.dtype.names is None
    _check_enough(y, classes if labeled else (), where)
    parts = (
        _by_group(x, y, groups, labeled, where) if groups is not None else _by_sample(y, labeled)
    )
    if kind == "autoencoder":
        parts[0] = parts[0][y[parts[0]] == 0]
    train, val, test = (Split(x[part], y[part]) for part in parts)
    how = "by class" if labeled else "by chance"
    kept = ""
    if groups is not None:
        counts = "/".join(str(len(np.unique(groups[part]))) for part in parts)
        kept = f", groups kept together ({counts} of {len(np.unique(groups))})"
    note = (
        f"{where}: split here {how} with a fixed seed{kept}: {len(train)} samples train, "
        f"{len(val)} validation, {len(test)} test; {otherwise} split otherwise"
    )
    return Dataset(train, val, test), note


def _check_enough(y: Array, classes: tuple[str, ...], where: str) -> None:
    if len(y) < _FEWEST_SAMPLES:
        raise UserError(f"{where}: {len(y)} samples: at least {_FEWEST_SAMPLES} are needed")
    counts = np.bincount(y, minlength=len(classes)) if classes else np.array([], np.int64)
    for name, count in zip(classes, counts, strict=True):
        if 0 < count < _FEWEST_OF_A_CLASS:
            raise UserError(
                f"{where}: class {name} has {count} samples: at least {_FEWEST_OF_A_CLASS} are "
                "needed to split them into training, validation and test"
            )


def _by_sample(y: Array, labeled: bool) -> list[Array]:
    from sklearn.model_selection import train_test_split  # takes a second to import

    def parted(indices: Array, share: float) -> tuple[Array, Array]:
        a, b = train_test_split(
            indices,
            test_size=share,
            random_state=SEED,
            stratify=y[indices] if labeled else None,
        )
        return np.sort(a), np.sort(b)

    rest, test = parted(np.arange(len(y)), 0.2)
    train, val = parted(rest, 0.25)
    return [train, val, test]


def _by_group(x: Array, y: Array, groups: Array, labeled: bool, where: str) -> list[Array]:
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    count = len(np.unique(groups))
    if count < 3:
        raise UserError(
            f"{where}: {count} groups: at least 3 are needed, one each for training, validation "
            "and test"
        )
    folds = min(_FOLDS, count)
    if labeled and folds <= int(np.bincount(y)[np.unique(y)].min()):
        maker = StratifiedGroupKFold(folds, shuffle=True, random_state=SEED)  # type: ignore[no-untyped-call]
        pairs = list(maker.split(x, y, groups))  # type: ignore[no-untyped-call]
    else:
        plain = GroupKFold(folds)  # type: ignore[no-untyped-call]
        pairs = list(plain.split(x, y, groups))  # type: ignore[no-untyped-call]
    parts = [np.sort(part) for _, part in pairs]
    parts.sort(key=len, reverse=True)  # a fold without groups, if there is one, comes last
    filled = [part for part in parts if len(part)]
    if len(filled) < 3:
        raise UserError(f"{where}: the groups cannot be split into three parts; give x_train ...")
    return [np.sort(np.concatenate(filled[:-2])), filled[-2], filled[-1]]
