"""The run folder: made for one configuration and one data set."""

import json
import pathlib

import keras

from xctrs_tf import provenance
from xctrs_tf.errors import UserError
from xctrs_tf.files import read_json, write_text
from xctrs_tf.training.config import TrainingConfig
from xctrs_tf.training.run import computed_precision

# Fields that may differ between the starts of one run: its length, the intervals, the
# place of the data, and options that do not change the update.
_FREE = {
    *("steps", "validate_every", "checkpoint_every", "patience", "data"),
    *("accumulation", "remat", "strategy", "deterministic"),
}


def claim_workdir(workdir, config, dataset):
    """Make a run folder, or check that it belongs to this run.

    Args:
        workdir: `pathlib.Path` of the run folder.
        config: `TrainingConfig`.
        dataset: the opened data folder.

    Raises:
        UserError: the folder holds something else.
    """
    record = {
        "format": "xctrs-run/1",
        # Programs that read it later may run in another working directory.
        "training": {**config.to_json(), "data": str(pathlib.Path(config.data).absolute())},
        "data_sha256": dataset.content_hash(),
        "backend": keras.backend.backend(),
        "versions": provenance.versions(),
        # One run may go on on another processor.
        "computed_in": [computed_precision(config)],
    }
    path = workdir / "config.json"
    if path.exists():
        record["computed_in"] = _require_same(path, record)
    elif workdir.exists() and any(not entry.name.startswith(".") for entry in workdir.iterdir()):
        raise UserError(f"--workdir={workdir} is neither empty nor a run: name another folder")
    workdir.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(record, indent=1) + "\n")


def _require_same(path, record):
    """Return all precisions that the run was computed in; raise UserError if it is another run."""
    try:
        before = read_json(path)
        # A field that did not exist when the run began had its default value.
        trained = {**TrainingConfig().to_json(), **before["training"]}
        differing = [
            f"--{name} was {trained[name]} and is {value}"
            for name, value in record["training"].items()
            if name not in _FREE and trained[name] != value
        ]
        if before["data_sha256"] != record["data_sha256"]:
            differing.append("the data has changed")
        before_in = before.get("computed_in", [trained["precision"]])
        computed_in = sorted({*before_in, *record["computed_in"]})
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged: name another --workdir") from None
    if differing:
        raise UserError(
            f"--workdir={path.parent} is a run of another configuration "
            f"({'; '.join(differing)}): name another folder, or give the same flags"
        )
    return computed_in
