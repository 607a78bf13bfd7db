"""Proposal of the crop box and the orientation of a film, and the words that tell it."""

import collections.abc
import dataclasses
import math

import numpy as np
from PIL import Image

from xctrs_tf.data.films.film_frame import ASPECT_TOLERANCE, frame_flag
from xctrs_tf.errors import UserError
from xctrs_tf.neck_finder.neck_search import Orientation, neck_height_mm, search_neck

# Least score (logit) of a neck, and least margin of a turn, mirror or inversion over the others:
# python -m experiments.studies.finder_error measures both.
MIN_SCORE = 1.5
MIN_MARGIN = 2.0
# A film is turned by a small angle only from here on: the error of an angle is a few degrees.
MIN_TILT_DEG = 8.0
# A square film that is larger than the proposal by less than this share was cropped by hand.
WHOLE = 0.4
# A square film may be smaller than the network's field by this share; of another film a box that
# is cut off at one side is no square any more.
NARROW = 0.12
# The box is moved into the film by at most this share of its edge.
MAX_MOVE = 0.12
# Heights of C1..C7 in mm that adults have; others point to a wrong pixel size.
_PLAUSIBLE_MM = (90.0, 190.0)
_LONGEST = 1024
_OTHER = {"ap": "la", "la": "ap"}
_NAMES = {"ap": "an anterior-posterior", "la": "a lateral"}


@dataclasses.dataclass(frozen=True)
class CropProposal:
    """Frame that cuts C1..C7 out of a film and turns it upright.

    Attributes:
        frame: `FilmFrame` with the proposal.
        tell: function from the frame that is used, whose box may be another, to the list of
            what was found and assumed, for the user.
        record: the same in numbers, for reconstruction.json; without a box where the whole film
            is taken.
    """

    frame: object
    tell: collections.abc.Callable
    record: dict


def propose_crop(film, frame, view, field_mm, fixed=(), search=search_neck):
    """Propose crop box and orientation of a film.

    Args:
        film: `RawFilm`.
        frame: `FilmFrame` of the user's flags, without a crop box.
        view: ``"ap"`` or ``"la"``.
        field_mm: width that the network sees.
        fixed: of ``"turn"``, ``"mirror"``, ``"invert"``, what the user's flags decide.
        search: `search_neck`, or a function like it.

    Returns:
        `CropProposal`.

    Raises:
        UserError: no neck is found, its orientation is uncertain, or the film ends too close
            to it.
    """
    picture, scale = _square_pixels(film, frame)
    given = _orientation(frame, film)
    found = search(picture, view, _candidates(given, view, fixed))
    contradiction, doubt = [], []
    if found.score < MIN_SCORE and fixed:
        found = search(picture, view, _candidates(given, view, ()))
        contradiction = [_contradiction(given, found)]
    is_square = _is_square(film)
    if found.score < MIN_SCORE and is_square:
        words = "no neck is found on it with certainty; all of it is taken: look at films.png"
        return CropProposal(frame, lambda used: [words], {"score": round(found.score, 2)})
    if found.score < MIN_SCORE:
        raise UserError(_not_found(picture, view, search))
    if contradiction:
        upright, changes, tilt = frame, [], 0.0
    else:
        upright, changes, doubt = _upright(film, frame, given, found, view, fixed)
        upright, tilt = _tilted(upright, found, fixed)
    counts = _pixels_seen(film, frame, found, scale, field_mm)
    box, moved, problem = _box(film, found, scale, counts, field_mm)
    edges = zip(counts, film.pixels.shape, strict=True)
    if is_square and all(count >= (1 - WHOLE) * length for count, length in edges):
        box, moved = None, 0.0
        doubt += [f"{problem}; all of it is taken: look at films.png"] if problem else []
    elif problem:
        raise UserError(f"{problem}; take a film that shows more, or give a crop box")
    upright = dataclasses.replace(upright, crop_box=box)

    pixel_mm = frame.pixel_size(film)
    neck_mm = None if pixel_mm is None else found.height * pixel_mm[1] / scale[1]

    def tell(used):
        taken = _taken_as(view, used, changes, tilt)
        remarks = _size_remarks(view, used, moved, neck_mm) if taken else []
        return taken + remarks + contradiction + doubt

    return CropProposal(upright, tell, _record(found, scale, upright))


def _square_pixels(film, frame):
    """Return the film with square pixels, not larger than needed, and its pixels in those."""
    across, up = frame.pixel_size(film) or film.pixel_shape
    width, height = film.pixels.shape
    unit = max(width * across, height * up) / min(_LONGEST, max(width, height))
    size = [max(1, round(count * edge / unit)) for count, edge in ((width, across), (height, up))]
    values, mask = np.ma.getdata(film.pixels), np.ma.getmaskarray(film.pixels)
    if not np.isfinite(values).all():
        raise UserError("film: holds NaN or infinite values; export it again")
    picture = _resized(values, size)
    if mask.any():
        picture = np.ma.masked_array(picture, _resized(mask.astype(np.float32), size) > 0.5)
    return picture, (size[0] / width, size[1] / height)


def _resized(values, size):
    """Resample an array ``[horizontal, vertical]``; Pillow counts columns first."""
    picture = Image.fromarray(np.ascontiguousarray(values.T, np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR)).T


def _orientation(frame, film):
    """Return the orientation that a frame gives a film; see `Window` for the order."""
    horizontal, vertical = frame.flips(film)
    quarter = round(frame.rotate_deg / 90) + 2 * vertical
    return Orientation(quarter % 4, horizontal != vertical, frame.invert)


def differences(found, given, fixed=()):
    """Tell in what the orientation of a found neck differs from that which a film has.

    Args:
        found: `FoundNeck`.
        given: `Orientation` of the film by its file and the user's flags.
        fixed: as of `propose_crop`; of these nothing differs, however the film looks.

    Returns:
        Set of ``"turn"``, ``"mirror"`` and ``"invert"`` that differ, and the list of those
        whose margin is too small to turn the film without the user.
    """
    differs = {
        "turn": round(found.angle_deg / 90) % 4 != given.quarter,
        "mirror": found.mirrored != given.mirrored,
        "invert": found.inverted != given.inverted,
    }
    names = {name for name, differ in differs.items() if differ and name not in fixed}
    return names, sorted(name for name in names if found.margins[name] < MIN_MARGIN)


def _candidates(given, view, fixed):
    """Return the orientations to search. An AP film and its mirror image look alike."""
    quarters = (given.quarter,) if "turn" in fixed else range(4)
    mirrors = (given.mirrored,) if "mirror" in fixed or view == "ap" else (False, True)
    inverts = (given.inverted,) if "invert" in fixed else (False, True)
    candidates = [
        Orientation(quarter, mirrored, inverted)
        for quarter in quarters
        for mirrored in mirrors
        for inverted in inverts
    ]
    return sorted(candidates, key=lambda each: each != given)


def _upright(film, frame, given, found, view, fixed):
    """Return a frame that turns the film upright, flags that say the same, and what is in doubt."""
    quarter = round(found.angle_deg / 90) % 4
    differs, unsure = differences(found, given, fixed)
    if not differs:
        return frame, [], []
    _, vertical = frame.flips(film)
    changes, new = [], frame
    if "mirror" in differs and (quarter - given.quarter) % 4 == 2:
        new = dataclasses.replace(new, flip_vertical=not frame.flip_vertical)
        changes.append((f"--{view}_flip_vertical", "it is upside down and mirrored"))
    else:
        if "mirror" in differs:
            new = dataclasses.replace(new, flip_horizontal=not frame.flip_horizontal)
            changes.append(
                (frame_flag(view, "flip_horizontal", new.flip_horizontal), "it faces right")
            )
        if "turn" in differs:
            degrees = _within(90 * quarter - 180 * vertical)
            new = dataclasses.replace(new, rotate_deg=float(degrees))
            words = {2: "it is upside down"}.get((quarter - given.quarter) % 4, "it lies on a side")
            changes.append((frame_flag(view, "rotate_deg", degrees), words))
    if "invert" in differs:
        new = dataclasses.replace(new, invert=found.inverted)
        changes.append((frame_flag(view, "invert", new.invert), "its bone is dark"))
    if unsure:
        flags = " ".join(flag for flag, _ in changes)
        reasons = " and ".join(reason for _, reason in changes)
        doubt = f"perhaps {reasons}, but that is not certain; look at"
        if _is_square(film):
            return frame, [], [f"{doubt} films.png, and give {flags} if so"]
        raise UserError(
            f"{doubt} the film and give {flags}, or --crop=none with a crop box if it is right as "
            "it is"
        )
    return new, changes, []


def _tilted(frame, found, fixed):
    """Return the frame that also undoes a tilt, and the tilt in degrees, or 0."""
    tilt = _within(found.angle_deg - 90 * round(found.angle_deg / 90))
    if "turn" in fixed or abs(tilt) < MIN_TILT_DEG:
        return frame, 0.0
    return dataclasses.replace(frame, rotate_deg=round(_within(frame.rotate_deg + tilt), 1)), tilt


def _pixels_seen(film, frame, found, scale, field_mm):
    """Return how many pixels of the film the network sees across and up."""
    pixel_mm = frame.pixel_size(film)
    if pixel_mm is None:
        # One pixel of the picture in mm.
        unit = neck_height_mm() / found.height
        pixel_mm = [unit * share for share in scale]
    return [max(1, round(field_mm / edge)) for edge in pixel_mm]


def _box(film, found, scale, counts, field_mm):
    """Return the box around the neck, how many mm it moved, and why the film is too small."""
    width, height = film.pixels.shape
    middle = [place / share for place, share in zip(found.centre, scale, strict=True)]
    middle[1] = height - middle[1]
    narrow = NARROW if _is_square(film) else ASPECT_TOLERANCE
    first, edges, moved, problem = [], [], 0.0, None
    for place, count, length in zip(middle, counts, (width, height), strict=True):
        if count > length * (1 + narrow):
            problem = (
                f"the neck fills the film: the network sees {field_mm:.0f} mm, {count} pixels, and "
                f"the film has {length}"
            )
        count = min(count, length)
        start = round(place - count / 2)
        inside = min(max(start, 0), length - count)
        moved = max(moved, abs(inside - start) / count)
        first.append(inside)
        edges.append(count)
    if moved > MAX_MOVE and not problem:
        problem = (
            f"the neck is at the film's edge: the square of {field_mm:.0f} mm around it reaches "
            f"{moved * field_mm:.0f} mm over"
        )
    return (*first, first[0] + edges[0], first[1] + edges[1]), moved * field_mm, problem


def _is_square(film):
    edges = [count * edge for count, edge in zip(film.pixels.shape, film.pixel_shape, strict=True)]
    return abs(edges[0] - edges[1]) <= 0.01 * max(edges)


def _contradiction(given, found):
    """Return what the user's flags contradict."""
    words = [
        (round(found.angle_deg / 90) % 4 != given.quarter, "turned"),
        (found.mirrored != given.mirrored, "mirrored"),
        (found.inverted != given.inverted, "dark-boned"),
    ]
    looks = " and ".join(word for differs, word in words if differs)
    return f"under the flags that you gave it looks {looks}, and is taken so"


def _not_found(picture, view, search):
    other = _OTHER[view]
    found = search(picture, other, _candidates(Orientation(), other, ()))
    if found.score > MIN_SCORE + MIN_MARGIN:
        return f"looks like {_NAMES[other]} film; are --ap and --la exchanged?"
    return (
        f"no neck is found on it, as {_NAMES[view]} film of C1 to C7 shows it; if it is there, "
        f"give --{view}_crop_box, or --crop=none for the whole film"
    )


def _taken_as(view, frame, changes, tilt):
    """Return the sentence of the flags that a film is taken with, or none without any."""
    flags = [flag for flag, _ in changes]
    if frame.crop_box is not None:
        flags.insert(0, f"--{view}_crop_box=" + ",".join(map(str, frame.crop_box)))
    reasons = [reason for _, reason in changes]
    if tilt:
        reasons.append(f"the neck is tilted by {abs(tilt):.0f} degrees")
        flags = [flag for flag in flags if not flag.startswith(f"--{view}_rotate")]
        flags.append(frame_flag(view, "rotate_deg", frame.rotate_deg))
    if not flags:
        return []
    text = "C1 to C7 are found: taken as " + " ".join(flags)
    return [text + (f" ({', '.join(reasons)})" if reasons else "")]


def _size_remarks(view, frame, moved_mm, neck_mm):
    """Return sentences on the move of the box, and on the height of the neck where it is known."""
    sentences = []
    if moved_mm >= 1:
        sentences.append(f"the box was moved by {moved_mm:.0f} mm to stay on the film")
    if neck_mm is not None:
        if not _PLAUSIBLE_MM[0] < neck_mm < _PLAUSIBLE_MM[1]:
            sentences.append(
                f"by its pixel size C1 to C7 are {neck_mm:.0f} mm tall, which is not likely; check "
                f"--{view}_pixel_mm"
            )
    elif frame.crop_box is not None:
        sentences.append(
            f"its pixel size is unknown: C1 to C7 are taken to be {neck_height_mm():.0f} mm tall"
        )
    return sentences


def _record(found, scale, frame):
    record = {
        **({"crop_box": list(frame.crop_box)} if frame.crop_box else {}),
        "flip_horizontal": frame.flip_horizontal,
        "flip_vertical": frame.flip_vertical,
        "rotate_deg": frame.rotate_deg,
        "invert": frame.invert,
        "neck_height_pixels": round(found.height / scale[1], 1),
        "score": round(found.score, 2),
    }
    margins = {name: round(value, 2) for name, value in found.margins.items()}
    return record | {"margins": {n: v for n, v in margins.items() if math.isfinite(v)}}


def _within(degrees):
    return (degrees + 180) % 360 - 180
