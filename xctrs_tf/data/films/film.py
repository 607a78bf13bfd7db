"""Films: reading, writing and normalising X-rays, and whether two are a pair."""

import numpy as np
from PIL import Image

from xctrs_tf.data.films.film_frame import FilmFrame, resize
from xctrs_tf.data.films.raw_film import read_raw_film
from xctrs_tf.errors import UserError
from xctrs_tf.files import atomic_path
from xctrs_tf.geometry import screen

PERCENTILES = (0.5, 99.5)
WHITE = 65535

# Thresholds of check_views, whose docstring says how they fare.
PAIR_CORRELATION = 0.9
SWAP_ASYMMETRY = 0.1


def normalise_film(film):
    """Scale a film from its 0.5 to its 99.5 percentile to [0, 1].

    The percentiles are order statistics, not interpolated, so that normalising
    twice changes nothing: a film that was written and read is the film again.

    Args:
        film: array ``[horizontal, vertical]``, bone bright, in any unit.

    Returns:
        float32 array of the same shape, clipped to [0, 1].

    Raises:
        UserError: NaN or infinite values, or (almost) all of them equal.
    """
    film = np.asarray(film, np.float32)
    if not np.isfinite(film).all():
        raise UserError("film: holds NaN or infinite values; export it again")
    low = np.percentile(film, PERCENTILES[0], method="lower")
    high = np.percentile(film, PERCENTILES[1], method="higher")
    if not high > low:
        raise UserError("film: constant, nothing is to be seen on it; export it again")
    return np.clip((film - low) / (high - low), 0.0, 1.0)


def read_film(path, view, size, frame=None):
    """Read a film from a DICOM, picture or NIfTI file, in the networks' frame.

    Pictures (PNG, TIFF) are stored as a radiologist looks at them: superior on
    top; AP with the patient's right on the left; LA with anterior on the left.
    DICOM is turned so by its header. Volumes (NIfTI, NRRD, MetaImage) hold one
    slice ``[horizontal, vertical]`` in the frame of docs/architecture.md. Bone is
    bright.

    Args:
        path: the file.
        view: ``"ap"`` or ``"la"``; DICOM's header may not contradict it.
        size: pixels a side that the network takes; another square is resampled.
        frame: `FilmFrame`: crop box, spacing, flips; None takes the whole film.

    Returns:
        float32 ``(size, size)`` in [0, 1], ``[horizontal, vertical]``.

    Raises:
        UserError: missing, unreadable, too large, coloured, not square, constant,
            not finite, of another view, or the frame lies outside of it.
    """
    return cut_film(path, read_raw_film(path, view), size, frame)


def cut_film(path, raw, size, frame=None):
    """The second half of `read_film`: a film as its file holds it, in the networks' frame.

    Args:
        path: the file, for the messages.
        raw: `RawFilm`.
        size: pixels a side that the network takes.
        frame: `FilmFrame`, or None.

    Returns:
        As `read_film`.

    Raises:
        UserError: not square, constant, not finite, or the frame lies outside of it.
    """
    try:
        film = (frame or FilmFrame()).cut(raw, size)
        normalised = normalise_film(film)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return normalised if film.shape == (size, size) else normalise_film(resize(film, size))


def write_film(path, film, view):
    """Write a film as a 16-bit PNG, as a radiologist looks at it.

    `read_film` gives the normalised film back to 1/65535.

    Args:
        path: the PNG file.
        film: array ``[horizontal, vertical]``; it is normalised first.
        view: ``"ap"`` or ``"la"``.
    """
    pixels = np.round(screen(normalise_film(film), view) * WHITE).astype(np.uint16)
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def check_views(ap, la):
    """Refuse two films that cannot be the AP and the LA film of one patient.

    Parallel rays of both views sum the same slice into the same row, so the mean
    brightness must step alike from row to row: the correlation of these steps is
    the test for a pair. A neck is its own mirror image from the front and not
    from the side: the films' correlations with their mirror images tell a swap.

    `python -m experiments.studies.view_check_rates --data=DATA` measures the errors. On
    69 real CTs (OpenKBP, `experiments.prepare --size=64 --spacing_mm=2.5`) and on
    100 phantoms (`--source=phantom --num_patients=100 --size=64 --seed=7`) it
    printed: no right pair refused, every swapped pair refused, every upside-down
    LA film refused, 99.9 % and 95.5 % of the pairs of two patients refused. The
    thresholds were chosen on the same data, and hold for line integrals: films
    of another geometry or a photograph's brightness need not pass.

    Args:
        ap: film ``(size, size)``, ``[horizontal, vertical]``.
        la: film ``(size, size)``.

    Raises:
        UserError: other sizes, swapped films, or films of two patients.
    """
    if ap.shape != la.shape:
        raise UserError(f"films: AP is {ap.shape} and LA {la.shape}; take both of one size")
    if _mirror_symmetry(la) - _mirror_symmetry(ap) > SWAP_ASYMMETRY:
        raise UserError("films: AP and LA look swapped; exchange the two files")
    steps = [np.diff(film.mean(axis=0)) for film in (ap, la)]
    if not _correlation(*steps) >= PAIR_CORRELATION:
        raise UserError(
            "films: AP and LA do not show the same neck at the same height; "
            "give two films of one patient, superior on top"
        )


def _mirror_symmetry(film):
    return _correlation(film, film[::-1])


def _correlation(a, b):
    """Pearson's correlation; 0 where one side is constant."""
    a, b = (values.ravel() - values.mean() for values in (a, b))
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norm) if norm > 0 else 0.0
