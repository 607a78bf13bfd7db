"""Checks of what a model or a server answers, before it becomes a reconstruction.

Every prediction passes here: that of a loaded model by `model_volumes`, that of a
server by `server_volumes`. NaN, infinite values, wrong shapes, CT numbers outside the
window and labels that do not exist are refused, never converted.
"""

import logging
import numbers

import numpy as np

from xctrs_tf.data.volumes.intensity import WINDOW_HU, denormalise_hu
from xctrs_tf.errors import UserError, one_line
from xctrs_tf.geometry import NUM_CLASSES

# Edges of a whole volume in mm. C1 to C7 of an adult are 60 to 150 mm long.
EXTENT_MM = (30.0, 1000.0)
# Rounding that outputs in [0, 1] and sums of probabilities may have.
_ROUNDING = 1e-3
_AGAIN = "export the run again, or another one"


def checked_spacing(spacing_mm, size, name):
    """Return the edge of a voxel as float.

    Args:
        spacing_mm: the edge; anything may be given.
        size: voxels a side of the volume.
        name: flag or field that gave it, for the message.

    Returns:
        float.

    Raises:
        UserError: no number above 0, or the whole volume is no neck by its size.
    """
    is_number = isinstance(spacing_mm, numbers.Real) and not isinstance(spacing_mm, bool)
    if not is_number or not 0 < spacing_mm < 2**100:
        shown = repr(spacing_mm) if isinstance(spacing_mm, str) else spacing_mm
        raise UserError(f"{name}={one_line(shown, 60)}: must be above 0, and a number of mm")
    low, high = EXTENT_MM
    if not low <= size * spacing_mm <= high:
        raise UserError(
            f"{name}={float(spacing_mm):g}: {size} voxels of it are {size * spacing_mm:.3g} mm, "
            f"and a neck takes {low:g} to {high:g} mm; give the edge of a voxel in mm, or check "
            "the pixel sizes of the films"
        )
    return float(spacing_mm)


def model_volumes(outputs, size, window_hu, segments, source):
    """Check the outputs of ``serving_default`` for one patient, and convert them.

    Args:
        outputs: dict of batches of one: ``ct`` and, if the model segments,
            ``segmentation``.
        size: voxels a side.
        window_hu: lower and upper end of the window in HU.
        segments: True or False as the metadata say; None takes what is there.
        source: the model, for the message.

    Returns:
        ``(ct_hu, classes)``: int16 ``[x, y, z]``, and the probabilities of the classes
        ``[x, y, z, class]``, or None if the model does not segment.

    Raises:
        UserError: an output is missing, or is not a volume.
    """
    shape = (1, size, size, size)
    ct = _unit_volume(outputs, "ct", (*shape, 1), source)
    ct_hu = denormalise_hu(ct[0, ..., 0], window_hu)
    _warn_of_constant(ct_hu, source)
    if segments is None:
        segments = "segmentation" in outputs
    if not segments:
        return ct_hu, None
    classes = _unit_volume(outputs, "segmentation", (*shape, NUM_CLASSES), source)
    if np.abs(classes.sum(axis=-1, dtype=np.float64) - 1.0).max() > 10 * _ROUNDING:
        raise _no_volume(source, "segmentation", "probabilities", "they do not sum to 1", _AGAIN)
    return ct_hu, classes[0]


def server_volumes(outputs, size, segments, source, model):
    """Check the outputs of ``serving_bytes`` for one patient, and convert them.

    Args:
        outputs: dict of arrays or nested lists: ``ct_hu`` and ``segmentation``.
        size: voxels a side.
        segments: True if the model segments.
        source: the server, for the message.
        model: name of the model on the server.

    Returns:
        ``(ct_hu, labels)``: int16 and uint8 ``[x, y, z]``; labels are None if the model
        does not segment.

    Raises:
        UserError: an output is missing, or is not a volume.
    """
    remedy = f"is {model} an export of this project?"
    shape = (size,) * 3
    ct_hu = _integers(outputs, "ct_hu", shape, WINDOW_HU, np.int16, source, remedy)
    _warn_of_constant(ct_hu, source)
    if not segments:
        return ct_hu, None
    labels = (0, NUM_CLASSES - 1)
    return ct_hu, _integers(outputs, "segmentation", shape, labels, np.uint8, source, remedy)


def _warn_of_constant(ct_hu, source):
    if ct_hu.min() == ct_hu.max():
        logging.warning(
            "%s's CT is %d HU everywhere: it shows nothing of these films", source, ct_hu.flat[0]
        )


def _unit_volume(outputs, name, shape, source):
    """Return an output of finite numbers in [0, 1]."""
    kind = f"{_times(shape)} numbers from 0 to 1"
    array = _array(outputs, name, shape, kind, source, _AGAIN)
    if not np.isfinite(array).all():
        raise _no_volume(source, name, kind, "holds NaN or infinite values", _AGAIN)
    low, high = float(array.min()), float(array.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise _no_volume(source, name, kind, f"reaches from {low:.3g} to {high:.3g}", _AGAIN)
    return array


def _integers(outputs, name, shape, limits, dtype, source, remedy):
    """Return an output of whole numbers within limits."""
    low, high = limits
    kind = f"{shape[0]}^3 {np.dtype(dtype)} values from {low:g} to {high:g}"
    array = _array(outputs, name, shape, kind, source, remedy)
    # NaN fails the comparison.
    if not ((array >= low) & (array <= high)).all():
        found = f"reaches from {array.min():.6g} to {array.max():.6g}"
        raise _no_volume(source, name, kind, found, remedy)
    whole = array.astype(dtype)
    if not (whole == array).all():
        raise _no_volume(source, name, kind, "holds fractions", remedy)
    return whole


def _array(outputs, name, shape, kind, source, remedy):
    """Return an output as array of numbers of this shape."""
    if name not in outputs:
        raise _no_volume(source, name, kind, "it is missing", remedy)
    values = outputs[name]
    try:
        # Nested lists are counted before they are copied.
        array = np.asarray(values) if _may_have_shape(values, shape) else None
    except (TypeError, ValueError, OverflowError, RecursionError):
        array = None
    if array is None or array.dtype.kind not in "iuf":
        raise _no_volume(source, name, kind, "it does not hold numbers", remedy)
    if array.shape != shape:
        raise _no_volume(source, name, kind, f"has {_times(array.shape)}", remedy)
    return array


def _may_have_shape(values, shape):
    """Return False for nested lists of other lengths; the innermost are not looked into."""
    if not isinstance(values, list):
        return True
    if not shape or len(values) != shape[0]:
        return False
    return len(shape) == 1 or all(_may_have_shape(value, shape[1:]) for value in values)


def _times(shape):
    return " x ".join(map(str, shape)) or "a single value"


def _no_volume(source, name, kind, reason, remedy):
    return UserError(f"{source}'s {name} is not a volume of {kind}: {reason}; {remedy}")
