"""The one likely cause of unusual films: the change that makes them usual again.

Every way in which films are often wrong is undone in turn, on the films as the network
got them. The cause is the one after which they fit the training films, and each other,
best. A cause needs a clear gain: `MIN_GAIN`, where 1 is the distance from the mean score
to the threshold for a review, summed over the fits of AP, of LA, and of one to the other.
How often the right cause is named is measured by `python -m experiments.calibrate`.
"""

import dataclasses
import math

import numpy as np

from xctrs_tf.data.films.pair.height_match import height_profiles, match_profiles
from xctrs_tf.data.films.pair.view_check import (
    DOUBTFUL_EVIDENCE,
    ONE_VIEW_TEXT,
    is_one_view,
)
from xctrs_tf.geometry import VIEWS
from xctrs_tf.quality.checks import transform
from xctrs_tf.quality.film_pose import (
    best_shift,
    best_turn,
    best_zoom,
    correlation,
    enlarged,
    fit_of_pose,
    shifted,
    turned,
)
from xctrs_tf.quality.film_scores import mean_film, thumbnail

MIN_GAIN = 0.5
# Limits of a single fit in the sum, so that no fit alone decides.
_FIT_RANGE = (-1.0, 6.0)
# Correlation of neighbouring pixels below which a film shows noise; films of necks have
# 0.9 or more, noise has 0.
_NOISE_CORRELATION = 0.5
# Poses closer to the usual one are no cause.
_LEAST_SHIFT, _LEAST_ZOOM, _LEAST_TURN = 0.02, 0.05, 2.0
# From this scale between the two films on, the scale is told, and not only the height.
_TOLD_SCALE = 1.08
# Smaller distances beside a scale are not told.
_TOLD_MM = 2.0
_NAMES = {"ap": "the AP film", "la": "the lateral film"}


@dataclasses.dataclass(frozen=True)
class Cause:
    """A likely cause.

    Attributes:
        name: short name, such as ``"la mirrored"``.
        views: the films that are wrong.
        reason: one sentence, with the mend.
    """

    name: str
    views: tuple
    reason: str


def likely_cause(films, statistics, thresholds, spacing_mm, failing=()):
    """Find the change that makes unusual films usual again.

    Args:
        films: dict of ``ap`` and ``la``, normalised as the statistics' films.
        statistics: dict of view to `film_scores.film_statistics`.
        thresholds: bounds of `calibration.thresholds`.
        spacing_mm: edge of a pixel.
        failing: names of the checks beyond their thresholds.

    Returns:
        `Cause`, or None if no single change explains them.
    """
    fits = _Fits(statistics, thresholds)
    blank = tuple(view for view in VIEWS if _is_noise(films[view]))
    if blank:
        show = "show" if len(blank) > 1 else "shows"
        return Cause(
            f"{_who(blank)} noise", blank, f"films: {_title(blank)} {show} noise and no neck"
        )
    if is_one_view(films["ap"], films["la"]):
        return Cause("one view twice", VIEWS, f"films: {ONE_VIEW_TEXT}")
    match, in_place = fits.match(films), fits.match(films, moved=False)
    before = fits(films)
    best, gain = None, MIN_GAIN
    for cause, undone, known in _candidates(films, statistics, spacing_mm, match, in_place):
        after = fits(undone, known)
        found = sum(before.values()) - sum(after.values())
        # Two necks can be moved until they agree a little better.
        fit = max(known.get("pair", fits.match(undone, moved=False).score), match.score)
        if found > gain and fit >= DOUBTFUL_EVIDENCE:
            best, gain = cause, found
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
        self._scales, self._profiles = {}, {}
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
        return match_profiles(*(self._profile(films[view], view) for view in VIEWS), moved)

    def _profile(self, film, view):
        """Return the height profiles of a film; those of a film that is seen again are kept."""
        key = id(film), view
        if key not in self._profiles:
            # The film is kept, so that no other one gets its id.
            self._profiles[key] = film, height_profiles(film, view)
        return self._profiles[key][1]


def _candidates(films, statistics, spacing_mm, match, in_place):
    """Yield causes, each with the films after it is undone, and what is known of their fits."""
    yield (
        Cause("swapped", VIEWS, "films: AP and LA are swapped: exchange the two files"),
        {"ap": films["la"], "la": films["ap"]},
        {},
    )
    for views in (("ap",), ("la",), VIEWS):
        for name, (undo, words, flag) in _TURNS.items():
            if name in ("mirrored", "turned by 180 degrees") and "ap" in views:
                continue
            flags = " and ".join(f"--{view}_{flag}" for view in views)
            yield (
                Cause(
                    f"{_who(views)} {name}",
                    views,
                    f"films: {_title(views)} {words[len(views) - 1]}: give {flags}",
                ),
                {**films, **{view: undo(films[view]) for view in views}},
                {},
            )
    yield from _poses(films, statistics, spacing_mm, in_place)
    yield from _heights(films, statistics, spacing_mm, match)


_TURNS = {
    "upside down": (
        lambda f: f[:, ::-1],
        ("is upside down", "are upside down"),
        "flip_vertical",
    ),
    "mirrored": (lambda f: f[::-1], ("faces right",), "flip_horizontal"),
    "inverted": (lambda f: 1.0 - f, ("shows bone dark", "show bone dark"), "invert"),
    "turned by 180 degrees": (
        lambda f: f[::-1, ::-1],
        ("is turned by 180 degrees",),
        "rotate=180",
    ),
    # The second axis points up, so that numpy turns anticlockwise.
    "turned by 90 degrees": (
        np.rot90,
        ("lies on its side", "lie on their side"),
        "rotate=-90",
    ),
    "turned by -90 degrees": (
        lambda f: np.rot90(f, -1),
        ("lies on its side", "lie on their side"),
        "rotate=90",
    ),
}


def _poses(films, statistics, spacing_mm, match_in_place):
    """Yield another scale, place and small rotation of one film or of both."""
    small = {view: thumbnail(films[view]) for view in VIEWS}
    means = {view: mean_film(statistics, view) for view in VIEWS}
    zooms = {view: np.exp(best_zoom(small[view], means[view])) for view in VIEWS}
    shifts = {view: best_shift(small[view], means[view]) for view in VIEWS}
    turns = {view: best_turn(small[view], means[view]) for view in VIEWS}
    # What is done to both films alike does not change how they agree.
    alike = {"pair": match_in_place.score}
    for views in (("ap",), ("la",), VIEWS):
        both = alike if len(views) > 1 else {}
        zoom = float(np.exp(np.mean([np.log(zooms[view]) for view in views])))
        if abs(np.log(zoom)) >= _LEAST_ZOOM:
            reason = (
                f"films: on {_title(views)} the neck is {zoom:.2f} times as large as on the "
                f"training films: make {_boxes(views)} {zoom:.2f} times as wide"
            )
            yield (
                Cause(f"{_who(views)} at another scale", views, reason),
                {**films, **{view: enlarged(films[view], 1 / zoom) for view in views}},
                {v: fit_of_pose(small[v], means[v], zoom) for v in views} | both,
            )
        moves = [shifts[view] for view in views]
        # A common shift is one of height: the films have no other direction in common.
        move = moves[0] if len(views) == 1 else (0.0, float(np.mean([z for _, z in moves])))
        if np.hypot(*move) >= _LEAST_SHIFT:
            width_mm = spacing_mm * len(films[views[0]])
            reason = (
                f"films: on {_title(views)} the neck does not lie where it does on the training "
                f"films: move {_boxes(views)} {_directions(move, width_mm)}"
            )
            undone = {
                view: shifted(films[view], [-part * len(films[view]) for part in move])
                for view in views
            }
            fits = {v: fit_of_pose(small[v], means[v], shift=move) for v in views} | both
            yield Cause(f"{_who(views)} shifted", views, reason), {**films, **undone}, fits
        turn = float(np.mean([turns[view] for view in views]))
        if len(views) == 1 and abs(turn) >= _LEAST_TURN:
            way = "anticlockwise" if turn > 0 else "clockwise"
            reason = (
                f"films: {_title(views)} is turned {way} by about {abs(turn):.0f} degrees: "
                f"give --{views[0]}_rotate={turn:.0f}"
            )
            yield (
                Cause(f"{_who(views)} turned", views, reason),
                {**films, views[0]: turned(films[views[0]], -turn)},
                {},
            )


def _heights(films, statistics, spacing_mm, match):
    """Yield the difference in height and scale between the two films, either one changed."""
    if match.score < DOUBTFUL_EVIDENCE:
        return
    is_scaled = abs(math.log(match.scale)) >= math.log(_TOLD_SCALE)
    if not is_scaled and abs(match.shift) < _LEAST_SHIFT:
        return
    size = len(films["la"])
    for view, up, scale in (
        ("la", match.shift, match.scale),
        ("ap", -match.shift / match.scale, 1 / match.scale),
    ):
        this, other = (_NAMES[view], _NAMES["ap" if view == "la" else "la"])
        parts, mends = [], []
        if is_scaled:
            parts.append(
                f"{max(scale, 1 / scale):.2f} times {'larger' if scale > 1 else 'smaller'}"
            )
            mends.append(f"make --{view}_crop_box {scale:.2f} times as wide")
        distance = abs(up) * size * spacing_mm
        if distance >= _TOLD_MM:
            parts.append(f"{distance:.0f} mm {'higher' if up > 0 else 'lower'}")
            mends.append(f"move --{view}_crop_box {distance:.0f} mm {'up' if up > 0 else 'down'}")
        reason = f"films: {this} shows the neck {' and '.join(parts)} than {other}: "
        name = f"{view} at another scale" if is_scaled else "heights differ"
        views = (view,) if is_scaled else VIEWS
        undone = shifted(enlarged(films[view], 1 / scale), (0, -up / scale * size))
        mean = mean_film(statistics, view)
        fit = fit_of_pose(thumbnail(films[view]), mean, scale, (0.0, up))
        known = {view: fit, "pair": match.score}
        yield Cause(name, views, reason + " and ".join(mends)), {**films, view: undone}, known


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
            f"films: {_title(unlike)} {show} no neck like the training films', however turned, "
            "moved or enlarged: give films of a neck, cropped to C1 to C7"
        )
        return Cause(f"{_who(unlike)} unlike a neck", unlike, reason)
    found = f"AP and LA agree by {match.correlation:.2f} in height where they agree best"
    if match.score < DOUBTFUL_EVIDENCE:
        return Cause("two patients", VIEWS, f"films: {found}; give two films of one patient")
    return None


def _is_noise(film):
    neighbours = (correlation(film[1:], film[:-1]), correlation(film[:, 1:], film[:, :-1]))
    return max(neighbours) < _NOISE_CORRELATION


def _directions(move, width_mm):
    """Describe a shift as a viewer shows it, in mm."""
    parts = []
    for share, (positive, negative) in zip(move, (("right", "left"), ("up", "down")), strict=True):
        distance = round(abs(share) * width_mm)
        if distance:
            parts.append(f"{distance} mm {positive if share > 0 else negative}")
    return " and ".join(parts) or "a little"


def _who(views):
    return "both" if len(views) > 1 else views[0]


def _title(views):
    return "both films" if len(views) > 1 else _NAMES[views[0]]


def _boxes(views):
    return " and ".join(f"--{view}_crop_box" for view in views)
