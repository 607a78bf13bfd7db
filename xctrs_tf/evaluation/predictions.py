"""Predictions for the patients of an evaluation, stored for the figures."""

import dataclasses
import pathlib

import numpy as np

from xctrs_tf.data.patient_ids import check_id
from xctrs_tf.data.volumes.intensity import denormalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.files import NPZ_ERRORS, atomic_path


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A patient's reconstruction and segmentation.

    Attributes:
        ct: int16 CT numbers `[x, y, z]`, or None if the run made none.
        segmentation: uint8 labels `[x, y, z]`, or None.
    """

    ct: np.ndarray | None
    segmentation: np.ndarray | None


def write_prediction(folder, patient, ct, labels):
    """Write `<patient>.npz`.

    Args:
        folder: `pathlib.Path` of an existing folder.
        patient: id.
        ct: reconstruction in [0, 1], `[x, y, z]`, or None.
        labels: integer labels `[x, y, z]`, or None.

    Raises:
        UserError: an id that cannot name a file.
    """
    arrays = {}
    if ct is not None:
        arrays["ct"] = denormalise_hu(ct)
    if labels is not None:
        arrays["segmentation"] = labels.astype(np.uint8)
    with atomic_path(folder / f"{check_id(patient)}.npz") as temporary:
        np.savez_compressed(temporary, **arrays)


def read_prediction(folder, patient):
    """Read what `write_prediction` wrote.

    Args:
        folder: the folder of an evaluation's predictions.
        patient: id.

    Returns:
        `Prediction`.

    Raises:
        UserError: there is none, or an id that cannot name a file.
    """
    path = pathlib.Path(folder) / f"{check_id(patient)}.npz"
    try:
        with np.load(path) as stored:
            return Prediction(*(stored.get(name) for name in ("ct", "segmentation")))
    except FileNotFoundError:
        raise UserError(
            f"{path}: missing; run experiments.evaluate with --save_predictions"
        ) from None
    except NPZ_ERRORS as error:
        raise UserError(
            f"{path}: damaged; run experiments.evaluate with --save_predictions again"
        ) from error
