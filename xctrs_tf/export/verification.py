"""Does a saved model compute what the networks of the run do?"""

import dataclasses

import numpy as np
import tensorflow as tf

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.film_writer import WHITE, film_bytes
from xctrs_tf.data.volumes.intensity import WINDOW_HU
from xctrs_tf.geometry import VIEWS
from xctrs_tf.reconstruction.exported_model import (
    BYTES_SIGNATURE,
    RECONSTRUCTION_SIGNATURE,
    SEGMENTATION_SIGNATURE,
    SIGNATURE,
)


@dataclasses.dataclass(frozen=True)
class Trial:
    """Two films, and what the networks make of them.

    Attributes:
        films: dict of ``ap`` and ``la``, float32 ``(1, size, size, 1)``.
        pngs: dict of ``ap_bytes`` and ``la_bytes``, the same films as lists of one file.
        ct: the reconstruction, not clipped.
        classes: the probabilities, or None if the run does not segment.
    """

    films: dict
    pngs: dict
    ct: np.ndarray
    classes: np.ndarray | None

    def requests(self):
        """Inputs by signature, for those that take films."""
        return {SIGNATURE: self.films, BYTES_SIGNATURE: self.pngs}


def try_networks(run):
    """Run the networks on two films of noise.

    Args:
        run: `xctrs_tf.training.run.Run`.

    Returns:
        `Trial`.
    """
    generator = np.random.default_rng(0)
    size = run.config.size
    # As a PNG holds them, so that both kinds of signature see the same.
    noise = {
        view: np.round(normalise_film(generator.random((size, size))) * WHITE) for view in VIEWS
    }
    films = {
        view: normalise_film(film)[np.newaxis, ..., np.newaxis] for view, film in noise.items()
    }
    pngs = {f"{view}_bytes": [film_bytes(film, view)] for view, film in noise.items()}
    ct = run.reconstruction(films, training=False)
    classes = None if run.segmentation is None else run.segmentation(ct, training=False)
    return Trial(films, pngs, np.asarray(ct), None if classes is None else np.asarray(classes))


def differences(trial, signatures):
    """Largest differences between the networks and the saved model.

    ``serving_bytes`` is compared in the unit of the networks: CT numbers by what they
    are more than half a unit of HU off, labels by how much less probable the class is
    than the most probable one.

    Args:
        trial: `Trial`.
        signatures: dict of `Export.load_signatures`; not all need be there.

    Returns:
        Dict from ``"<signature>: <output>"`` to float; NaN where there are no numbers.
    """
    inputs = {
        SIGNATURE: trial.films,
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


def _call(signatures, name, inputs):
    tensors = {key: tf.constant(value) for key, value in inputs.items()}
    return {key: np.asarray(tensor) for key, tensor in signatures[name](**tensors).items()}


def _largest(difference):
    return float(np.abs(difference).max())


def _less_probable(labels, classes):
    """By how much a label is less probable than the most probable one."""
    labels = labels[..., np.newaxis].astype(np.int64)
    return classes.max(-1) - np.take_along_axis(classes, labels, axis=-1)[..., 0]


def _largest_rounded(hu, expected):
    """By how much whole CT numbers are off, beyond the half unit of rounding."""
    low, high = WINDOW_HU
    off = np.abs(hu - (expected.astype(np.float64) * (high - low) + low)) - 0.5
    return _largest(np.maximum(off, 0.0)) / (high - low)
