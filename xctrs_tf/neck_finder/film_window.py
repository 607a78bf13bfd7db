"""Square windows of a film, as the finder's network sees them, and where their points lie."""

import dataclasses
import math

import numpy as np
import scipy

WINDOW_PIXELS = 96
# Shown outside the film, and the middle of its ranks.
_MIDDLE = 0.5


@dataclasses.dataclass(frozen=True)
class Window:
    """A square on a film, turned and mirrored.

    A point ``p`` of the window, in [-0.5, 0.5] on both axes, lies on the film at
    ``centre + edge * turn(angle) @ mirror(p)``; ``mirror`` negates the horizontal axis.

    Attributes:
        centre: position ``(horizontal, vertical)`` on the film in pixels, counted from the
            film's left lower corner.
        edge: in pixels of the film.
        angle: how far the window is turned on the film, counter-clockwise, in radians.
        mirrored: left and right are exchanged.
    """

    centre: tuple
    edge: float
    angle: float = 0.0
    mirrored: bool = False

    def to_film(self, points):
        """Return the film's positions of points ``(..., 2)`` of the window."""
        points = np.asarray(points, float) * (-1 if self.mirrored else 1, 1)
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        turned = points @ np.array([[cos, sin], [-sin, cos]])
        return np.asarray(self.centre, float) + self.edge * turned

    def direction_on_film(self, angle):
        """Return the angle on the film of what is upright but for ``angle`` in the window."""
        return self.angle + (-angle if self.mirrored else angle)


class FilmPyramid:
    """A film at halved resolutions, from which windows are sampled without aliasing.

    Args:
        film: finite array ``[horizontal, vertical]`` of square pixels.
        exposed: boolean array of the same shape, False where there is no film; None for a
            film that fills its frame.
    """

    def __init__(self, film, exposed=None):
        film = np.asarray(film, np.float32)
        exposed = np.ones(film.shape, np.float32) if exposed is None else exposed
        self.shape = film.shape
        self._levels = [(film * exposed, np.asarray(exposed, np.float32))]
        while min(self._levels[-1][0].shape) >= 2 * WINDOW_PIXELS // 4:
            self._levels.append(tuple(_halved(array) for array in self._levels[-1]))

    def sample(self, window, pixels=WINDOW_PIXELS):
        """Return the film in a window and where there is film, both ``(pixels, pixels)``."""
        step = window.edge / pixels
        level = min(max(0, math.floor(math.log2(max(step, 1.0)))), len(self._levels) - 1)
        places = (np.arange(pixels) + 0.5) / pixels - 0.5
        grid = np.stack(np.meshgrid(places, places, indexing="ij"), axis=-1)
        at = np.moveaxis(window.to_film(grid), -1, 0) / 2**level - 0.5
        film, exposed = (
            scipy.ndimage.map_coordinates(array, at, order=1, mode="constant")
            for array in self._levels[level]
        )
        inside = exposed > 0.5
        return np.divide(film, exposed, where=inside, out=np.zeros_like(film)), inside


def network_input(film, inside):
    """Return a window as the network takes it: ranks of the film's pixels, and where film is.

    Args:
        film: ``(pixels, pixels)``.
        inside: boolean of the same shape.

    Returns:
        float32 ``(pixels, pixels, 2)``: average rank in [-0.5, 0.5], 0 where no film is; 1 or
        0 for film or none.
    """
    ranks = np.zeros(film.shape, np.float32)
    own = film[inside]
    if own.size > 1:
        ranks[inside] = (scipy.stats.rankdata(own) - 1) / (own.size - 1) - _MIDDLE
    return np.stack([ranks, inside.astype(np.float32)], axis=-1)


def _halved(array):
    width, height = (2 * (count // 2) for count in array.shape)
    return array[:width, :height].reshape(width // 2, 2, height // 2, 2).mean((1, 3))
