import numpy as np
import pytest
import scipy

from tests.data.films.pair.necks import neck_films
from xctrs_tf.data.films.pair.height_match import brightness_correlation, match_heights
from xctrs_tf.data.films.pair.view_check import (
    DOUBTFUL_EVIDENCE,
    check_two_films,
    judge_views,
)
from xctrs_tf.data.projection.film_processing import local_contrast
from xctrs_tf.errors import UserError

FAULTS = [
    (lambda ap, la: (ap, la[::-1]), "the lateral film faces right: give --la_flip_horizontal"),
    (lambda ap, la: (ap, la[:, ::-1]), "the lateral film is upside down: give --la_flip_vertical"),
    (lambda ap, la: (ap, la[::-1, ::-1]), "turned by 180 degrees: give --la_rotate=180"),
    (lambda ap, la: (ap[::-1, ::-1], la), "the AP film is upside down: give --ap_rotate=180"),
    (lambda ap, la: (ap[:, ::-1], la[:, ::-1]), "both films are upside down: give --ap_flip_ver"),
    (lambda ap, la: (ap[::-1, ::-1], la[::-1, ::-1]), "both films are turned by 180 degrees"),
    # A film that was turned counter-clockwise is turned back clockwise.
    (lambda ap, la: (ap, np.rot90(la)), "the lateral film lies on its side: give --la_rotate=90"),
    (lambda ap, la: (np.rot90(ap, -1), la), "the AP film lies on its side: give --ap_rotate=-90"),
    (lambda ap, la: (np.rot90(ap), np.rot90(la)), "both films lie on their side: give --rotate=90"),
    (lambda ap, la: (ap, 1 - la), "the lateral film shows bone dark: give --la_invert"),
    (lambda ap, la: (1 - ap, la), "the AP film shows bone dark: give --ap_invert"),
    (lambda ap, la: (1 - ap, 1 - la), "both films show bone dark: give --ap_invert and --la_inv"),
    (lambda ap, la: (la, ap), "AP and LA are swapped: exchange the two files"),
]


def test_two_films_of_one_neck_pass_whatever_their_exposure():
    ap, la = neck_films(0)
    for gammas in ((1, 1), (2, 0.5), (0.5, 0.5)):
        judgement = judge_views(ap ** gammas[0], la ** gammas[1])
        assert judgement.problem is None and judgement.doubt is None
        assert abs(judgement.match.shift) < 0.01 and abs(judgement.match.scale - 1) < 0.03


@pytest.mark.parametrize(("change", "message"), FAULTS)
def test_the_one_fault_of_a_pair_is_named(change, message):
    problem = judge_views(*change(*neck_films(0))).problem
    assert problem.startswith("films: ") and message in problem


def test_brightness_of_films_at_other_heights_agrees_much_less_under_any_exposure():
    ap, la = neck_films(0)
    agreement = brightness_correlation(ap**2, la**0.5)
    assert agreement > 0.98
    moved = brightness_correlation(ap, np.roll(la, 4, axis=1))
    assert moved < match_heights(ap, np.roll(la, 4, axis=1)).correlation - 0.05


def test_films_of_two_patients():
    (ap, _), (_, la) = neck_films(0), neck_films(1)
    judgement = judge_views(ap, la)
    assert "films: AP and LA agree by 0." in (judgement.problem or judgement.doubt)


@pytest.mark.parametrize(
    "change",
    [
        lambda film: film,
        lambda film: film[::-1],
        lambda film: film[:, ::-1],
        lambda film: 1 - film[::-1, ::-1],
        lambda film: film**3,
        lambda film: np.roll(film, 2, axis=0),
        lambda film: film + np.random.default_rng(5).random(film.shape) / 20,
    ],
)
def test_one_view_twice_however_it_is_changed(change):
    for film in neck_films(0):
        problem = judge_views(film, change(film)).problem
        assert "AP and LA show one view twice; give one film of each" in problem


@pytest.mark.parametrize(("shift", "scale"), [(3, 1), (-5, 1), (0, 1.12), (2.5, 0.9)])
def test_shift_and_scale_are_measured(shift, scale):
    ap, la = neck_films(0)
    middle = (len(la) - 1) / 2
    # The LA film shows at ``scale * u + shift`` rows what the AP film shows at ``u``.
    places = [(np.arange(len(la)) - middle - by) / scale + middle for by in (0, shift)]
    moved = scipy.ndimage.map_coordinates(la, np.meshgrid(*places, indexing="ij"), mode="nearest")
    match = judge_views(ap, np.clip(moved, 0, 1)).match
    assert match.shift * len(la) == pytest.approx(shift, abs=0.4)
    assert match.scale == pytest.approx(scale, abs=0.02)


def test_a_shift_is_measured_after_local_contrast_was_enhanced():
    ap, la = (local_contrast(film, 8, 2.56) for film in neck_films(0))
    for shift in (4, -4):
        match = match_heights(ap[:, 8:56], la[:, 8 - shift : 56 - shift])
        assert match.evidence > DOUBTFUL_EVIDENCE
        assert match.shift * 48 == pytest.approx(shift, abs=0.3)


@pytest.mark.parametrize(("view", "name"), [("ap", "no AP film"), ("la", "no lateral film")])
def test_one_film_alone(view, name):
    films = dict(zip(("ap", "la"), neck_films(0), strict=True)) | {view: None}
    with pytest.raises(UserError, match=rf"{name} \(--{view}\); both views are needed, since one"):
        check_two_films(films)
