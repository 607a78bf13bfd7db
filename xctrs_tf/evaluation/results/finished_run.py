"""Everything that a table needs of one run: its files, read once."""

import dataclasses
import functools
import logging

from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.patient import read_cases_csv
from xctrs_tf.files import read_json
from xctrs_tf.training.history import read_history, training_seconds
from xctrs_tf.training.run_record import RunRecord, read_run_record

# By the status of the job.
_JOB_TYPES = {
    "failed": {"error": str},
    "done": {
        **{"commands": list, "peak_memory_bytes": int},
        **dict.fromkeys(("seconds", "last_seconds"), (int, float)),
    },
}
_ORIGIN_TYPES = {
    **dict.fromkeys(("command", "data_hash", "date", "dice_name", "split"), str),
    **{"n": int, "step": int, "versions": dict, "machine": object, "commit": object},
}


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """Files of one run and of its evaluation.

    Attributes:
        record: `RunRecord` of the run.
        frozen: `RunRecord` of the finished reconstruction that the run builds on, or None.
        frozen_best: like ``best``, of that reconstruction; empty without one.
        best: dict of ``step`` and ``weights``, hashes by file, of the best checkpoint; without
            the hashes where they are not known.
        steps_trained: last step of the run's history; None if there is no history.
        training_seconds: of all training steps; None if there is no history.
        computed_in: dtype policies of the networks, in training and evaluation; empty for
            older runs, which had that of ``config``.
        commits: of the code of each start of the training, in order; None for one that is not
            known; empty for older runs.
        origin: dict of the evaluation's cases.json.
        patients: lines of cases.csv, dicts of strings.
        mean_volume: lines of baselines.csv, dicts of strings.
    """

    record: RunRecord
    frozen: RunRecord | None
    frozen_best: dict
    best: dict
    steps_trained: int | None
    training_seconds: float | None
    computed_in: list
    commits: list
    origin: dict
    patients: list
    mean_volume: list

    @property
    def config(self):
        """`TrainingConfig` of the run."""
        return self.record.config


def read_job(folder):
    """Read how the job of `experiments.cross_validate` ended that made a run.

    Args:
        folder: `pathlib.Path` of the run.

    Returns:
        Dict; empty if no job made the run, or with a warning if its record is damaged or
        says done where the evaluation is missing.
    """
    record = folder.with_name(f"{folder.name}.json")
    try:
        job = read_json(record)
        _require_types(job, {"status": str})
        # Records of earlier versions lack last_seconds.
        _require_types({"last_seconds": 0.0, **job}, _JOB_TYPES[job["status"]])
        if not all(isinstance(command, str) for command in job.get("commands", ())):
            raise ValueError("a command is no text")
    except FileNotFoundError:
        return {}
    except (KeyError, ValueError) as error:
        _warn_once(f"{record}: damaged ({error}); the job counts as not done")
        return {}
    if job["status"] == "done" and not is_evaluated(folder):
        _warn_once(f"{record}: done, but {folder} has no evaluation; the job counts as not done")
        return {}
    return job


@functools.cache
def _warn_once(text):
    """Log a warning; a program reads the record of a job several times."""
    logging.warning("%s", text)


def is_evaluated(folder):
    """Tell whether the evaluation of a run is complete."""
    return (folder / "evaluation" / "cases.json").is_file()


def read_finished_run(folder):
    """Read an evaluated run.

    Args:
        folder: `pathlib.Path` of the run.

    Returns:
        `FinishedRun`.

    Raises:
        UserError: a file is missing or damaged.
    """
    record = read_run_record(folder)
    has_frozen = bool(record.config.reconstruction_run)
    frozen = read_run_record(folder / "reconstruction_run") if has_frozen else None
    history = read_history(folder)
    settings, evaluation = folder / "config.json", folder / "evaluation"
    computed_in = _told_list(settings, "computed_in", str)
    origin = _read(evaluation / "cases.json", _read_origin)
    patients = _read(evaluation / "cases.csv", read_cases_csv)
    if len(patients) != origin["n"]:
        raise UserError(
            f"{evaluation / 'cases.csv'}: {len(patients)} of {origin['n']} patients; "
            "run experiments.evaluate again"
        )
    return FinishedRun(
        record=record,
        frozen=frozen,
        frozen_best=_read_frozen_best(folder / "reconstruction_run" / "best" / "state.json"),
        best=_read(folder / "best" / "state.json", _read_best),
        steps_trained=history[-1]["step"] if history else None,
        training_seconds=training_seconds(history) or None,
        computed_in=sorted({*computed_in, *origin.get("computed_in", ())}),
        commits=_told_list(settings, "commits", str | None),
        origin=origin,
        patients=patients,
        mean_volume=_read(evaluation / "baselines.csv", read_cases_csv),
    )


def _read(path, read):
    try:
        return read(path)
    except FileNotFoundError:
        raise UserError(f"{path}: missing; run experiments.evaluate again") from None
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: damaged ({error}); run experiments.evaluate again") from None


def _told_list(path, name, kind):
    """Return a list of values of a type that a run's config.json tells; empty without it."""
    found = read_json(path).get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, kind) for each in found):
        raise UserError(f"{path}: damaged ({name} is {found!r:.40})")
    return found


def _read_origin(path):
    origin = read_json(path)
    _require_types(origin, _ORIGIN_TYPES)
    _require_types(
        {"method": "", "computed_in": [], **origin}, {"method": str, "computed_in": list}
    )
    return origin


def _read_frozen_best(path):
    """Return what a copy of a finished reconstruction says of its checkpoint; empty without one."""
    return _told(_read(path, read_json)) if path.is_file() else {}


def _read_best(path):
    state = read_json(path)
    _require_types(state, {"step": int})
    return _told(state)


def _told(state):
    names = {"step": "step", "weights": "sha256"}
    return {ours: state[name] for ours, name in names.items() if name in state}


def _require_types(record, types):
    """Raise KeyError or ValueError unless a dict has values of these types."""
    for name, kind in types.items():
        if not isinstance(record[name], kind):
            raise ValueError(f"{name} is {record[name]!r:.40}")
