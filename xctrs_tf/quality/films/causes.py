"""The one likely cause of unusual films: the change that makes them usual again.

Every way in which films are often wrong is undone in turn, on the films as the network
got them. The cause is the one after which they fit the training films, and each other,
best. A cause needs a clear gain: `MIN_GAIN`, where 1 is the distance from the mean score
to the threshold for a review, summed over the fits of AP, of LA, and of one to the other.
Gains count only in those of the three of which a check fails, losses in all: a film that
passes may fit a little better in another place, which explains nothing. How often the
right cause is named is measured by `python -m experiments.calibrate`.
"""

import dataclasses

import numpy as np

from xctrs_tf.data.films.pair.height_match import height_profiles, match_profiles
from xctrs_tf.data.films.pair.view_check import (
    DOUBTFUL_EVIDENCE,
    ONE_VIEW_TEXT,
    is_one_view,
)
from xctrs_tf.geometry import VIEWS
from xctrs_tf.quality.checks import parts_of, transform
from xctrs_tf.quality.films.candidate_causes import Cause, candidate_causes, films_title, views_name
from xctrs_tf.quality.films.film_pose import correlation
from xctrs_tf.quality.films.film_scores import mean_film, thumbnail
from xctrs_tf.quality.films.grey_values import CHECKS_OF_GREY

MIN_GAIN = 0.5
# Limits of a single fit in the sum, so that no fit alone decides.
_FIT_RANGE = (-1.0, 6.0)
# Correlation of neighbouring pixels below which a film shows noise; films of necks have
# 0.9 or more, noise has 0.
_NOISE_CORRELATION = 0.5


def misplaced_parts(failing):
    """Return the parts of which a check fails that a place, a turn or another film would explain.

    Args:
        failing: names of the checks beyond their thresholds.

    Returns:
        Set of parts of `checks.parts_of`; the grey values have causes of their own.
    """
    names = (name for name in failing if name.split("_")[-1] not in CHECKS_OF_GREY)
    return {part for name in names for part in parts_of(name)}


def likely_cause(films, statistics, thresholds, spacing_mm, failing, opened=None):
    """Find the change that makes unusual films usual again.

    Args:
        films: dict of ``ap`` and ``la``, normalised as the statistics' films.
        statistics: dict of view to `film_scores.film_statistics`.
        thresholds: bounds of `calibration.thresholds`.
        spacing_mm: edge of a pixel.
        failing: names of the checks beyond their thresholds.
        opened: as of `view_faults.Fault.message`.

    Returns:
        `Cause` with the parts that it explains, or None if no single change explains them.
    """
    fits = _Fits(statistics, thresholds)
    blank = tuple(view for view in VIEWS if _is_noise(films[view]))
    if blank:
        show = "show" if len(blank) > 1 else "shows"
        return Cause(
            f"{views_name(blank)} noise",
            blank,
            f"films: {films_title(blank)} {show} noise and no neck",
        )
    if is_one_view(films["ap"], films["la"]):
        return Cause("one view twice", VIEWS, f"films: {ONE_VIEW_TEXT}")
    match, in_place = fits.match(films), fits.match(films, moved=False)
    before, parts = fits(films, {"pair": in_place.score}), misplaced_parts(failing)
    best, most = None, MIN_GAIN
    given = (films, statistics, spacing_mm, match, in_place, opened)
    for cause, undone, known in candidate_causes(*given):
        if "pair" not in known:
            known = {**known, "pair": fits.match(undone, moved=False).score}
        after = fits(undone, known)
        gains = {part: before[part] - after[part] for part in before}
        found = sum(gain if part in parts else min(gain, 0.0) for part, gain in gains.items())
        # Two necks can be moved until they agree a little better.
        fit = max(known["pair"], match.score)
        if found > most and fit >= DOUBTFUL_EVIDENCE:
            explained = tuple(part for part in gains if part in parts and gains[part] > 0)
            best, most = dataclasses.replace(cause, parts=explained), found
    return best or _unexplained(films, fits, match, failing)


def least_score(thresholds, name):
    """Return the score of a check below which a patient goes to review, or None."""
    return thresholds[name]["review"][0] if name in thresholds else None


def together(causes):
    """Make one cause of two that are alike on both films.

    Args:
        causes: list of `Cause`.

    Returns:
        List of `Cause`.
    """
    kinds = {cause.name.partition(" ")[2] for cause in causes}
    if len(causes) != len(VIEWS) or len(kinds) > 1:
        return causes
    reasons = [causes[0].reason, *(cause.reason.removeprefix("films: ") for cause in causes[1:])]
    return [Cause(f"both {kinds.pop()}", VIEWS, "; ".join(reasons))]


class _Fits:
    """Fit of films to the training films and to each other.

    Args:
        statistics: dict of view to `film_scores.film_statistics`.
        thresholds: bounds of `calibration.thresholds`.
    """

    def __init__(self, statistics, thresholds):
        self._means = {view: mean_film(statistics, view) for view in VIEWS}
        self._scales = {}
        for view in VIEWS:
            name = f"{view}_likeness"
            least = least_score(thresholds, name)
            if least is not None:
                usual, limit = transform(name, [thresholds[name]["mean"], least])
                self._scales[view] = usual, max(usual - limit, 1e-6)

    def __call__(self, films, known=None):
        """Return the distance of each fit from the usual one: 1 is a threshold.

        Args:
            films: dict of ``ap`` and ``la``, normalised.
            known: correlations with the mean film by view, and the score of the pair's
                `HeightMatch`, where the films have parts that were not seen.

        Returns:
            Dict from view, and from ``"pair"``, to float; the larger, the worse.
        """
        known = known or {}
        pair = known.get("pair")
        if pair is None:
            pair = self.match(films, moved=False).score
        distances = {"pair": 1 - pair / DOUBTFUL_EVIDENCE}
        for view, (usual, scale) in self._scales.items():
            fit = known.get(view)
            if fit is None:
                fit = correlation(thumbnail(films[view]), self._means[view])
            distances[view] = (usual - float(transform(f"{view}_likeness", fit))) / scale
        return {name: float(np.clip(value, *_FIT_RANGE)) for name, value in distances.items()}

    def match(self, films, moved=True):
        """Return the `HeightMatch` of two films."""
        return match_profiles(*(height_profiles(films[view], view) for view in VIEWS), moved)


def _unexplained(films, fits, match, failing):
    """Name what is wrong with films that no single change makes usual."""
    away = fits(films)
    unlike = tuple(
        view
        for view in VIEWS
        if away.get(view, 0) > 1 or {f"{view}_upright", f"{view}_unmirrored"} & set(failing)
    )
    if unlike:
        show = "show" if len(unlike) > 1 else "shows"
        reason = (
            f"films: {films_title(unlike)} {show} no neck like the training films', however "
            "turned, moved or enlarged: give films of a neck, cropped to C1 to C7"
        )
        return Cause(f"{views_name(unlike)} unlike a neck", unlike, reason)
    found = f"AP and LA agree by {match.correlation:.2f} in height where they agree best"
    if match.score < DOUBTFUL_EVIDENCE:
        reason = f"films: {found}; give two films of one patient"
        return Cause("two patients", VIEWS, reason, ("pair",))
    return None


def _is_noise(film):
    neighbours = (correlation(film[1:], film[:-1]), correlation(film[:, 1:], film[:, :-1]))
    return max(neighbours) < _NOISE_CORRELATION
