"""Training runs to export: real networks, and toys whose outputs are known by hand."""

import dataclasses
import json

import keras
import numpy as np
from keras import ops

from xctrs_tf.training import checkpoints
from xctrs_tf.training.config import TrainingConfig
from xctrs_tf.training.run import Run, build_networks

SIZE = 32
DATA_SHA256 = "d" * 64


def write_config(path, config, data_sha256=DATA_SHA256, split_sha256=None):
    """Write the configuration of a run; without ``split_sha256`` that of an earlier version."""
    path.mkdir(parents=True, exist_ok=True)
    record = {"training": config.to_json(), "data_sha256": data_sha256}
    if split_sha256:
        record["folders"] = [{"data_sha256": data_sha256, "split_sha256": split_sha256}]
    (path / "config.json").write_text(json.dumps(record), encoding="utf-8")


def write_run(path, precision="float32"):
    """Write a run with untrained networks of a quarter of the width.

    Args:
        path: run folder.
        precision: precision in the configuration of the run.

    Returns:
        Dict of the networks in float32.
    """
    config = TrainingConfig(data="absent", size=SIZE, width=0.25, seed=3)
    write_config(path, dataclasses.replace(config, precision=precision))
    networks = build_networks(config)
    checkpoints.save(path / "best", networks, {}, {"step": 7})
    return networks


def toy_run(path, data="absent", data_sha256=DATA_SHA256, gain=2.0, segmented=True, **options):
    """Return a run that multiplies its films: ``ct[x, y, z] = gain * ap[x, z] * la[y, z]``.

    Its segmentation is C3 with probability 1 where the CT is above 1.5 before clipping,
    and background elsewhere. Options are fields of its `TrainingConfig`.
    """
    config = TrainingConfig(
        data=data, size=SIZE, dice_weight=float(segmented), rsc_weight=0.0, **options
    )
    write_config(path, config, data_sha256)
    return Run(path, config, 7, _product(gain), _threshold() if segmented else None)


def toy_films(patients):
    """Return films ``[patient, horizontal, vertical, 1]`` that are dark but for two patients.

    The CT of the last patient has one voxel of 0.75, that of the last but one a voxel
    of 2, which is clipped to 1.
    """
    films = {view: np.zeros((patients, SIZE, SIZE, 1), np.float32) for view in ("ap", "la")}
    films["ap"][-1, 20, 7] = 0.5
    films["la"][-1, 11, 7] = 0.75
    films["ap"][-2, 5, 9] = films["la"][-2, 6, 9] = 1.0
    return films


def assert_toy_outputs(outputs):
    """Assert that an exported toy run gives the right arrays for ``toy_films(3)``."""
    assert outputs["ct"].shape == (3, SIZE, SIZE, SIZE, 1)
    assert outputs["ct"][2, 20, 11, 7, 0] == 0.75
    # The network output is 2 here, which is above the threshold of the segmentation.
    assert outputs["ct"][1, 5, 6, 9, 0] == 1.0
    assert np.count_nonzero(outputs["ct"]) == 2
    assert outputs["segmentation"][1, 5, 6, 9, 3] == 1.0
    assert (outputs["segmentation"].argmax(-1) != 0).sum() == 1


def _product(gain):
    films = {view: keras.Input((SIZE, SIZE, 1), name=view) for view in ("ap", "la")}
    scale = keras.layers.Rescaling(gain)
    return keras.Model(
        films, scale(films["ap"][:, :, None] * films["la"][:, None]), name="spadrnet"
    )


def _threshold():
    ct = keras.Input((SIZE, SIZE, SIZE, 1), name="ct")
    return keras.Model(
        ct, ops.one_hot(ops.cast(ct[..., 0] > 1.5, "int32") * 3, 8), name="mulsisnet"
    )


def read_metadata(folder):
    """Return the metadata of an exported model."""
    return json.loads((folder / "assets.extra" / "metadata.json").read_text(encoding="utf-8"))


def tensors(signature):
    """Return axes, shape and type of every tensor of a signature in the metadata."""
    return {
        name: (tensor["axes"], tensor["shape"], tensor["dtype"])
        for name, tensor in {**signature["inputs"], **signature["outputs"]}.items()
    }


def without_warmup(lines):
    """Remove the warning about the optional package tensorflow-serving-api."""
    return [line for line in lines if "tensorflow-serving-api is not installed" not in line]
