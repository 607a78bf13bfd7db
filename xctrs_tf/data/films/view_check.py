"""Check that two films are the AP and the LA film of one patient, upright and bone bright."""

import numpy as np

from xctrs_tf.data.films.film_normalisation import resize_film
from xctrs_tf.errors import UserError

# Least correlation of the row-to-row brightness steps of a pair's two films.
PAIR_CORRELATION = 0.9
# The AP film's mirror symmetry may be below that of the LA film by this much.
SWAP_ASYMMETRY = 0.1
# Correlation from which two films are of one view, however they are turned, and moved by up
# to this share of their width. AP and LA of a patient have at most 0.86 (93 real necks) and
# 0.92 (200 phantoms, turned by up to 10 degrees); two exposures of one view have 0.96.
ONE_VIEW_CORRELATION = 0.94
_LARGEST_SHIFT = 0.15
# Mean LA film of 93 real necks and 60 phantoms in the network's frame, as a viewer shows
# it, in 8 x 8 fields of 0 to 9. Behind the neck is air, below are the shoulders.
_LATERAL = """
66877752
66766531
55665420
45665420
35666420
35676641
25677663
35677765
"""
# A film is turned or dark-boned if it fits the mean film better then, by this much of the
# correlation. Of the upright necks and phantoms every one fits better as it is, by 0.1 at
# least against one flip and by -0.03 against both.
TURN_MARGIN = 0.08
_TURNS = {
    "mirrored; it must face left: give --la_flip_horizontal": (slice(None, None, -1), slice(None)),
    "upside down; give --la_flip_vertical, and --ap_flip_vertical if AP is so too": (
        slice(None),
        slice(None, None, -1),
    ),
    "turned by 180 degrees; give --la_flip_horizontal and --la_flip_vertical": (
        slice(None, None, -1),
        slice(None, None, -1),
    ),
}


def check_views(ap, la):
    """Refuse two films that cannot be the upright AP and LA film of one patient.

    Parallel rays of both views sum the same slice into the same row, so the mean
    brightness changes alike from row to row: a pair is recognised by the correlation
    of these steps. A neck is mirror-symmetric from the front and not from the side:
    swapped films are recognised by their correlations with their mirror images. Two films
    of one view are recognised by their correlation where they fit each other best. An LA
    film that is mirrored, upside down or dark-boned is recognised by its correlation with
    the mean LA film.

    The thresholds hold for line integrals along parallel rays, in the network's frame.
    Films of another geometry, or with the brightness of a photograph, need not pass. Their
    error rates are measured by `python -m experiments.studies.view_check_rates --data=DATA`.

    Args:
        ap: film ``(size, size)``, ``[horizontal, vertical]``.
        la: film ``(size, size)``.

    Raises:
        UserError: different sizes, one view twice, swapped films, films of two patients, or
            an LA film that is turned or shows bone dark.
    """
    if ap.shape != la.shape:
        raise UserError(f"films: AP is {ap.shape} and LA {la.shape}; take both of one size")
    if _likeness(ap, la) >= ONE_VIEW_CORRELATION:
        raise UserError("films: AP and LA show one view twice; give one film of each view")
    if _mirror_symmetry(la) - _mirror_symmetry(ap) > SWAP_ASYMMETRY:
        raise UserError("films: AP and LA look swapped; exchange the two files")
    steps = [np.diff(film.mean(axis=0)) for film in (ap, la)]
    if not _correlation(*steps) >= PAIR_CORRELATION:
        raise UserError(
            "films: AP and LA do not show the same neck at the same height; "
            "give two films of one patient, superior on top"
        )
    _check_lateral(la)


def _check_lateral(la):
    """Refuse an LA film that fits the mean LA film better when it is turned or inverted."""
    fields = _fields(la)
    fit = _correlation(fields, MEAN_LATERAL)
    if fit < -TURN_MARGIN:
        raise UserError(
            "films: LA looks dark-boned; give --la_invert, and --ap_invert if AP is so too"
        )
    turned = {words: _correlation(fields[turn], MEAN_LATERAL) for words, turn in _TURNS.items()}
    best = max(turned, key=turned.get)
    if turned[best] > fit + TURN_MARGIN:
        raise UserError(f"films: LA looks {best}")


def _fields(film):
    """Return the mean brightness of the fields of `MEAN_LATERAL`."""
    return resize_film(film, len(MEAN_LATERAL))


def _mean_lateral():
    """Return the mean LA film as ``[horizontal, vertical]``."""
    picture = np.array([list(map(float, row)) for row in _LATERAL.split()])
    return picture[::-1].T


MEAN_LATERAL = _mean_lateral()


def _likeness(first, second):
    """Return the best correlation of two films, one of them turned, inverted and shifted."""
    length = len(first)
    best = 0.0
    for turned in (second, second[::-1], second[:, ::-1], second[::-1, ::-1]):
        for shift in range(-int(_LARGEST_SHIFT * length), int(_LARGEST_SHIFT * length) + 1):
            here = slice(max(0, shift), length + min(0, shift))
            there = slice(max(0, -shift), length - max(0, shift))
            best = max(best, abs(_correlation(first[here], turned[there])))
    return best


def _mirror_symmetry(film):
    return _correlation(film, film[::-1])


def _correlation(a, b):
    """Return Pearson's correlation; 0 where one side is constant."""
    a, b = (values.ravel() - values.mean() for values in (a, b))
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norm) if norm > 0 else 0.0
