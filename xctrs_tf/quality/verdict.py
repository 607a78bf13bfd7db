"""Quality verdict of a reconstruction: pass, review or fail, without ground truth.

The checks compare the patient with the training patients, and the reconstruction with
its films. They find unusual cases. A reconstruction that passes may still be wrong,
since two films do not determine a CT.

Not detected: a mirrored AP film (`film_scores`); a plausible vertebra in a plausible
place that is not the patient's; all seven labels shifted by one level, if the sizes
fit; faults that the held-out patients of the calibration share.
"""

import dataclasses

from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.quality.anatomy_scores import anatomy_scores
from xctrs_tf.quality.checks import CHECKS, QUALITY_FORMAT, VERDICT_LEVELS
from xctrs_tf.quality.film_scores import film_scores, likely_mistake
from xctrs_tf.quality.reprojection import reprojection_scores
from xctrs_tf.quality.vertebra_labels import missing, out_of_order, scattered

UNCALIBRATED = "no thresholds: the model was not calibrated (python -m experiments.calibrate)"


@dataclasses.dataclass(frozen=True)
class Scored:
    """Scores of one patient, before thresholds.

    Attributes:
        scores: dict from check to float; those that cannot be computed are left out.
        errors: by view, re-projection less film ``[horizontal, vertical]``.
        worst: by anatomical check, the vertebra or pair that has the score.
        mistakes: by view, the probable mistake in taking the film, or None.
        missing: names of vertebrae without a voxel.
        scattered: names of vertebrae whose labels are noise.
        out_of_order: pairs of vertebrae in the wrong order.
    """

    scores: dict
    errors: dict
    worst: dict = dataclasses.field(default_factory=dict)
    mistakes: dict = dataclasses.field(default_factory=dict)
    missing: tuple = ()
    scattered: tuple = ()
    out_of_order: tuple = ()


@dataclasses.dataclass(frozen=True)
class Finding:
    """A reason against trusting a reconstruction.

    Attributes:
        check: name in `checks.CHECKS`, or ``"missing"``, ``"scattered"``, ``"order"``,
            ``"calibration"``.
        level: ``"review"`` or ``"fail"``.
        reason: one sentence.
    """

    check: str
    level: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Result of all checks.

    Attributes:
        level: ``"pass"``, ``"review"`` or ``"fail"``: the level of the worst finding.
        findings: list of `Finding`, the worst first.
        scores: dict from check to float.
        errors: by view, re-projection less film.
    """

    level: str
    findings: list
    scores: dict
    errors: dict


def assess(films, ct_hu, labels, spacing_mm, reference=None):
    """Check one reconstruction.

    Args:
        films: dict of ``ap`` and ``la``, as they were reconstructed.
        ct_hu: CT numbers ``[x, y, z]``.
        labels: integers ``[x, y, z]``, or None if the model does not segment.
        spacing_mm: edge of a voxel.
        reference: dict of `calibration.calibrate`; without it no verdict is better than
            ``"review"``.

    Returns:
        `Verdict`.

    Raises:
        UserError: the reference is of another format.
    """
    if reference is not None and reference.get("format") != QUALITY_FORMAT:
        raise UserError(
            f"quality reference: not of format {QUALITY_FORMAT}; run experiments.calibrate"
        )
    return verdict_of(score(films, ct_hu, labels, spacing_mm, reference), reference)


def score(films, ct_hu, labels, spacing_mm, reference=None):
    """Compute every score of one patient.

    Args:
        films: dict of ``ap`` and ``la``.
        ct_hu: CT numbers ``[x, y, z]``.
        labels: integers ``[x, y, z]``, or None.
        spacing_mm: edge of a voxel.
        reference: dict with ``films`` and ``anatomy``, the training statistics.

    Returns:
        `Scored`.
    """
    scores, errors = reprojection_scores(films, ct_hu, spacing_mm)
    worst, mistakes = {}, {}
    if reference is not None:
        scores |= film_scores(films, reference["films"])
        mistakes = {v: likely_mistake(films[v], v, reference["films"]) for v in VIEWS}
    if labels is None:
        return Scored(scores, errors, worst, mistakes)
    if reference is not None:
        anatomical, worst = anatomy_scores(labels, spacing_mm, reference["anatomy"])
        scores |= anatomical
    return Scored(
        scores,
        errors,
        worst,
        mistakes,
        missing=tuple(missing(labels)),
        scattered=tuple(scattered(labels)),
        out_of_order=tuple(out_of_order(labels)),
    )


def verdict_of(scored, reference):
    """Apply the thresholds to scores.

    Args:
        scored: `Scored`.
        reference: dict with ``thresholds``, or None.

    Returns:
        `Verdict`.
    """
    findings = list(_hard_findings(scored))
    if reference is None:
        findings.append(Finding("calibration", "review", UNCALIBRATED))
    else:
        findings += _soft_findings(scored, reference["thresholds"])
    findings.sort(key=lambda finding: -VERDICT_LEVELS.index(finding.level))
    level = findings[0].level if findings else "pass"
    return Verdict(level, findings, scored.scores, scored.errors)


def _hard_findings(scored):
    if scored.missing:
        yield Finding("missing", "fail", f"anatomy: {', '.join(scored.missing)} missing")
    if scored.scattered:
        names = ", ".join(scored.scattered)
        yield Finding("scattered", "fail", f"anatomy: {names} scattered like noise: no surface")
    if scored.out_of_order:
        pairs = ", ".join(scored.out_of_order)
        yield Finding("order", "fail", f"anatomy: {pairs} in the wrong order from top to bottom")


def _soft_findings(scored, thresholds):
    for name, bounds in thresholds.items():
        if name not in scored.scores:
            continue
        value = scored.scores[name]
        level = next((lv for lv in ("fail", "review") if _outside(value, bounds[lv])), None)
        if level:
            yield Finding(name, level, _reason(name, value, scored))


def _outside(value, bounds):
    low, high = bounds
    return (low is not None and value < low) or (high is not None and value > high)


def _reason(name, value, scored):
    where = scored.worst.get(name, "")
    reason = CHECKS[name].meaning.format(value=f"{value:.2f}", where=where)
    mistake = scored.mistakes.get(name.split("_")[0]) if name.endswith("_likeness") else None
    return f"{reason}; it may be {mistake}" if mistake else reason
