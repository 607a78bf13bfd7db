"""Refusal of photos of a film: by the camera's EXIF fields, and by a film seen at an angle."""

import itertools

import numpy as np
import scipy
from PIL import Image

from xctrs_tf.errors import UserError

ADVICE = (
    "a photo bends and hides what the networks measure; export the film from the PACS as DICOM, "
    "or as a PNG of its full size"
)
# The rates of these limits: python -m experiments.studies.photo_check_rates.
MAX_ANGLE_ERROR_DEG = 2.0
# A side of a film is seen if the outline follows this share of it: where the film is as
# bright as the background, its edge is not seen.
MIN_SEEN_SHARE, MIN_SEEN_SIDES = 0.75, 3
# A film fills this share of the picture at least.
MIN_FILM_SHARE = 0.2

_EXIF_FIELDS, _MAKE, _MODEL = 0x8769, 271, 272
# Fields that a camera writes and a scanner does not.
_CAMERA_FIELDS = {
    33434: "ExposureTime",
    33437: "FNumber",
    34855: "ISOSpeedRatings",
    37386: "FocalLength",
    42036: "LensModel",
}
_EDGE, _LEAST_EDGE = 384, 64
# Difference from the background's grey value that counts as background: a share of the
# picture's range, and a multiple of what most of the border's pixels differ by.
_LEAST_TOLERANCE, _DEVIATIONS, _MOST_PERCENT = 0.03, 1.5, 90
# Pixels of the reduced picture: of an outline from its side, and of a corner from the border.
_NEAR, _BORDER = 1.5, 3
# Pixels along a side in which one point of the outline is enough.
_STEP = 4


def check_camera(path, exif):
    """Refuse a picture that a camera took.

    Args:
        path: the file, for the message.
        exif: `PIL.Image.Exif` of the picture.

    Raises:
        UserError: it has a field of exposure or lens.
    """
    fields = exif.get_ifd(_EXIF_FIELDS)
    found = [name for tag, name in _CAMERA_FIELDS.items() if tag in fields or tag in exif]
    if found:
        words = (str(exif.get(tag) or "").strip("\0 ") for tag in (_MAKE, _MODEL))
        camera = " ".join(word for word in words if word) or "a camera"
        raise UserError(f"{path}: a photo by {camera} (EXIF {', '.join(found)}); {ADVICE}")


def check_outline(path, picture):
    """Refuse a picture on which a film's four edges are seen at an angle.

    Args:
        path: the file, for the message.
        picture: grey values ``[row, column]``.

    Raises:
        UserError: it shows a four-sided film with straight edges and no right angles.
    """
    angle = skew_deg(picture)
    if angle is not None and angle > MAX_ANGLE_ERROR_DEG:
        raise UserError(
            f"{path}: a photo of a film, seen at an angle (its edges are {angle:.0f} degrees from "
            f"parallel or square); {ADVICE}. If it is a scan, cut its border off in the file"
        )


def skew_deg(picture):
    """Return how far the edges of a film on an even background are from a rectangle's.

    Args:
        picture: grey values ``[row, column]``.

    Returns:
        The largest angle in degrees by which two of its edges miss being parallel or
        square; None where no film with `MIN_SEEN_SIDES` straight edges is seen.
    """
    scale = max(1.0, max(picture.shape) / _EDGE)
    shape = tuple(max(1, round(edge / scale)) for edge in picture.shape)
    if min(shape) < _LEAST_EDGE or not np.isfinite(picture).all():
        return None
    reduced = Image.fromarray(np.ascontiguousarray(picture, np.float32))
    region = _film_region(np.asarray(reduced.resize(shape[::-1], Image.Resampling.BOX)))
    if region is None or region.mean() < MIN_FILM_SHARE:
        return None
    outline = _outline(region)
    corners = _quadrilateral(outline)
    if corners is None or not _lies_within(corners, shape):
        return None
    shares = np.array(_seen_shares(outline, corners))
    sides = (np.roll(corners, -1, axis=0) - corners)[shares >= MIN_SEEN_SHARE]
    if len(sides) < MIN_SEEN_SIDES:
        return None
    directions = np.degrees(np.arctan2(sides[:, 1], sides[:, 0]))
    pairs = itertools.combinations(directions, 2)
    return float(max(abs((first - second + 45) % 90 - 45) for first, second in pairs))


def _film_region(picture):
    """Return the largest part that the background along the border does not reach, or None."""
    frame = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    low, high = np.percentile(picture, (1, 99))
    background = np.median(frame)
    deviation = np.percentile(np.abs(frame - background), _MOST_PERCENT)
    tolerance = max(_LEAST_TOLERANCE * (high - low), _DEVIATIONS * deviation)
    is_even = np.abs(scipy.ndimage.median_filter(picture, 3) - background) <= tolerance
    labels, _ = scipy.ndimage.label(is_even)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    reached = np.isin(labels, border[border > 0])
    # Notes and the like beside the film, and thin bridges to the border.
    parts, count = scipy.ndimage.label(scipy.ndimage.binary_opening(~reached, iterations=2))
    if not count:
        return None
    largest = np.argmax(np.bincount(parts.ravel())[1:]) + 1
    return scipy.ndimage.binary_fill_holes(parts == largest)


def _outline(region):
    """Return column and row of the pixels along the edge of a region."""
    edge = region & ~scipy.ndimage.binary_erosion(region, border_value=1)
    return np.argwhere(edge)[:, ::-1].astype(float)


def _quadrilateral(outline):
    """Return the four-sided hull of points, or None for points on a line."""
    # Qhull takes some time to import.
    from scipy.spatial import ConvexHull, QhullError

    try:
        corners = list(outline[ConvexHull(outline).vertices])
    except (QhullError, ValueError):
        return None
    # Leave out the side whose neighbours, made longer, meet with the least area more.
    while len(corners) > 4:
        best = None
        for first in range(len(corners)):
            before, start, end, after = (corners[(first + k) % len(corners)] for k in range(4))
            meeting = _meeting(before, start, after, end)
            if meeting is None:
                continue
            gained = abs(_cross(end - start, meeting - start))
            if best is None or gained < best[0]:
                best = gained, first, meeting
        if best is None:
            return None
        _, first, meeting = best
        kept = [(first + k) % len(corners) for k in range(3, len(corners) + 1)]
        corners = [*(corners[each] for each in kept), meeting]
    return np.array(corners) if len(corners) == 4 else None


def _meeting(start, towards, other_start, other_towards):
    """Return where two rays meet, or None where they do not."""
    step, other = towards - start, other_towards - other_start
    across = _cross(step, other)
    if abs(across) < 1e-9:
        return None
    gap = other_start - start
    length, other_length = _cross(gap, other) / across, _cross(gap, step) / across
    return start + length * step if length >= 1 and other_length >= 1 else None


def _cross(first, second):
    return first[0] * second[1] - first[1] * second[0]


def _lies_within(corners, shape):
    """Return whether all corners are inside the picture, away from its border."""
    limits = np.array(shape[::-1]) - 1 - _BORDER
    return bool((corners >= _BORDER).all() and (corners <= limits).all())


def _seen_shares(outline, corners):
    """Return for each side of a quadrilateral the share along which it has outline points."""
    shares = []
    for start, end in itertools.pairwise([*corners, corners[0]]):
        side = end - start
        length = max(np.linalg.norm(side), 1.0)
        along = (outline - start) @ side / length
        away = np.abs(_cross(side, (outline - start).T)) / length
        places = along[(away <= _NEAR) & (along >= 0) & (along <= length)]
        shares.append(len(np.unique(np.floor(places / _STEP))) / np.ceil(length / _STEP))
    return shares
