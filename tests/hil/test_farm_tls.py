"""A farm with TLS: who has no certificate of its authority is not heard."""

from __future__ import annotations

import getpass
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import dask
import pytest

from compress.errors import UserError
from compress.scratch import SCRATCH
from helpers.certificates import make_certificates
from helpers.farms import Farm, kill
from hil.farm.pool import connect_farm

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def user_of_a_worker(address: str, settings: Mapping[str, str]) -> str:
    """What the only worker answers to who has these settings (environment variables of Dask)."""
    merged = dask.config.merge(dask.config.global_config, dask.config.collect_env(settings))
    with dask.config.set(distributed=merged["distributed"]), connect_farm(address) as client:
        assert len(client.scheduler_info()["workers"]) == 1
        return str(client.submit(getpass.getuser).result(60))


def test_only_who_has_a_certificate_is_heard(tmp_path: Path) -> None:
    ours, others, temporary = (tmp_path / name for name in ("ours", "others", "temporary"))
    for folder in (ours, others, temporary):
        folder.mkdir()
    farm = Farm(tmp_path, settings={**make_certificates(ours), "TMPDIR": str(temporary)})
    try:
        farm.run("scheduler", "--port", "0", "--host", "tls://127.0.0.1")
        assert farm.address.startswith("tls://127.0.0.1:")
        farm.work()
        assert user_of_a_worker(farm.address, farm.settings) == getpass.getuser()
        plain = farm.address.replace("tls://", "tcp://")
        for address, settings in (
            (farm.address, {}),
            (farm.address, make_certificates(others)),
            (plain, {}),
        ):
            with pytest.raises(UserError, match="no farm at"):
                user_of_a_worker(address, settings)
        assert {path.name.startswith(SCRATCH) for path in temporary.iterdir()} == {True}
        for process in reversed(farm.processes):
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        assert list(temporary.iterdir()) == []  # not even Dask's own
    finally:
        for process in farm.processes:
            kill(process)
