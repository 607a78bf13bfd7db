"""Faults made on purpose: what can be wrong with two films, or merely different.

Films are changed as they lie in the data folder, before they are normalised. Where a
change moves pixels in from outside, the film's edge is repeated: the data folder has
no films beyond the crop.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from xctrs_tf.geometry import VIEWS
from xctrs_tf.quality.faults.foreign_films import chest_films, hand_films
from xctrs_tf.quality.films.film_pose import enlarged, shifted, turned

_ENLARGEMENT = 1.4
# From one vertebra to the next.
_LEVEL_MM = 17.0
_BORDER_SHARE = 0.08
_CLIP_LIMIT = 0.02
# A letter L of lead, in shares of the film's width.
_MARKER_EDGE, _MARKER_SIZE, _MARKER_STROKE = 0.06, 0.11, 0.035
_DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0))


@dataclasses.dataclass(frozen=True)
class FaultInput:
    """Films of which a fault is made.

    Attributes:
        own: films of the patient, dict of ``ap`` and ``la`` ``[horizontal, vertical]``.
        other: films of another patient.
        spacing_mm: edge of a pixel.
        number: of the patient; the direction of a fault follows from it.
    """

    own: dict
    other: dict
    spacing_mm: float
    number: int = 0

    @property
    def rng(self):
        """Generator of random numbers, the same for every fault of the patient."""
        return np.random.default_rng(self.number)


@dataclasses.dataclass(frozen=True)
class MadeFault:
    """A way in which two films can be wrong or different.

    Attributes:
        films: function from a `FaultInput` to the films.
        causes: names of the `causes.Cause` of which one should be told; none for a fault
            that has no name.
    """

    films: Callable
    causes: tuple = ()


def _each(function, views=VIEWS):
    """Return a fault that changes some of the films by ``function(film, pair)``."""
    return lambda pair: {**pair.own, **{v: function(pair.own[v], pair) for v in views}}


def _scaled(film):
    """Scale a film to [0, 1] without clipping it."""
    return (film - film.min()) / np.ptp(film)


def _power(exponent):
    return _each(lambda film, pair: _scaled(film) ** exponent)


def _local_contrast(film, pair):
    del pair
    from skimage.exposure import equalize_adapthist

    return equalize_adapthist(_scaled(film), clip_limit=_CLIP_LIMIT)


def _marker(film, pair):
    del pair
    film, size = np.array(film), len(film)
    edge, length, stroke = (
        max(1, round(share * size)) for share in (_MARKER_EDGE, _MARKER_SIZE, _MARKER_STROKE)
    )
    top = size - edge
    film[edge : edge + stroke, top - length : top] = film.max()
    film[edge : edge + length, top - length : top - length + stroke] = film.max()
    return film


def _border(of_film):
    """Return a change that gives the film's edges one grey value."""

    def change(film, pair):
        del pair
        film, width = np.array(film), max(1, round(_BORDER_SHARE * len(film)))
        value = of_film(film)
        for edge in (slice(None, width), slice(-width, None)):
            film[edge] = film[:, edge] = value
        return film

    return change


def _moved(distance_mm, views):
    """Shift films: one in any of four directions, both up or down."""

    def films(pair):
        if len(views) == 1:
            direction = np.array(_DIRECTIONS[pair.number % 4])
        else:
            direction = np.array((0, 1 if pair.number % 2 else -1))
        shift = direction * distance_mm / pair.spacing_mm
        return {**pair.own, **{v: shifted(pair.own[v], shift) for v in views}}

    return films


def _another_level(pair):
    sign = 1 if pair.number % 2 else -1
    moved = shifted(pair.other["la"], (0, sign * _LEVEL_MM / pair.spacing_mm))
    return {**pair.own, "la": moved}


def _noise(view):
    def films(pair):
        return {**pair.own, view: pair.rng.standard_normal(pair.own[view].shape)}

    return films


def _blank(pair):
    rng = pair.rng
    return {v: 1.0 + 0.01 * rng.standard_normal(pair.own[v].shape) for v in VIEWS}


def _turned(degrees, views):
    """Rotate films anticlockwise, as a viewer shows them."""
    if degrees % 90 == 0:
        return _each(lambda film, pair: np.rot90(film, degrees // 90), views)
    return _each(lambda film, pair: turned(film, degrees), views)


def _flips(views):
    return _each(lambda film, pair: film[:, ::-1], views)


def _of_size(make):
    return lambda pair: make(len(pair.own["ap"]), pair.number)


_AP, _LA = ("ap",), ("la",)
_BORDER = ("ap border", "la border", "both border")
_GREY = ("ap grey values", "la grey values", "both grey values")
_CONTRAST = ("ap contrast", "la contrast", "both contrast", *_GREY)

MADE_FAULTS = {
    "none": MadeFault(lambda pair: pair.own),
    "gamma 0.5": MadeFault(_power(0.5), _GREY),
    "gamma 2": MadeFault(_power(2.0), _GREY),
    "local contrast (CLAHE)": MadeFault(_each(_local_contrast), _CONTRAST),
    "side markers": MadeFault(_each(_marker), ("ap covered", "la covered", "both covered")),
    "bright border": MadeFault(_each(_border(np.max)), _BORDER),
    "dark border": MadeFault(_each(_border(np.min)), _BORDER),
    "la crop off by 10 mm": MadeFault(_moved(10, _LA), ("la shifted", "heights differ")),
    "la crop off by 20 mm": MadeFault(_moved(20, _LA), ("la shifted", "heights differ")),
    "ap crop off by 20 mm": MadeFault(_moved(20, _AP), ("ap shifted", "heights differ")),
    "both crops off by 10 mm": MadeFault(_moved(10, VIEWS), ("both shifted",)),
    "both crops off by 20 mm": MadeFault(_moved(20, VIEWS), ("both shifted",)),
    "swapped": MadeFault(lambda pair: {"ap": pair.own["la"], "la": pair.own["ap"]}, ("swapped",)),
    "ap upside down": MadeFault(_flips(_AP), ("ap upside down",)),
    "la upside down": MadeFault(_flips(_LA), ("la upside down",)),
    "both upside down": MadeFault(_flips(VIEWS), ("both upside down",)),
    "ap mirrored": MadeFault(_each(lambda film, pair: film[::-1], _AP)),
    "la mirrored": MadeFault(_each(lambda film, pair: film[::-1], _LA), ("la mirrored",)),
    "ap inverted": MadeFault(_each(lambda film, pair: -film, _AP), ("ap inverted",)),
    "la inverted": MadeFault(_each(lambda film, pair: -film, _LA), ("la inverted",)),
    "both inverted": MadeFault(_each(lambda film, pair: -film), ("both inverted",)),
    "ap enlarged": MadeFault(
        _each(lambda film, pair: enlarged(film, _ENLARGEMENT), _AP), ("ap at another scale",)
    ),
    "la enlarged": MadeFault(
        _each(lambda film, pair: enlarged(film, _ENLARGEMENT), _LA), ("la at another scale",)
    ),
    "both enlarged": MadeFault(
        _each(lambda film, pair: enlarged(film, _ENLARGEMENT)), ("both at another scale",)
    ),
    "ap turned by 10 degrees": MadeFault(_turned(10, _AP), ("ap turned",)),
    "la turned by 10 degrees": MadeFault(_turned(10, _LA), ("la turned",)),
    "ap turned by 90 degrees": MadeFault(_turned(90, _AP), ("ap turned counter-clockwise",)),
    "la turned by 90 degrees": MadeFault(_turned(90, _LA), ("la turned counter-clockwise",)),
    # A neck from the front is its own mirror image, so this is upside down.
    "ap turned by 180 degrees": MadeFault(_turned(180, _AP), ("ap upside down",)),
    "la turned by 180 degrees": MadeFault(_turned(180, _LA), ("la turned by 180 degrees",)),
    "ap of another patient": MadeFault(
        lambda pair: {**pair.own, "ap": pair.other["ap"]}, ("two patients",)
    ),
    "la of another patient": MadeFault(
        lambda pair: {**pair.own, "la": pair.other["la"]}, ("two patients",)
    ),
    "la of another patient and level": MadeFault(_another_level, ("two patients",)),
    "ap twice": MadeFault(lambda pair: {**pair.own, "la": pair.own["ap"]}, ("one view twice",)),
    "la twice": MadeFault(lambda pair: {**pair.own, "ap": pair.own["la"]}, ("one view twice",)),
    "ap noise": MadeFault(_noise("ap"), ("ap noise",)),
    "la noise": MadeFault(_noise("la"), ("la noise",)),
    "both blank": MadeFault(_blank, ("both noise",)),
    "chest": MadeFault(
        _of_size(chest_films), ("both unlike a neck", "ap unlike a neck", "la unlike a neck")
    ),
    "hand": MadeFault(
        _of_size(hand_films), ("both unlike a neck", "ap unlike a neck", "la unlike a neck")
    ),
}
