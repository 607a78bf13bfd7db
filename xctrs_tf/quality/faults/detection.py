"""Detection rates of the quality checks for faults made on purpose.

The films of patients that the model was not trained on are altered, and the model
reconstructs them. The rates therefore hold for that model. Beside each rate stands
what the fault costs in PSNR: a fault that costs nothing need not be detected.
"""

import numpy as np

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.quality.calibration import interval, left_out
from xctrs_tf.quality.checks import VERDICT_LEVELS
from xctrs_tf.quality.faults.film_faults import MADE_FAULTS, FaultInput
from xctrs_tf.quality.verdict import normalization_of, verdict_of


def detection_rates(
    cases,
    scorer,
    reference,
    calibrated_on=True,
    faults=None,
    fault_patients=None,
    advance=lambda: None,
):
    """Return the shares of patients that pass, go to review and fail, by fault.

    Args:
        cases: list of at least two `xctrs_tf.data.dataset.Case`.
        scorer: `pair_scorer.PairScorer` of the model.
        reference: dict of `calibration.calibrate`.
        calibrated_on: the thresholds come from these patients; then each is judged by
            thresholds from the others.
        faults: names in `MADE_FAULTS`; by default all.
        fault_patients: number of patients in whom faults are made, spread evenly over the
            cases; by default all. ``none`` is judged in all of them.
        advance: called after each patient and fault.

    Returns:
        Dict from fault to a dict of ``pass``, ``review`` and ``fail``, shares that sum
        to 1; ``detected``, the share that does not pass, and its 95 % ``interval``;
        ``patients``; ``psnr_loss_db``, mean over the patients of what the fault costs;
        and ``named``, the share of the detected ones whose first reason is the right
        cause, None where there is none to name.
    """
    patients = [_Patient(cases, index, reference) for index in range(len(cases))]
    usual = list(scorer.scored_pairs((each.pair("none") for each in patients), reference))
    references = [reference] * len(cases)
    if calibrated_on:
        references = list(left_out([result.scored.scores for result in usual], reference))
    results = {name: [] for name in faults or MADE_FAULTS}
    made = list(made_faults(len(cases), results, fault_patients))
    pairs = (patients[index].pair(name) for index, name in made)
    scored = scorer.scored_pairs(pairs, reference)
    for (index, name), result in zip(made, scored, strict=True):
        verdict = verdict_of(result.scored, references[index])
        cause = verdict.findings[0].cause if verdict.findings else None
        loss = 0.0 if result.psnr == usual[index].psnr else usual[index].psnr - result.psnr
        results[name].append((verdict.level, cause, loss))
        advance()
    return {name: _rates(name, found) for name, found in results.items()}


def made_faults(number, faults, fault_patients=None):
    """Yield which faults are made in which patients.

    Args:
        number: of patients.
        faults: names in `MADE_FAULTS`.
        fault_patients: as of `detection_rates`.

    Yields:
        ``(index, fault)``: a patient's index, and a name.
    """
    chosen = min(fault_patients or number, number)
    altered = {place * number // chosen for place in range(chosen)}
    for index in range(number):
        for name in faults:
            if name == "none" or index in altered:
                yield index, name


class _Patient:
    """A patient whose films are altered."""

    def __init__(self, cases, index, reference):
        self._case, self._index = cases[index], index
        self._films = [
            {view: getattr(case, view) for view in VIEWS}
            for case in (cases[index], cases[index - 1])
        ]
        self._normalization = normalization_of(reference)

    def pair(self, fault):
        """Return the patient, and the films with a fault."""
        pair = FaultInput(*self._films, self._case.spacing_mm, self._index)
        try:
            films = {
                view: normalise_film(film, self._normalization)
                for view, film in MADE_FAULTS[fault].films(pair).items()
            }
        except UserError as error:
            raise UserError(f"patient {self._case.id}, fault {fault}: {error}") from error
        return self._case, films


def _rates(name, found):
    levels = [level for level, _, _ in found]
    detected = [cause for level, cause, _ in found if level != "pass"]
    causes = MADE_FAULTS[name].causes
    return {
        "patients": len(found),
        **{level: levels.count(level) / len(levels) for level in VERDICT_LEVELS},
        "detected": len(detected) / len(found),
        "interval": interval(len(detected), len(found)),
        "psnr_loss_db": float(np.mean([loss for _, _, loss in found])),
        "named": _share(cause in causes for cause in detected) if causes and detected else None,
    }


def _share(holds):
    return float(np.mean(list(holds)))
