"""Mean volume of the training patients: a baseline that uses no film.

Crops are centred on C1..C7, so that the mean neck alone is already a good guess.
Compare every result with it.
"""

import dataclasses

import numpy as np

from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.geometry import NUM_CLASSES


@dataclasses.dataclass(frozen=True)
class MeanVolume:
    """The same prediction for every patient.

    Attributes:
        ct: mean training volume in [0, 1], float32 `[x, y, z]`.
        labels: most frequent label of each voxel, uint8 `[x, y, z]`; where two
            are as frequent, the lower one.
    """

    ct: np.ndarray
    labels: np.ndarray


def mean_volume(dataset, train_ids):
    """Average the training patients, one in memory at a time.

    Args:
        dataset: `xctrs_tf.data.dataset.Dataset`.
        train_ids: ids of the training patients, at least one.

    Returns:
        `MeanVolume`.
    """
    total, votes = 0.0, 0
    classes = np.arange(NUM_CLASSES, dtype=np.uint8).reshape(-1, 1, 1, 1)
    for patient in train_ids:
        case = dataset.load(patient)
        total = total + normalise_hu(case.ct).astype(np.float64)
        votes = votes + (case.segmentation == classes).astype(np.uint16)
    return MeanVolume(
        ct=(total / len(train_ids)).astype(np.float32),
        labels=np.argmax(votes, axis=0).astype(np.uint8),
    )
