"""Detection rates of the quality checks for faults made on purpose.

The films of patients that the model was not trained on are altered, and the model
reconstructs them. The rates therefore hold for that model. Beside each rate stands
what the fault costs in PSNR: a fault that costs nothing need not be detected.
"""

import dataclasses

import numpy as np

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.metrics.image import psnr
from xctrs_tf.quality.calibration import interval, left_out
from xctrs_tf.quality.checks import VERDICT_LEVELS
from xctrs_tf.quality.faults.film_faults import FAULTS, Pair
from xctrs_tf.quality.verdict import normalization_of, score, verdict_of


def detection_rates(
    cases, reconstruct, reference, calibrated_on=True, faults=None, advance=lambda: None
):
    """Return the shares of patients that pass, go to review and fail, by fault.

    Args:
        cases: list of at least two `xctrs_tf.data.dataset.Case`.
        reconstruct: function from a `Case` to ``(ct_hu, labels)``.
        reference: dict of `calibration.calibrate`.
        calibrated_on: the thresholds come from these patients; then each is judged by
            thresholds from the others.
        faults: names in `FAULTS`; by default all.
        advance: called after each patient and fault.

    Returns:
        Dict from fault to a dict of ``pass``, ``review`` and ``fail``, shares that sum
        to 1; ``detected``, the share that does not pass, and its 95 % ``interval``;
        ``patients``; ``psnr_loss_db``, mean over the patients of what the fault costs;
        and ``named``, the share of the detected ones whose first reason is the right
        cause, None where there is none to name.
    """
    clean = [_Patient(cases, index, reconstruct, reference) for index in range(len(cases))]
    usual = [patient.result("none") for patient in clean]
    references = [reference] * len(cases)
    if calibrated_on:
        references = list(left_out([result.scored.scores for result in usual], reference))
    results = {name: [] for name in faults or FAULTS}
    for patient, own in zip(clean, references, strict=True):
        for name, found in results.items():
            result = patient.result(name)
            verdict = verdict_of(result.scored, own)
            cause = verdict.findings[0].cause if verdict.findings else None
            found.append((verdict.level, cause, result.psnr))
            advance()
        patient.forget()
    losses = [result.psnr for result in usual]
    return {name: _rates(name, found, losses) for name, found in results.items()}


@dataclasses.dataclass(frozen=True)
class _Result:
    scored: object
    psnr: float


class _Patient:
    """A patient with altered films; films that are the same are reconstructed once."""

    def __init__(self, cases, index, reconstruct, reference):
        self._case, self._index = cases[index], index
        self._films = [
            {view: getattr(case, view) for view in VIEWS}
            for case in (cases[index], cases[index - 1])
        ]
        self._reconstruct, self._reference = reconstruct, reference
        self._known = {}

    def result(self, fault):
        """Return scores and PSNR of the patient with a fault."""
        pair = Pair(*self._films, self._case.spacing_mm, self._index)
        try:
            films = {
                view: normalise_film(film, normalization_of(self._reference))
                for view, film in FAULTS[fault].films(pair).items()
            }
        except UserError as error:
            raise UserError(f"patient {self._case.id}, fault {fault}: {error}") from error
        key = tuple(films[view].tobytes() for view in VIEWS)
        if key not in self._known:
            self._known[key] = self._score(films)
        return self._known[key]

    def forget(self):
        """Free the results."""
        self._known.clear()

    def _score(self, films):
        ct_hu, labels = self._reconstruct(dataclasses.replace(self._case, **films))
        scored = score(films, ct_hu, labels, self._case.spacing_mm, self._reference)
        true, found = (normalise_hu(ct) for ct in (self._case.ct, ct_hu))
        # Error maps are large, and nobody looks at them here.
        return _Result(dataclasses.replace(scored, errors={}), psnr(true, found))


def _rates(name, found, usual):
    levels = [level for level, _, _ in found]
    detected = [cause for level, cause, _ in found if level != "pass"]
    causes = FAULTS[name].causes
    losses = [
        0.0 if before == after else before - after
        for before, (_, _, after) in zip(usual, found, strict=True)
    ]
    return {
        "patients": len(found),
        **{level: levels.count(level) / len(levels) for level in VERDICT_LEVELS},
        "detected": len(detected) / len(found),
        "interval": interval(len(detected), len(found)),
        "psnr_loss_db": float(np.mean(losses)),
        "named": _share(cause in causes for cause in detected) if causes and detected else None,
    }


def _share(holds):
    return float(np.mean(list(holds)))
