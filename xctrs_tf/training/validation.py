"""Losses and figures of a run on its validation patients."""

import dataclasses
import math

import numpy as np

from xctrs_tf.data.dataset import network_arrays
from xctrs_tf.data.stream.sample_stream import vgg_planes
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.metrics.image import psnr
from xctrs_tf.metrics.overlap import dice_per_class

# The same planes in every validation of every run, so that their losses compare.
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Validation:
    """Result of a validation.

    Attributes:
        means: dict of ``loss``, each term, and ``psnr`` and ``dice_hard`` where
            there is a network for them; means over the patients.
        y_true: the first patient's CT ``[x, y, z]``.
        y_pred: its reconstruction, clipped to [0, 1].
    """

    means: dict
    y_true: np.ndarray
    y_pred: np.ndarray


def validate(trainer, dataset, patients, config, reconstructions=None, stopped=lambda: False):
    """Score the networks on patients that they are not trained on.

    Args:
        trainer: `Trainer`.
        dataset: the data folder.
        patients: ids.
        config: `TrainingConfig`.
        reconstructions: `Reconstructions` where a finished run made them.
        stopped: function that is asked before every patient whether to stop.

    Returns:
        `Validation`, or None if it was stopped.

    Raises:
        UserError: a patient's files are damaged, or their loss is not finite.
    """
    rows, first = [], None
    for position, patient in enumerate(patients):
        if stopped():
            return None
        arrays = network_arrays(dataset.load(patient), config.film_normalization)
        if reconstructions is not None:
            arrays["reconstruction"] = reconstructions.load(patient)[..., np.newaxis]
        batch = {name: array[np.newaxis] for name, array in arrays.items()}
        if config.drawn_vgg_planes:
            planes = vgg_planes(config.size, config.drawn_vgg_planes, _SEED, position)
            batch["vgg_planes"] = planes
        scalars, ct, labels = trainer.validation_step(batch, np.int32(position))
        row = {name: float(value) for name, value in scalars.items()}
        bad = [name for name, value in row.items() if not math.isfinite(value)]
        if bad:
            raise UserError(
                f"validation: {', '.join(bad)} is not a number on patient {patient}; check that "
                "patient's files, or lower --learning_rate"
            )
        y_true, y_pred = arrays["ct"][..., 0], np.clip(np.asarray(ct), 0.0, 1.0)[0, ..., 0]
        if config.reconstructs:
            row["psnr"] = psnr(y_true, y_pred)
        if labels is not None:
            dice = dice_per_class(arrays["segmentation"], np.asarray(labels)[0], NUM_CLASSES)
            row["dice_hard"] = float(np.nanmean(dice))
        rows.append(row)
        first = first or (y_true, y_pred)
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return Validation(means, *first)
