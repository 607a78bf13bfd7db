"""Forecast of the time and memory of a cross-validation.

For a row with finished jobs, the forecast is read from their records. For any other
row, one job is trained for a few steps in a temporary folder.
"""

import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from xctrs_tf.cross_validation.jobs import finished_record
from xctrs_tf.errors import UserError
from xctrs_tf.progress import progress_bar
from xctrs_tf.training.history import read_history

_PROBE_STEPS = 4


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of a job of one row.

    Attributes:
        fixed_seconds: time before and after the training steps.
        step_seconds: time of one training step.
        peak_memory_bytes: largest resident memory.
    """

    fixed_seconds: float
    step_seconds: float
    peak_memory_bytes: int

    def seconds(self, steps):
        """Return the seconds of a job of `steps` training steps."""
        return self.fixed_seconds + steps * self.step_seconds


def print_plan(jobs, steps):
    """Print one line for each job, and the total.

    Args:
        jobs: list of `Job`, of `jobs.list_jobs`.
        steps: training steps of each job.

    Raises:
        UserError: the trial of a row failed.
    """
    costs = {row: _known_cost(row, jobs) for row in dict.fromkeys(job.row for job in jobs)}
    unknown = [row for row, cost in costs.items() if cost is None]
    with tempfile.TemporaryDirectory() as folder:
        for row in progress_bar(unknown, "trying a few steps", unit="row"):
            job = next(job for job in jobs if job.row == row)
            costs[row] = _try(dataclasses.replace(job, root=pathlib.Path(folder)))
    left = 0.0
    for job in jobs:
        seconds, state = costs[job.row].seconds(steps), job.state()
        left += 0.0 if state == "done" else seconds
        memory = costs[job.row].peak_memory_bytes / 2**30
        print(f"{job!s:<36} {state:<7} {seconds / 60:7.1f} minutes {memory:6.1f} GiB")
    print(
        f"{len(jobs)} jobs of {steps} steps; about {left / 3600:.1f} hours left, one job at a time"
    )
    print("Measured on this machine. Begun jobs count in full; tried rows are without evaluation.")


def _known_cost(row, jobs):
    records = [finished_record(job) for job in jobs if job.row == row]
    records = [record for record in records if record is not None]
    if not records:
        return None
    return Cost(
        statistics.median(record["seconds"] for record in records),
        0.0,
        max(record["peak_memory_bytes"] for record in records),
    )


def _try(job):
    """Train a job, and the one that it needs, for a few steps; return its `Cost`."""
    if job.needs is not None and not job.needs.folder.exists():
        _try(job.needs)
    command = [sys.executable, *job.commands[0], f"--steps={_PROBE_STEPS}"]
    began = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            lines = errors.read().decode("utf-8", "replace").strip().splitlines()
            raise UserError(f"{job}: cannot be begun: {lines[-1] if lines else 'no reason given'}")
    total = time.monotonic() - began
    rows = [row for row in read_history(job.folder) if row["kind"] == "training"]
    step = rows[-1]["seconds"]
    return Cost(max(0.0, total - _PROBE_STEPS * step), step, usage.ru_maxrss * 1024)
