"""Forecast of the time and memory of a cross-validation, in seconds.

What is known of a row comes first: the record of a finished job, then the steps of one
that was begun. For any other row the operations of a step are counted and divided by the
rate at which this machine computes: that of the known rows, or else that of a small
convolution. On demand every row without a finished job is trained for a few steps instead.
"""

import dataclasses
import logging
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from xctrs_tf.cross_validation.jobs import finished_record
from xctrs_tf.errors import UserError
from xctrs_tf.progress import progress_bar, stage
from xctrs_tf.training.checkpoints import latest_step
from xctrs_tf.training.history import read_history, training_seconds

_TRIAL_STEPS = 4
# Would contradict the steps of a trial.
_NOT_TRIED = "--epochs="
FINISHED, BEGUN, TRIED, COUNTED = "finished job", "begun job", "tried", "counted"
UNKNOWN = "unknown"
_MEANINGS = {
    FINISHED: "measured on a finished job of the row in all its starts, with evaluation",
    BEGUN: "measured steps of a begun job of the row, without start and evaluation",
    TRIED: f"measured on {_TRIAL_STEPS} steps on this machine, without evaluation",
    COUNTED: (
        "operations of a step counted, and divided by {rate}; without start and evaluation, "
        "perhaps wrong by a factor of 2, memory by a factor of 1.5: --measure tries such rows"
    ),
    UNKNOWN: "not counted, and not in the time that is left: --measure tries such rows",
}


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of a job of one row.

    Attributes:
        fixed_seconds: time before and after the training steps.
        step_seconds: time of one training step; 0 where it is not known.
        peak_memory_bytes: largest resident memory; 0 where it is not known.
        source: where it is from: `FINISHED`, `BEGUN`, `TRIED`, `COUNTED` or `UNKNOWN`.
    """

    fixed_seconds: float
    step_seconds: float
    peak_memory_bytes: float
    source: str

    def seconds(self, steps):
        """Return the seconds of a job of `steps` training steps."""
        return self.fixed_seconds + steps * self.step_seconds


def print_plan(jobs, configs, measure=False):
    """Print one line for each job, the time that is left, and where the numbers are from.

    The line of a job tells the time of the whole job. What is left is without the jobs that are
    done and without the steps up to the newest checkpoint of the others.

    Args:
        jobs: list of `Job`, of `jobs.list_jobs`.
        configs: dict from each row to its `TrainingConfig`.
        measure: try the rows without a finished job for a few steps, which takes minutes.

    Raises:
        UserError: the trial of a row failed.
    """
    costs, rate = _try_rows(jobs, configs) if measure else _count_rows(jobs, configs)
    left = 0.0
    for job in jobs:
        cost, state = costs[job.row], job.state()
        whole = configs[job.row].steps
        if state != "done":
            left += cost.seconds(max(0, whole - (latest_step(job.folder) or 0)))
        time_told = "-" if cost.source == UNKNOWN else _duration(cost.seconds(whole))
        memory = f"{cost.peak_memory_bytes / 2**30:.1f} GiB" if cost.peak_memory_bytes else "-"
        print(f"{job!s:<36} {state:<7} {time_told:>14} {memory:>10}  {cost.source}")
    steps = " or ".join(map(str, sorted({configs[job.row].steps for job in jobs})))
    unknown = sum(costs[job.row].source == UNKNOWN for job in jobs)
    without = f" without {unknown} unknown jobs" if unknown else ""
    print(
        f"{len(jobs)} jobs of {steps} steps; about {_duration(left)} left{without}, "
        "one job at a time"
    )
    for source in dict.fromkeys(costs[job.row].source for job in jobs):
        print(f"{source}: {_MEANINGS[source].format(rate=rate)}")
    memory_here = machine_memory()
    large = [row for row, cost in costs.items() if cost.peak_memory_bytes > memory_here]
    if large:
        print(
            f"{', '.join(large)}: may need more than this machine's {memory_here / 2**30:.1f} GiB "
            "of memory; --remat needs less"
        )


def machine_memory():
    """Return the memory of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _duration(seconds):
    if seconds < 2 * 3600:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _known_costs(jobs, configs):
    """Return the cost of every row of which a job is finished; None for the others."""
    rows = dict.fromkeys(job.row for job in jobs)
    return {row: _known_cost(row, jobs, configs[row].steps) for row in rows}


def _known_cost(row, jobs, steps):
    records = {job: finished_record(job) for job in jobs if job.row == row}
    records = {job: record for job, record in records.items() if record is not None}
    if not records:
        return None
    trained = {job: training_seconds(read_history(job.folder)) for job in records}
    # A record is of the last start alone; those of earlier versions do not tell the evaluation.
    whole = statistics.median(
        max(record["seconds"], trained[job] + record.get("last_seconds", 0.0))
        for job, record in records.items()
    )
    training = min(whole, statistics.median(trained.values()))
    # By all steps, though a run may end early: a whole job then takes as long as the finished.
    return Cost(
        whole - training,
        training / steps,
        max(record["peak_memory_bytes"] for record in records.values()),
        FINISHED,
    )


def _count_rows(jobs, configs):
    """Return the cost of each row, and in words the rate of those that are counted."""
    costs = _known_costs(jobs, configs)
    steps = {row: _step_seconds(row, jobs) for row in costs}
    if None not in costs.values():
        return costs, None
    from xctrs_tf.cross_validation.operations import step_memory, step_operations

    with stage("counting the operations of the networks"):
        operations = dict.fromkeys(costs)
        for row in costs:
            try:
                operations[row] = step_operations(configs[row])
            except UserError as error:
                logging.warning("%s: %s", row, error)
    rates = [operations[row] / each for row, each in steps.items() if each and operations[row]]
    if rates:
        rate, source = statistics.median(rates), "the rate of the other rows' steps"
    else:
        from xctrs_tf.cross_validation.convolution_rate import convolution_rate

        with stage("measuring the rate of a small convolution"):
            rate = convolution_rate()
        source = "the rate of a small convolution, just measured"
    for row in costs:
        if costs[row] is None:
            memory = step_memory(configs[row]) if operations[row] else 0.0
            if steps[row]:
                costs[row] = Cost(0.0, steps[row], memory, BEGUN)
            elif operations[row]:
                costs[row] = Cost(0.0, operations[row] / rate, memory, COUNTED)
            else:
                costs[row] = Cost(0.0, 0.0, memory, UNKNOWN)
    return costs, f"{rate / 1e9:.0f} GFLOP/s ({source})"


def _step_seconds(row, jobs):
    """Return the median time of the recorded steps of a row's jobs, None without any."""
    recorded = [
        each["seconds"]
        for job in jobs
        if job.row == row
        for each in read_history(job.folder)
        if each["kind"] == "training" and isinstance(each.get("seconds"), float)
    ]
    return statistics.median(recorded) if recorded else None


def _try_rows(jobs, configs):
    """Return the cost of each row: recorded, or measured in a temporary folder; and None."""
    costs = _known_costs(jobs, configs)
    unknown = [row for row, cost in costs.items() if cost is None]
    with tempfile.TemporaryDirectory() as folder:
        for row in progress_bar(unknown, "trying a few steps", unit="row"):
            job = next(job for job in jobs if job.row == row)
            costs[row] = _try(dataclasses.replace(job, root=pathlib.Path(folder)))
    return costs, None


def _try(job):
    """Train a job, and the one that it needs, for a few steps; return its `Cost`."""
    if job.needs is not None and not job.needs.folder.exists():
        _try(job.needs)
    arguments = [each for each in job.commands[0] if not each.startswith(_NOT_TRIED)]
    command = [sys.executable, *arguments, f"--steps={_TRIAL_STEPS}"]
    began = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.terminate()
            child.wait()
            raise
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            lines = errors.read().decode("utf-8", "replace").strip().splitlines()
            raise UserError(f"{job}: cannot be begun: {lines[-1] if lines else 'no reason given'}")
    total = time.monotonic() - began
    rows = [row for row in read_history(job.folder) if row["kind"] == "training"]
    step = rows[-1]["seconds"]
    fixed = max(0.0, total - _TRIAL_STEPS * step)
    return Cost(fixed, step, usage.ru_maxrss * 1024, TRIED)
