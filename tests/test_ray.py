"""Jobs on a real Ray cluster of two workers on this machine."""

import os
import warnings

import pytest

from xctrs_tf.parallel import parallel_map

ray = pytest.importorskip("ray", reason="Ray is an optional extra: pip install xctrs-tf[ray]")


@pytest.fixture
def address():
    """Address of a cluster of two nodes with one processor each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.cluster_utils import Cluster

        cluster = Cluster()
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
        yield cluster.address
        ray.shutdown()
        cluster.shutdown()


# Records the process that runs a job, and waits until two workers have started.
# Otherwise one worker could run all of these short jobs while the other is starting.
PROGRAM = """
import os, pathlib, time
folder, number = pathlib.Path({folder!r}), {number}
(folder / str(number)).write_text(str(os.getppid()))
for _ in range(600):
    if len({{file.read_text() for file in folder.glob("[0-9]")}} - {{""}}) == 2:
        break
    time.sleep(0.05)
"""


@pytest.mark.slow
def test_jobs_spread_over_two_workers(tmp_path, address):
    # A worker cannot import this file, but a nested function is sent as a whole.
    program_text = PROGRAM

    def run(number):
        from tests.cross_validation.test_jobs import fake
        from xctrs_tf.cross_validation.jobs import run_job

        program = program_text.format(folder=str(tmp_path), number=number)
        return run_job(fake(tmp_path / f"job-{number}", program))

    numbers = list(range(6))
    for number in numbers:
        (tmp_path / f"job-{number}").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with parallel_map(1, address) as mapper:
            records = list(mapper(run, numbers))
    assert [record["status"] for record in records] == ["done"] * 6
    processes = {(tmp_path / str(number)).read_text(encoding="utf-8") for number in numbers}
    assert len(processes) == 2
    assert str(os.getpid()) not in processes
