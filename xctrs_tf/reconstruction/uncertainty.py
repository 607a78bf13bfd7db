"""Mean and spread of several models' reconstructions of the same films."""

import dataclasses

import numpy as np

from xctrs_tf.geometry import VERTEBRAE


@dataclasses.dataclass(frozen=True)
class Consensus:
    """Combined reconstruction of several models.

    Attributes:
        ct_hu: int16 ``[x, y, z]``: mean of the CT numbers.
        segmentation: uint8 ``[x, y, z]``: the label whose probability, mean over the models,
            is highest; the lowest of equals. None if the models do not segment.
        spread_hu: float32 ``[x, y, z]``: standard deviation of the CT numbers between
            the models.
        summary: dict by vertebra: ``spread_hu`` and ``agreement`` (share of the models that
            alone would give the chosen label), means over the voxels of the vertebra, and
            ``volume_mm3`` and ``volume_deviation_mm3``, mean and standard deviation between
            the models. Empty without labels.
    """

    ct_hu: np.ndarray
    segmentation: np.ndarray | None
    spread_hu: np.ndarray
    summary: dict


def combine(members, spacing_mm):
    """Combine the outputs of several models for one patient.

    Standard deviations have n - 1 in the denominator. They measure disagreement of
    the models, not their error: models trained alike make the same errors.

    Args:
        members: iterable of ``(ct_hu, classes)`` of each model, at least two: CT numbers
            ``[x, y, z]``, and the probabilities of the classes ``[x, y, z, class]``, or
            None. The probabilities of one model are kept at a time.
        spacing_mm: edge of a voxel.

    Returns:
        `Consensus`.
    """
    volumes, segmentations, total = [], [], None
    for ct_hu, classes in members:
        volumes.append(ct_hu)
        if classes is not None:
            segmentations.append(label_map(classes))
            total = (
                np.array(classes, np.float32) if total is None else np.add(total, classes, total)
            )
    stack = np.asarray(volumes, np.float64)
    ct_hu = np.round(stack.mean(axis=0)).astype(np.int16)
    spread_hu = stack.std(axis=0, ddof=1).astype(np.float32)
    if total is None:
        return Consensus(ct_hu, None, spread_hu, {})
    # The largest sum is that of the largest mean.
    labels = label_map(total)
    segmentations = np.asarray(segmentations)
    agreement = (segmentations == labels).mean(axis=0, dtype=np.float32)
    summary = _summary(labels, segmentations, spread_hu, agreement, spacing_mm)
    return Consensus(ct_hu, labels, spread_hu, summary)


def label_map(classes):
    """Return the most probable label of each voxel, the lowest of equals.

    Args:
        classes: probabilities ``[x, y, z, class]``.

    Returns:
        uint8 ``[x, y, z]``.
    """
    return classes.argmax(axis=-1).astype(np.uint8)


def _summary(labels, segmentations, spread_hu, agreement, spacing_mm):
    summary = {}
    for label, name in enumerate(VERTEBRAE, start=1):
        inside = labels == label
        volumes = (segmentations == label).sum(axis=(1, 2, 3)) * spacing_mm**3
        summary[name] = {
            "spread_hu": _mean(spread_hu[inside]),
            "agreement": _mean(agreement[inside]),
            "volume_mm3": float(volumes.mean()),
            "volume_deviation_mm3": float(volumes.std(ddof=1)),
        }
    return summary


def _mean(values):
    return float(values.mean(dtype=np.float64)) if values.size else None
