"""Losses and figures of a run on its validation patients."""

import dataclasses
import math

import numpy as np

from xctrs_tf.data.dataset import network_arrays
from xctrs_tf.data.dataset.manifest import DEFAULT_LABEL_NAME
from xctrs_tf.data.stream.sample_stream import vgg_planes
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import NUM_CLASSES, VIEWS
from xctrs_tf.metrics.image import psnr
from xctrs_tf.metrics.overlap import dice_per_class

# The same planes in every validation of every run, so that their losses compare.
_SEED = 0


# Patients of whom a picture is drawn: the first ones, which are the same in every validation.
PICTURED = 2


@dataclasses.dataclass(frozen=True)
class ValidatedPatient:
    """A validation patient and what the networks make of their films, for a picture.

    Attributes:
        id: name of the patient.
        films: dict of ``ap`` ``[x, z]`` and ``la`` ``[y, z]`` in [0, 1].
        ct_true: the patient's CT ``[x, y, z]`` in [0, 1].
        labels_true: uint8 labels ``[x, y, z]``, 0..7.
        ct_pred: the reconstruction, clipped to [0, 1]; the patient's CT where
            ``reconstructs`` is False.
        labels_pred: predicted labels, or None without a segmentation network.
        spacing_mm: edge of a voxel.
        reconstructs: True if there is a reconstruction.
        psnr: of the reconstruction in dB; NaN without one.
        dice: mean Dice of C1..C7; NaN without a segmentation network.
        dice_name: name of that overlap, by what the labels are.
    """

    id: str
    films: dict
    ct_true: np.ndarray
    labels_true: np.ndarray
    ct_pred: np.ndarray
    labels_pred: np.ndarray | None
    spacing_mm: float
    reconstructs: bool
    psnr: float
    dice: float
    dice_name: str = DEFAULT_LABEL_NAME


@dataclasses.dataclass(frozen=True)
class Validation:
    """Result of a validation.

    Attributes:
        means: dict of ``loss``, each term, and ``psnr`` and ``dice_hard`` where
            there is a network for them; means over the patients.
        patients: tuple of `ValidatedPatient`: the first `PICTURED` ones.
    """

    means: dict
    patients: tuple = ()


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
    rows, pictured = [], []
    for position, patient in enumerate(patients):
        if stopped():
            return None
        case = dataset.load(patient)
        arrays = network_arrays(case, config.film_normalization)
        if reconstructions is not None:
            arrays["reconstruction"] = reconstructions.load(patient)[..., np.newaxis]
        batch = {name: array[np.newaxis] for name, array in arrays.items()}
        if config.drawn_vgg_planes:
            planes = vgg_planes(config.size, config.drawn_vgg_planes, _SEED, position)
            batch["vgg_planes"] = planes
        scalars, ct, labels = trainer.validation_step(batch)
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
            labels = np.asarray(labels)[0]
            dice = dice_per_class(arrays["segmentation"], labels, NUM_CLASSES)
            row["dice_hard"] = float(np.nanmean(dice))
        rows.append(row)
        if len(pictured) < PICTURED:
            pictured.append(
                ValidatedPatient(
                    id=patient,
                    films={view: arrays[view][..., 0] for view in VIEWS},
                    ct_true=y_true,
                    labels_true=arrays["segmentation"],
                    ct_pred=y_pred,
                    labels_pred=labels,
                    spacing_mm=case.spacing_mm,
                    reconstructs=config.reconstructs,
                    psnr=row.get("psnr", math.nan),
                    dice=row.get("dice_hard", math.nan),
                    dice_name=dataset.label_name,
                )
            )
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return Validation(means, tuple(pictured))
