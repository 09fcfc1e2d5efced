"""Images of files as samples, by Pillow: of one size, gray or RGB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compress.errors import UserError
from compress.types import Array

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_LARGEST_UNASKED = 128  # pixels of a side that is taken without image_size
_DEEP_MODES = ("I", "F")  # more than 8 bits a channel


@dataclass(frozen=True, slots=True)
class ImageForm:
    """The form of all samples: (channels, height, width), and whether images are resized to it."""

    channels: int
    height: int
    width: int
    resized: bool

    @property
    def values(self) -> int:
        """The number of values of a sample."""
        return self.channels * self.height * self.width

    @property
    def in_words(self) -> str:
        """What is told of it."""
        color = "gray" if self.channels == 1 else "RGB"
        how = "resized to" if self.resized else "of"
        return f"{color}, {how} {self.height}x{self.width} pixels"


def image_form(first: Path, size: tuple[int, int] | None, color: str | None) -> ImageForm:
    """The form that is asked for; what is not asked for is that of the image `first`.

    Raises UserError if that cannot be read, or is too large to be taken without being asked for.
    """
    try:
        image = _opened(first)
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"data: cannot read {first}: {error}") from error
    width, height = image.size
    if size is None and max(width, height) > _LARGEST_UNASKED:
        raise UserError(
            f"data: {first} has {height}x{width} pixels: set image_size, such as 32x32, to which "
            "all images are resized"
        )
    chosen = color or ("gray" if image.mode in ("1", "L", "LA") else "rgb")
    height, width = size or (height, width)
    return ImageForm(1 if chosen == "gray" else 3, height, width, size is not None)


def read_images(files: Sequence[Path], form: ImageForm, bad: list[str]) -> Array:
    """The images uint8 (N, channels, height, width); what cannot be read is added to `bad`."""
    from PIL import Image as images  # noqa: N813 (a module)

    x = np.zeros((len(files), form.channels, form.height, form.width), np.uint8)
    for index, path in enumerate(files):
        try:
            image = _opened(path).convert("L" if form.channels == 1 else "RGB")
        except (OSError, ValueError, SyntaxError) as error:
            bad.append(f"{path} ({str(error).partition(chr(10))[0]})")
            continue
        if form.resized:
            image = image.resize((form.width, form.height), images.Resampling.BILINEAR)
        elif image.size != (form.width, form.height):
            raise UserError(
                f"data: {path} has {image.height}x{image.width} pixels, others have "
                f"{form.height}x{form.width}: set image_size, to which all are resized"
            )
        pixels = np.asarray(image, np.uint8).reshape(form.height, form.width, form.channels)
        x[index] = pixels.transpose(2, 0, 1)
    return x


def _opened(path: Path) -> Image:
    """The image, decoded and turned as its EXIF data say. Raises OSError, ValueError and the like.

    Pillow raises SyntaxError for some broken files.
    """
    from PIL import Image as images  # noqa: N813 (a module)
    from PIL import ImageOps

    with images.open(path) as image:
        image.load()
        if image.mode.startswith(_DEEP_MODES):
            raise ValueError("more than 8 bits a channel: convert it to 8")
        return ImageOps.exif_transpose(image)
