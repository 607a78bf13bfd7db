"""Calibration of the quality checks on patients that the model was not trained on."""

import numpy as np
import scipy

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.quality.anatomy_scores import anatomy_statistics
from xctrs_tf.quality.checks import CHECKS, QUALITY_FORMAT, inverse_transform, transform
from xctrs_tf.quality.films.film_scores import film_statistics
from xctrs_tf.quality.verdict import verdict_of

MIN_HELD_OUT = 8
# The bound of a fail is that of a rate this many times smaller than the rate of a review. With few
# held-out patients it lies beyond all of their scores: it extrapolates the tail of Student's t. How
# often faultless patients fail does not follow from it; it is measured (docs/neck64.md).
FAIL_RARITY = 50


def calibrate(
    training,
    held_out,
    scorer,
    false_alarm_rate=0.05,
    film_normalization="percentile",
    advance=lambda: None,
):
    """Return training statistics and thresholds of the quality checks.

    Each check transforms its scores (`checks.transform`), which are then assumed to
    be normal. A threshold is a prediction bound of Student's t: a further patient's
    score exceeds it with probability ``false_alarm_rate`` divided by the number of
    checks. If scores were normal, about ``false_alarm_rate`` of faultless patients, or
    fewer, would be sent to review. The measured rate stands beside it in the result and
    may be higher: each held-out patient is judged by thresholds from the others. The bound
    of a fail is an extrapolation (`FAIL_RARITY`), and no rate is promised for it.

    Args:
        training: iterable of `xctrs_tf.data.dataset.Case` that the model was trained on.
        held_out: iterable of `Case` that it was not trained on.
        scorer: `faults.pair_scorer.PairScorer` of the model.
        false_alarm_rate: share of faultless patients that may be sent to review.
        film_normalization: that of the model.
        advance: called after each held-out patient.

    Returns:
        Dict for JSON (xctrs-quality/3), for `verdict.assess`.

    Raises:
        UserError: too few held-out patients, or a rate outside ]0, 0.5].
    """
    if not 0 < false_alarm_rate <= 0.5:
        raise UserError(f"--false_alarm_rate={false_alarm_rate}: must be above 0 and at most 0.5")
    reference = _training_statistics(training, film_normalization)
    pairs = (
        (case, {v: normalise_film(getattr(case, v), film_normalization) for v in VIEWS})
        for case in held_out
    )
    scored = []
    for pair in scorer.scored_pairs(pairs, reference):
        scored.append(pair.scored)
        advance()
    if len(scored) < MIN_HELD_OUT:
        raise UserError(
            f"{len(scored)} held-out patients are too few for thresholds: at least "
            f"{MIN_HELD_OUT} are needed; prepare more"
        )
    return {
        **reference,
        "thresholds": thresholds([s.scores for s in scored], false_alarm_rate),
        "held_out": len(scored),
        "false_alarm_rate": {
            "asked": false_alarm_rate,
            **_leave_one_out(scored, reference, false_alarm_rate),
        },
    }


def _training_statistics(training, film_normalization):
    """Return the part of a calibration that needs no model."""
    training = list(training)
    return {
        "format": QUALITY_FORMAT,
        "film_normalization": film_normalization,
        "films": {
            view: film_statistics((getattr(case, view) for case in training), film_normalization)
            for view in VIEWS
        },
        "anatomy": anatomy_statistics((case.segmentation, case.spacing_mm) for case in training),
        "training": len(training),
    }


def thresholds(scores, false_alarm_rate):
    """Return the bounds of each check.

    Args:
        scores: list of dicts, ``scores`` of `verdict.score`.
        false_alarm_rate: as in `calibrate`.

    Returns:
        Dict from check to ``mean``, ``count`` and the bounds ``review`` and ``fail``:
        ``[low, high]`` in the score's own unit, None where there is no bound.
    """
    found = {name: [s[name] for s in scores if name in s] for name in CHECKS}
    found = {name: values for name, values in found.items() if len(values) >= MIN_HELD_OUT - 1}
    bounds = {}
    for name, values in found.items():
        check, values = CHECKS[name], transform(name, values)
        rate = false_alarm_rate / len(found)
        deviation = max(values.std(ddof=1), check.resolution)
        bounds[name] = {
            "mean": inverse_transform(name, values.mean()),
            "count": len(values),
            "review": _bounds(name, values, deviation, rate),
            "fail": _bounds(name, values, deviation, rate / FAIL_RARITY),
        }
    return bounds


def _bounds(name, values, deviation, rate):
    worse = CHECKS[name].worse
    tail = rate / 2 if worse == "both" else rate
    reach = scipy.stats.t.ppf(1 - tail, len(values) - 1) * deviation * np.sqrt(1 + 1 / len(values))
    low, high = (inverse_transform(name, values.mean() + sign * reach) for sign in (-1, 1))
    return [None if worse == "high" else low, None if worse == "low" else high]


def left_out(scores, reference):
    """Yield for each held-out patient the reference with thresholds from the others.

    Args:
        scores: list of dicts, ``scores`` of `verdict.score`.
        reference: dict of `calibrate`.
    """
    asked = reference["false_alarm_rate"]["asked"]
    for index in range(len(scores)):
        yield {**reference, "thresholds": thresholds(scores[:index] + scores[index + 1 :], asked)}


def _leave_one_out(scored, reference, false_alarm_rate):
    """Return how many patients do not pass by thresholds from the others."""
    asked = {**reference, "false_alarm_rate": {"asked": false_alarm_rate}}
    references = left_out([s.scores for s in scored], asked)
    levels = [verdict_of(*pair).level for pair in zip(scored, references, strict=True)]
    alarms = len(levels) - levels.count("pass")
    return {"leave_one_out": alarms / len(levels), "interval": interval(alarms, len(levels))}


def interval(count, trials):
    """Return Wilson's 95 % confidence interval of a proportion.

    Args:
        count: cases among the trials.
        trials: number of trials.

    Returns:
        ``[low, high]``.
    """
    found = scipy.stats.binomtest(count, trials).proportion_ci(0.95, method="wilson")
    return [float(found.low), float(found.high)]
