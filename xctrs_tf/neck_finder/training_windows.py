"""Random windows of films with the answers that the network is to give."""

import dataclasses

import numpy as np

from xctrs_tf.geometry import VIEWS
from xctrs_tf.neck_finder.film_looks import random_look, with_border, with_markers
from xctrs_tf.neck_finder.film_window import WINDOW_PIXELS, FilmPyramid, Window, network_input
from xctrs_tf.neck_finder.no_necks import no_neck
from xctrs_tf.neck_finder.scan_films import PIXEL_MM

# Height of C1..C7 over the window's edge.
_HEIGHT_SHARE = (0.2, 0.9)
_MAX_TILT = np.deg2rad(25)
_TARGETS = 6
# Share of pictures of no neck among what is drawn, and of pictures of files among those.
_SHARE_NO_NECK, _SHARE_OTHERS = 0.2, 0.7
# Share of the upright films that come a second time as a film whose score is to be low.
_SHARE_TURNED = 0.6


@dataclasses.dataclass(frozen=True)
class TrainingWindow:
    """A window of a film as it looks in the world.

    Attributes:
        film: float32 ``(pixels, pixels)``, bone bright.
        inside: boolean of the same shape: where the film is.
        centre: position of the centre of C1..C7 in [-0.5, 0.5], horizontal and vertical.
        height: of C1..C7 over the window's edge.
        angle: how far the patient is turned in the window, counter-clockwise, in radians.
        share: of the box of C1..C7 that is on the film.
        edge_mm: edge of the window at the patient.
    """

    film: np.ndarray
    inside: np.ndarray
    centre: np.ndarray
    height: float
    angle: float
    share: float
    edge_mm: float


class TrainingWindows:
    """Random windows of the films of several scans.

    Args:
        films: list of `scan_films.ScanFilm` of one view.
    """

    def __init__(self, films):
        self._films = films
        self._pyramids = {}

    def draw(self, rng, pixels=WINDOW_PIXELS, elsewhere=False, mirrored=False):
        """Draw an upright window.

        Args:
            rng: `numpy.random.Generator`.
            pixels: edge of the window.
            elsewhere: show another part of the body, or too little of the neck.
            mirrored: exchange left and right.

        Returns:
            `TrainingWindow`.
        """
        number = rng.integers(len(self._films))
        film = self._films[number]
        window, rect = _place(film, rng, elsewhere, mirrored)
        looks, scanned = self._pyramid(number).sample(window, pixels)
        places = np.abs((np.arange(pixels) + 0.5) / pixels - 0.5)
        whole = (places <= rect[0] / 2)[:, None] & (places <= rect[1] / 2)
        inside = scanned & whole
        centre, box, angle = _truth(film, window)
        if inside.sum() < 0.1 * inside.size:
            return self.draw(rng, pixels, elsewhere, mirrored)
        looks = random_look(looks, inside, rng)
        if rng.random() < 0.3:
            keep = centre + np.array([[-0.55], [0.55]]) * box
            looks = with_border(looks, (keep + 0.5) * pixels, rng)
        if rng.random() < 0.4:
            looks = with_markers(looks, rng)
        share = _share_inside(inside, centre, box)
        if rng.random() < 0.4:
            # Beyond the scan, the film goes on as under a collimator.
            level = np.quantile(looks[inside], rng.choice([0.0, 0.0, 1.0]))
            looks, inside = np.where(inside, looks, np.float32(level)), _rectangle(inside)
        return TrainingWindow(
            looks, inside, centre, float(box[1]), angle, share, window.edge * PIXEL_MM
        )

    def _pyramid(self, number):
        if number not in self._pyramids:
            film = self._films[number]
            lines = np.asarray(film.line_integrals, np.float32)
            up = (np.arange(lines.shape[1]) - (lines.shape[1] - 1) / 2) * PIXEL_MM
            exposed = (up >= film.low_mm) & (up <= film.high_mm)
            self._pyramids[number] = FilmPyramid(lines, np.broadcast_to(exposed, lines.shape))
        return self._pyramids[number]


class OtherPictures:
    """Random windows of pictures that show no neck.

    Args:
        pictures: list of arrays ``[horizontal, vertical]`` in [0, 1], bone bright.
    """

    def __init__(self, pictures):
        self._pyramids = [FilmPyramid(picture) for picture in pictures]

    def draw(self, rng):
        """Draw a window of `WINDOW_PIXELS`, in the unit of line integrals, and where it is."""
        pyramid = self._pyramids[rng.integers(len(self._pyramids))]
        shape = np.array(pyramid.shape)
        edge = shape.max() * np.exp(rng.uniform(np.log(0.2), 0.2))
        inside = np.zeros(1, bool)
        while inside.mean() < 0.2:
            centre = rng.uniform(0, shape)
            quarter = rng.integers(4) * np.pi / 2
            angle = quarter + np.clip(rng.normal() * 0.14, -_MAX_TILT, _MAX_TILT)
            window = Window(tuple(centre), edge, float(angle), bool(rng.random() < 0.5))
            film, inside = pyramid.sample(window, WINDOW_PIXELS)
        return rng.uniform(1, 5) * film, inside


def draw_batch(windows, rng, count, others=None):
    """Draw a batch of inputs of the network and its answers.

    Many upright films come a second time turned, mirrored or inverted, as films whose score
    is to be low.

    Args:
        windows: dict from view to `TrainingWindows`.
        rng: `numpy.random.Generator`.
        count: number of examples.
        others: `OtherPictures`, or None.

    Returns:
        float32 ``(count, WINDOW_PIXELS, WINDOW_PIXELS, 2)``; float32 ``(count, 2, 6)``: for each
        view whether the score counts, whether the neck is there and as it should be, and the
        other answers of `finder_network.build_finder`.
    """
    examples = []
    while len(examples) < count:
        if rng.random() < _SHARE_NO_NECK:
            examples.append((_no_neck(rng, others), _no_targets()))
            continue
        view = str(rng.choice(VIEWS))
        mirrored = bool(view == "ap" and rng.random() < 0.5)
        elsewhere = bool(rng.random() < 0.15)
        drawn = windows[view].draw(rng, elsewhere=elsewhere, mirrored=mirrored)
        example = network_input(drawn.film, drawn.inside)
        targets = _no_targets()
        # Films that show half of a neck count neither way.
        targets[VIEWS.index(view), 0] = not 0.4 < drawn.share < 0.9
        if drawn.share > 0.6:
            answers = 1, *drawn.centre, np.log(drawn.height), drawn.angle
            targets[VIEWS.index(view), 1:] = answers
            if rng.random() < _SHARE_TURNED:
                examples.append((_turned(example, view, rng), _no_targets()))
        examples.append((example, targets))
    inputs, targets = zip(*examples[:count], strict=True)
    return np.stack(inputs), np.stack(targets)


def _no_targets():
    targets = np.zeros((len(VIEWS), _TARGETS), np.float32)
    targets[:, 0] = 1
    return targets


def _no_neck(rng, others):
    if others is not None and rng.random() < _SHARE_OTHERS:
        film, inside = others.draw(rng)
    else:
        film = np.maximum(no_neck(WINDOW_PIXELS, rng), 0)
        inside = np.ones(film.shape, bool)
    looks = random_look(film, inside, rng)
    if rng.random() < 0.2:
        looks = -looks
    return network_input(with_markers(looks, rng) if rng.random() < 0.4 else looks, inside)


def _turned(example, view, rng):
    """Turn, mirror or invert a window, so that it is not as it should be."""
    quarter, mirror, invert = rng.integers(4), rng.random() < 0.5, rng.random() < 0.2
    if quarter == 0 and not invert and not (mirror and view == "la"):
        quarter, mirror = (0, True) if view == "la" else (rng.integers(1, 4), mirror)
    example = np.rot90(example, quarter)
    example = example[::-1] if mirror else example
    return np.ascontiguousarray(example * ((-1, 1) if invert else (1, 1)), np.float32)


def _place(film, rng, elsewhere, mirrored):
    """Draw a window and the part of it that the film fills, width and height in [0, 1]."""
    width, height = film.neck_mm
    share = np.exp(rng.uniform(*np.log(_HEIGHT_SHARE)))
    rect = np.ones(2)
    if rng.random() < 0.5:
        rect[rng.integers(2)] = rng.uniform(0.35, 1)
    angle = rng.normal() * np.deg2rad(8) if rng.random() < 0.8 else rng.uniform(-1, 1) * _MAX_TILT
    angle = float(np.clip(angle, -_MAX_TILT, _MAX_TILT))
    edge = height / share
    if elsewhere and rng.random() < 0.4:
        edge = height * rng.uniform(0.25, 0.9)
    # How far the box's centre may be from the window's, for the box to be on the film.
    free = np.maximum(rect * edge - np.array([width, height]) * 1.03, 0) / 2
    offset = rng.uniform(-1, 1, 2) * free
    if elsewhere:
        offset = rng.uniform(-1, 1, 2) * (0.5 * edge + height)
    middle = np.array(film.line_integrals.shape) / 2
    window = Window((0.0, 0.0), edge / PIXEL_MM, angle, mirrored)
    centre = middle - (window.to_film(offset / edge))
    return dataclasses.replace(window, centre=tuple(centre)), rect


def _truth(film, window):
    """Return centre, width and height of C1..C7 in a window, and its patient's angle."""
    away = np.array(film.line_integrals.shape) / 2 - window.centre
    cos, sin = np.cos(window.angle), np.sin(window.angle)
    centre = np.array([cos * away[0] + sin * away[1], cos * away[1] - sin * away[0]]) / window.edge
    if window.mirrored:
        centre[0] = -centre[0]
    box = np.array(film.neck_mm) / PIXEL_MM / window.edge
    return centre, box, window.angle if window.mirrored else -window.angle


def _rectangle(inside):
    """Return the smallest upright rectangle that holds all that is True."""
    return np.outer(*(_span(inside.any(axis)) for axis in (1, 0)))


def _span(line):
    places = np.flatnonzero(line)
    span = np.zeros(len(line), bool)
    span[places[0] : places[-1] + 1] = True
    return span


def _share_inside(inside, centre, box):
    """Return the share of the box of C1..C7 that is on the film."""
    pixels = len(inside)
    low, high = ((centre + sign * box / 2 + 0.5) * pixels for sign in (-1, 1))
    first = np.clip(np.round(low), 0, pixels).astype(int)
    last = np.clip(np.round(high), 0, pixels).astype(int)
    area = np.prod(np.maximum(box * pixels, 1))
    return float(inside[first[0] : last[0], first[1] : last[1]].sum() / area)
