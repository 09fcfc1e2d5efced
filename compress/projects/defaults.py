"""Training where a project says nothing of it: recipes from the number of training samples.

They aim at a number of steps that small networks need to converge, within limits on epochs; a
stage of a candidate trains for about a fifth of it, so that a search tries many.
"""

from __future__ import annotations

from compress.projects.project import ProjectSettings
from compress.types import Recipe

_STEPS = 1_500
_FEWEST_EPOCHS, _MOST_EPOCHS = 6, 30
_LEARNING_RATE = 0.005
_FINE_TUNE_SHARE = 0.2
_FINE_TUNE_RATE = 0.4  # of the learning rate
_FINE_TUNE_SAMPLES = 8_000
_DEVICE_SAMPLES = 128
_SMALL, _LARGE = 512, 20_000


def recipe_of(settings: ProjectSettings, samples: int) -> Recipe:
    """How the original network is trained on so many samples."""
    batch = settings.batch or (16 if samples < _SMALL else 64 if samples < _LARGE else 128)
    drawn = min(settings.samples_per_epoch or samples, samples)
    wanted = round(_STEPS * batch / drawn)
    return Recipe(
        epochs=settings.epochs or min(max(wanted, _FEWEST_EPOCHS), _MOST_EPOCHS),
        batch=batch,
        learning_rate=settings.learning_rate or _LEARNING_RATE,
        weight_decay=1e-4 if settings.weight_decay is None else settings.weight_decay,
        samples_per_epoch=settings.samples_per_epoch,
        huber_delta=settings.huber_delta,
    )


def fine_tune_of(settings: ProjectSettings, recipe: Recipe, samples: int) -> Recipe:
    """How long and how fast a stage of a candidate trains (`Task.fine_tune`)."""
    most = _FINE_TUNE_SAMPLES if samples > _FINE_TUNE_SAMPLES else recipe.samples_per_epoch
    drawn = settings.fine_tune_samples_per_epoch or most
    shrunk = samples / (drawn or samples)
    usual = max(1, round(_FINE_TUNE_SHARE * recipe.epochs * min(shrunk, 2.0)))
    return Recipe(
        epochs=settings.fine_tune_epochs or usual,
        batch=recipe.batch,
        learning_rate=settings.fine_tune_learning_rate or _FINE_TUNE_RATE * recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        samples_per_epoch=drawn,
        huber_delta=recipe.huber_delta,
    )


def device_samples_of(settings: ProjectSettings, samples: int) -> int:
    """How many validation samples run on the board with each candidate."""
    return settings.device_samples or min(_DEVICE_SAMPLES, samples)


def training_note(
    settings: ProjectSettings, recipe: Recipe, fine: Recipe, samples: int, is_trained: bool
) -> str:
    """A sentence that tells the training, and which of it was derived; '' if all was given.

    An original network that `is_trained` already is not trained here.
    """
    keys: tuple[str, ...] = ("batch", "fine_tune_epochs", "fine_tune_learning_rate")
    if not is_trained:
        keys = ("epochs", "batch", "learning_rate", "fine_tune_epochs", "fine_tune_learning_rate")
    derived = [key for key in keys if getattr(settings, key) is None]
    if not derived:
        return ""
    each = f" of {fine.samples_per_epoch:,} samples" if fine.samples_per_epoch else ""
    original = "the original network is not trained, it keeps the weights given"
    if not is_trained:
        original = f"{recipe.epochs} epochs, learning rate {recipe.learning_rate:g}"
    return (
        f"training: {original}; a stage of a candidate: a half, one or two times {fine.epochs} "
        f"epochs{each}, learning rate {fine.learning_rate:g}; batch {recipe.batch} (from "
        f"{samples:,} training samples: {', '.join(derived)}; [training] in hil.toml sets them)"
    )
