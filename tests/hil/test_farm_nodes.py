"""The processes of a farm: who reaches them, and how they leave."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import distributed
import psutil
import pytest

from compress.errors import UserError
from helpers.farms import LIMIT_S, Farm, deaths_by_job, farm_of_one_worker
from hil.farm.nodes import TRAIN, resource_name
from hil.farm.pool import connect_farm
from hil.farm.source_fingerprint import code_id

TRAINERS = 4  # one more than the deaths that a job is forgiven


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with farm_of_one_worker(tmp_path_factory.mktemp("farm")) as farm:
        yield farm


def test_a_farm_of_one_machine_listens_to_that_machine_only(farm: Farm) -> None:
    everyone = [psutil.Process(process.pid) for process in farm.processes]
    everyone += [child for one in everyone for child in one.children(recursive=True)]
    heard = [
        connection.laddr.ip
        for one in everyone
        for connection in one.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(heard) == {"127.0.0.1"}
    assert len(heard) == 3  # scheduler, nanny, worker; no dashboards


def test_a_worker_that_leaves_gives_its_jobs_back_without_a_traceback(farm: Farm) -> None:
    """Ctrl-C in its terminal, which all its processes get, with a job in each of them."""
    with (
        (farm.folder / "errors").open("w+") as errors,
        closing(connect_farm(farm.address)) as client,
    ):
        farm.errors = errors
        worker = farm.work("--trainers", str(TRAINERS))
        needs = {resource_name(TRAIN, code_id()): 1}
        count = TRAINERS + 3
        jobs = [client.submit(time.sleep, 1000, resources=needs, pure=False) for _ in range(count)]
        wait_until_running(client, TRAINERS + 1)
        os.killpg(worker.pid, signal.SIGINT)
        assert worker.wait(LIMIT_S) == 0
        deaths: Any = client.run_on_scheduler(deaths_by_job)
        assert sorted(deaths.values()) == [0] * len(jobs)
        assert {job.status for job in jobs} == {"pending"}
        errors.seek(0)
        assert "Traceback" not in errors.read()


def test_a_worker_that_does_not_start_in_time_says_so(farm: Farm) -> None:
    with (farm.folder / "late").open("w+") as errors:
        farm.errors = errors
        with pytest.raises(AssertionError, match=f"ended with {UserError.exit_code}"):
            farm.work(first="import hil.farm.nodes as nodes; nodes._START_S = 0.5\n")
        errors.seek(0)
        told = errors.read()
        assert "cannot start a worker for the farm at" in told
        assert ": no answer" in told
        assert "Traceback" not in told


def wait_until_running(client: distributed.Client, count: int) -> None:
    until = time.monotonic() + LIMIT_S
    while sum(map(len, client.processing().values())) < count:
        assert time.monotonic() < until
        time.sleep(0.05)
