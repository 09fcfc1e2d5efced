"""The generated C on this computer, with sanitizers: equal to the reference, bit for bit."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress.errors import UserError
from compress.features.integer import IntegerFrontEnd
from compress.features.reference import stream_input
from compress.types import Array
from helpers.front_ends import in_integers, signals
from hil.features.files import front_end_files

KINDS = ("mfcc", "log_mel", "motion", "anomaly")
FLAGS = (
    *("-std=c11", "-O1", "-g1", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic"),
    *("-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)
# Standard input: how many samples at a time, then samples. Standard output: the number of wrong
# values of the generated test, the number of frames made, the input after all samples.
DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include "try_features_test.h"

int main(void)
{
    struct try_features *features = malloc(sizeof *features);
    struct try_features_scratch *scratch = malloc(sizeof *scratch);
    enum { SAMPLE = TRY_FEATURES_CHANNELS * sizeof(int16_t), LONGEST = 4096 };
    static try_feature input[TRY_FEATURES_FRAMES * TRY_FEATURES_VALUES];
    uint32_t at_a_time, made = 0, wrong = try_features_test(features, scratch);
    if (fread(&at_a_time, sizeof at_a_time, 1, stdin) != 1 || at_a_time > LONGEST)
        return 3;
    try_features_start(features, scratch);
    for (;;) {
        int16_t *samples = malloc(at_a_time * SAMPLE);
        const size_t count = fread(samples, SAMPLE, at_a_time, stdin);
        made += try_features_add(features, scratch, samples, (uint32_t)count);
        free(samples);
        if (count < at_a_time)
            break;
    }
    try_features_input(features, input);
    fwrite(&wrong, sizeof wrong, 1, stdout);
    fwrite(&made, sizeof made, 1, stdout);
    fwrite(input, sizeof input, 1, stdout);
    free(features);
    free(scratch);
    return 0;
}
"""


def compiled(front_end: IntegerFrontEnd, folder: Path, *options: str) -> Path:
    for name, content in front_end_files(front_end, "try").items():
        (folder / name).write_bytes(content)
    (folder / "driver.c").write_text(DRIVER)
    sources = ("driver.c", "try_features.c", "try_features_test.c")
    program = folder / "program"
    command = ["gcc", *FLAGS, *options, *sources, "-o", str(program)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return program


def run(program: Path, front_end: IntegerFrontEnd, samples: Array, at_a_time: int) -> Array:
    """The input after the samples; the generated test passed and the number of frames is right."""
    given = np.uint32(at_a_time).tobytes() + samples.tobytes()
    done = subprocess.run([program], input=given, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    wrong, made = np.frombuffer(done.stdout[:8], np.uint32)
    assert wrong == 0
    window, stride = front_end.window_samples, front_end.stride_samples
    assert made == max(0, (len(samples) - window) // stride + 1)
    return np.frombuffer(done.stdout[8:], front_end.quantization.dtype)


@pytest.mark.parametrize("options", [(), ("-DFEATURES_PLAIN",)], ids=["64 bits", "32 bits"])
@pytest.mark.parametrize("kind", KINDS)
def test_c_equals_the_reference(kind: str, options: tuple[str, ...], tmp_path: Path) -> None:
    front_end = in_integers(kind)
    program = compiled(front_end, tmp_path, *options)
    length = front_end.window_samples + front_end.frames * front_end.stride_samples + 7
    for name, samples in signals(length, front_end.channels).items():
        found = run(program, front_end, samples, 333)
        np.testing.assert_array_equal(found, stream_input(front_end, samples), name)


def test_pieces_of_any_size_give_the_same(tmp_path: Path) -> None:
    front_end = in_integers("log_mel", "int16")
    program = compiled(front_end, tmp_path)
    samples = signals(3000)["noise"]
    wanted = stream_input(front_end, samples)
    for at_a_time in (1, 511, 512, 513, 1024, 4096):
        np.testing.assert_array_equal(run(program, front_end, samples, at_a_time), wanted)
    for count in (0, 1023, 1024, 1025):
        wanted = stream_input(front_end, samples[:count])
        np.testing.assert_array_equal(run(program, front_end, samples[:count], 100), wanted)


def test_frames_may_be_apart(tmp_path: Path) -> None:
    """Windows with samples between them that belong to none."""
    front_end = replace(in_integers("mfcc"), stride_samples=700)
    program = compiled(front_end, tmp_path)
    samples = signals(700 * 50)["tone"]
    for at_a_time in (480, 333, 4096):
        found = run(program, front_end, samples, at_a_time)
        np.testing.assert_array_equal(found, stream_input(front_end, samples))


def test_the_generated_test_finds_a_wrong_table(tmp_path: Path) -> None:
    program = compiled(in_integers("mfcc"), tmp_path)
    source = tmp_path / "try_features.c"
    text = source.read_text()
    start = text.index("sine[512]")
    damaged = text[:start] + text[start:].replace("32767", "20000", 1)
    assert damaged != text
    source.write_text(damaged)
    command = ["gcc", *FLAGS, "driver.c", "try_features.c", "try_features_test.c", "-o", "program"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    done = subprocess.run([program], input=np.uint32(1).tobytes(), capture_output=True, timeout=60)
    assert np.frombuffer(done.stdout[:4], np.uint32)[0] > 0


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_two_front_ends_and_cpp_in_one_program(tmp_path: Path) -> None:
    for prefix, kind in (("ear", "mfcc"), ("wrist", "motion")):
        for name, content in front_end_files(in_integers(kind), prefix).items():
            (tmp_path / name).write_bytes(content)
    (tmp_path / "main.cpp").write_text(
        '#include "ear_features_test.h"\n#include "wrist_features_test.h"\n'
        "static ear_features ear; static ear_features_scratch a;\n"
        "static wrist_features wrist; static wrist_features_scratch b;\n"
        "int main() { return (int)(ear_features_test(&ear, &a) + "
        "wrist_features_test(&wrist, &b)); }\n"
    )
    sources = sorted(path.name for path in tmp_path.glob("*_features*.c"))
    flags = ["-Wall", "-Wextra", "-Werror", "-c"]
    subprocess.run(["gcc", "-std=c11", *flags, *sources], cwd=tmp_path, check=True)
    subprocess.run(["g++", *flags, "main.cpp"], cwd=tmp_path, check=True)
    objects = [path.name for path in tmp_path.glob("*.o")]
    subprocess.run(["g++", *objects, "-o", "program"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "program"]).returncode == 0


def test_files_are_the_same_every_time_and_alone() -> None:
    first, again = (front_end_files(in_integers("mfcc"), "kws") for _ in range(2))
    assert first == again
    assert sorted(first) == [
        *("kws_features.c", "kws_features.h", "kws_features_test.c", "kws_features_test.h"),
    ]
    for content in first.values():
        included = {line for line in content.split(b"\n") if line.startswith(b"#include")}
        assert included <= {
            *(b"#include <stdint.h>", b"#include <string.h>"),
            *(b'#include "kws_features.h"', b'#include "kws_features_test.h"'),
        }


@pytest.mark.parametrize("prefix", ["", "Kws", "2kws", "a-b", "x" * 33])
def test_prefixes_are_names_in_c(prefix: str) -> None:
    with pytest.raises(UserError, match="must be a name in C"):
        front_end_files(in_integers("motion"), prefix)
