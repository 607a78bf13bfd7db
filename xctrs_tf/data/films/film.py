"""Films from file to array: read, cut out, normalise and resize, each step once."""

import contextlib
import logging
import pathlib
import warnings

from xctrs_tf.data.checked_file import read_checked
from xctrs_tf.data.dicom.dicom_start import starts_like_dicom
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.data.films.film_normalisation import fill_padding, normalise_film, resize_film
from xctrs_tf.data.films.formats.dicom_film import read_dicom_film
from xctrs_tf.data.films.formats.picture_film import KINDS, PICTURE_SUFFIXES, read_picture_film
from xctrs_tf.data.films.formats.slice_film import SLICE_SUFFIXES, read_slice_film
from xctrs_tf.data.films.raw_film import MAX_FILE_BYTES, check_pixel_mm
from xctrs_tf.errors import UserError


def read_film(path, view, size, frame=None, film_normalization="percentile"):
    """Read a film from a DICOM, picture or NIfTI file, in the networks' frame.

    Pictures (PNG, TIFF, JPEG, JPEG 2000) are stored as a radiologist looks at them: superior on
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
    raw, frame = read_raw_film(path, view), frame or FilmFrame()
    for remark in raw.remarks_with(frame):
        logging.warning("%s: %s", path, remark)
    with naming(path):
        return cut_film(raw, size, frame, film_normalization)


def read_raw_film(path, view):
    """Read a film from a file of any kind, unprocessed.

    Args:
        path: the file.
        view: as of `read_film`.

    Returns:
        `RawFilm`.

    Raises:
        UserError: missing, unreadable, too large, or of another view.
    """
    path = pathlib.Path(path)
    raw = _read(path, view)
    check_pixel_mm(path, raw.pixel_mm)
    return raw


def _read(path, view):
    name = path.name.lower()
    if name.endswith(SLICE_SUFFIXES):
        with _reading(path, "damaged, or not a NIfTI, NRRD or MetaImage film"):
            return read_slice_film(path, view)
    content = read_checked(path, MAX_FILE_BYTES)
    if name.endswith(PICTURE_SUFFIXES):
        with _reading(path, f"damaged, or not {KINDS}"):
            return read_picture_film(path, content)
    if starts_like_dicom(content):
        with _reading(path, "a damaged DICOM file, or of a kind that cannot be read"):
            return read_dicom_film(path, content, view)
    raise UserError(
        f"{path}: unknown kind of film; use DICOM, PNG, TIFF, JPEG, JPEG 2000, NIfTI, NRRD or "
        "MetaImage"
    )


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
def naming(path):
    """Put the file before the messages of the block."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def cut_film(raw, size, frame, film_normalization="percentile", box=None):
    """Cut the network's region out of a film, normalise it, and resize it where needed.

    Args:
        raw: `RawFilm`.
        size: as of `read_film`.
        frame: `FilmFrame`.
        film_normalization: as of `read_film`.
        box: as of `FilmFrame.cut`.

    Returns:
        As `read_film`.

    Raises:
        UserError: as `FilmFrame.cut` and `normalise_film`.
    """
    film = fill_padding(frame.cut(raw, size, box))
    normalised = normalise_film(film, film_normalization)
    if film.shape == (size, size):
        return normalised
    # Ranks are taken before the film is resized. A pixel of the resized film is a mean of pixels,
    # and the order of such means depends on the exposure; the order of the film's own pixels
    # does not.
    full = film if film_normalization == "percentile" else normalised
    return normalise_film(resize_film(full, size), film_normalization)
