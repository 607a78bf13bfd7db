import numpy as np
import pytest

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.view_check import MEAN_LATERAL, check_views
from xctrs_tf.errors import UserError


def neck(seed):
    """Return AP and LA film of a synthetic neck that is symmetric in the AP view only."""
    rng = np.random.default_rng(seed)
    volume = rng.random((16, 16, 16)) + 2 * np.kron(MEAN_LATERAL / 9, np.ones((2, 2)))
    volume *= 1 + rng.random(16) / 5
    volume += volume[::-1]
    return normalise_film(volume.sum(1)), normalise_film(volume.sum(0))


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


@pytest.mark.parametrize(
    "change",
    [
        lambda film: film,
        lambda film: film[::-1],
        lambda film: film[:, ::-1],
        lambda film: 1 - film[::-1, ::-1],
        lambda film: normalise_film(film**1.2),
    ],
)
def test_one_film_twice_however_it_is_turned(change):
    for film in neck(0):
        with pytest.raises(UserError, match="AP and LA show one view twice"):
            check_views(film, change(film))


@pytest.mark.parametrize("shift", [-2, 1])
def test_two_exposures_of_one_view(shift):
    for film in neck(0):
        noise = np.random.default_rng(5).random(film.shape) / 20
        other = normalise_film(np.roll(film, shift, axis=0) + noise)
        for pair in ((other, film), (film, other)):
            with pytest.raises(UserError, match="AP and LA show one view twice; give one film of"):
                check_views(*pair)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("turn", "message"),
    [
        (lambda ap, la: (ap, la[::-1]), "LA looks mirrored; it must face left: give --la_flip_h"),
        (lambda ap, la: (ap[:, ::-1], la[:, ::-1]), "LA looks upside down; give --la_flip_vert"),
        (lambda ap, la: (ap[::-1, ::-1], la[::-1, ::-1]), "LA looks turned by 180 degrees; give"),
        (lambda ap, la: (1 - ap, 1 - la), "LA looks dark-boned; give --la_invert, and --ap_inv"),
    ],
)
def test_both_films_turned_or_inverted_alike(seed, turn, message):
    with pytest.raises(UserError, match=message):
        check_views(*turn(*neck(seed)))


def test_films_of_two_sizes():
    ap, la = neck(0)
    with pytest.raises(UserError, match=r"AP is .* and LA .*; take both of one size"):
        check_views(ap, la[:-1, :-1])
