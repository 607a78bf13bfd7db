"""Check of a calibration that was read from a file: the numbers that the verdict uses."""

import itertools

import numpy as np

from xctrs_tf.data.films.film_normalisation import FILM_NORMALIZATIONS, FIRST_FILM_NORMALIZATION
from xctrs_tf.errors import UserError, one_line
from xctrs_tf.geometry import VERTEBRAE, VIEWS
from xctrs_tf.quality.checks import CHECKS, KNOWN_FORMATS, QUALITY_FORMAT, VERDICT_LEVELS
from xctrs_tf.quality.films.film_pose import THUMBNAIL
from xctrs_tf.quality.films.film_scores import DETAILS, QUANTILES

_PAIRS = [f"{upper}-{lower}" for upper, lower in itertools.pairwise(VERTEBRAE)]
_REMEDY = "run experiments.calibrate and experiments.export again"


def check_reference(reference, source):
    """Refuse a quality reference that `calibration.calibrate` does not give.

    Args:
        reference: JSON values that should be a dict of `calibration.calibrate`.
        source: file and field, for the message.

    Raises:
        UserError: of another format, or a part is missing or impossible.
    """
    if not isinstance(reference, dict) or reference.get("format") not in KNOWN_FORMATS:
        raise UserError(f"{source}: not of format {QUALITY_FORMAT}; {_REMEDY}")
    try:
        way = reference.get("film_normalization", FIRST_FILM_NORMALIZATION)
        _require([], "film_normalization", (0,), way in FILM_NORMALIZATIONS)
        for view in VIEWS:
            film = reference["films"][view]
            _require(film["thumbnail"], f"films, {view}, thumbnail", (THUMBNAIL, THUMBNAIL))
            _require(film["quantiles"], f"films, {view}, quantiles", (QUANTILES,))
            # Format 1 has none.
            for name in (name for name in DETAILS if name in film):
                _require(film[name], f"films, {view}, {name}", ())
        for kind, names in (("volume", VERTEBRAE), ("spacing", _PAIRS)):
            for name, values in reference["anatomy"][kind].items():
                _require(values, f"anatomy, {kind}, {name}", (2,), name in names and values[1] > 0)
        # Calibrations of before have none.
        for name, values in reference["anatomy"].get("position", {}).items():
            _require(values, f"anatomy, position, {name}", (3,), name in VERTEBRAE)
        for name, bounds in reference["thresholds"].items():
            _require(bounds["mean"], f"thresholds, {name}, mean", ())
            for level in ("review", "fail"):
                low, high = bounds[level]
                given = [end for end in (low, high) if end is not None]
                known = name in CHECKS and given == sorted(given)
                _require(given, f"thresholds, {name}, {level}", (len(given),), known)
        _check_rates(reference.get("detection", {}), "detection")
        for number, other in enumerate(reference.get("foreign", [])):
            _require(other["patients"], f"foreign, {number}, patients", ())
            _check_rates(other["detection"], f"foreign, {number}")
    except _Impossible as error:
        raise UserError(f"{source}: {error}; {_REMEDY}") from error
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{source}: damaged ({type(error).__name__}: {one_line(error, 60)}); {_REMEDY}"
        ) from error


def _check_rates(detection, name):
    """Refuse detection rates that are no shares; those of format 1 lack most fields."""
    for fault, rates in detection.items():
        given = [rates[each] for each in (*VERDICT_LEVELS, "detected") if each in rates]
        given += rates.get("interval", [])
        shares = all(0 <= share <= 1 for share in given)
        _require(given, f"{name}, {fault}", (len(given),), shares)
        if "psnr_loss_db" in rates:
            _require(rates["psnr_loss_db"], f"{name}, {fault}, psnr_loss_db", ())


class _Impossible(Exception):
    """A part that no calibration has."""


def _require(values, name, shape, holds=True):
    """Refuse values that are no finite numbers of a shape."""
    array = np.asarray(values)
    numbers = array.dtype.kind in "iuf" or not array.size
    if not holds or array.shape != shape or not numbers or not np.isfinite(array).all():
        raise _Impossible(f"{one_line(name, 80)} is impossible")
