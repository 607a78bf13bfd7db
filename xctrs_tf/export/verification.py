"""Comparison of a saved model with the networks of its run."""

import contextlib
import dataclasses

import numpy as np
import tensorflow as tf

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.film_writer import WHITE, film_bytes
from xctrs_tf.data.volumes.intensity import WINDOW_HU
from xctrs_tf.geometry import VIEWS
from xctrs_tf.models.xctrsnet import XCTRSNet
from xctrs_tf.reconstruction.exported_model import (
    BYTES_SIGNATURE,
    DEFAULT_SIGNATURE,
    RECONSTRUCTION_SIGNATURE,
    SEGMENTATION_SIGNATURE,
    plain_graphs,
)


@dataclasses.dataclass(frozen=True)
class Trial:
    """Outputs of the networks of a run for two films, or for a CT if it only segments.

    Attributes:
        films: dict of ``ap`` and ``la``, float32 ``(1, size, size, 1)``; empty if the run
            only segments.
        pngs: dict of ``ap_bytes`` and ``la_bytes``, the same films as lists of one PNG.
        ct: reconstruction, or CT, ``(1, size, size, size, 1)``, not clipped.
        classes: probabilities ``(1, size, size, size, 8)``, or None if the run does
            not segment.
    """

    films: dict
    pngs: dict
    ct: np.ndarray
    classes: np.ndarray | None

    def requests(self):
        """Return the inputs of the signatures that take films."""
        return {DEFAULT_SIGNATURE: self.films, BYTES_SIGNATURE: self.pngs}


def run_networks(run):
    """Run the networks on two films of noise, or on a CT of noise if they only segment.

    Args:
        run: `xctrs_tf.training.run.Run`.

    Returns:
        `Trial`.
    """
    generator = np.random.default_rng(0)
    size = run.config.size
    if run.reconstruction is None:
        ct = generator.random((1, size, size, size, 1), np.float32)
        return Trial({}, {}, ct, np.asarray(run.segmentation(ct, training=False)))
    # Rounded as in a PNG, so that all signatures get the same films.
    noise = {
        view: np.round(normalise_film(generator.random((size, size))) * WHITE) for view in VIEWS
    }
    way = run.config.film_normalization
    films = {
        view: normalise_film(film, way)[np.newaxis, ..., np.newaxis] for view, film in noise.items()
    }
    pngs = {f"{view}_bytes": [film_bytes(film, view)] for view, film in noise.items()}
    if run.segmentation is None:
        return Trial(films, pngs, np.asarray(run.reconstruction(films, training=False)), None)
    model = XCTRSNet(size, reconstruction=run.reconstruction, segmentation=run.segmentation)
    outputs = model(films, training=False)
    return Trial(films, pngs, np.asarray(outputs["ct"]), np.asarray(outputs["segmentation"]))


def largest_errors(trial, signatures):
    """Return the largest differences between the networks and the saved model.

    ``serving_bytes`` returns integers. Its CT numbers are compared without their
    rounding error of 0.5 HU and scaled to [0, 1]; its labels by the difference in
    probability from the most probable class.

    Args:
        trial: `Trial`.
        signatures: dict of `Export.load_signatures`, complete or not.

    Returns:
        Dict from ``"<signature>: <output>"`` to float; NaN if an output is NaN.
    """
    inputs = {
        DEFAULT_SIGNATURE: trial.films,
        BYTES_SIGNATURE: trial.pngs,
        RECONSTRUCTION_SIGNATURE: trial.films,
        SEGMENTATION_SIGNATURE: {"ct": trial.ct},
    }
    clipped = trial.ct.clip(0, 1)
    found = {}
    for name in signatures:
        outputs = _call(signatures, name, inputs[name])
        if "ct" in outputs:
            expected = trial.ct if name == RECONSTRUCTION_SIGNATURE else clipped
            found[f"{name}: ct"] = _largest(outputs["ct"] - expected)
        if "ct_hu" in outputs:
            found[f"{name}: ct_hu"] = _largest_rounded(outputs["ct_hu"], clipped[..., 0])
        if "segmentation" in outputs and trial.classes is not None:
            compare = _less_probable if name == BYTES_SIGNATURE else np.subtract
            difference = compare(outputs["segmentation"], trial.classes)
            found[f"{name}: segmentation"] = _largest(difference)
    return found


def errors_beside_float32(trial, signatures):
    """Return how far the outputs of ``serving_default`` are from those of the networks.

    Args:
        trial: `Trial`.
        signatures: dict of `Export.load_signatures`.

    Returns:
        Dict of float: ``ct`` is the largest difference of the CT scaled to [0, 1],
        ``ct_hu`` the same in HU and ``mean_ct_hu`` the mean. ``segmentation`` and
        ``mean_segmentation``, of the probabilities, are there if the run segments.
    """
    low, high = WINDOW_HU
    outputs = _call(signatures, DEFAULT_SIGNATURE, trial.films)
    off = np.abs(outputs["ct"] - trial.ct.clip(0, 1))
    found = {
        "ct": _largest(off),
        "ct_hu": _largest(off) * (high - low),
        "mean_ct_hu": float(off.mean(dtype=np.float64)) * (high - low),
    }
    if trial.classes is not None:
        off = np.abs(outputs["segmentation"] - trial.classes)
        found["segmentation"] = _largest(off)
        found["mean_segmentation"] = float(off.mean(dtype=np.float64))
    return found


def _call(signatures, name, inputs):
    tensors = {key: tf.constant(value) for key, value in inputs.items()}
    # One signature is compared as a server optimises it. The others run the same networks.
    plain = name != DEFAULT_SIGNATURE
    with plain_graphs() if plain else contextlib.nullcontext():
        return {key: np.asarray(tensor) for key, tensor in signatures[name](**tensors).items()}


def _largest(difference):
    return float(np.abs(difference).max())


def _less_probable(labels, classes):
    """Return the difference in probability between the most probable class and the label."""
    labels = labels[..., np.newaxis].astype(np.int64)
    return classes.max(-1) - np.take_along_axis(classes, labels, axis=-1)[..., 0]


def _largest_rounded(hu, expected):
    """Return the largest error of integer CT numbers beyond rounding, scaled to [0, 1]."""
    low, high = WINDOW_HU
    off = np.abs(hu - (expected.astype(np.float64) * (high - low) + low)) - 0.5
    return _largest(np.maximum(off, 0.0)) / (high - low)
