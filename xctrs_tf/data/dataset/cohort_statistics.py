"""Measures of prepared patients, and the patients whose measures are outliers."""

import numpy as np

from xctrs_tf.data.dataset.sanity import dens_rise_mm, facing_mm
from xctrs_tf.data.volumes.intensity import WINDOW_HU
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.geometry import VERTEBRAE

# Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993): an outlier lies
# further from the median than this many robust standard deviations.
OUTLIER_Z = 3.5
# The median absolute deviation of a normal distribution, in standard deviations.
_MAD = 0.6745
_BINS = 50
_AIR_BELOW_HU, _SOFT_TISSUE_HU = -500, (-200, 200)


def measure_case(case):
    """Compute the measures that are compared between patients.

    Args:
        case: a `xctrs_tf.data.dataset.Case`.

    Returns:
        Dict from a name with its unit to a number: the volumes of C1..C7, the
        height between the centres of C1 and C7, median CT numbers of bone and of
        soft tissue, the share of air, `sanity.facing_mm`, `sanity.dens_rise_mm`, the voxel
        size, and the films' brightest pixels.
    """
    millilitres = case.spacing_mm**3 / 1000.0
    labels = range(1, len(VERTEBRAE) + 1)
    counts = np.bincount(case.segmentation.ravel(), minlength=len(VERTEBRAE) + 1)
    soft = case.ct[(case.ct > _SOFT_TISSUE_HU[0]) & (case.ct < _SOFT_TISSUE_HU[1])]
    heights = [np.nonzero(case.segmentation == label)[2] for label in (labels[0], labels[-1])]
    top, bottom = (height.mean() if height.size else np.nan for height in heights)
    return {
        **{
            f"{name} (ml)": float(counts[label] * millilitres)
            for name, label in zip(VERTEBRAE, labels, strict=True)
        },
        "C1 to C7 (mm)": float((top - bottom) * case.spacing_mm),
        "vertebrae (HU)": _median(case.ct[case.segmentation > 0]),
        "soft tissue (HU)": _median(soft),
        "air (%)": float(100.0 * np.mean(case.ct < _AIR_BELOW_HU)),
        "facing (mm)": facing_mm(labels_of(case)),
        "dens (mm)": dens_rise_mm(labels_of(case)),
        "voxel (mm)": float(case.spacing_mm),
        "AP film, brightest": float(case.ap.max()),
        "LA film, brightest": float(case.la.max()),
    }


def labels_of(case):
    """Return the labels of a `Case` as `Volume`."""
    return Volume(case.segmentation, (case.spacing_mm,) * 3, case.origin_mm)


def histogram(case):
    """Count a patient's voxels by CT number.

    Args:
        case: a `Case`.

    Returns:
        Counts in equal bins over the networks' window; the outer bins also hold
        the voxels beyond it.
    """
    low, high = WINDOW_HU
    bins = (np.clip(case.ct, low, high - 1) - low) * (_BINS / (high - low))
    return np.bincount(bins.astype(int).ravel(), minlength=_BINS)


def robust_z(values):
    """Return each value's distance from the median in robust standard deviations.

    Args:
        values: numbers of all patients.

    Returns:
        Array of the same length, NaN where a value is. Where more than half of the values
        are equal, the others are infinitely far.
    """
    values = np.asarray(values, np.float64)
    distance = values - np.nanmedian(values)
    deviation = np.nanmedian(np.abs(distance))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance == 0, 0.0, _MAD * distance / deviation)


def find_outliers(measures):
    """Return the measures in which a patient differs from the others.

    Args:
        measures: dict from patient to the result of `measure_case`.

    Returns:
        List of ``(patient, name, value, median, z)`` by falling ``|z|``.
    """
    patients = list(measures)
    found = []
    for name in measures[patients[0]]:
        values = [measures[patient][name] for patient in patients]
        for patient, value, z in zip(patients, values, robust_z(values), strict=True):
            if not abs(z) <= OUTLIER_Z:  # NaN, of a patient without C1, is an outlier.
                found.append((patient, name, value, float(np.nanmedian(values)), float(z)))
    return sorted(found, key=lambda outlier: (-np.nan_to_num(abs(outlier[4]), nan=np.inf), outlier))


def _median(values):
    return float(np.median(values)) if values.size else float("nan")
