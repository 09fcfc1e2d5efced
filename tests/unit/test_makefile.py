"""The Makefile, on a machine made of stubs: what it installs, when, and what it passes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.checkout import ROOT
from hil.emulator.plugin import OLDEST, version_numbers

BASICS = (
    *("make", "sh", "env", "cat", "cksum", "sed", "awk", "ls", "readlink", "rm", "mkdir"),
    *("grep", "mktemp", "tail", "chmod", "touch", "flock", "mv"),
)
PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
    "python3": "python3",
    "cc": "gcc",
}
# A Python that makes a virtual environment of stubs; pip fails while there is a file `offline`, and
# reports the content of a file `plan` as what it would install. tflite-micro is there unless there
# is a file `no-oracle`. A stub's Python is the one that made it.
PYTHON = f"""\
echo "python3 $*" >>calls
case "$*" in
  "-m venv .venv")
    mkdir -p .venv/bin
    for name in python hil; do
      echo '#!/bin/sh
        case "$*" in
          *tflite_micro*) test ! -e no-oracle; exit ;;
          "-c "*) exec {sys.executable} "$@" ;;
        esac
        printf "%s" "'$name'" >>calls; printf " <%s>" "$@" >>calls; echo >>calls
        case "$*" in *--dry-run*) cat plan 2>/dev/null ;; esac
        case "$*" in *"pip install"*) test ! -e offline ;; esac' >.venv/bin/$name
      chmod +x .venv/bin/$name
    done ;;
  *) exec {sys.executable} "$@" ;;
esac
"""
# Before it: what `python3 -c` sees is another version.
PRETEND = """\
[ "$1" != -c ] || set -- -c "import sys; sys.version_info = ({0}); sys.version = '{0}'; $2"
"""
QEMU = "echo 'QEMU emulator version {0} (Debian 1:{0}+dfsg-1)'; echo Copyright"
ROOT_USER = "echo 0"
# What apt-get does here: the packages become stubs of their programs.
APT_GET = """\
echo "apt-get $*" >>calls
for package in "$@"; do
  case $package in
    gcc-arm-none-eabi) touch "$BIN/arm-none-eabi-gcc"; chmod +x "$BIN/arm-none-eabi-gcc" ;;
    qemu-system-arm) mv "$BIN/packaged-qemu" "$BIN/qemu-system-arm" ;;
  esac
done
"""


class Machine:
    """A checkout, in a folder with a space in its name, and a PATH of nothing but `bin`."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.checkout = folder / "a checkout"
        self.bin.mkdir()
        self.checkout.mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt", "boards"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, self.checkout / name)
        for name in BASICS:
            program = shutil.which(name)
            assert program is not None, name
            (self.bin / name).symlink_to(program)
        for name in PACKAGES:
            self.install(name, PYTHON if name == "python3" else "")
        self.install("qemu-system-arm", QEMU.format("10.0.13"))
        self.install("id", "echo 1000")

    def install(self, name: str, script: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(0o755)

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        return subprocess.run(
            ["make", "--no-print-directory", *arguments],
            cwd=self.checkout,
            env={**kept, "PATH": str(self.bin), "BIN": str(self.bin)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def calls(self, word: str) -> list[str]:
        """What was called, by a word in it, since the last time this was asked."""
        path = self.checkout / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in lines if word in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_default_target_lists_targets_and_boards(machine: Machine) -> None:
    done = machine.make()
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert {"evolve", "bench", "test", "check", "golden", "setup", "BOARD", "RUN"} <= set(listed)
    assert "m3" in done.stdout
    assert machine.calls("") == []


def test_set_up_installs_once_with_the_pinned_versions(machine: Machine) -> None:
    assert machine.make("setup").returncode == 0
    pip, ahead, torch, rest = machine.calls("<install>")
    assert pip.endswith("<-c> <constraints.txt> <pip>")
    assert "<--dry-run>" in ahead
    assert "<-c> <constraints.txt>" in torch
    assert torch.endswith("<torch>")
    assert "<-c> <constraints.txt>" in rest
    assert rest.endswith("<-e> <.[dev]>")
    done = machine.make("setup")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.calls("-m venv") == []


def test_an_interrupted_set_up_begins_anew(machine: Machine) -> None:
    (machine.checkout / "offline").touch()
    assert machine.make("setup").returncode != 0
    (machine.checkout / ".venv" / "half-installed").touch()
    (machine.checkout / "offline").unlink()
    assert machine.make("setup").returncode == 0
    assert not (machine.checkout / ".venv" / "half-installed").exists()


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_dependencies_are_brought_in(machine: Machine, name: str) -> None:
    machine.make("setup")
    (machine.checkout / ".venv" / "kept").touch()
    with (machine.checkout / name).open("a") as file:
        file.write("# changed\n")
    machine.calls("")
    assert machine.make("setup").returncode == 0
    assert len(machine.calls("<install>")) == 4
    assert (machine.checkout / ".venv" / "kept").exists()


def test_an_environment_of_our_python_is_kept_and_one_of_another_is_not(machine: Machine) -> None:
    subprocess.run(
        ["sh", str(machine.bin / "python3"), *("-m", "venv", ".venv")],
        cwd=machine.checkout,
        check=True,
    )
    mark = machine.checkout / ".venv" / "mark"
    mark.touch()
    assert machine.make("setup").returncode == 0
    assert mark.exists()
    machine.install("python3", PRETEND.format("3, 12, 0") + PYTHON)
    assert machine.make("setup").returncode == 0
    assert not mark.exists()


def test_another_index_is_for_torch_only(machine: Machine) -> None:
    machine.make("setup", "TORCH_INDEX=https://example.org/cpu")
    _, torch, rest = machine.calls("<install>")
    assert "<--no-deps> <--index-url> <https://example.org/cpu> <torch>" in torch
    assert "example.org" not in rest


def test_evolve_passes_on_what_is_set_and_nothing_else(machine: Machine) -> None:
    machine.make("evolve")
    assert machine.calls("hil ") == ["hil <evolve>"]
    machine.make("evolve", "BOARD=m7", "TASK=kws", "ACCURACY=-1", "RUN=two words $$(touch x)")
    assert machine.calls("hil ") == [
        "hil <evolve> <--board=m7> <--task=kws> <--accuracy=-1> <--run=two words $(touch x)>"
    ]
    machine.make("evolve", "MINUTES=20", "TRIALS=5", "SEED=3")
    assert machine.calls("hil ") == ["hil <evolve> <--minutes=20> <--trials=5> <--seed=3>"]


def test_bench_measures_a_model_on_a_board(machine: Machine) -> None:
    machine.make("bench")
    machine.make("bench", "BOARD=m4", "MODEL=my model.tflite", "ARGS=--repeat 3")
    assert machine.calls("hil ") == [
        "hil <bench> <--> <digits>",
        "hil <bench> <--board=m4> <--repeat> <3> <--> <my model.tflite>",
    ]


def test_check_lints_before_it_tests(machine: Machine) -> None:
    assert machine.make("check", "BOARD=m4", "ARGS=-k wire").returncode == 0
    checks = [line for line in machine.calls("python <-m>") if "<pip>" not in line]
    assert [line.split()[2] for line in checks] == ["<ruff>", "<ruff>", "<mypy>", "<pytest>"]
    assert checks[-1].endswith("<--board=m4> <-k> <wire>")


@pytest.mark.parametrize("missing", PACKAGES)
def test_a_missing_tool_is_one_line_that_names_its_package(machine: Machine, missing: str) -> None:
    (machine.bin / missing).unlink()
    done = machine.make("evolve")
    assert done.returncode == 2
    line = f"setup: missing: {PACKAGES[missing]} (on Debian: apt install {PACKAGES[missing]})"
    assert line in done.stderr.splitlines()
    assert machine.calls("-m venv") == []


def test_root_installs_exactly_what_is_missing(machine: Machine) -> None:
    machine.install("id", ROOT_USER)
    machine.install("apt-get", APT_GET)
    (machine.bin / "arm-none-eabi-gcc").unlink()
    (machine.bin / "qemu-system-arm").rename(machine.bin / "packaged-qemu")
    done = machine.make("setup")
    assert done.returncode == 0, done.stderr
    update, install = machine.calls("apt-get")
    assert update.endswith(" update")
    packages = install.split("--no-install-recommends ")[1].split()
    assert set(packages) == {"gcc-arm-none-eabi", "libnewlib-arm-none-eabi", "qemu-system-arm"}


@pytest.mark.parametrize(
    ("version", "old"),
    [("6.2.0", True), ("7.0.0", False), ("9.2.4", False), ("10.0.13", False), ("12.0.50", False)],
)
def test_an_emulator_that_is_too_old_is_told_before_the_downloads(
    machine: Machine, version: str, old: bool
) -> None:
    assert old == (version_numbers(version) < OLDEST)
    machine.install("qemu-system-arm", QEMU.format(version))
    done = machine.make("setup")
    assert done.returncode == (2 if old else 0)
    assert bool(machine.calls("<install>")) != old
    line = f"setup: QEMU emulator version {version} (Debian 1:{version}+dfsg-1): QEMU 7 or later"
    assert done.stderr.startswith(line) == old


def test_an_emulator_without_a_version_is_told_before_the_downloads(machine: Machine) -> None:
    machine.install("qemu-system-arm", "echo hello")
    done = machine.make("setup")
    assert done.returncode == 2
    assert done.stderr.startswith("setup: hello: QEMU 7 or later is needed")
    assert machine.calls("-m venv") == []


def test_without_root_and_sudo_nothing_is_installed(machine: Machine) -> None:
    machine.install("apt-get", APT_GET)
    (machine.bin / "qemu-system-arm").unlink()
    done = machine.make("setup")
    assert (done.returncode, done.stdout) == (2, "")
    assert machine.calls("apt-get") == []


@pytest.mark.parametrize(("version", "too_old"), [("3, 10, 9", True), ("3, 11, 0", False)])
def test_a_python_that_is_too_old_is_said(machine: Machine, version: str, too_old: bool) -> None:
    machine.install("python3", PRETEND.format(version) + PYTHON)
    done = machine.make("setup")
    assert done.returncode == (2 if too_old else 0)
    assert ("is too old, 3.11 is needed" in done.stderr) == too_old


@pytest.mark.parametrize("lacks_oracle", [True, False])
def test_a_missing_oracle_is_said(machine: Machine, lacks_oracle: bool) -> None:
    if lacks_oracle:
        (machine.checkout / "no-oracle").touch()
    assert ("no tflite-micro here" in machine.make("setup").stdout) == lacks_oracle


def test_cuda_libraries_are_said_before_they_are_downloaded(machine: Machine) -> None:
    plan = machine.checkout / "plan"
    plan.write_text('{"install": [{"metadata": {"name": "torch"}}]}')
    assert "setup: torch (the largest download)\n" in machine.make("setup").stdout
    (machine.checkout / "constraints.txt").open("a").write("# changed\n")
    plan.write_text('{"install": [{"metadata": {"name": "nvidia-cublas"}}]}')
    words = "about 3 GB, CUDA libraries; make setup TORCH_INDEX=URL takes CPU-only wheels"
    assert f"setup: torch ({words})\n" in machine.make("setup").stdout
    (machine.checkout / "constraints.txt").open("a").write("# changed again\n")
    machine.calls("")
    done = machine.make("setup", "TORCH_INDEX=https://example.org/cpu")
    assert "setup: torch from https://example.org/cpu (the largest download)\n" in done.stdout
    assert machine.calls("--dry-run") == []
