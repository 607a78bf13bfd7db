"""Changes of films that often go wrong, each with its cause and the films after it is undone."""

import dataclasses
import math

import numpy as np

from xctrs_tf.data.films.film_frame import size_advice
from xctrs_tf.data.films.pair.view_check import DOUBTFUL_EVIDENCE
from xctrs_tf.data.films.pair.view_faults import FAULTS, UNDO, move_on_file, rotation_flag
from xctrs_tf.geometry import VIEWS
from xctrs_tf.quality.checks import parts_of
from xctrs_tf.quality.films.film_pose import (
    best_shift,
    best_turn,
    best_zoom,
    enlarged,
    fit_of_pose,
    shifted,
    turned,
)
from xctrs_tf.quality.films.film_scores import mean_film, thumbnail

# Poses closer to the usual one are no cause.
_LEAST_SHIFT, _LEAST_ZOOM, _LEAST_TURN = 0.02, 0.05, 2.0
# From this scale between the two films on, the scale is told, and not only the height.
_TOLD_SCALE = 1.08
# Smaller distances are not told where a scale is.
_TOLD_MM = 2.0
_NAMES = {"ap": "the AP film", "la": "the lateral film"}


@dataclasses.dataclass(frozen=True)
class Cause:
    """A likely cause.

    Attributes:
        name: short name, such as ``"la mirrored"``.
        views: the films that are wrong.
        reason: one sentence, with the remedy.
        parts: what it explains, of `checks.parts_of`; by default its films, and how both agree.
    """

    name: str
    views: tuple
    reason: str
    parts: tuple | None = None

    def explains(self, check):
        """Return True for a check that may fail by this cause.

        Args:
            check: name in `checks.CHECKS`.
        """
        # The reconstruction follows from both films.
        found = parts_of(check)
        parts = (*self.views, "pair") if self.parts is None else self.parts
        return not found or not set(found).isdisjoint(parts)


def candidate_causes(films, statistics, spacing_mm, match, in_place, opened=None):
    """Yield causes, each with the films after it is undone, and what is known of their fits.

    Args:
        films: dict of ``ap`` and ``la``, normalised as the statistics' films.
        statistics: dict of view to `film_scores.film_statistics`.
        spacing_mm: edge of a pixel.
        match: `HeightMatch` of the films where they agree best.
        in_place: `HeightMatch` of the films as they are.
        opened: as of `view_faults.Fault.message`.

    Yields:
        `Cause`; dict of the films by view; and dict from view, and from ``"pair"``, to the
        fits that cannot be computed from these films, since they have parts that were not
        seen.
    """
    for fault in FAULTS:
        undone = {view: UNDO[name](films[view]) for view, name in fault.undo.items()}
        if fault.swapped:
            undone = {"ap": films["la"], "la": films["ap"]}
        reason = f"films: {fault.message(opened)}"
        yield Cause(fault.name, tuple(undone), reason), {**films, **undone}, {}
    yield from _poses(films, statistics, spacing_mm, in_place, opened)
    yield from _heights(films, statistics, spacing_mm, match, opened)


def _poses(films, statistics, spacing_mm, match_in_place, opened):
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
                f"films: on {films_title(views)} the neck is {zoom:.2f} times as large as on the "
                f"training films: {_size_remedy(views, zoom, opened)}"
            )
            yield (
                Cause(f"{views_name(views)} at another scale", views, reason),
                {**films, **{view: enlarged(films[view], 1 / zoom) for view in views}},
                {v: fit_of_pose(small[v], means[v], zoom) for v in views} | both,
            )
        moves = [shifts[view] for view in views]
        # A common shift is one of height: the films have no other direction in common.
        move = moves[0] if len(views) == 1 else (0.0, float(np.mean([z for _, z in moves])))
        if np.hypot(*move) >= _LEAST_SHIFT:
            width_mm = spacing_mm * len(films[views[0]])
            move_mm = [part * width_mm for part in move]
            reason = (
                f"films: on {films_title(views)} the neck does not lie where it does on the "
                f"training films: move {_moves(views, move_mm, opened)}"
            )
            undone = {
                view: shifted(films[view], [-part * len(films[view]) for part in move])
                for view in views
            }
            fits = {v: fit_of_pose(small[v], means[v], shift=move) for v in views} | both
            yield Cause(f"{views_name(views)} shifted", views, reason), {**films, **undone}, fits
        turn = float(np.mean([turns[view] for view in views]))
        if len(views) == 1 and abs(turn) >= _LEAST_TURN:
            way = "anticlockwise" if turn > 0 else "clockwise"
            reason = (
                f"films: {films_title(views)} is turned {way} by about {abs(turn):.0f} degrees: "
                f"give {rotation_flag(views[0], round(turn), opened)}"
            )
            yield (
                Cause(f"{views_name(views)} turned", views, reason),
                {**films, views[0]: turned(films[views[0]], -turn)},
                {},
            )


def _heights(films, statistics, spacing_mm, match, opened):
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
        parts, remedies = [], []
        if is_scaled:
            parts.append(
                f"{max(scale, 1 / scale):.2f} times {'larger' if scale > 1 else 'smaller'}"
            )
            remedies.append(_size_remedy((view,), scale, opened))
        distance = abs(up) * size * spacing_mm
        if distance >= _TOLD_MM:
            parts.append(f"{distance:.0f} mm {'higher' if up > 0 else 'lower'}")
            remedies.append(f"move {_moves((view,), (0.0, up * size * spacing_mm), opened)}")
        reason = f"films: {this} shows the neck {' and '.join(parts)} than {other}: "
        name = f"{view} at another scale" if is_scaled else "heights differ"
        views = (view,) if is_scaled else VIEWS
        undone = shifted(enlarged(films[view], 1 / scale), (0, -up / scale * size))
        mean = mean_film(statistics, view)
        fit = fit_of_pose(thumbnail(films[view]), mean, scale, (0.0, up))
        known = {view: fit, "pair": match.score}
        yield Cause(name, views, reason + " and ".join(remedies)), {**films, view: undone}, known


def _size_remedy(views, scale, opened):
    """Say how films are made to show the neck that many times smaller.

    Where both films tell the size of their pixels, boxes of two widths are refused; with
    --spacing_mm the widths of boxes do not count.
    """
    frames = {view: each.frame for view, each in (opened or {}).items()}
    known = {view: frame.pixel_size(opened[view].raw) for view, frame in frames.items()}
    both_known = bool(known) and None not in known.values()
    cut_in_mm = [view for view in views if frames and frames[view].spacing_mm is not None]
    sized = views if len(views) == 1 and both_known else cut_in_mm
    remedies = [size_advice(view, [edge / scale for edge in known[view]]) for view in sized]
    boxed = [view for view in views if view not in cut_in_mm]
    if boxed:
        remedies.append(f"make {_boxes(boxed)} {scale:.2f} times as wide")
    return " and ".join(remedies)


def _moves(views, move_mm, opened):
    """Say how the crop boxes of films are moved on the pictures of their files.

    Args:
        views: the films.
        move_mm: ``(to the right, up)`` on the films as the network gets them.
        opened: as of `candidate_causes`.
    """
    boxes = {}
    for view in views:
        words = _directions(move_on_file(view, move_mm, opened))
        boxes.setdefault(words, []).append(view)
    return " and ".join(f"{_boxes(moved)} {words}" for words, moved in boxes.items())


def _directions(move_mm):
    """Describe a move to the right and up, as a viewer shows it."""
    parts = []
    names = (("right", "left"), ("up", "down"))
    for length, (positive, negative) in zip(move_mm, names, strict=True):
        distance = round(abs(length))
        if distance:
            parts.append(f"{distance} mm {positive if length > 0 else negative}")
    return " and ".join(parts) or "a little"


def views_name(views):
    """Return the views of a cause as the start of its name: ``"ap"``, ``"la"`` or ``"both"``."""
    return "both" if len(views) > 1 else views[0]


def films_title(views):
    """Return the films of a cause as its reason names them."""
    return "both films" if len(views) > 1 else _NAMES[views[0]]


def _boxes(views):
    return " and ".join(f"--{view}_crop_box" for view in views)
