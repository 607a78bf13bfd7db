"""Detection rates of the quality checks for simulated faults of the films.

The films of held-out patients are altered (swapped, mirrored, enlarged, ...) and the
model reconstructs them. The rates therefore hold for that model.
"""

import dataclasses

import numpy as np
import scipy

from xctrs_tf.geometry import VIEWS
from xctrs_tf.quality.checks import VERDICT_LEVELS
from xctrs_tf.quality.verdict import assess

_ENLARGEMENT = 1.4


def enlarged(film, factor):
    """Enlarge or shrink the picture of a film about its middle.

    Args:
        film: square film ``[horizontal, vertical]``.
        factor: enlargement; below 1 the edge is repeated around the smaller picture.

    Returns:
        Film of the same shape.
    """
    middle = (len(film) - 1) / 2
    return scipy.ndimage.affine_transform(
        film, [1 / factor] * 2, middle * (1 - 1 / factor), order=1, mode="nearest"
    )


# Functions from the films of the patient and of another patient, dicts of ``ap`` and
# ``la`` ``[horizontal, vertical]``, to faulty films.
FAULTS = {
    "none": lambda own, other: own,
    "swapped": lambda own, other: {"ap": own["la"], "la": own["ap"]},
    "ap upside down": lambda own, other: {**own, "ap": own["ap"][:, ::-1]},
    "la upside down": lambda own, other: {**own, "la": own["la"][:, ::-1]},
    "ap mirrored": lambda own, other: {**own, "ap": own["ap"][::-1]},
    "la mirrored": lambda own, other: {**own, "la": own["la"][::-1]},
    "ap inverted": lambda own, other: {**own, "ap": -own["ap"]},
    "la inverted": lambda own, other: {**own, "la": -own["la"]},
    "ap enlarged": lambda own, other: {**own, "ap": enlarged(own["ap"], _ENLARGEMENT)},
    "la enlarged": lambda own, other: {**own, "la": enlarged(own["la"], _ENLARGEMENT)},
    "la of another patient": lambda own, other: {**own, "la": other["la"]},
}


def detection_rates(cases, reconstruct, reference):
    """Return the shares of patients that pass, go to review and fail, by fault.

    Args:
        cases: list of at least two `xctrs_tf.data.dataset.Case`.
        reconstruct: function from a `Case` to ``(ct_hu, labels)``.
        reference: dict of `calibration.calibrate`.

    Returns:
        Dict from fault to a dict of ``pass``, ``review`` and ``fail``, shares that sum
        to 1. Those of ``none`` are optimistic if the thresholds were calibrated on the
        same patients.
    """
    films = [{view: getattr(case, view) for view in VIEWS} for case in cases]
    rates = {}
    for name, fault in FAULTS.items():
        levels = []
        for index, case in enumerate(cases):
            wrong = {
                view: np.ascontiguousarray(film)
                for view, film in fault(films[index], films[index - 1]).items()
            }
            ct_hu, labels = reconstruct(dataclasses.replace(case, **wrong))
            levels.append(assess(wrong, ct_hu, labels, case.spacing_mm, reference).level)
        rates[name] = {level: levels.count(level) / len(levels) for level in VERDICT_LEVELS}
    return rates
