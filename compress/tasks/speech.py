"""Speech synthesis by espeak-ng, of the version in the wheel `espeakng-loader`.

espeak-ng keeps state from one utterance to the next (the phase of the voice's flutter, random
numbers). `speak` therefore loads the library anew: its clips are a function of its utterances, not
of earlier calls in the process.
"""

import _ctypes
import ctypes
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path

import espeakng_loader
import numpy as np
import numpy.typing as npt

ACCENTS = (
    "en",
    "en-us",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-rp",
    "en-gb-x-gbcwmd",
    "en-029",
    "en-us-nyc",
)

# speak_lib.h of espeak-ng 1.52
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_RATE, _PITCH = 1, 3
_CHARS_UTF8 = 1
_NATIVE_RATE_HZ = 22_050

_TRIM_LEVEL = 0.01  # share of the peak below which the start and end of a word are trimmed
_LONGEST_SAMPLES = 15_200
_PEAK = 20_000

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_LIBC = ctypes.CDLL(None)
Clip = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Utterance:
    """A word spoken by one voice; `variant` and `accent` are names of espeak-ng.

    `pitch` is 0..99 (50 is the voice's own), `rate` in words per minute.
    """

    word: str
    variant: str
    accent: str
    pitch: int
    rate: int


def version() -> str:
    """The version of the wheel with the synthesizer and its voices."""
    return version_of("espeakng-loader")


def variants() -> tuple[str, ...]:
    """Sorted names of the voice variants that come with espeak-ng."""
    # `fast` is the default voice at another rate, and every utterance sets its own rate.
    names = {file.name for file in (_data_folder() / "voices" / "!v").iterdir()}
    return tuple(sorted(names - {"fast"}))


def _data_folder() -> Path:
    return Path(espeakng_loader.get_data_path())  # type: ignore[no-untyped-call]


def family(variant: str) -> str:
    """The name of a variant's speaker: steph, steph2 and steph3 are one speaker, f1 and f2 two."""
    name = variant.lower()
    if re.fullmatch(r"[fm]\d", name):
        return name
    return {"anikarobot": "anika", "whisperf": "whisper"}.get(name, re.sub(r"\d+$", "", name))


def speak(utterances: Sequence[Utterance]) -> list[Clip]:
    """A clip int16 at 16 kHz for each utterance: trimmed, at most 0.95 s, with a peak of 20,000.

    Raises RuntimeError for an utterance that espeak-ng refuses, as of an unknown voice.
    """
    with _library() as library:
        return [_trim(_resample(_say(library, utterance))) for utterance in utterances]


@contextmanager
def _library() -> Iterator[ctypes.CDLL]:
    """The espeak-ng library, loaded with its initial state and unloaded at the end."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())  # type: ignore[no-untyped-call]
    try:
        data = str(_data_folder()).encode()
        rate_hz = library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _INITIALIZE_DONT_EXIT
        )
        if rate_hz != _NATIVE_RATE_HZ:
            raise RuntimeError(f"espeak-ng: sample rate {rate_hz} Hz, must be {_NATIVE_RATE_HZ}")
        yield library
        library.espeak_Terminate()
    finally:
        _ctypes.dlclose(library._handle)


def _say(library: ctypes.CDLL, utterance: Utterance) -> Clip:
    """The utterance as samples int16 at 22,050 Hz."""
    parts: list[bytes] = []

    def keep(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            parts.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(keep)
    library.espeak_SetSynthCallback(callback)
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    _LIBC.srand(1)  # the Klatt voices use rand() of libc
    text = utterance.word.encode() + b"\0"
    length = ctypes.c_size_t(len(text))
    statuses = (
        library.espeak_SetVoiceByName(f"{utterance.accent}+{utterance.variant}".encode()),
        library.espeak_SetParameter(_RATE, utterance.rate, 0),
        library.espeak_SetParameter(_PITCH, utterance.pitch, 0),
        library.espeak_Synth(text, length, 0, 0, 0, _CHARS_UTF8, None, None),
    )
    if any(statuses) or not parts:
        raise RuntimeError(f"espeak-ng refused {utterance}: {statuses}")
    return np.frombuffer(b"".join(parts), np.int16)


def _resample(native: Clip) -> npt.NDArray[np.float64]:
    """The samples at 16 kHz instead of 22,050 Hz, without the spectrum above 8 kHz."""
    blocks = -(-len(native) // 441)  # 441 samples become 320
    spectrum = np.fft.rfft(native, blocks * 441)[: blocks * 160 + 1]
    return np.fft.irfft(spectrum, blocks * 320)


def _trim(audio: npt.NDArray[np.float64]) -> Clip:
    """The clip without silence at both ends, cut to the longest length and scaled to the peak."""
    loudness = np.abs(audio)
    loud = np.flatnonzero(loudness > _TRIM_LEVEL * loudness.max())
    word = audio[loud[0] : loud[-1] + 1][:_LONGEST_SAMPLES]
    scaled: Clip = np.round(word * (_PEAK / np.abs(word).max())).astype(np.int16)
    return scaled
