"""Check that two films are the AP and the LA film of one patient."""

import numpy as np

from xctrs_tf.errors import UserError

# Least correlation of the row-to-row brightness steps of a pair's two films.
PAIR_CORRELATION = 0.9
# The AP film's mirror symmetry may be below that of the LA film by this much.
SWAP_ASYMMETRY = 0.1


def check_views(ap, la):
    """Refuse two films that cannot be the AP and the LA film of one patient.

    Parallel rays of both views sum the same slice into the same row, so the mean
    brightness changes alike from row to row: a pair is recognised by the correlation
    of these steps. A neck is mirror-symmetric from the front and not from the side:
    swapped films are recognised by their correlations with their mirror images.

    The thresholds hold for line integrals along parallel rays. Films of another
    geometry, or with the brightness of a photograph, need not pass. Their error rates
    are measured by `python -m experiments.studies.view_check_rates --data=DATA`.

    Args:
        ap: film ``(size, size)``, ``[horizontal, vertical]``.
        la: film ``(size, size)``.

    Raises:
        UserError: different sizes, swapped films, or films of two patients.
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
    """Return Pearson's correlation; 0 where one side is constant."""
    a, b = (values.ravel() - values.mean() for values in (a, b))
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norm) if norm > 0 else 0.0
