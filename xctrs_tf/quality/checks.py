"""Checks with a threshold: direction, scale and message of each score."""

import dataclasses
import math

import numpy as np

from xctrs_tf.geometry import VIEWS

QUALITY_FORMAT = "xctrs-quality/3"
# The score of how AP and LA agree in height, by the format of a calibration: thresholds hold for
# the score that they were made of. The first format also has fewer checks and no normalisation of
# films.
AGREEMENTS = {
    "xctrs-quality/1": "agreement",
    "xctrs-quality/2": "height_agreement",
    QUALITY_FORMAT: "height_match",
}
KNOWN_FORMATS = tuple(AGREEMENTS)
VERDICT_LEVELS = ("pass", "review", "fail")


@dataclasses.dataclass(frozen=True)
class Check:
    """A score with its interpretation.

    Attributes:
        worse: ``"low"``, ``"high"`` or ``"both"``: the side on which faults lie.
        scale: ``"plain"``, ``"root"``, ``"log"`` or ``"fisher"``: transform of the
            score before a normal distribution is fitted.
        resolution: smallest standard deviation on that scale; differences below it
            mean nothing.
        meaning: message beyond the threshold; ``{value}`` is the score, ``{factor}`` the
            factor of which it is the logarithm, ``{correlation}`` the score and the bound of
            usual ones, ``{rotation}`` its degrees with the direction, and ``{where}`` the
            vertebra or pair that has it, or the direction.
    """

    worse: str
    scale: str
    resolution: float
    meaning: str


def _film_checks(view):
    name = f"{view.upper()} film"
    return {
        f"{view}_histogram": Check(
            "high", "root", 0.02, f"{name}: its grey values are unlike the training films'"
        ),
        f"{view}_contrast": Check(
            "both",
            "plain",
            0.1,
            f"{name}: its local contrast is {{factor}} times that of the training films",
        ),
        f"{view}_noise": Check(
            "both",
            "plain",
            0.1,
            f"{name}: its noise and fine detail are {{factor}} times those of the training films",
        ),
        f"{view}_flat": Check(
            "high",
            "root",
            0.02,
            f"{name}: a share of {{value}} of it has one and the same grey value",
        ),
        f"{view}_likeness": Check(
            "low",
            "fisher",
            0.05,
            f"{name}: unlike the training films (correlation {{correlation}})",
        ),
        f"{view}_zoom": Check(
            "both",
            "plain",
            0.05,
            f"{name}: the neck is {{factor}} times as large as on the training films",
        ),
        f"{view}_shift": Check(
            "high",
            "root",
            0.05,
            f"{name}: the neck does not lie where it does in the training films "
            "(off by a share of {value} of the width)",
        ),
        f"{view}_turn": Check(
            "both",
            "plain",
            2.5,
            f"{name}: rotated by {{rotation}} compared with the training films",
        ),
        f"{view}_upright": Check("low", "plain", 0.02, f"{name}: may be upside down"),
    }


_TWO_HEIGHTS = (
    "films: AP and LA do not show the same neck at the same height (correlation {correlation})"
)

CHECKS = {
    **_film_checks("ap"),
    **_film_checks("la"),
    "la_unmirrored": Check(
        "low", "plain", 0.02, "LA film: may be mirrored (anterior belongs on the left)"
    ),
    "unswapped": Check("low", "plain", 0.02, "films: AP and LA may be swapped"),
    # Of format 1.
    "agreement": Check(
        "low",
        "fisher",
        0.25,
        "films: their rows disagree (correlation {correlation}); they may be of two patients, "
        "at two heights, or one turned over",
    ),
    # Of format 2.
    "height_agreement": Check("low", "fisher", 0.25, _TWO_HEIGHTS),
    "height_match": Check("low", "fisher", 0.25, _TWO_HEIGHTS),
    "ap_reprojection": Check(
        "low",
        "fisher",
        0.05,
        "AP film: the reconstruction does not explain it (correlation {correlation})",
    ),
    "la_reprojection": Check(
        "low",
        "fisher",
        0.05,
        "LA film: the reconstruction does not explain it (correlation {correlation})",
    ),
    "volume": Check(
        "high",
        "log",
        0.1,
        "anatomy: the volume of {where} is {value} standard deviations off the patients'",
    ),
    "spacing": Check(
        "high",
        "log",
        0.1,
        "anatomy: the distance {where} is {value} standard deviations off the patients'",
    ),
    "position": Check(
        "high",
        "root",
        0.3,
        "anatomy: C1 to C7 lie {value} mm from where the training patients' lie ({where}): move "
        "--ap_crop_box and --la_crop_box by as much",
    ),
    "fragments": Check(
        "high", "plain", 0.01, "anatomy: {where} is in pieces (a share of {value} lies apart)"
    ),
}

# What the films' checks compare, by the end of their names.
_RESPECTS = {
    "histogram": "grey values",
    "contrast": "local contrast",
    "noise": "noise and fine detail",
    "flat": "parts of one grey value",
    "likeness": "the picture as a whole",
    "zoom": "size of the neck",
    "shift": "place of the neck",
    "turn": "rotation",
    "upright": "orientation",
    "unmirrored": "orientation",
}
_PAIR_RESPECTS = {
    "unswapped": "which film is which",
    **dict.fromkeys(AGREEMENTS.values(), "agreement of the two"),
}

# Keeps logarithms and inverse hyperbolic tangents finite.
_EPSILON = 1e-3
_SCALES = {
    "plain": (lambda v: v, lambda v: v),
    "root": (np.sqrt, np.square),
    "log": (lambda v: np.log(np.maximum(v, 0.0) + _EPSILON), lambda v: np.exp(v) - _EPSILON),
    "fisher": (lambda v: np.arctanh(np.clip(v, _EPSILON - 1, 1 - _EPSILON)), np.tanh),
}


def film_respects(names):
    """Say in what films are unlike the training films.

    Args:
        names: checks beyond their thresholds.

    Returns:
        List of str, such as ``"AP film: grey values, rotation"``.
    """
    found = {}
    for name in names:
        view, _, end = name.partition("_")
        if name in _PAIR_RESPECTS:
            title, respect = "both films", _PAIR_RESPECTS[name]
        elif view in VIEWS and end in _RESPECTS:
            title, respect = f"{view.upper()} film", _RESPECTS[end]
        else:
            continue
        if respect not in found.setdefault(title, []):
            found[title].append(respect)
    return [f"{title}: {', '.join(respects)}" for title, respects in found.items()]


def parts_of(name):
    """Return which fits a check is about.

    Args:
        name: check in `CHECKS`.

    Returns:
        Tuple of views, whose film is compared with the training films, and ``"pair"``, for the
        agreement of both; empty for a check of the reconstruction.
    """
    if name == "unswapped":
        return VIEWS
    if name in AGREEMENTS.values():
        return ("pair",)
    view, _, end = name.partition("_")
    return (view,) if view in VIEWS and end in _RESPECTS else ()


def reason_of(name, value, bounds, where=""):
    """Say that a score is beyond its thresholds.

    Args:
        name: check in `CHECKS`.
        value: the score.
        bounds: dict of ``review`` and ``fail``, each ``[low, high]``.
        where: the vertebra or pair that has the score, or the direction.

    Returns:
        One sentence.
    """
    lows = [bounds[level][0] for level in ("review", "fail") if bounds[level][0] is not None]
    usual = f"; usual from {lows[0]:.3f}" if lows else ""
    return CHECKS[name].meaning.format(
        value=f"{value:.2f}",
        # Larger scores are no logarithms.
        factor=f"{math.exp(min(value, 99.0)):.2f}",
        correlation=f"{value:.3f}{usual}",
        rotation=f"{abs(value):.0f} degrees {'anticlockwise' if value > 0 else 'clockwise'}",
        where=where,
    )


def transform(name, values):
    """Transform scores to the scale on which they are assumed to be normal.

    Args:
        name: check in `CHECKS`.
        values: scores of that check.

    Returns:
        float64 array.
    """
    return _SCALES[CHECKS[name].scale][0](np.asarray(values, np.float64))


def inverse_transform(name, value):
    """Invert `transform`.

    Args:
        name: check in `CHECKS`.
        value: transformed score.

    Returns:
        float, the score.
    """
    return float(_SCALES[CHECKS[name].scale][1](value))
