"""Everything that a table needs of one run: its files, read once."""

import dataclasses
import json

from xctrs_tf.files import read_csv
from xctrs_tf.training.config import TrainingConfig, read_config


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """Files of one run and of its evaluation.

    Attributes:
        config: `TrainingConfig` of the run.
        data_hash: of the data that the run was trained on.
        frozen_fold: fold of the finished reconstruction that the run builds on, or None.
        best_step: step of the best checkpoint.
        steps_trained: last step of the run's history; None if there is no history.
        origin: dict of the evaluation's cases.json.
        patients: lines of cases.csv, dicts of strings.
        mean_volume: lines of baselines.csv, dicts of strings.
    """

    config: TrainingConfig
    data_hash: str
    frozen_fold: int | None
    best_step: int
    steps_trained: int | None
    origin: dict
    patients: list
    mean_volume: list


def read_job(folder):
    """Read how the job of `experiments.cross_validate` ended that made a run.

    Args:
        folder: `pathlib.Path` of the run.

    Returns:
        Dict; empty if no job made the run.
    """
    record = folder.with_name(f"{folder.name}.json")
    return _read_json(record) if record.is_file() else {}


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
        UserError: the configuration is missing or damaged.
    """
    config = read_config(folder)
    frozen = read_config(folder / "reconstruction_run") if config.reconstruction_run else None
    return FinishedRun(
        config=config,
        data_hash=_read_json(folder / "config.json")["data_sha256"],
        frozen_fold=frozen and frozen.fold,
        best_step=_read_json(folder / "best" / "state.json")["step"],
        steps_trained=_last_step(folder / "history.jsonl"),
        origin=_read_json(folder / "evaluation" / "cases.json"),
        patients=read_csv(folder / "evaluation" / "cases.csv"),
        mean_volume=read_csv(folder / "evaluation" / "baselines.csv"),
    )


def _read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _last_step(history):
    if not history.is_file():
        return None
    return json.loads(history.read_text(encoding="utf-8").splitlines()[-1])["step"]
