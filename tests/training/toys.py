"""Toy networks with few weights, for tests that do not depend on the architecture."""

import dataclasses

import keras
import numpy as np
from keras import layers, ops

from xctrs_tf.data.stream.sample_stream import vgg_planes
from xctrs_tf.training import checkpoints
from xctrs_tf.training.config import TrainingConfig

SIZE = 32
CONFIG = TrainingConfig(
    size=SIZE, steps=6, validate_every=3, checkpoint_every=2, vgg_weight=0.0, batch_size=1
)
# A VGG loss on few planes and features, about as large as the other losses.
TOY_VGG = {
    "vgg_weight": 1e-4,
    "vgg_weights": "random",
    "vgg_layer": "block1_conv1",
    "vgg_slices": 2,
}


def toy_config(data, **changes):
    """Return the configuration of a run on a folder of `toy_dataset`."""
    return dataclasses.replace(CONFIG, data=str(data), **changes)


def toy_networks(config=CONFIG):
    """Return toy networks: a sum of both back-projections, and one convolution."""
    keras.utils.set_random_seed(config.seed)
    films = {view: layers.Input((SIZE, SIZE, 1), name=view) for view in ("ap", "la")}
    volume = ops.expand_dims(films["ap"], 2) + ops.expand_dims(films["la"], 1)
    reconstruction = keras.Model(films, layers.Dense(1, name="ct")(volume), name="spadrnet")
    ct = layers.Input((SIZE, SIZE, SIZE, 1), name="ct")
    x = layers.Conv3D(8, 3, padding="same", name="head")(ct)
    segmentation = keras.Model(
        ct, layers.Softmax(dtype="float32", name="segmentation")(x), name="mulsisnet"
    )
    networks = {"reconstruction": reconstruction}
    if config.uses_segmentation:
        networks["segmentation"] = segmentation
    return networks


def toy_weights(folder):
    """Return all weights of a checkpoint folder of toy networks as one vector."""
    networks = toy_networks()
    checkpoints.load_weights(folder, networks)
    return np.concatenate([w.ravel() for n in networks.values() for w in n.get_weights()])


def toy_dataset(path, num_patients=8):
    """Write a data folder of random patients at size 32, in four folds; return its path."""
    # It needs SimpleITK, which training does without.
    from tests.data.cases import write_dataset

    return write_dataset(path, num_patients, SIZE, num_folds=4)


def toy_batch(seed=0, batch_size=2, vgg_slices=0):
    """Return the arrays of one batch; with ``vgg_slices`` also VGG planes."""
    rng = np.random.default_rng(seed)
    cube = (batch_size, SIZE, SIZE, SIZE)
    shared = {"vgg_planes": vgg_planes(SIZE, vgg_slices, 0, seed)} if vgg_slices else {}
    return {
        **shared,
        "ap": rng.random((batch_size, SIZE, SIZE, 1), np.float32),
        "la": rng.random((batch_size, SIZE, SIZE, 1), np.float32),
        "ct": rng.random((*cube, 1), np.float32),
        "segmentation": rng.integers(0, 8, cube, np.int32),
    }
