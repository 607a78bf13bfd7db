"""Image processing of X-ray detectors, collimator borders and burnt-in marks.

Every function takes a film ``[horizontal, vertical]`` in [0, 1], bone bright, and returns one
of the same shape and range. Lengths are shares of the film's edge.
"""

import numpy as np
import scipy
from PIL import Image, ImageDraw, ImageFont

# Grey values that `local_contrast` tells apart.
_BINS = 128
# Pixels over which the edges of a collimator's rectangle fade.
_COLLIMATOR_FADE = 0.7


def saturate(film, low, high):
    """Cut a film at two percentiles, as a window that does not hold all of it.

    Args:
        film: array ``[horizontal, vertical]`` in any unit.
        low: percentile that becomes 0.
        high: percentile that becomes 1.

    Returns:
        float32 array in [0, 1]; 0 where the two percentiles are equal.
    """
    low, high = np.percentile(film, (low, high))
    return np.clip((film - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


def tone_curve(film, heights):
    """Map grey values through a rising curve of straight pieces.

    Args:
        film: array in [0, 1].
        heights: values of the curve at equal distances from 0 to 1, not falling.

    Returns:
        float32 array.
    """
    return np.interp(film, np.linspace(0, 1, len(heights)), heights).astype(np.float32)


def random_heights(pieces, rng):
    """Draw a rising curve for `tone_curve`.

    Args:
        pieces: straight pieces, whose rises have a flat Dirichlet distribution.
        rng: `numpy.random.Generator`.

    Returns:
        ``pieces + 1`` heights from 0 to 1.
    """
    return np.concatenate([[0.0], np.cumsum(rng.dirichlet(np.ones(pieces)))])


def local_contrast(film, tiles, clip):
    """Equalise the histogram around every pixel: CLAHE.

    Each tile has the equalising curve of its own histogram, whose bins are cut at a limit,
    and a pixel takes the bilinear mean of the curves of the tiles around it.

    Args:
        film: array in [0, 1].
        tiles: tiles along each edge, at least 1: a number, or one for either axis.
        clip: highest count of a bin, as a multiple of the mean count. It is the largest slope
            of a curve, about; 1 leaves the film nearly as it is.

    Returns:
        float32 array.

    Zuiderveld, Contrast Limited Adaptive Histogram Equalization, Graphics Gems IV, 1994.
    """
    rows, columns = np.broadcast_to(tiles, 2)
    level = np.minimum((film * _BINS).astype(np.intp), _BINS - 1)
    places = [
        (np.arange(length) + 0.5) * count / length
        for length, count in zip(film.shape, (rows, columns), strict=True)
    ]
    tile = places[0].astype(np.intp)[:, None] * columns + places[1].astype(np.intp)
    counts = np.bincount((tile * _BINS + level).ravel(), minlength=rows * columns * _BINS)
    counts = counts.reshape(rows, columns, _BINS) / np.bincount(tile.ravel()).reshape(
        rows, columns, 1
    )
    cut = np.minimum(counts, clip / _BINS)
    cut += (1 - cut.sum(axis=-1, keepdims=True)) / _BINS
    curves = np.zeros((rows, columns, _BINS + 1), np.float32)
    np.cumsum(cut, axis=-1, out=curves[..., 1:])
    rest = (film * _BINS - level).astype(np.float32)

    def curve(row, column):
        index = (row[:, None] * columns + column) * (_BINS + 1) + level
        low, high = curves.ravel()[index], curves.ravel()[index + 1]
        return low + (high - low) * rest

    (up, down, row), (left, right, column) = (
        _neighbours(place, count) for place, count in zip(places, (rows, columns), strict=True)
    )
    row = row[:, None]
    return (1 - row) * ((1 - column) * curve(up, left) + column * curve(up, right)) + row * (
        (1 - column) * curve(down, left) + column * curve(down, right)
    )


def enhance_detail(film, gains, base_gain=1.0, power=1.0, density=0.0, sigma=0.5):
    """Strengthen fine structures, as the multi-frequency processing of detectors does.

    The film is split into bands: differences of Gaussian blurs whose standard deviations double
    from band to band. Each band is multiplied by its gain, and so is the blur that is left.

    Args:
        film: array, in any unit.
        gains: of the bands, the finest first. Gains of 1 change nothing.
        base_gain: of the blur that is left. Below 1, dark and bright regions come closer.
        power: exponent of a band's values, relative to twice the film's standard deviation.
            Below 1 it strengthens weak structures more, above 1 less, as noise suppression.
        density: in [0, 1], how much less the bands gain where the film is dark: with 1 the
            darkest regions lose them.
        sigma: standard deviation of the finest band's blur, in pixels.

    Returns:
        float32 array in the unit of the film, not cut.

    Vuylsteke and Schoeters, Multiscale image contrast amplification, Proc. SPIE 2167, 1994.
    """
    film = np.asarray(film, np.float32)
    middle = np.float32(2 * film.std() + 1e-12)
    weight = 1 - np.float32(density) * (1 - _density(film, 4 * sigma)) if density else 1
    result = np.zeros(film.shape, np.float32)
    finer = film
    for level, gain in enumerate(gains):
        coarser = _blur(film, sigma * 2**level)
        band = finer - coarser
        if power != 1:
            band = np.copysign(middle * (np.abs(band) / middle) ** np.float32(power), band)
        result += weight * np.float32(gain) * band
        finer = coarser
    return result + np.float32(base_gain) * finer


def collimate(film, edges, degrees, grey):
    """Cover what lies outside the collimator's rectangle.

    Args:
        film: array in [0, 1].
        edges: width of the covered strips at left, right, bottom and top.
        degrees: angle by which the rectangle is turned about the film's centre.
        grey: value of the covered part.

    Returns:
        float32 array.
    """
    horizontal, vertical = (
        (np.arange(length, dtype=np.float32) + 0.5) / length - 0.5 for length in film.shape
    )
    angle = np.radians(degrees)
    across = np.cos(angle) * horizontal[:, None] + np.sin(angle) * vertical
    up = np.cos(angle) * vertical - np.sin(angle) * horizontal[:, None]
    left, right, bottom, top = edges
    # A strip of width 0 stays away from a turned film's corners too.
    inside = [
        place - (-0.5 + edge if edge else -2.0)
        for place, edge in ((across, left), (-across, right), (up, bottom), (-up, top))
    ]
    share = np.clip(np.min(inside, axis=0) * (max(film.shape) / _COLLIMATOR_FADE) + 0.5, 0, 1)
    return (grey + (film - grey) * share).astype(np.float32)


def burn_in(film, text, place, height, grey, mirrored=False):
    """Write a text onto a film, such as the marker of a side.

    Args:
        film: array in [0, 1].
        text: a few letters.
        place: centre of the text, from the left and from the bottom.
        height: of the letters.
        grey: value of the letters.
        mirrored: whether the letters are reversed, as on a film seen from behind.

    Returns:
        float32 array.
    """
    size = max(film.shape)
    # Drawn larger and shrunk, so that small letters have smooth edges.
    font = ImageFont.load_default(max(4.0, 4 * height * size))
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    picture = Image.new("L", (right - left + 8, bottom - top + 8))
    ImageDraw.Draw(picture).text((4 - left, 4 - top), text, 255, font)
    letters = picture.reduce(4)
    cover = np.asarray(letters, np.float32).T[:, ::-1] / 255
    if mirrored:
        cover = cover[::-1]
    start = [
        round(share * length - extent / 2)
        for share, length, extent in zip(place, film.shape, cover.shape, strict=True)
    ]
    result = np.array(film, np.float32)
    parts = [
        (slice(max(first, 0), first + extent), slice(max(-first, 0), max(length - first, 0)))
        for first, extent, length in zip(start, cover.shape, film.shape, strict=True)
    ]
    target = result[parts[0][0], parts[1][0]]
    target += (grey - target) * cover[parts[0][1], parts[1][1]]
    return result


def _blur(film, sigma):
    return scipy.ndimage.gaussian_filter(film, sigma, mode="nearest", truncate=3.0)


def _density(film, sigma):
    """Return a blurred film, scaled from its 2nd to its 90th percentile to [0, 1]."""
    blurred = _blur(film, sigma)
    low, high = np.percentile(blurred, (2, 90))
    return np.clip((blurred - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


def _neighbours(place, tiles):
    """Return the two tiles around each place, and the share of the second one."""
    first = np.floor(place - 0.5)
    share = (place - 0.5 - first).astype(np.float32)
    first = first.astype(np.intp)
    return np.clip(first, 0, tiles - 1), np.clip(first + 1, 0, tiles - 1), share
