"""The data of a run, for the programs that look at what it learned."""

import json

from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.errors import UserError


def open_run_dataset(workdir, config, data=None):
    """Open the data that a run is evaluated on.

    Args:
        workdir: `pathlib.Path` of the run folder.
        config: its `TrainingConfig`.
        data: another data folder than the run's own.

    Returns:
        `Dataset`.

    Raises:
        UserError: it does not fit the networks, or it is no longer what the run
            was trained on, so that its test patients may have been trained on.
    """
    dataset = open_dataset(data or config.data)
    if dataset.size != config.size:
        raise UserError(
            f"{dataset.path} has {dataset.size} voxels a side, the run {workdir} has "
            f"{config.size}; prepare with --size={config.size}"
        )
    trained_on = json.loads((workdir / "config.json").read_text(encoding="utf-8"))["data_sha256"]
    if data is None and dataset.content_hash() != trained_on:
        raise UserError(
            f"{dataset.path} has changed since {workdir} was trained on it, its folds too "
            "perhaps; name the data with --data to evaluate nonetheless"
        )
    return dataset
