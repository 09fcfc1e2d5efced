"""Visual Wake Words (arXiv:1906.05721) as MLPerf Tiny prepares it: is a person in the picture?

vw_coco2014_96 has 109,620 JPEG pictures of COCO 2014, 96x96 pixels, in the folders person and
non_person. Annotations of COCO: CC BY 4.0; the pictures: Flickr Terms of Use.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from compress.datasets.folders import Layout, check_files, damaged, files_in, find_folder

CLASSES = ("non_person", "person")
PIXELS = 96
SHAPE = (3, PIXELS, PIXELS)

LAYOUT = Layout(
    title="Visual Wake Words",
    folders=("vw_coco2014_96",),
    holds="JPEG files of 96x96 pixels in its folders person and non_person",
    source="vw_coco2014_96.tar.gz, see benchmark/training/visual_wake_words of "
    "github.com/mlcommons/tiny",
)


def find_files() -> dict[str, list[Path]]:
    """The pictures of each class, sorted by name. Raises UserError if a class has none."""
    folder = find_folder(LAYOUT)
    found = {name: files_in(folder / name, "*.jpg") for name in CLASSES}
    check_files(LAYOUT, folder, [f"{name}/*.jpg" for name in CLASSES if not found[name]])
    return found


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """A picture uint8 (3, 96, 96), RGB. Raises UserError for another size and a damaged file."""
    try:
        with Image.open(path, formats=("JPEG",)) as image:
            if image.size != (PIXELS, PIXELS):
                raise damaged(path, f"{image.size[0]}x{image.size[1]} pixels, not {PIXELS} each")
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:  # SyntaxError: of Pillow's decoders
        raise damaged(path, error) from None
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
