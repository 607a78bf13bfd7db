"""The jobs of a cross-validation: each trains and evaluates one run in a folder of its own.

The run folder of a job is ``RUNS/<row>/fold-00-seed-0``. Beside it, a ``.log`` holds
the output of its programs and a ``.json`` the record of its result. No finished work
is repeated: training continues from its last checkpoint, and a job whose record
says ``done`` is skipped.
"""

import dataclasses
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

from xctrs_tf.evaluation.finished_run import read_job
from xctrs_tf.files import remove_leftovers, write_text
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.models.catalogue import RECONSTRUCTION_ROW, ROWS

# Of a program that a signal ended; while it imports TensorFlow, the signal itself ends it.
_SIGNALLED = (130, -signal.SIGTERM, -signal.SIGHUP)


@dataclasses.dataclass(frozen=True)
class Job:
    """One row, fold and seed.

    Attributes:
        root: folder of all jobs.
        row: key of `catalogue.ROWS`.
        fold: number of the fold whose patients are tested.
        seed: seed of the training.
        flags: flags of `experiments.train`, the same for all jobs; those of the row
            override them.
        evaluation: flags of `experiments.evaluate`.
        published: rows that are trained as their authors train them, a tuple.
    """

    root: pathlib.Path
    row: str
    fold: int
    seed: int
    flags: tuple
    evaluation: tuple = ()
    published: tuple = ()

    def __str__(self):
        return f"{self.row} fold {self.fold} seed {self.seed}"

    @property
    def folder(self):
        """The run folder."""
        return self.root / self.row / f"fold-{self.fold:02d}-seed-{self.seed}"

    @property
    def log(self):
        """Path of the output of its programs."""
        return self.folder.with_suffix(".log")

    @property
    def record(self):
        """Path of the record of its result."""
        return self.folder.with_suffix(".json")

    @property
    def training(self):
        """Fields of `TrainingConfig` of the row, which override the flags."""
        return ROWS[self.row].training(self.row in self.published)

    @property
    def needs(self):
        """Job whose reconstructions this one segments, or None."""
        if not self.row.startswith("table3-"):
            return None
        return dataclasses.replace(self, row=RECONSTRUCTION_ROW)

    @property
    def commands(self):
        """Arguments of Python for training and for evaluation."""
        own = {**self.training, "fold": self.fold, "seed": self.seed}
        if self.needs is not None:
            own["reconstruction_run"] = self.needs.folder
        train = ["-m", "experiments.train", *self.flags]
        train += [f"--{name}={value}" for name, value in own.items()]
        evaluate = ["-m", "experiments.evaluate", "--figures=0", "--save_predictions"]
        return [
            [*train, f"--workdir={self.folder}"],
            [*evaluate, *self.evaluation, f"--workdir={self.folder}"],
        ]

    def state(self):
        """Return ``done``, ``failed``, ``begun`` or ``new``."""
        return self.read()[0]

    def read(self):
        """Return the state, and the record of a job that is done or failed, else None."""
        record = read_job(self.folder)
        if record:
            return record["status"], record
        return ("begun" if self.folder.exists() else "new"), None


def list_jobs(root, rows, folds, seeds, flags, evaluation=(), published=()):
    """List all jobs; a job comes after the one that it needs.

    Args:
        root: `pathlib.Path` of the folder of all jobs.
        rows: keys of `catalogue.ROWS`; what one of them needs is added.
        folds: numbers of folds.
        seeds: seeds of the training.
        flags: of `experiments.train`.
        evaluation: flags of `experiments.evaluate`.
        published: rows that are trained as their authors train them.

    Returns:
        List of `Job`, fold by fold: a cross-validation that is stopped early then
        has all rows of its first folds.
    """
    jobs = {}
    for seed in seeds:
        for fold in folds:
            for row in rows:
                job = Job(root, row, fold, seed, *map(tuple, (flags, evaluation, published)))
                if job.needs is not None:
                    jobs[job.needs] = None
                jobs[job] = None
    return list(jobs)


def finished_record(job):
    """Return the record of a job that is done, None for any other."""
    state, record = job.read()
    return record if state == "done" else None


def run_job(job):
    """Train and evaluate the run of a job, and write its record.

    Args:
        job: `Job`.

    Returns:
        The record: ``status`` (``done`` or ``failed``), ``commands``, ``seconds``,
        ``peak_memory_bytes`` and, where it failed, ``error``.

    Raises:
        KeyboardInterrupt: the job was stopped; a second call continues it.
        UserError: another process runs this job.
    """
    # The run folder has a lock of its own, which training and evaluation take in turn.
    with folder_lock(job.folder, beside=True) as lock:
        remove_leftovers(job.record.parent, job.record.name)
        record = finished_record(job) or _run_programs(job, lock)
    return record


def _run_programs(job, lock):
    record = {"status": "done", "commands": [], "seconds": 0.0, "peak_memory_bytes": 0}
    if job.needs is not None and job.needs.state() != "done":
        record |= {"status": "failed", "error": f"needs {job.needs}, which is not done"}
    else:
        for arguments in job.commands:
            record["commands"].append(shlex.join(["python", *arguments]))
            error = _run(job, arguments, lock, record)
            if error:
                record |= {"status": "failed", "error": error}
                break
    write_text(job.record, json.dumps(record, indent=1) + "\n")
    return record


def _run(job, arguments, lock, record):
    """Run one program of a job; return its last line of output if it failed, else None."""
    began = time.monotonic()
    with job.log.open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            # If this process is killed, its child still holds the lock.
            pass_fds=[lock],
            # Ctrl-C reaches this process alone, which then asks the child once to end.
            process_group=0,
        )
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            # The child writes its checkpoint before it ends.
            child.terminate()
            child.wait()
            raise
    child.returncode = os.waitstatus_to_exitcode(status)
    record["seconds"] += time.monotonic() - began
    # ru_maxrss is in KiB on Linux.
    record["peak_memory_bytes"] = max(record["peak_memory_bytes"], usage.ru_maxrss * 1024)
    if child.returncode in _SIGNALLED:
        raise KeyboardInterrupt
    if child.returncode == 0:
        return None
    return f"exit status {child.returncode}: {_last_line(job.log)} (see {job.log})"


def _last_line(log):
    text = log.read_bytes()[-4000:].decode("utf-8", "replace")
    # A progress bar returns to the start of its line.
    lines = [line.split("\r")[-1].strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), "")
