import numpy as np
import pytest

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.view_check import check_views
from xctrs_tf.errors import UserError


def neck(seed):
    """Return AP and LA film of a synthetic neck that is symmetric in the AP view only."""
    rng = np.random.default_rng(seed)
    volume = rng.random((16, 18, 20)) + np.linspace(0, 2, 18)[:, np.newaxis]
    volume *= 1 + rng.random(20)
    volume += volume[::-1]
    return normalise_film(volume.sum(1)[:, :16]), normalise_film(volume.sum(0)[1:17, :16])


def test_two_films_of_one_neck_pass():
    check_views(*neck(0))


def test_swapped_films():
    ap, la = neck(0)
    with pytest.raises(UserError, match="AP and LA look swapped; exchange the two files"):
        check_views(la, ap)


def test_films_of_two_patients():
    (ap, _), (_, la) = neck(0), neck(1)
    with pytest.raises(UserError, match="do not show the same neck at the same height"):
        check_views(ap, la)


def test_an_upside_down_film():
    ap, la = neck(0)
    with pytest.raises(UserError, match="do not show the same neck at the same height"):
        check_views(ap, la[:, ::-1])


def test_films_of_two_sizes():
    ap, la = neck(0)
    with pytest.raises(UserError, match=r"AP is .* and LA .*; take both of one size"):
        check_views(ap, la[:-1, :-1])
