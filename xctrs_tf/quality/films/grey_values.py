"""Likely causes of films whose place is right and whose grey values are unusual."""

import numpy as np

from xctrs_tf.quality.films.candidate_causes import Cause
from xctrs_tf.quality.films.film_pose import correlation
from xctrs_tf.quality.films.film_scores import QUANTILES, thumbnail

CHECKS_OF_GREY = ("flat", "histogram", "contrast", "noise")
# Powers of the grey values that are tried.
_POWERS = np.exp2(np.linspace(-2, 2, 33))
# A row or column at the edge belongs to a border if this share of it has one value.
_BORDER_SHARE = 0.9


def grey_cause(view, film, failing, scores, statistics):
    """Name what is unusual in the grey values of a film.

    Args:
        view: ``"ap"`` or ``"la"``.
        film: normalised film.
        failing: names of the checks beyond their thresholds.
        scores: dict from check to float.
        statistics: `film_scores.film_statistics` of the view.

    Returns:
        `Cause`, or None if no check of the grey values fails.
    """
    found = [name for name in CHECKS_OF_GREY[1:] if f"{view}_{name}" in failing]
    title = f"films: {'the AP film' if view == 'ap' else 'the lateral film'}"
    if "histogram" in found:
        power, remains = _power(film, statistics)
        like = f", as after a gamma curve of {power:.1f}" if remains < 0.5 else ""
        return Cause(
            f"{view} grey values",
            (view,),
            f"{title} has other grey values than the training films{like}: give it without a "
            "processing curve, or take a model of equalized films",
        )
    if found:
        name = found[0]
        value = scores[f"{view}_{name}"]
        more = "more" if value > 0 else "less"
        what = "local contrast" if name == "contrast" else "noise or fine detail"
        times = f"{np.exp(abs(value)):.1f} times "
        reason = f"{title} has {times}{more} {what} than the training films: "
        remedy = (
            "give it without edge or contrast enhancement" if value > 0 else "give a sharper film"
        )
        return Cause(f"{view} {name}", (view,), reason + remedy)
    return None


def covering_cause(view, film, statistics, least_likeness):
    """Name what covers a part of a film with one grey value, if the rest shows a neck.

    Air beside the body covers nothing: it is the darkest grey value, along the left or the
    right edge of the film, and not along the upper or the lower one, through which the body
    goes.

    Args:
        view: ``"ap"`` or ``"la"``.
        film: normalised film.
        statistics: `film_scores.film_statistics` of the view.
        least_likeness: correlation with the mean film from which a film is usual, or
            None if it is not known.

    Returns:
        `Cause`, or None if the rest is unlike a neck, or the part is air.
    """
    values, counts = np.unique(film, return_counts=True)
    value = values[counts.argmax()]
    flat = film == value
    shown = thumbnail(flat) < 0.5
    mean = np.array(statistics["thumbnail"])
    if least_likeness is None:
        return None
    if correlation(thumbnail(film)[shown], mean[shown]) < least_likeness:
        return None
    title = f"films: {'the AP film' if view == 'ap' else 'the lateral film'}"
    sides, ends = ((edge[0].mean(), edge[-1].mean()) for edge in (flat, flat.T))
    is_at_side = max(sides) >= _BORDER_SHARE
    is_at_end = max(ends) >= _BORDER_SHARE
    if is_at_side and not is_at_end and value == values[0]:
        return None
    if is_at_side or is_at_end:
        return Cause(
            f"{view} border",
            (view,),
            f"{title} has a border of one grey value: give a --{view}_crop_box inside the "
            "exposed field",
        )
    x, z = np.argwhere(flat).mean(axis=0) / len(film)
    place = f"{'upper' if z > 0.5 else 'lower'} {'right' if x > 0.5 else 'left'}"
    return Cause(
        f"{view} covered",
        (view,),
        f"{title} has one grey value on a share of {flat.mean():.2f} ({place}), as under a marker "
        "or metal: give a film or a crop box without it",
    )


def _power(film, statistics):
    """Return the power that explains a film's histogram best, and the share it leaves."""
    usual = np.array(statistics["quantiles"])
    own = np.quantile(film, np.linspace(0, 1, QUANTILES))
    away = [float(np.abs(own - usual**power).mean()) for power in _POWERS]
    best = int(np.argmin(away))
    return float(_POWERS[best]), away[best] / max(float(np.abs(own - usual).mean()), 1e-9)
