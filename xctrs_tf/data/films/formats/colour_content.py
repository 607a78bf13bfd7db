"""Grey values of colour pictures: tints and small coloured marks, and what is no film."""

import numpy as np

from xctrs_tf.errors import UserError

LUMINANCE = (0.299, 0.587, 0.114)
# Levels of 255 by which a pixel's colour may differ from the tint of the picture's greys.
# JPEG rounds colours by less, and a coloured mark differs by more.
MAX_TINT_ERROR = 24
# Larger coloured parts are no marks on a film.
MAX_MARKED_SHARE = 0.02
# Fewer coloured pixels are noise.
_MIN_MARKED_SHARE = 2e-5
# Levels of 255 below which the greys count as untinted.
_UNTINTED = 3
_SAMPLES, _FIT_SAMPLES = 2**20, 2**15
_HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")


def grey_of_colours(path, colours):
    """Return the luminance of a picture that is grey up to a tint and small marks.

    Args:
        path: the file, for messages.
        colours: uint8 ``[row, column, channel]`` of red, green and blue.

    Returns:
        Array ``[row, column]``, and a remark on what was converted, or None where the
        three channels are equal.

    Raises:
        UserError: colours on more than `MAX_MARKED_SHARE` of it.
    """
    grey = colours[..., 0]
    if (colours == grey[..., np.newaxis]).all():
        return grey, None
    step = max(1, int(np.sqrt(grey.size / _SAMPLES)))
    sample = colours[::step, ::step].astype(np.float32)
    luminance, tints = _tints(sample)
    errors = [np.abs(tint - _smooth_tint(luminance, tint)) for tint in tints]
    marked = np.maximum(*errors) > MAX_TINT_ERROR
    share = float(marked.mean())
    if share > MAX_MARKED_SHARE:
        raise UserError(
            f"{path}: a colour picture ({_names(sample[marked])} on {share:.0%} of it); export the "
            "film itself as 8- or 16-bit grey, without marks"
        )
    # One channel after another, since large pictures leave no memory for three.
    values = sum(np.float32(part) * colours[..., each] for each, part in enumerate(LUMINANCE))
    if share >= _MIN_MARKED_SHARE:
        return values, _marks_remark(sample, marked, step, share)
    strength = max(float(np.median(np.abs(tint))) for tint in tints)
    kind = "of one tint" if strength > _UNTINTED else "grey but for rounding"
    return values, f"a colour picture, {kind}; its luminance is read"


def _tints(sample):
    """Return the luminance, and what red and blue have more than it."""
    luminance = sample @ np.array(LUMINANCE, np.float32)
    return luminance, (sample[..., 0] - luminance, sample[..., 2] - luminance)


def _smooth_tint(luminance, tint):
    """Return for each pixel the line of luminance that most pixels' tint follows."""
    every = max(1, luminance.size // _FIT_SAMPLES)
    x, y = luminance.ravel()[::every], tint.ravel()[::every]
    slope, offset = np.median(y / np.maximum(x, 16)), 0.0
    # Weights that a minority of coloured pixels has no part in.
    for _ in range(5):
        weights = 1 / (1 + ((y - slope * x - offset) / MAX_TINT_ERROR) ** 4)
        middle_x, middle_y = (np.average(each, weights=weights) for each in (x, y))
        spread = np.average((x - middle_x) ** 2, weights=weights)
        shared = np.average((x - middle_x) * (y - middle_y), weights=weights)
        slope = shared / spread if spread > 1 else slope
        offset = middle_y - slope * middle_x
    return slope * luminance + offset


def _marks_remark(sample, marked, step, share):
    rows, columns = (np.flatnonzero(marked.any(axis)) * step for axis in (1, 0))
    box = f"{columns[0]},{rows[0]},{columns[-1] + step},{rows[-1] + step}"
    return (
        f"coloured marks ({_names(sample[marked])}) on {share:.2%} of it, within the box {box}; "
        "they are read as grey: where they cover the neck, export the film without them"
    )


def _names(colours):
    """Return the names of the hues that a tenth of the colours have, most frequent first."""
    red, green, blue = colours.T
    hue = np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue))
    counts = np.bincount(np.round(hue / 60).astype(int) % 6, minlength=6)
    order = np.argsort(-counts, kind="stable")
    return ", ".join(_HUES[each] for each in order if counts[each] >= max(1, len(hue) / 10))
