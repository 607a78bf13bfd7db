"""Programs that are killed at random moments, again and again, and then let finish."""

import dataclasses
import pathlib
import random
import sys
import time

import numpy as np

from tests.export.runs import toy_run
from tests.training import processes
from tests.training.toys import toy_config, toy_weights
from xctrs_tf.cross_validation.jobs import Job, run_job
from xctrs_tf.errors import UserError
from xctrs_tf.training.history import read_history

# Kills of one output before it is finished and a new one is begun.
KILLS_EACH = 5
# In this folder of a run_job's root lies the job's row.
ROW = "table1-vgg"


def kill_and_finish(task, arguments, root, kills, seed, check_now, check):
    """Kill a task at random moments until it was killed so often; let each output finish.

    Args:
        task: module-level function of an output folder and the arguments.
        arguments: tuple.
        root: folder of all outputs.
        kills: number of processes that have to be killed.
        seed: of the moments.
        check_now: function of the output folder, called after every kill.
        check: function of the undisturbed and the finished output folder.
    """
    rng = random.Random(seed)
    began = time.monotonic()
    whole = root / "whole"
    _finish(task, whole, arguments)
    longest = time.monotonic() - began
    killed, outputs = 0, 0
    while killed < kills:
        outputs += 1
        folder = root / f"killed-{outputs}"
        for _ in range(min(KILLS_EACH, kills - killed)):
            killed += _kill(task, folder, arguments, rng.uniform(0, longest))
            check_now(folder)
        _finish(task, folder, arguments)
        check(whole, folder)
        hidden = [*folder.rglob(".*"), *folder.parent.glob(f".{folder.name}*")]
        assert hidden == [], "left by killed processes"


def _finish(task, folder, arguments):
    assert processes.status(processes.start(task, folder, *arguments)) == 0


def _kill(task, folder, arguments, seconds):
    process = processes.start(task, folder, *arguments)
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode == processes.KILLED


def train(folder, data):
    """Train toy networks."""
    steps = {"steps": 9, "checkpoint_every": 2, "validate_every": 3}
    processes.train(toy_config(data, **steps, augment="mirror", deterministic=True), folder)


def assert_same_run(whole, folder):
    """Assert that two runs of toy networks are bit-equal."""
    for part in ("checkpoints/step-00000009", "checkpoints/step-00000008", "best"):
        np.testing.assert_array_equal(toy_weights(folder / part), toy_weights(whole / part))
        assert _optimizer(folder / part) == _optimizer(whole / part)
    assert _rows(folder) == _rows(whole)


def _optimizer(folder):
    path = folder / "optimizer.npz"
    if not path.exists():
        return None
    with np.load(path) as stored:
        return {name: stored[name].tobytes() for name in stored.files}


def _rows(run):
    return [{**row, "seconds": None} for row in read_history(run)]


def prepare(folder, patients):
    """Prepare phantoms."""
    from experiments import prepare

    flags = ["--source=phantom", "--size=32", "--workers=1", "--num_folds=2"]
    sys.exit(prepare.main([*flags, f"--num_patients={patients}", f"--output={folder}"]))


def export(folder, run):
    """Export a toy run as the next version."""
    from xctrs_tf.export.saved_model import export_run

    export_run(toy_run(run), folder)


def reconstruct(folder, models, films):
    """Reconstruct a pair of films, with a report."""
    from experiments import reconstruct

    flags = [f"--{view}={films / view}.png" for view in ("ap", "la")]
    flags += [f"--model={models}", f"--output={folder}", "--check_views=false"]
    sys.exit(reconstruct.main([*flags, "--spacing_mm=4"]))


def evaluate(folder):
    """Write the file that ends an evaluation."""
    (folder / "evaluation").mkdir(exist_ok=True)
    (folder / "evaluation" / "cases.json").touch()


@dataclasses.dataclass(frozen=True)
class ToyJob(Job):
    """A job that trains toy networks, and then writes the file that ends an evaluation."""

    data: str = ""

    @property
    def needs(self):
        return None

    @property
    def commands(self):
        folder = str(self.folder)
        start = "import pathlib; from tests.training.failures import kills"
        return [
            ["-c", f"{start}; kills.train({folder!r}, {self.data!r})"],
            ["-c", f"{start}; kills.evaluate(pathlib.Path({folder!r}))"],
        ]


def cross_validate(folder, data):
    """Run a job; wait where the programs of a killed process still run."""
    while True:
        try:
            record = run_job(ToyJob(pathlib.Path(folder), ROW, 0, 0, (), (), data))
            break
        except UserError as error:
            if "writes to it" not in str(error):
                raise
            time.sleep(0.1)
    sys.exit(0 if record["status"] == "done" else record["error"])


def bytes_of(folder):
    """Return the bytes of every file of a folder, by its path in it."""
    files = [path for path in pathlib.Path(folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
