"""The jobs of a cross-validation: each trains and evaluates one run in a folder of its own.

A job lies at ``RUNS/<row>/fold-00-seed-0``: the run folder, and beside it a
``.log`` with what its programs printed, and a ``.json`` with how it ended. What
a job has done it never does twice: training goes on at its last checkpoint, and
a job whose record says ``done`` is left alone.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

from xctrs_tf.errors import UserError
from xctrs_tf.files import write_text
from xctrs_tf.models.catalogue import RECONSTRUCTION_ROW, ROWS

_SIGNALLED = 130


@dataclasses.dataclass(frozen=True)
class Job:
    """One row, fold and seed.

    Attributes:
        root: folder of all jobs.
        row: key of `catalogue.ROWS`.
        fold: whose patients are tested.
        seed: of the training.
        flags: of `experiments.train`, for every job alike; the row's own are laid
            over them.
        evaluation: flags of `experiments.evaluate`.
    """

    root: pathlib.Path
    row: str
    fold: int
    seed: int
    flags: tuple
    evaluation: tuple = ()

    def __str__(self):
        return f"{self.row} fold {self.fold} seed {self.seed}"

    @property
    def folder(self):
        """The run folder."""
        return self.root / self.row / f"fold-{self.fold:02d}-seed-{self.seed}"

    @property
    def log(self):
        """What its programs print."""
        return self.folder.with_suffix(".log")

    @property
    def record(self):
        """How it ended."""
        return self.folder.with_suffix(".json")

    @property
    def needs(self):
        """The job whose reconstructions this one segments, or None."""
        if not self.row.startswith("table3-"):
            return None
        return dataclasses.replace(self, row=RECONSTRUCTION_ROW)

    @property
    def commands(self):
        """Arguments of Python for training and for evaluation."""
        own = {**ROWS[self.row].config, "fold": self.fold, "seed": self.seed}
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
        """``done``, ``failed``, ``begun`` or ``new``."""
        if self.record.exists():
            return _read(self.record)["status"]
        return "begun" if self.folder.exists() else "new"


def list_jobs(root, rows, folds, seeds, flags, evaluation=()):
    """Every job, those that others need first.

    Args:
        root: `pathlib.Path` of the folder of all jobs.
        rows: keys of `catalogue.ROWS`; what one of them needs is added.
        folds: numbers of folds.
        seeds: seeds of the training.
        flags: of `experiments.train`.
        evaluation: flags of `experiments.evaluate`.

    Returns:
        List of `Job`, fold by fold, so that a run that is stopped early has whole
        rows of few folds.
    """
    jobs = {}
    for seed in seeds:
        for fold in folds:
            for row in rows:
                job = Job(root, row, fold, seed, tuple(flags), tuple(evaluation))
                if job.needs is not None:
                    jobs[job.needs] = None
                jobs[job] = None
    return list(jobs)


def finished_record(job):
    """The record of a job that is done, or None."""
    return _read(job.record) if job.state() == "done" else None


def run_job(job):
    """Train and evaluate, and write the record.

    Args:
        job: `Job`.

    Returns:
        The record: ``status`` (``done`` or ``failed``), ``commands``, ``seconds``,
        ``peak_memory_bytes`` and, where it failed, ``error``.

    Raises:
        KeyboardInterrupt: it was stopped; the same job goes on there.
        UserError: another process is at this job.
    """
    if (record := finished_record(job)) is not None:
        return record
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    record = {"status": "done", "commands": [], "seconds": 0.0, "peak_memory_bytes": 0}
    if job.needs is not None and job.needs.state() != "done":
        record |= {"status": "failed", "error": f"needs {job.needs}, which is not done"}
    else:
        with _alone(job) as lock:
            for arguments in job.commands:
                record["commands"].append(shlex.join(["python", *arguments]))
                error = _run(job, arguments, lock, record)
                if error:
                    record |= {"status": "failed", "error": error}
                    break
    write_text(job.record, json.dumps(record, indent=1) + "\n")
    return record


def _read(record):
    return json.loads(record.read_text(encoding="utf-8"))


def _run(job, arguments, lock, record):
    """Run one program of a job; returns its last line if it failed."""
    began = time.monotonic()
    with job.log.open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            # An orphan, left by a killed parent, still holds it.
            pass_fds=[lock],
        )
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            # Let it write its checkpoint.
            child.terminate()
            child.wait()
            raise
    child.returncode = os.waitstatus_to_exitcode(status)
    record["seconds"] += time.monotonic() - began
    # Linux counts kibibytes.
    record["peak_memory_bytes"] = max(record["peak_memory_bytes"], usage.ru_maxrss * 1024)
    if child.returncode == _SIGNALLED:
        raise KeyboardInterrupt
    if child.returncode == 0:
        return None
    return f"exit status {child.returncode}: {_last_line(job.log)} (see {job.log})"


def _last_line(log):
    text = log.read_bytes()[-4000:].decode("utf-8", "replace")
    # A progress bar returns to the start of its line.
    lines = [line.split("\r")[-1].strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), "")


@contextlib.contextmanager
def _alone(job):
    """Hold the job's lock, which ends with the last process that holds it."""
    with job.folder.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"{job.folder}: another process is at this job; wait for it or stop it"
            ) from None
        yield file.fileno()
