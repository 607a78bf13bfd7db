"""Training runs to export: one of the real networks, and toys with outputs known by hand."""

import dataclasses
import json

import keras
from keras import ops

from xctrs_tf.training import checkpoints
from xctrs_tf.training.config import TrainingConfig
from xctrs_tf.training.run import Run, build_networks

SIZE = 32
DATA_SHA256 = "d" * 64


def write_config(path, config, data_sha256=DATA_SHA256):
    path.mkdir(parents=True, exist_ok=True)
    record = {"training": config.to_json(), "data_sha256": data_sha256}
    (path / "config.json").write_text(json.dumps(record), encoding="utf-8")


def write_run(path, precision="float32"):
    """Write a run whose best networks are untrained and a quarter as wide.

    Returns them as they compute in float32, whatever the run says of its precision.
    """
    config = TrainingConfig(data="absent", size=SIZE, width=0.25, seed=3)
    write_config(path, dataclasses.replace(config, precision=precision))
    networks = build_networks(config)
    checkpoints.save(path / "best", networks, {}, {"step": 7})
    return networks


def toy_run(path, data="absent", data_sha256=DATA_SHA256, gain=2.0, segmented=True):
    """A run that multiplies its films: ``ct[x, y, z] = gain * ap[x, z] * la[y, z]``.

    Its segmentation says C3 with certainty where the CT is above 1.5, before it
    is clipped, and nothing elsewhere.
    """
    config = TrainingConfig(data=data, size=SIZE, dice_weight=float(segmented), rsc_weight=0.0)
    write_config(path, config, data_sha256)
    return Run(path, config, 7, _product(gain), _threshold() if segmented else None)


def _product(gain):
    films = {view: keras.Input((SIZE, SIZE, 1), name=view) for view in ("ap", "la")}
    scale = keras.layers.Rescaling(gain)
    return keras.Model(films, scale(films["ap"][:, :, None] * films["la"][:, None]))


def _threshold():
    ct = keras.Input((SIZE, SIZE, SIZE, 1), name="ct")
    return keras.Model(ct, ops.one_hot(ops.cast(ct[..., 0] > 1.5, "int32") * 3, 8))


def read_metadata(folder):
    return json.loads((folder / "assets.extra" / "metadata.json").read_text(encoding="utf-8"))


def tensors(signature):
    """Axes, shape and type of every tensor of a signature in the metadata."""
    return {
        name: (tensor["axes"], tensor["shape"], tensor["dtype"])
        for name, tensor in {**signature["inputs"], **signature["outputs"]}.items()
    }


def without_warmup(lines):
    """Lines without the warning of an absent optional package, which another test covers."""
    return [line for line in lines if "tensorflow-serving-api is not installed" not in line]
