"""Films from file to array: read, cut out, normalise and resize, each step once."""

import contextlib
import dataclasses
import logging
import pathlib
import warnings

import numpy as np

from xctrs_tf.data.films.film_frame import ASPECT_TOLERANCE, FilmFrame
from xctrs_tf.data.films.film_normalisation import fill_padding, normalise_film, resize_film
from xctrs_tf.data.films.formats.dicom_film import open_dicom, starts_like_dicom
from xctrs_tf.data.films.formats.picture_film import KINDS, PICTURE_SUFFIXES, open_picture
from xctrs_tf.data.films.formats.slice_film import SLICE_SUFFIXES, open_slice
from xctrs_tf.data.films.raw_film import MAX_FILE_BYTES, read_stored
from xctrs_tf.data.volumes.checked_file import read_checked
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS


def read_film(path, view, size, frame=None, film_normalization="percentile"):
    """Read a film from a DICOM, picture or NIfTI file, in the networks' frame.

    Pictures (PNG, TIFF, JPEG) are stored as a radiologist looks at them: superior on
    top; AP with the patient's right on the left; LA with anterior on the left.
    DICOM films are turned so by their headers. Volumes (NIfTI, NRRD, MetaImage) hold
    one slice ``[horizontal, vertical]`` in the frame of docs/architecture.md. Bone is
    bright.

    Args:
        path: the file.
        view: ``"ap"`` or ``"la"``; a DICOM header must not contradict it.
        size: pixels a side that the network takes; a square of another size is
            resampled.
        frame: `FilmFrame`: crop box, spacing, flips; None takes the whole film.
        film_normalization: that of the model, of
            `film_normalisation.FILM_NORMALIZATIONS`.

    Returns:
        float32 ``(size, size)`` in [0, 1], ``[horizontal, vertical]``.

    Raises:
        UserError: missing, unreadable, too large, coloured, not square, constant,
            not finite, of another view, or the frame lies outside of it.
    """
    raw, frame = _read_raw_film(path, view), frame or FilmFrame()
    for remark in raw.remarks_with(frame):
        logging.warning("%s: %s", path, remark)
    return _cut_film(path, raw, size, frame, film_normalization)


def read_film_pair(
    paths, frames, size, spacing_mm=None, film_normalization="percentile", remarks=None
):
    """Read both films of a patient so that a pixel of each is as wide as a voxel.

    A film's scale is known where its file or its frame gives the size of a pixel.
    With ``spacing_mm``, the square that the network's pixels fill is cut out of such
    a film, around its crop box's centre; without it, the crop boxes are the squares,
    and their width in mm gives the voxel size. A film of unknown scale is taken to
    show in its crop box as many mm as the network sees.

    Args:
        paths: dict of ``ap`` and ``la``, the files.
        frames: dict of a `FilmFrame` for each.
        size: pixels a side of the network.
        spacing_mm: edge of a voxel, or None.
        film_normalization: as of `read_film`.
        remarks: list that gets a line for whatever was assumed or mended; by default the
            lines are logged.

    Returns:
        Dict of the films as `read_film` gives them, and the edge of a voxel in mm,
        which is None where no film's scale is known.

    Raises:
        UserError: as `read_film` does, both films are one, or they show different widths.
    """
    raws = {view: _read_raw_film(paths[view], view) for view in VIEWS}
    _check_two(raws)
    said = [
        f"{paths[view]}: {remark}"
        for view in VIEWS
        for remark in raws[view].remarks_with(frames[view])
    ]
    if remarks is None:
        for line in said:
            logging.warning("%s", line)
    else:
        remarks += said
    widths = {view: _width_mm(paths[view], raws[view], frames[view]) for view in VIEWS}
    if spacing_mm is not None:
        known = [view for view in VIEWS if widths[view] is not None]
        cut = {view: dataclasses.replace(frames[view], spacing_mm=spacing_mm) for view in known}
        frames = {**frames, **cut}
    films = {
        view: _cut_film(paths[view], raws[view], size, frames[view], film_normalization)
        for view in VIEWS
    }
    return films, spacing_mm or _spacing_mm(widths, size)


def _check_two(raws):
    """Refuse one film given for both views, whatever its files are called."""
    if np.array_equal(raws["ap"].pixels, raws["la"].pixels):
        raise UserError("films: AP and LA have the same pixels; give one film of each view")


def _read_raw_film(path, view):
    """Read a film from a file of any kind, unprocessed."""
    path = pathlib.Path(path)
    name = path.name.lower()
    if name.endswith(SLICE_SUFFIXES):
        with _reading(path, "damaged, or not a NIfTI, NRRD or MetaImage film"):
            return read_stored(path, open_slice(path, view))
    content = read_checked(path, MAX_FILE_BYTES)
    if name.endswith(PICTURE_SUFFIXES):
        with _reading(path, f"damaged, or not {KINDS}"):
            return read_stored(path, open_picture(path, content))
    if starts_like_dicom(content):
        with _reading(path, "a damaged DICOM file, or of a kind that cannot be read"):
            return read_stored(path, open_dicom(path, content, view))
    raise UserError(f"{path}: unknown kind of film; use DICOM, PNG, TIFF, JPEG or NIfTI")


@contextlib.contextmanager
def _reading(path, problem):
    """Turn whatever the libraries raise within the block into one line, without remarks."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(f"{path}: too large for the free memory; shrink the film") from error
    # A hostile file can make the libraries raise anything, RecursionError included.
    except Exception as error:
        raise UserError(f"{path}: {problem}; export the film again") from error


@contextlib.contextmanager
def _named(path):
    """Put the file before the messages of the block."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _cut_film(path, raw, size, frame, film_normalization):
    """Cut the network's region out of a film, normalise it, and resize it where needed."""
    with _named(path):
        film = fill_padding(frame.cut(raw, size))
        normalised = normalise_film(film, film_normalization)
    if film.shape == (size, size):
        return normalised
    # Ranks of a film's own pixels stay the same under any curve; those of means of pixels do not.
    full = film if film_normalization == "percentile" else normalised
    return normalise_film(resize_film(full, size), film_normalization)


def _width_mm(path, raw, frame):
    """Return the width of a film's crop box at the patient, or None if unknown."""
    with _named(path):
        pixel_mm = frame.pixel_size(raw)
    if pixel_mm is None:
        return None
    left, _, right, _ = frame.crop_box or (0, 0, *raw.pixels.shape)
    return float((right - left) * pixel_mm[0])


def _spacing_mm(widths, size):
    """Return the edge of a voxel in mm by the films' widths, or None if both are unknown."""
    known = [width for width in widths.values() if width is not None]
    if not known:
        return None
    if max(known) - min(known) > ASPECT_TOLERANCE * max(known):
        raise UserError(
            f"films: AP shows {widths['ap']:.0f} mm and LA {widths['la']:.0f} mm; give "
            "--spacing_mm, or crop boxes of one width"
        )
    return sum(known) / len(known) / size
