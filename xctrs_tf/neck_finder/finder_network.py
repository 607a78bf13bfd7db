"""Network that sees a window of a film and tells whether and where C1..C7 are in it."""

import json

import keras
import numpy as np
from keras import layers, ops

from xctrs_tf.files import atomic_path
from xctrs_tf.neck_finder.film_window import WINDOW_PIXELS

# Array of the file of weights: median height of C1..C7 of the training patients in mm.
NECK_HEIGHT = "neck_height_mm"
# And what the network was trained on, as JSON; weights of earlier versions do not tell.
_TRAININGS = "trainings"
_FILTERS = (24, 48, 80, 112)


def build_finder():
    """Build the network.

    A map of weights, whose sum is 1, says where the centre is; height and angle are means
    of their maps under these weights, so the network is as exact as its map is fine.

    Returns:
        Keras model from windows ``(batch, WINDOW_PIXELS, WINDOW_PIXELS, 2)`` to answers
        ``(batch, 2, 5)``: for AP and LA the score (logit), horizontal and vertical position of
        the centre of C1..C7 in [-0.5, 0.5], logarithm of their height over the window's edge,
        angle in radians.
    """
    window = keras.Input((WINDOW_PIXELS, WINDOW_PIXELS, 2))
    half = _convolution(window, _FILTERS[0], 2)
    quarter = _convolution(_convolution(half, _FILTERS[1], 2), _FILTERS[1])
    eighth = _convolution(_convolution(quarter, _FILTERS[2], 2), _FILTERS[2])
    deep = _convolution(_convolution(eighth, _FILTERS[3], 2), _FILTERS[3])
    up = _convolution(_joined(deep, eighth), _FILTERS[2])
    up = _convolution(_joined(up, quarter), _FILTERS[1])
    whole = layers.GlobalAveragePooling2D()(deep)
    maps = layers.Conv2D(8, 1)(up)
    edge = WINDOW_PIXELS // 4
    answers = [_ViewAnswer(maps, up, whole, view).answer(edge) for view in range(2)]
    return keras.Model(window, ops.stack(answers, axis=1), name="neck_finder")


class _ViewAnswer:
    """The answer of one view from the shared features."""

    def __init__(self, maps, features, whole, view):
        self.maps = maps[..., 4 * view : 4 * view + 4]
        self.features, self.whole = features, whole

    def answer(self, edge):
        logits, log_height, angle = (
            ops.reshape(self.maps[..., index], (-1, edge * edge)) for index in range(3)
        )
        weights = ops.softmax(logits, axis=-1)
        places = (np.arange(edge, dtype="float32") + 0.5) / edge - 0.5
        across, up = (grid.reshape(1, -1) for grid in np.meshgrid(places, places, indexing="ij"))
        means = [
            ops.sum(weights * values, axis=-1, keepdims=True)
            for values in (across, up, log_height, angle)
        ]
        here = ops.sum(
            ops.reshape(self.features, (-1, edge * edge, _FILTERS[1])) * weights[..., None], axis=1
        )
        score = layers.Dense(1)(layers.Concatenate()([self.whole, here]))
        return layers.Concatenate()([score, *means])


def _convolution(x, filters, strides=1):
    x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.98)(x))


def _joined(coarse, fine):
    """Bring coarse features to the resolution of fine ones and add them."""
    filters = fine.shape[-1]
    coarse = layers.UpSampling2D(interpolation="bilinear")(layers.Conv2D(filters, 1)(coarse))
    return layers.Add()([coarse, layers.Conv2D(filters, 1)(fine)])


@keras.saving.register_keras_serializable(package="xctrs_tf")
def finder_loss(y_true, y_pred):
    """Compute the loss of a batch.

    Args:
        y_true: ``(batch, 2, 6)`` of `training_windows.draw_batch`.
        y_pred: answers ``(batch, 2, 5)``.

    Returns:
        Cross-entropy of the scores, and where a neck is there the errors of its place (over
        its height), of the logarithm of its height and of its angle.
    """
    counts, there, truth = y_true[..., 0], y_true[..., 1], y_true[..., 2:]
    score = ops.binary_crossentropy(there, y_pred[..., 0], from_logits=True)
    error = ops.abs(y_pred[..., 1:] - truth)
    away = (error[..., 0] + error[..., 1]) / ops.exp(truth[..., 2])
    answers = 5.0 * away + 3.0 * error[..., 2] + 3.0 * error[..., 3]
    return ops.mean(counts * score, axis=-1) + ops.mean(there * answers, axis=-1)


def save_weights(network, neck_height_mm, path, trainings):
    """Write a network's weights, kernels in float16, to one NPZ file.

    Args:
        network: of `build_finder`.
        neck_height_mm: median height of C1..C7 of the training patients.
        path: the file.
        trainings: as of `read_trainings`.
    """
    arrays = {NECK_HEIGHT: np.float32(neck_height_mm), _TRAININGS: np.array(json.dumps(trainings))}
    for index, weight in enumerate(network.get_weights()):
        arrays[f"{index:03d}"] = weight.astype(np.float16 if weight.ndim > 1 else np.float32)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def load_finder(path):
    """Build the network with the weights of `save_weights`."""
    network = build_finder()
    with np.load(path, allow_pickle=False) as arrays:
        names = sorted(name for name in arrays.files if name.isdigit())
        network.set_weights([arrays[name].astype(np.float32) for name in names])
    return network


def read_trainings(path):
    """Read what the weights of `save_weights` were trained on.

    Args:
        path: the file.

    Returns:
        List of the trainings that the weights went through, the last one last: dicts of
        ``data_sha256`` (content hash of the data folder), ``fold`` and ``split_sha256``
        (hash of the patients held out). None stands for one that is not known.
    """
    with np.load(path, allow_pickle=False) as arrays:
        if _TRAININGS not in arrays.files:
            return [None]
        return json.loads(str(arrays[_TRAININGS]))
