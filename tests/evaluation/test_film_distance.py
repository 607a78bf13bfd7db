import numpy as np
import pytest
from scipy import ndimage

from xctrs_tf.evaluation.film_distance import auc, film_distance, film_features, log_spectrum


def films(count, seed, blur=2.0, power=1.0, crops=2, size=32):
    rng = np.random.default_rng(seed)

    def crop():
        film = ndimage.gaussian_filter(rng.random((size, size)), blur)
        return ((film - film.min()) / np.ptp(film)) ** power

    return [[crop() for _ in range(crops)] for _ in range(count)]


def test_the_area_counts_pairs_in_order():
    assert auc([3, 4], [1, 2]) == 1 and auc([1], [2, 3]) == 0
    assert auc([2, 2], [2, 2, 2]) == 0.5
    assert auc([1, 3], [2]) == 0.5


def test_films_of_one_kind_cannot_be_told_apart():
    distance = film_distance(films(24, 0), films(60, 1))
    assert distance.grey < 0.03 and distance.gradient < 0.005 and distance.spectrum < 0.1
    assert 0.25 < distance.auc["all"] < 0.75
    low, high = distance.auc_interval
    assert low < distance.auc["all"] < high


def test_each_difference_is_seen_in_its_features():
    darker = film_distance(films(16, 0, power=2.0), films(40, 1))
    # The square of a value in [0, 1] is 0.25 below it at most.
    assert 0.1 < darker.grey < 0.25 and darker.auc["grey"] > 0.95 and darker.auc["all"] > 0.95
    sharper = film_distance(films(16, 0, blur=1.0), films(40, 1))
    assert sharper.spectrum > 0.5 and sharper.gradient > 0.03
    assert sharper.auc["spectrum"] > 0.95 and sharper.auc["gradient"] > 0.95
    assert sharper.grey < darker.grey


def test_a_film_is_not_recognised_by_its_other_crops():
    # All crops of a film are one, so a classifier that saw some would know the others.
    rng = np.random.default_rng(0)
    real, computed = (
        [[film[0]] * 4 for film in films(16, int(rng.integers(1000)), crops=1)] for _ in range(2)
    )
    assert 0.15 < film_distance(real, computed).auc["all"] < 0.85


def test_only_the_films_that_count_are_compared():
    odd = films(8, 0) + films(8, 2, power=3.0)
    assert film_distance(odd, films(40, 1), range(8)).grey < 0.05
    assert film_distance(odd, films(40, 1), range(8, 16)).grey > 0.15


def test_power_is_counted_in_rings():
    column = np.arange(64)[:, None] + np.zeros(64)
    for cycles, ring in ((4, 1), (16, 5), (28, 8)):
        assert np.argmax(log_spectrum(np.sin(2 * np.pi * cycles * column / 64))) == ring
    assert {name: len(values) for name, values in film_features(films(1, 0)[0][0]).items()} == {
        "grey": 16,
        "gradient": 12,
        "contrast": 12,
        "spectrum": 10,
    }
    assert film_features(films(1, 0)[0][0])["grey"].max() == pytest.approx(-1, abs=0.4)
