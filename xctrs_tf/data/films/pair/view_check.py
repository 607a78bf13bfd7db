"""Check that two films are the AP and the LA film of one patient, upright and bone bright."""

import dataclasses
import itertools

import numpy as np

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.pair.height_alignment import can_be_aligned, is_aligned
from xctrs_tf.data.films.pair.height_match import (
    LARGEST_SCORE,
    HeightMatch,
    height_profiles,
    match_profiles,
)
from xctrs_tf.data.films.pair.mean_films import film_fields, mean_films
from xctrs_tf.data.films.pair.view_faults import FAULTS, UNDO, Fault
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS

# The rates of all thresholds are measured by experiments.studies.view_check_rates.
# Correlation from which two films are of one view, however they are turned, and moved by up
# to this share of their width.
ONE_VIEW_CORRELATION = 0.92
_LARGEST_SHIFT = 0.15
_PLAIN_CORRELATION = 0.75
# Evidence of a `HeightMatch`: below the first, films are refused as those of two patients;
# below the second, they pass with a warning, and no box is moved.
REFUSED_EVIDENCE, DOUBTFUL_EVIDENCE = 0.2, 1.0
# Weight of the fit to the mean films against the evidence of the match. Both films together fit
# the mean films by this much at least once a fault is undone; other films are of no neck.
_FIT_WEIGHT, _LEAST_FIT = 1.9, 1.0
# By how much films fit better once a fault is undone: above the first they are refused, above the
# second they pass with a warning.
REFUSED_LEAD, DOUBTFUL_LEAD = 0.3, 0.06
ONE_VIEW_TEXT = (
    "AP and LA show one view twice; give one film of each view, since a CT cannot be had from one"
)


@dataclasses.dataclass(frozen=True)
class ViewJudgement:
    """Result of the check of two films.

    Attributes:
        match: `HeightMatch` of both films as they are, or None where they were not compared.
        problem: the one most likely reason why they are no pair, with its remedy, or None.
        doubt: why they may be no pair, or None.
    """

    match: HeightMatch | None
    problem: str | None = None
    doubt: str | None = None

    @property
    def needs_alignment(self):
        """True if a box has to be moved first, before anything else counts.

        Where the two films show the neck at different heights, they fit the mean films less
        well. A turned or mirrored film does that, too, and while the heights differ it cannot be
        told which of the two is the cause. So the box is moved first; a film that is turned or
        mirrored is found afterwards.
        """
        if self.match is None or is_aligned(self.match):
            return False
        return self.problem is None or (
            self.match.evidence >= DOUBTFUL_EVIDENCE and can_be_aligned(self.match)
        )


_TURNS = (
    *(UNDO[name] for name in ("none", "mirror", "flip", "half turn")),
    *(UNDO[name] for name in ("clockwise", "counter-clockwise")),
)
_NO_FAULT = Fault("none", "")
_QUARTER_TURNS = ("clockwise", "counter-clockwise")
# A mirror changes no row's mean.
_SAME_ROWS = {"mirror": "none", "half turn": "flip"}
# What is done to both films alike changes no match.
_SHARED = ("flip", "invert")


def check_two_films(films):
    """Refuse one film alone.

    Args:
        films: dict of the films, or their files, by view; None where there is none.

    Raises:
        UserError: a film is missing.
    """
    for view, name in (("ap", "AP"), ("la", "lateral")):
        film = films.get(view)
        if film is None or (isinstance(film, str) and not film):
            raise UserError(
                f"films: no {name} film (--{view}); both views are needed, since one film does not "
                "tell the depth of what it shows"
            )


def judge_views(ap, la, strips=None, opened=None):
    """Tell whether two films are the upright AP and LA film of one patient.

    Two films of one view are recognised by their correlation where they fit each other
    best. A pair is recognised by the heights at which both films show the same slices
    (`height_match.match_heights`): the films may show the neck at different heights and
    sizes. Where one of the films is turned, mirrored or inverted, or both are swapped, the
    pair fits better, in height and to the mean films, when that is undone: the change that
    fits best is named.

    Args:
        ap: film ``[horizontal, vertical]`` with values in [0, 1].
        la: film of the same size.
        strips: dict by view of the films at the same heights, as far as they reach to either
            side; by default the films.
        opened: as of `view_faults.Fault.message`.

    Returns:
        `ViewJudgement`.
    """
    if is_one_view(ap, la):
        return ViewJudgement(None, f"films: {ONE_VIEW_TEXT}")
    films = {"ap": ap, "la": la}
    scores = _Scores(films, strips or films)
    fault = scores.best_fault()
    match = scores.match()
    lead = scores.of(fault) - scores.of(_NO_FAULT) if scores.fit(fault) > _LEAST_FIT else 0
    if lead > REFUSED_LEAD:
        return ViewJudgement(match, f"films: {fault.message(opened)}")
    found = match.evidence
    agreement = f"AP and LA agree by {match.correlation:.2f} in height where they agree best"
    if found < REFUSED_EVIDENCE:
        return ViewJudgement(match, f"films: {agreement}; give two films of one patient")
    if found < DOUBTFUL_EVIDENCE:
        return ViewJudgement(
            match,
            doubt=f"films: {agreement}, which is little; make sure that they are of one patient",
        )
    if lead > DOUBTFUL_LEAD:
        return ViewJudgement(
            match, doubt=f"films: look at films.png; perhaps {fault.message(opened)}"
        )
    return ViewJudgement(match)


def is_one_view(first, second, least_correlation=ONE_VIEW_CORRELATION):
    """Return True if two films are of one view, however they are turned, inverted and moved.

    Args:
        first: film.
        second: film of the same size.
        least_correlation: of their ranks, from which they are of one view.
    """
    length = len(first)
    furthest = int(_LARGEST_SHIFT * length)
    # Ranks are equal under any exposure, and also make noise of a plain background large.
    limits = {"equalized": least_correlation, "percentile": _PLAIN_CORRELATION}
    pairs = {name: [normalise_film(film, name) for film in (first, second)] for name in limits}
    for turn, shift in itertools.product(_TURNS, range(-furthest, furthest + 1)):
        here = slice(max(0, shift), length + min(0, shift))
        there = slice(max(0, -shift), length - max(0, shift))
        if all(
            abs(correlation(pairs[name][0][here], turn(pairs[name][1])[there])) >= limit
            for name, limit in limits.items()
        ):
            return True
    return False


class _Scores:
    """Fit of two films to each other and to the mean films, after a fault is undone."""

    def __init__(self, films, strips):
        self._films, self._strips = films, strips
        self._fields = {view: film_fields(film) for view, film in films.items()}
        self._profiles, self._matches = {}, {}

    def best_fault(self):
        """Return the fault after whose undoing the films fit best; it may be none."""
        own = self.of(_NO_FAULT)
        # No match is better than this, so that most faults need no search.
        least_fit = (own - LARGEST_SCORE) / _FIT_WEIGHT
        faults = [_NO_FAULT, *(fault for fault in FAULTS if self.fit(fault) > least_fit)]
        return max(faults, key=self.of)

    def of(self, fault):
        match = self.match(*(fault.undo.get(view, "none") for view in VIEWS))
        return _FIT_WEIGHT * self.fit(fault) + match.evidence

    def fit(self, fault):
        """Return the correlations with the mean films, both added."""
        fields, means = self._fields, mean_films()
        if fault.swapped:
            fields = {"ap": fields["la"], "la": fields["ap"]}
        return sum(
            correlation(UNDO[fault.undo.get(view, "none")](fields[view]), means[view].fields)
            for view in VIEWS
        )

    def match(self, ap="none", la="none"):
        ap, la = (_SAME_ROWS.get(name, name) for name in (ap, la))
        if ap == la and ap in _SHARED:
            ap = la = "none"
        if (ap, la) not in self._matches:
            profiles = self._profile("ap", ap), self._profile("la", la)
            self._matches[ap, la] = match_profiles(*profiles)
        return self._matches[ap, la]

    def _profile(self, view, name):
        if (view, name) not in self._profiles:
            films = self._films if name in _QUARTER_TURNS else self._strips
            film = UNDO[name](films[view])
            self._profiles[view, name] = height_profiles(film, view)
        return self._profiles[view, name]


def correlation(a, b):
    """Return the normalised cross-correlation of two arrays.

    Args:
        a: array.
        b: array with as many elements.

    Returns:
        float in [-1, 1]; 0 if an array is constant.
    """
    a, b = (np.asarray(values, np.float64).ravel() for values in (a, b))
    a, b = a - a.mean(), b - b.mean()
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norm) if norm > 0 else 0.0
