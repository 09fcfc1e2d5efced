"""Small files of random content in the layouts in which data sets are published."""

from __future__ import annotations

import gzip
import pickle
import wave
from pathlib import Path

import numpy as np
from PIL import Image

from compress.datasets.speech_commands import KEYWORDS

RATE_HZ = 16_000


def write_wav(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ) -> None:
    """A WAV file of int16 samples; (N, channels) has several channels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(samples.itemsize)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype(f"<i{samples.itemsize}").tobytes())


def idx_bytes(values: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes."""
    sizes = np.array(values.shape, ">u4").tobytes()
    return bytes((0, 0, 8, values.ndim)) + sizes + values.astype(np.uint8).tobytes()


def write_fashion(root: Path, train: int = 60, test: int = 20, compressed: bool = True) -> None:
    """HIL_DATA/fashion-mnist with random images, each class as often as the others."""
    folder = root / "fashion-mnist"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    for part, count in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (count, 28, 28))
        for what, values in (
            ("images-idx3-ubyte", images),
            ("labels-idx1-ubyte", np.arange(count) % 10),
        ):
            content = idx_bytes(values)
            if compressed:
                (folder / f"{part}-{what}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / f"{part}-{what}").write_bytes(content)


def cifar_batches(count: int = 20) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Random images uint8 (N, 3072) and labels (N,) for each of the six batches."""
    rng = np.random.default_rng(4)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    return {
        name: (rng.integers(0, 256, (count, 3072), np.uint8), np.arange(count) % 10)
        for name in names
    }


def python2_pickle(data: np.ndarray, labels: list[int]) -> bytes:
    """A dict of `data` and `labels` as Python 2 pickled it: texts and buffers are 8-bit strings.

    Opcodes: `U` short string, `T` string of four bytes' length, `c` global, `R` reduce, `b` build.
    """

    def short(text: bytes) -> bytes:
        return b"U" + bytes([len(text)]) + text

    def number(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)

    rows, columns = data.shape
    content = data.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n"
        + (b"(cnumpy\nndarray\n(" + number(0) + b"t" + short(b"b") + b"tR")
        + (b"(" + number(1) + b"(" + number(rows) + number(columns) + b"t")
        + (b"cnumpy\ndtype\n(" + short(b"u1") + number(0) + number(1) + b"tR")
        + (b"(" + number(3) + short(b"|") + b"NNN" + number(-1) * 2 + number(0) + b"tb")
        + (b"I00\n" + b"T" + len(content).to_bytes(4, "little") + content + b"tb")
    )
    listed = b"(" + b"".join(number(label) for label in labels) + b"l"
    return b"\x80\x02}(" + short(b"data") + array + short(b"labels") + listed + b"u."


def write_cifar(root: Path, binary: bool = False) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """HIL_DATA/cifar-10-batches-py or -bin; what it holds."""
    folder = root / f"cifar-10-batches-{'bin' if binary else 'py'}"
    folder.mkdir(parents=True)
    batches = cifar_batches()
    for name, (data, labels) in batches.items():
        if binary:
            records = np.concatenate([labels[:, np.newaxis].astype(np.uint8), data], axis=1)
            (folder / f"{name}.bin").write_bytes(records.tobytes())
        else:
            (folder / name).write_bytes(python2_pickle(data, labels.tolist()))
    return batches


def watch_data(subjects: int = 10, samples: int = 400) -> dict[str, object]:
    """A dict as in seglearn's file: one recording of each exercise by each subject."""
    rng = np.random.default_rng(5)
    exercises = ["PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW"]
    pairs = [(subject, label) for subject in range(1, subjects + 1) for label in range(7)]
    return {
        "X": [subject + rng.normal(size=(samples, 6)) for subject, _ in pairs],
        "y": np.array([label for _, label in pairs]),
        "side": np.zeros(len(pairs)),
        "subject": np.array([subject for subject, _ in pairs]),
        "X_labels": ["ax", "ay", "az", "wx", "wy", "wz"],
        "y_labels": exercises,
    }


def write_object_npy(path: Path, value: object, protocol: int = 2) -> None:
    """A .npy file of one pickled object."""
    array = np.empty((), object)
    array[()] = value
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|O", "fortran_order": False, "shape": ()}
        )
        pickle.dump(array, file, protocol)


def write_speech_commands(root: Path, speakers: int = 6) -> Path:
    """HIL_DATA/speech_commands_v0.02: every speaker says every keyword and three other words.

    The last speaker is in testing_list.txt, the one before in validation_list.txt. Clips have
    between half a second and one.
    """
    folder = root / "speech_commands_v0.02"
    rng = np.random.default_rng(6)
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for word in (*KEYWORDS, "bed", "cat", "wow"):
        for speaker in range(speakers):
            name = f"{word}/{speaker:08x}_nohash_0.wav"
            length = int(rng.integers(RATE_HZ // 2, RATE_HZ, endpoint=True))
            write_wav(folder / name, rng.integers(-9000, 9000, length).astype(np.int16))
            if speaker >= speakers - 2:
                chosen = "testing_list.txt" if speaker == speakers - 1 else "validation_list.txt"
                lists[chosen].append(name)
    for noise in ("running_tap", "white_noise"):
        samples = rng.integers(-5000, 5000, 12 * RATE_HZ).astype(np.int16)
        write_wav(folder / "_background_noise_" / f"{noise}.wav", samples)
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def write_visual_wake_words(root: Path, person: int = 30, non_person: int = 30) -> Path:
    """HIL_DATA/vw_coco2014_96 with pictures of noise, one of them gray."""
    folder = root / "vw_coco2014_96"
    rng = np.random.default_rng(7)
    for name, count in (("person", person), ("non_person", non_person)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = Image.fromarray(rng.integers(0, 256, (96, 96, 3), np.uint8))
            if number == 0:
                image = image.convert("L")
            image.save(folder / name / f"COCO_train2014_{number:012}.jpg")
    return folder


def write_toycar(root: Path, train: int = 3, test: int = 4, seconds: float = 8.5) -> Path:
    """HIL_DATA/ToyCar of two machines: hum, anomalous files with more of high frequencies."""
    folder = root / "ToyCar"
    rng = np.random.default_rng(8)
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    for part, kind, count in (
        ("train", "normal", train),
        ("test", "normal", test),
        ("test", "anomaly", test),
    ):
        for machine in ("01", "02"):
            for number in range(count):
                sound = 3000 * np.sin(2 * np.pi * 120 * time_s) + rng.normal(size=len(time_s)) * 300
                if kind == "anomaly":
                    sound += 2000 * np.sin(2 * np.pi * 3000 * time_s)
                write_wav(
                    folder / part / f"{kind}_id_{machine}_{number:08}.wav", sound.astype(np.int16)
                )
    return folder
