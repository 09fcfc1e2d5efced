"""WAV files of 16-bit samples, one channel."""

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compress.datasets.folders import damaged


def read_wav(path: Path, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """The samples (N,) in -1..1.

    Raises UserError for a file that cannot be read, is cut short, or has another rate, width or
    number of channels.
    """
    try:
        with wave.open(str(path), "rb") as file:
            kind = (file.getframerate(), 8 * file.getsampwidth(), file.getnchannels())
            count = file.getnframes()
            content = file.readframes(count) if kind == (sample_rate_hz, 16, 1) else b""
    except (OSError, EOFError, wave.Error) as error:
        raise damaged(path, error) from None
    if kind != (sample_rate_hz, 16, 1):
        rate_hz, bits, channels = kind
        raise damaged(
            path,
            f"{rate_hz} Hz, {bits} bits, {channels} channels; must be {sample_rate_hz} Hz, 16 "
            "bits, one channel",
        )
    if len(content) != 2 * count:
        raise damaged(path, f"{len(content) // 2} of {count} samples")
    samples: npt.NDArray[np.float32] = np.frombuffer(content, "<i2").astype(np.float32) / 32768
    return samples
