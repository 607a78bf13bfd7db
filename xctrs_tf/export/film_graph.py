"""PNG films decoded in the TensorFlow graph, as `read_film` of `data.films.film` reads them.

A server receives bytes from anyone. Therefore the header of a picture is checked before
its pixels are decompressed.
"""

import tensorflow as tf

from xctrs_tf.data.films.film_frame import ASPECT_TOLERANCE
from xctrs_tf.data.films.film_normalisation import PERCENTILES
from xctrs_tf.data.films.raw_film import MAX_EDGE, MAX_PIXELS

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_BYTES = 24
# Alpha of 16 bits without transparency.
_OPAQUE = 65535.0


def decode_films(pngs, size, film_normalization="percentile"):
    """Decode PNG files to films.

    Pictures have superior on top, bright bone, and 1 to 16 bits of grey; an alpha
    channel must be opaque. Grey stored as colours keeps 16 bits, which Pillow, and so
    `read_film`, reduces to 8. A picture of another size is resampled as by Pillow,
    except for rounding.

    Args:
        pngs: string tensor ``(batch,)``.
        size: pixels a side of the network.
        film_normalization: of `film_normalisation.FILM_NORMALIZATIONS`.

    Returns:
        float32 ``(batch, size, size, 1)`` in [0, 1], ``[horizontal, vertical]``.

    Raises:
        tf.errors.InvalidArgumentError: at run time: not a PNG, too large, coloured,
            transparent, not square, or constant.
    """
    films = tf.map_fn(
        lambda png: _decode_film(png, size, film_normalization),
        pngs,
        fn_output_signature=tf.TensorSpec((size, size), tf.float32),
    )
    return films[..., tf.newaxis]


def _decode_film(png, size, film_normalization):
    width, height = _width_and_height(png)
    with tf.control_dependencies(_check_edges(width, height)):
        picture = tf.io.decode_png(tf.identity(png), dtype=tf.uint16)
    picture.set_shape((None, None, None))
    # The upper left pixel of a picture is the last row of a film.
    film = tf.transpose(_grey(picture)[::-1])
    normalised = _normalise(film, film_normalization)
    # Ranks of a film's own pixels stay the same under any curve; those of means of pixels do not.
    full = film if film_normalization == "percentile" else normalised
    film = tf.cond(
        tf.logical_and(width == size, height == size),
        lambda: normalised,
        lambda: _normalise(_resize(full, size), film_normalization),
    )
    return tf.ensure_shape(film, (size, size))


def _width_and_height(png):
    """Read width and height from a PNG's header; zeros if it has none."""
    header = tf.strings.substr(tf.strings.join([png, b"\0" * _HEADER_BYTES]), 0, _HEADER_BYTES)
    is_png = tf.strings.substr(header, 0, len(_SIGNATURE)) == _SIGNATURE
    edges = tf.io.decode_raw(tf.strings.substr(header, 16, 8), tf.int32, little_endian=False)
    edges = tf.where(is_png, edges, 0)
    return edges[0], edges[1]


def _check_edges(width, height):
    pixels = tf.cast(width, tf.int64) * tf.cast(height, tf.int64)
    longest, difference = tf.maximum(width, height), tf.abs(width - height)
    tolerated = ASPECT_TOLERANCE * tf.cast(longest, tf.float64)
    return [
        _require(tf.minimum(width, height) > 0, "not a PNG picture"),
        _require(
            tf.logical_and(pixels <= MAX_PIXELS, longest <= MAX_EDGE),
            f"over {MAX_PIXELS} pixels or {MAX_EDGE} a side; shrink it first",
        ),
        _require(tf.cast(difference, tf.float64) <= tolerated, "not square; crop or pad it square"),
    ]


def _grey(picture):
    """Return the grey channel ``(rows, columns)``; an alpha channel must be opaque."""
    picture = tf.cast(picture, tf.float32)
    grey = picture[..., 0]
    coloured = tf.reduce_any(picture[..., :3] != grey[..., tf.newaxis])
    is_grey = tf.logical_or(tf.shape(picture)[-1] < 3, tf.logical_not(coloured))
    channels = tf.shape(picture)[-1]
    has_alpha = tf.logical_or(channels == 2, channels == 4)
    is_opaque = tf.reduce_all(picture[..., -1] == _OPAQUE)
    is_known = tf.logical_or(tf.logical_not(has_alpha), is_opaque)
    checks = [
        _require(is_grey, "a colour picture; export it as grey"),
        _require(is_known, "has transparent pixels; save it without an alpha channel"),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(grey)


def _normalise(film, film_normalization):
    """Normalise like `film_normalisation.normalise_film`, with the same order statistics."""
    values = tf.sort(tf.reshape(film, [-1]))
    last = tf.cast(tf.size(values) - 1, tf.float64)
    low_place, high_place = (last * (percentile / 100) for percentile in PERCENTILES)
    low = values[tf.cast(tf.math.floor(low_place), tf.int32)]
    high = values[tf.cast(tf.math.ceil(high_place), tf.int32)]
    with tf.control_dependencies([_require(high > low, "constant, nothing is to be seen on it")]):
        if film_normalization == "percentile":
            return tf.clip_by_value((film - low) / (high - low), 0.0, 1.0)
        values, film = (tf.clip_by_value(each, low, high) for each in (values, film))
        flat = tf.reshape(film, [-1])
        below, up_to = (tf.searchsorted(values, flat, side) for side in ("left", "right"))
        ranks = tf.cast(below + up_to - 1, tf.float64) / 2
        scaled = ranks / tf.cast(tf.size(values) - 1, tf.float64)
        return tf.reshape(tf.cast(scaled, tf.float32), tf.shape(film))


def _resize(film, size):
    return tf.image.resize(film[..., tf.newaxis], (size, size), antialias=True)[..., 0]


def _require(condition, what):
    return tf.debugging.Assert(condition, [f"film: {what}"])
