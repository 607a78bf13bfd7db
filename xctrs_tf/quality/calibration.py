"""Thresholds of the checks from patients that a model has not seen."""

import numpy as np
from scipy import stats

from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.quality.anatomy_scores import anatomy_statistics
from xctrs_tf.quality.checks import CHECKS, drawn_in, spread_out
from xctrs_tf.quality.film_scores import film_statistics
from xctrs_tf.quality.verdict import FORMAT, score, verdict_of

MIN_HELD_OUT = 8
# A failure is to be so many times rarer than a review.
FAIL_RARITY = 50


def calibrate(training, held_out, reconstruct, false_alarm_rate=0.05):
    """Training statistics and thresholds of the quality checks.

    The scores of held-out patients are taken for normal on each check's own scale
    (`checks`). A threshold is the bound beyond which a further patient's score
    falls at the asked rate divided by the number of checks (a prediction bound of
    Student's t), so that a patient without fault is sent to review at most at
    about that rate. The rate that comes out when each held-out patient is judged
    by the others is written beside it.

    Args:
        training: iterable of `xctrs_tf.data.dataset.Case` that the model was trained on.
        held_out: iterable of `Case` that it was not.
        reconstruct: function of a `Case` to ``(ct_hu, labels)``; labels may be None.
        false_alarm_rate: share of faultless patients that may be sent to review.

    Returns:
        Dict for JSON (xctrs-quality/1), as `quality.assess` takes it.

    Raises:
        UserError: too few held-out patients, or a rate outside ]0, 0.5].
    """
    if not 0 < false_alarm_rate <= 0.5:
        raise UserError(f"--false_alarm_rate={false_alarm_rate}: must be above 0 and at most 0.5")
    training = list(training)
    reference = {
        "format": FORMAT,
        "films": {
            view: film_statistics(getattr(case, view) for case in training) for view in VIEWS
        },
        "anatomy": anatomy_statistics((case.segmentation, case.spacing_mm) for case in training),
    }
    scored = [_scored(case, reconstruct, reference) for case in held_out]
    if len(scored) < MIN_HELD_OUT:
        raise UserError(
            f"{len(scored)} held-out patients are too few for thresholds: at least "
            f"{MIN_HELD_OUT} are needed; prepare more"
        )
    return {
        **reference,
        "thresholds": thresholds([s.scores for s in scored], false_alarm_rate),
        "held_out": len(scored),
        "training": len(training),
        "false_alarm_rate": {
            "asked": false_alarm_rate,
            "leave_one_out": _leave_one_out(scored, reference, false_alarm_rate),
        },
    }


def thresholds(scores, false_alarm_rate):
    """Bounds of each check.

    Args:
        scores: list of dicts of `quality.score`.
        false_alarm_rate: as in `calibrate`.

    Returns:
        Dict from check to ``mean``, ``count`` and the bounds ``review`` and ``fail``:
        ``[low, high]`` in the check's own unit, None where it has no bound.
    """
    rate = false_alarm_rate / len(CHECKS)
    bounds = {}
    for name, check in CHECKS.items():
        values = spread_out(name, [s[name] for s in scores if name in s])
        if len(values) < MIN_HELD_OUT - 1:
            continue
        deviation = max(values.std(ddof=1), check.resolution)
        bounds[name] = {
            "mean": drawn_in(name, values.mean()),
            "count": len(values),
            "review": _bounds(name, values, deviation, rate),
            "fail": _bounds(name, values, deviation, rate / FAIL_RARITY),
        }
    return bounds


def _bounds(name, values, deviation, rate):
    worse = CHECKS[name].worse
    tail = rate / 2 if worse == "both" else rate
    reach = stats.t.ppf(1 - tail, len(values) - 1) * deviation * np.sqrt(1 + 1 / len(values))
    low, high = (drawn_in(name, values.mean() + sign * reach) for sign in (-1, 1))
    return [None if worse == "high" else low, None if worse == "low" else high]


def _scored(case, reconstruct, reference):
    ct_hu, labels = reconstruct(case)
    films = {view: getattr(case, view) for view in VIEWS}
    return score(films, ct_hu, labels, case.spacing_mm, reference)


def _leave_one_out(scored, reference, false_alarm_rate):
    """Share of the patients that thresholds from the others do not pass."""
    alarms = 0
    for index, one in enumerate(scored):
        others = [s.scores for i, s in enumerate(scored) if i != index]
        bounds = thresholds(others, false_alarm_rate)
        alarms += verdict_of(one, {**reference, "thresholds": bounds}).level != "pass"
    return alarms / len(scored)
