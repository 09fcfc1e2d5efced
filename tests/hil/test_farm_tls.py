"""A farm with TLS: who has no certificate of its authority is not heard."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.certificates import make_certificates
from helpers.farms import LIMIT_S, Farm, kill

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

# Ask the scheduler at argv[1] for the number of its workers, and one of them for its user.
CLIENT = """
import getpass, json, sys
from hil.farm.pool import connect_farm
client = connect_farm(sys.argv[1])
workers = client.scheduler_info()["workers"]
print(json.dumps([len(workers), client.submit(getpass.getuser).result(60)]))
"""


def ask(address: str, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CLIENT, address],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def test_only_who_has_a_certificate_is_heard(tmp_path: Path) -> None:
    ours, others = tmp_path / "ours", tmp_path / "others"
    for folder in (ours, others):
        folder.mkdir()
    farm = Farm(tmp_path, settings=make_certificates(ours))
    try:
        farm.run("scheduler", "--port", "0", "--host", "tls://127.0.0.1")
        assert farm.address.startswith("tls://127.0.0.1:")
        farm.work()
        heard = ask(farm.address, farm.settings)
        assert heard.returncode == 0, heard.stderr
        assert json.loads(heard.stdout)[0] == 1
        for settings in ({}, make_certificates(others)):
            refused = ask(farm.address, settings)
            assert refused.returncode != 0
            assert "no farm at" in refused.stderr
            assert refused.stdout == ""
        plain = ask(farm.address.replace("tls://", "tcp://"), {})
        assert plain.returncode != 0
        assert plain.stdout == ""
    finally:
        for process in farm.processes:
            kill(process)
