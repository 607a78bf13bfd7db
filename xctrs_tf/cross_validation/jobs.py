"""The jobs of a cross-validation: each trains and evaluates one run in a folder of its own.

The run folder of a job is ``RUNS/<row>/fold-00-seed-0``. Beside it, a ``.log`` holds
the output of its programs and a ``.json`` the record of its result. No finished work
is repeated: training continues from its last checkpoint, and a job whose record
says ``done`` is skipped if its evaluation is there.
"""

import dataclasses
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

from xctrs_tf.cross_validation.time_limit import TimeUp
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.results.finished_run import read_job
from xctrs_tf.evaluation.results.result_folder import is_of_row, method_name
from xctrs_tf.files import remove_leftovers, write_json
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.models.catalogue import RECONSTRUCTION_ROW, ROWS
from xctrs_tf.training.config.field_kinds import COMPUTATION, PATHS

# Paths, and flags that do not change the result.
_WITHOUT_EFFECT = PATHS | COMPUTATION | {"workdir", "share", "checkpoint_every"}
# Largest part of a time limit that the benchmark takes; the rest is for the jobs.
_BENCHMARK_SHARE = 1 / 3
# Exit statuses of a program that a signal stopped. While it imports TensorFlow, the signal
# itself ends it.
_SIGNALLED = (130, -signal.SIGTERM, -signal.SIGHUP)
# Seconds between two looks at a program that has a time limit.
_LOOK_S = 0.2


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
        train = ["-m", "experiments.train", *self.flags]
        train += [f"--{name}={value}" for name, value in self._own_fields().items()]
        evaluate = ["-m", "experiments.evaluate", "--figures=0", "--save_predictions"]
        return [
            [*train, f"--workdir={self.folder}"],
            [*evaluate, *self.evaluation, f"--workdir={self.folder}"],
        ]

    def config(self, given):
        """Return the `TrainingConfig` of the job.

        Args:
            given: `TrainingConfig` of the flags, which the row overrides.

        Raises:
            UserError: the row cannot have these flags, or would be another method with them.
        """
        config = dataclasses.replace(given, **self._own_fields())
        try:
            config.check()
        except UserError as error:
            raise UserError(f"{self.row}: {error}") from None
        # The row does not depend on what the finished reconstruction is called.
        method = method_name(config, config if config.reconstruction_run else None)
        if not is_of_row(self.row, method):
            raise UserError(
                f"{self.row}: is another method with the flags given; leave out networks "
                "(--reconstruction, --segmentation, --reconstruction_run) and weights of 0 "
                "(--vgg_weight, --dice_weight, --rsc_weight)"
            )
        return config

    def _own_fields(self):
        own = {**self.training, "fold": self.fold, "seed": self.seed}
        if self.needs is not None:
            own["reconstruction_run"] = str(self.needs.folder)
        return own

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


def other_flags(job, record):
    """Compare the flags that a job was done with and those that it would be run with now.

    Args:
        job: `Job`.
        record: its record.

    Returns:
        List of texts, such as ``--augment=mirror, now without``; without paths, and
        without flags that do not change the result.
    """
    done = _flags_of(map(shlex.split, record["commands"]))
    now = _flags_of(job.commands)
    return [
        f"{done.get(name, f'without --{name}')}, now {now.get(name, 'without')}"
        for name in dict.fromkeys((*done, *now))
        if done.get(name) != now.get(name)
    ]


def _flags_of(commands):
    """Return the flags of commands that change the result, by name."""
    words = [word for command in commands for word in command if word.startswith("--")]
    flags = {word[2:].partition("=")[0]: word for word in words}
    return {name: word for name, word in flags.items() if name not in _WITHOUT_EFFECT}


def run_job(job, limit=None):
    """Train and evaluate the run of a job, and write its record.

    Args:
        job: `Job`.
        limit: `time_limit.TimeLimit`, or None.

    Returns:
        The record: ``status`` (``done`` or ``failed``), ``commands``, ``seconds`` of this
        start, ``last_seconds`` of its last program (the evaluation of a job that is done),
        ``peak_memory_bytes`` and, where it failed, ``error``.

    Raises:
        KeyboardInterrupt: the job was stopped; a second call continues it.
        TimeUp: the limit stopped it; a second call continues it.
        UserError: another process runs this job.
    """
    # The run folder has a lock of its own, which training and evaluation take in turn.
    with folder_lock(job.folder, beside=True) as lock:
        remove_leftovers(job.record.parent, job.record.name)
        record = finished_record(job) or _run_programs(job, lock, limit)
    return record


def run_benchmark(root, flags, limit=None):
    """Measure the networks on this machine, unless ``root`` holds such figures already.

    Args:
        root: `pathlib.Path` of the folder of all jobs, where ``benchmark.json`` and its
            ``.log`` are written.
        flags: of `experiments.benchmark`.
        limit: `time_limit.TimeLimit`, of which it takes a third at most; or None.

    Returns:
        What went wrong, as text; None if the figures are there.

    Raises:
        KeyboardInterrupt: it was stopped.
        TimeUp: the limit ended meanwhile.
        UserError: another process does this.
    """
    path = root / "benchmark.json"
    with folder_lock(path, beside=True) as lock:
        if path.exists():
            return None
        arguments = ["-m", "experiments.benchmark", "--what=networks", *flags, f"--json={path}"]
        log = path.with_suffix(".log")
        part = limit and limit.first_part(_BENCHMARK_SHARE)
        try:
            return _run(log, arguments, lock, part)[0]
        except TimeUp:
            if limit.is_up():
                raise
            return f"needs more than {_BENCHMARK_SHARE:.0%} of --max_minutes (see {log})"


def _run_programs(job, lock, limit):
    record = {"status": "done", "commands": [], "seconds": 0.0, "peak_memory_bytes": 0}
    if job.needs is not None and job.needs.state() != "done":
        record |= {"status": "failed", "error": f"needs {job.needs}, which is not done"}
    else:
        for arguments in job.commands:
            record["commands"].append(shlex.join(["python", *arguments]))
            error, seconds, memory = _run(job.log, arguments, lock, limit)
            record |= {"seconds": record["seconds"] + seconds, "last_seconds": seconds}
            record["peak_memory_bytes"] = max(record["peak_memory_bytes"], memory)
            if error:
                record |= {"status": "failed", "error": error}
                break
    write_json(job.record, record)
    return record


def _run(path, arguments, lock, limit):
    """Run a program whose output goes to a log.

    Returns its last line of output if it failed, else None; seconds; bytes of memory.
    """
    if limit is not None and limit.is_up():
        raise TimeUp
    began = time.monotonic()
    with path.open("ab") as log:
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
            status, usage, stopped = _wait(child.pid, limit)
        except BaseException:
            _end(child)
            raise
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode and stopped:
        raise TimeUp
    if child.returncode in _SIGNALLED:
        raise KeyboardInterrupt
    error = None
    if child.returncode:
        error = f"exit status {child.returncode}: {_last_line(path)} (see {path})"
    # ru_maxrss is in KiB on Linux.
    return error, time.monotonic() - began, usage.ru_maxrss * 1024


def _end(child):
    """Ask a program to end, and wait until it has; a second exception meanwhile kills it."""
    child.terminate()
    try:
        child.wait()  # for its checkpoint
    except BaseException:
        # It must not go on without the lock of its job.
        child.kill()
        child.wait()
        raise


def _wait(pid, limit):
    """Wait for the end of a program, and stop it at the limit.

    Returns its status, its usage, and whether it was asked to stop.
    """
    if limit is None:
        return *os.wait4(pid, 0)[1:], False
    ask, kill = limit.moments()
    stopped = False
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, usage, stopped
        if limit.clock() >= ask and not stopped:
            # Its checkpoints are complete or absent, so that it may be ended at any time.
            os.kill(pid, signal.SIGTERM)
            stopped = True
        if limit.clock() >= kill:
            os.kill(pid, signal.SIGKILL)
        time.sleep(_LOOK_S)


def _last_line(log):
    text = log.read_bytes()[-4000:].decode("utf-8", "replace")
    # A progress bar returns to the start of its line.
    lines = [line.split("\r")[-1].strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), "")
