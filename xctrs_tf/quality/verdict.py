"""Quality verdict of a reconstruction: pass, review or fail, without ground truth.

The checks compare the patient with the training patients, and the reconstruction with
its films. They find unusual cases. A reconstruction that passes may still be wrong,
since two films do not determine a CT.

Films that are unlike the training films get one reason where one cause explains it
(`causes`), and the checks that fail by it are not told again. Of findings of one level
the causes come first, before what may follow from them, such as a missing vertebra.

Not detected: a mirrored AP film (`film_scores`); a plausible vertebra in a plausible
place that is not the patient's; all seven labels shifted by one level, if the sizes
fit; faults that the held-out patients of the calibration share.
"""

import dataclasses

from xctrs_tf.data.films.film_normalisation import FIRST_FILM_NORMALIZATION, normalise_film
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.quality.anatomy_scores import anatomy_scores
from xctrs_tf.quality.checks import (
    KNOWN_FORMATS,
    QUALITY_FORMAT,
    VERDICT_LEVELS,
    parts_of,
    reason_of,
)
from xctrs_tf.quality.films.candidate_causes import Cause
from xctrs_tf.quality.films.causes import least_score, likely_cause, misplaced_parts, together
from xctrs_tf.quality.films.film_scores import film_scores
from xctrs_tf.quality.films.grey_values import CHECKS_OF_GREY, covering_cause, grey_cause
from xctrs_tf.quality.reprojection import reprojection_scores
from xctrs_tf.quality.vertebra_labels import missing, out_of_order, scattered

UNCALIBRATED = "no thresholds: the model was not calibrated (python -m experiments.calibrate)"


@dataclasses.dataclass(frozen=True)
class Scored:
    """Scores of one patient, before thresholds.

    Attributes:
        scores: dict from check to float; those that cannot be computed are left out.
        errors: by view, re-projection less film ``[horizontal, vertical]``.
        worst: by anatomical check, the vertebra or pair that has the score, or the direction.
        missing: names of vertebrae without a voxel.
        scattered: names of vertebrae whose labels are noise.
        out_of_order: pairs of vertebrae in the wrong order.
        films: the normalised films, or None; causes are looked for on them.
        spacing_mm: edge of a voxel.
    """

    scores: dict
    errors: dict
    worst: dict = dataclasses.field(default_factory=dict)
    missing: tuple = ()
    scattered: tuple = ()
    out_of_order: tuple = ()
    films: dict | None = None
    spacing_mm: float = 1.0


@dataclasses.dataclass(frozen=True)
class Finding:
    """A reason against trusting a reconstruction.

    Attributes:
        check: name in `checks.CHECKS`, or ``"missing"``, ``"scattered"``, ``"order"``,
            ``"calibration"``.
        level: ``"review"`` or ``"fail"``.
        reason: one sentence.
        cause: name of the likely cause (`causes.Cause`), or None.
        checks: all checks beyond their thresholds that the cause explains, or none.
    """

    check: str
    level: str
    reason: str
    cause: str | None = None
    checks: tuple = ()


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Result of all checks.

    Attributes:
        level: ``"pass"``, ``"review"`` or ``"fail"``: the level of the worst finding.
        findings: list of `Finding`, the worst first, and of one level those with a cause.
        scores: dict from check to float.
        errors: by view, re-projection less film.
        failing: dict from each check beyond its thresholds to ``"review"`` or ``"fail"``.
        is_calibrated: False without thresholds.
    """

    level: str
    findings: list
    scores: dict
    errors: dict
    failing: dict = dataclasses.field(default_factory=dict)
    is_calibrated: bool = True


def assess(films, ct_hu, labels, spacing_mm, reference=None, film_normalization=None, opened=None):
    """Check one reconstruction.

    Args:
        films: dict of ``ap`` and ``la``, as they were reconstructed.
        ct_hu: CT numbers ``[x, y, z]``.
        labels: integers ``[x, y, z]``, or None if the model does not segment.
        spacing_mm: edge of a voxel.
        reference: dict of `calibration.calibrate`; without it no verdict is better than
            ``"review"``.
        film_normalization: that of the model; by default the reference's.
        opened: dict by view of the `film_pair.OpenFilm` that the films were cut out of, or
            None; advice then takes their present boxes, flips and rotations into account.

    Returns:
        `Verdict`.

    Raises:
        UserError: the reference is of another format, or of films that are normalised
            in another way.
    """
    theirs = normalization_of(reference)
    if reference is not None:
        if reference.get("format") not in KNOWN_FORMATS:
            raise UserError(
                f"quality reference: not of format {QUALITY_FORMAT}; run experiments.calibrate"
            )
        if film_normalization not in (None, theirs):
            raise UserError(
                f"quality reference: of {theirs} films, and the model takes {film_normalization}; "
                "run experiments.calibrate again"
            )
    scored = score(films, ct_hu, labels, spacing_mm, reference, film_normalization)
    return verdict_of(scored, reference, opened)


def normalization_of(reference):
    """Return the film normalisation of a quality reference; that of the first without one."""
    return (reference or {}).get("film_normalization", FIRST_FILM_NORMALIZATION)


def score(films, ct_hu, labels, spacing_mm, reference=None, film_normalization=None):
    """Compute every score of one patient.

    Args:
        films: dict of ``ap`` and ``la``.
        ct_hu: CT numbers ``[x, y, z]``.
        labels: integers ``[x, y, z]``, or None.
        spacing_mm: edge of a voxel.
        reference: dict with ``films``, ``anatomy`` and ``film_normalization``, the
            training statistics.
        film_normalization: that of the model; by default the reference's.

    Returns:
        `Scored`.
    """
    way = film_normalization or normalization_of(reference)
    films = {view: normalise_film(films[view], way) for view in VIEWS}
    scores, errors = reprojection_scores(films, ct_hu, spacing_mm, way)
    worst = {}
    if reference is not None:
        made_as = reference.get("format", QUALITY_FORMAT)
        scores |= film_scores(films, reference["films"], way, made_as)
    if labels is None:
        return Scored(scores, errors, worst, films=films, spacing_mm=spacing_mm)
    if reference is not None:
        anatomical, worst = anatomy_scores(labels, spacing_mm, reference["anatomy"])
        scores |= anatomical
    return Scored(
        scores,
        errors,
        worst,
        missing=tuple(missing(labels)),
        scattered=tuple(scattered(labels)),
        out_of_order=tuple(out_of_order(labels)),
        films=films,
        spacing_mm=spacing_mm,
    )


def verdict_of(scored, reference, opened=None):
    """Apply the thresholds to scores.

    Args:
        scored: `Scored`.
        reference: dict with ``thresholds`` and ``films``, or None.
        opened: as of `assess`.

    Returns:
        `Verdict`.
    """
    findings = list(_hard_findings(scored))
    if reference is None:
        findings.append(Finding("calibration", "review", UNCALIBRATED))
        failing = {}
    else:
        failing = _failing(scored, reference["thresholds"])
        findings += _soft_findings(scored, reference, failing, opened)
    findings.sort(key=lambda each: (-VERDICT_LEVELS.index(each.level), each.cause is None))
    level = findings[0].level if findings else "pass"
    return Verdict(
        level, findings, scored.scores, scored.errors, failing, is_calibrated=reference is not None
    )


def _hard_findings(scored):
    if scored.missing:
        yield Finding("missing", "fail", f"anatomy: {', '.join(scored.missing)} missing")
    if scored.scattered:
        names = ", ".join(scored.scattered)
        yield Finding("scattered", "fail", f"anatomy: {names} scattered like noise: no surface")
    if scored.out_of_order:
        pairs = ", ".join(scored.out_of_order)
        yield Finding("order", "fail", f"anatomy: {pairs} in the wrong order from top to bottom")


def _failing(scored, thresholds):
    """Return the checks beyond their thresholds, with the level of each."""
    failing = {}
    for name, bounds in thresholds.items():
        if name in scored.scores:
            value = scored.scores[name]
            level = next((lv for lv in ("fail", "review") if _outside(value, bounds[lv])), None)
            if level:
                failing[name] = level
    return failing


def _soft_findings(scored, reference, failing, opened):
    failing = dict(failing)
    for cause, names in _causes(scored, reference, failing, opened):
        levels = {name: failing.pop(name) for name in names}
        worst = max(levels, key=lambda name: VERDICT_LEVELS.index(levels[name]))
        yield Finding(worst, levels[worst], cause.reason, cause.name, tuple(levels))
    for name, level in failing.items():
        yield Finding(name, level, _reason(name, scored, reference))


def _causes(scored, reference, failing, opened):
    """Yield the likely causes, each with the failing checks that it explains."""
    if scored.films is None or "films" not in reference:
        return
    left = dict(failing)
    statistics, thresholds = reference["films"], reference["thresholds"]
    covered = [view for view in VIEWS if f"{view}_flat" in failing]
    covering = (
        covering_cause(v, scored.films[v], statistics[v], least_score(thresholds, f"{v}_likeness"))
        for v in covered
    )
    causes = together([cause for cause in covering if cause is not None])
    if not causes and misplaced_parts(failing):
        given = (scored.films, statistics, thresholds, scored.spacing_mm, failing, opened)
        causes = [likely_cause(*given)]
    for cause in filter(None, causes):
        names = [name for name in left if cause.explains(name)]
        # What is wrong with the reconstruction alone follows from no film.
        if any(map(parts_of, names)):
            yield cause, names
            left = {name: level for name, level in left.items() if name not in names}
    if "position" in left:
        reason = _reason("position", scored, reference)
        yield Cause("both shifted", VIEWS, reason), ["position"]
    yield from _grey_causes(scored, reference, left)


def _grey_causes(scored, reference, failing):
    statistics = reference["films"]
    found = (
        grey_cause(view, scored.films[view], failing, scored.scores, statistics[view])
        for view in VIEWS
    )
    follow = (*CHECKS_OF_GREY, "likeness", "reprojection", "zoom", "shift", "turn")
    for cause in together([cause for cause in found if cause is not None]):
        names = (f"{view}_{each}" for view in cause.views for each in follow)
        yield cause, [name for name in names if name in failing]


def _outside(value, bounds):
    low, high = bounds
    return (low is not None and value < low) or (high is not None and value > high)


def _reason(name, scored, reference):
    bounds, where = reference["thresholds"][name], scored.worst.get(name, "")
    return reason_of(name, scored.scores[name], bounds, where)
