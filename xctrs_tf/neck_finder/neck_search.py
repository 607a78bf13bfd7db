"""Search for the neck on one film: windows of all sizes and orientations, then a closer look."""

import dataclasses
import functools
import itertools
import math
import pathlib

import numpy as np

from xctrs_tf.geometry import VIEWS
from xctrs_tf.neck_finder.film_window import FilmPyramid, Window, network_input

WEIGHTS = pathlib.Path(__file__).parent / "neck_finder.npz"
_HALVINGS = 3
_MIN_EDGE = 24
# Height of C1..C7 over the edges of the windows of the closer look.
_CLOSE_SHARES = (0.42, 0.52, 0.64)
# And of the windows whose mean is the answer, with their tilts.
_LAST_SHARES, _LAST_TILTS = (0.42, 0.49, 0.56, 0.64), (-0.1, 0.0, 0.1)
_CHUNK = 64
# Answers of the first search that get a closer look.
_CANDIDATES = 3
# Added to the score of the expected orientation where places compete.
_EXPECTED_BONUS = 2.0


@dataclasses.dataclass(frozen=True)
class Orientation:
    """Turn, mirror and inversion that make a film upright, in this order.

    Attributes:
        quarter: quarter turns of the window on the film, counter-clockwise.
        mirrored: left and right are exchanged.
        inverted: bone is dark.
    """

    quarter: int = 0
    mirrored: bool = False
    inverted: bool = False


@dataclasses.dataclass(frozen=True)
class FoundNeck:
    """C1..C7 on a film, on the picture of its file.

    Attributes:
        centre: position ``(horizontal, vertical)`` in pixels from the left lower corner.
        height: of C1..C7 in pixels.
        angle_deg: how far the patient is turned on the film, counter-clockwise, -180 to 180.
        mirrored: the film is mirrored, besides the turn.
        inverted: bone is dark.
        score: logit of a neck as it should be, in this orientation.
        margins: dict from ``turn``, ``mirror`` and ``invert`` to how much lower the best score
            of another turn, mirror or inversion is; infinite where none was tried.
    """

    centre: tuple
    height: float
    angle_deg: float
    mirrored: bool
    inverted: bool
    score: float
    margins: dict


@functools.cache
def finder_network():
    """Return the trained network."""
    from xctrs_tf.neck_finder.finder_network import load_finder

    return load_finder(WEIGHTS)


@functools.cache
def neck_height_mm():
    """Return the median height of C1..C7 of the patients that the network was trained on."""
    with np.load(WEIGHTS, allow_pickle=False) as arrays:
        return float(arrays["neck_height_mm"])


def search_neck(film, view, orientations, network=None):
    """Search a film for C1..C7.

    Args:
        film: array ``[horizontal, vertical]`` of square pixels, finite; masked where there is
            no film.
        view: ``"ap"`` or ``"la"``.
        orientations: list of `Orientation` that are possible, the one that the film has by its
            file and the user's flags first: films mostly are as they should be.
        network: of `build_finder`; the trained one by default.

    Returns:
        `FoundNeck`, the best answer, however low its score.
    """
    look = _Look(film, view, network or finder_network())
    upright = [each for each in orientations if not each.inverted] or orientations
    best = look.best(upright, orientations)
    inverted = [each for each in orientations if each.inverted and each not in upright]
    if best.score < 0 and inverted:
        best = max(best, look.best(inverted, orientations), key=lambda each: each.score)
    return look.settled(best)


class _Look:
    """The network's answers for windows of one film."""

    def __init__(self, film, view, network):
        exposed = None if not np.ma.is_masked(film) else ~np.ma.getmaskarray(film)
        values = np.ma.getdata(film)
        self._pyramid = FilmPyramid(values, exposed)
        self._shape = film.shape
        self._row = VIEWS.index(view)
        self._network = network

    def at(self, windows, orientations):
        """Return a `FoundNeck` without margins for each window and orientation."""
        inputs, cases = [], []
        for window in windows:
            picture = network_input(*self._pyramid.sample(window))
            for each in orientations:
                inputs.append(_oriented(picture, each))
                turned = dataclasses.replace(
                    window,
                    angle=window.angle + each.quarter * math.pi / 2,
                    mirrored=each.mirrored,
                )
                cases.append((turned, each.inverted))
        answers = np.concatenate(
            [
                np.asarray(self._network(np.stack(inputs[start : start + _CHUNK])))
                for start in range(0, len(inputs), _CHUNK)
            ]
        )
        return [
            _found(*case, answer) for case, answer in zip(cases, answers[:, self._row], strict=True)
        ]

    def best(self, first, orientations):
        """Return the best answer after a closer look at the best windows of all.

        Args:
            first: orientations of the search of the whole film.
            orientations: those of the closer looks.
        """
        answers = self.at(_first_windows(self._shape), first)
        candidates = [self._again(each, orientations) for each in _distinct(answers)]
        best = max(candidates, key=lambda each: each.score + _bonus(each, orientations[0]))
        return self._again(best, orientations)

    def settled(self, found):
        """Return what was found as the median of many windows around it."""
        windows = [
            Window(found.centre, found.height / share, math.radians(found.angle_deg) + tilt)
            for share in _LAST_SHARES
            for tilt in _LAST_TILTS
        ]
        chosen = Orientation(0, found.mirrored, found.inverted)
        if self._row == VIEWS.index("ap"):
            both = [dataclasses.replace(chosen, mirrored=mirrored) for mirrored in (False, True)]
            answers = self.at(windows, both)
        else:
            answers = self.at(windows, [chosen])
        return dataclasses.replace(
            _mean(answers, found.score, found.margins), mirrored=found.mirrored
        )

    def _again(self, found, orientations):
        angle = math.radians(found.angle_deg)
        quarter = round(angle / (math.pi / 2))
        windows = [
            Window(found.centre, found.height / share, angle - quarter * math.pi / 2)
            for share in _CLOSE_SHARES
        ]
        answers = self.at(windows, orientations)
        groups = [answers[index :: len(orientations)] for index in range(len(orientations))]
        scores = [float(np.mean([answer.score for answer in group])) for group in groups]
        best = int(np.argmax(scores))
        chosen = orientations[best]
        margins = {
            name: scores[best]
            - max(
                (
                    score
                    for score, each in zip(scores, orientations, strict=True)
                    if getattr(each, field) != getattr(chosen, field)
                ),
                default=-math.inf,
            )
            for name, field in (("turn", "quarter"), ("mirror", "mirrored"), ("invert", "inverted"))
        }
        return _mean(groups[best], scores[best], margins)


def _distinct(answers):
    """Return the best answers of different places or orientations."""
    kept = []
    for answer in sorted(answers, key=lambda each: each.score, reverse=True):
        if not any(_is_same(answer, other) for other in kept):
            kept.append(answer)
        if len(kept) == _CANDIDATES:
            break
    return kept


def _bonus(answer, expected):
    quarter = round(answer.angle_deg / 90) % 4
    same = (quarter, answer.mirrored) == (expected.quarter, expected.mirrored)
    return _EXPECTED_BONUS * same


def _is_same(one, other):
    away = math.dist(one.centre, other.centre)
    turned = abs((one.angle_deg - other.angle_deg + 180) % 360 - 180)
    return away < 0.4 * max(one.height, other.height) and turned < 45


def _first_windows(shape):
    """Return upright windows of several sizes that cover a film."""
    longest = max(shape)
    windows = []
    for halving in range(_HALVINGS + 1):
        edge = longest / 2 ** (halving / 2)
        if edge < _MIN_EDGE and halving:
            break
        places = [_places(count, edge) for count in shape]
        windows += [Window(centre, edge) for centre in itertools.product(*places)]
    return windows


def _places(count, edge):
    if edge >= count:
        return [count / 2]
    steps = math.ceil((count - edge) / (0.4 * edge)) + 1
    return np.linspace(edge / 2, count - edge / 2, steps).tolist()


def _oriented(picture, orientation):
    """Return a window's picture as another window that is turned and mirrored shows it."""
    picture = np.rot90(picture, -orientation.quarter)
    picture = picture[::-1] if orientation.mirrored else picture
    return picture * np.float32((-1, 1)) if orientation.inverted else picture


def _found(window, inverted, answer):
    score, across, up, log_height, angle = (float(value) for value in answer)
    centre = window.to_film((across, up))
    return FoundNeck(
        tuple(centre.tolist()),
        math.exp(min(log_height, 0.5)) * window.edge,
        _degrees(window.direction_on_film(angle)),
        window.mirrored,
        inverted,
        score,
        {},
    )


def _mean(answers, score, margins):
    centre = np.median([answer.centre for answer in answers], axis=0)
    angles = np.radians([answer.angle_deg for answer in answers])
    return dataclasses.replace(
        answers[0],
        centre=tuple(centre.tolist()),
        height=float(np.median([answer.height for answer in answers])),
        angle_deg=_degrees(math.atan2(np.sin(angles).mean(), np.cos(angles).mean())),
        score=score,
        margins=margins,
    )


def _degrees(angle):
    return (math.degrees(angle) + 180) % 360 - 180
