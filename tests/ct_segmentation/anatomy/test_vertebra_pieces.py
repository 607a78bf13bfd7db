import dataclasses
import itertools

import numpy as np
import pytest

from tests.ct_segmentation.anatomy.phantom_predictions import (
    SPACING_MM,
    neck,
    one_piece_of_two,
    prediction_of,
    relabelled,
    upper_part,
)
from xctrs_tf.ct_segmentation.anatomy.level_chain import STEPS_MM, expected_mm, level_chain
from xctrs_tf.ct_segmentation.anatomy.neck_shape import (
    has_dens,
    unusual_distances,
    unusual_volumes,
)
from xctrs_tf.ct_segmentation.anatomy.piece_repair import repaired_chain, stray_pieces
from xctrs_tf.ct_segmentation.anatomy.vertebra_pieces import Piece, vertebra_pieces

# Whether a piece is cut, how far it lies above the first vertebra, and whether it is a stray one.
CUT_PIECES = [(True, 12.0, False), (False, 12.0, True), (True, -12.0, True), (True, -70.0, False)]


@pytest.fixture(scope="module")
def pieces():
    return vertebra_pieces(prediction_of(neck().segmentation))


def _counts(pieces):
    return [len(piece.voxels) for piece in pieces]


def _sizes():
    return np.bincount(neck().segmentation.ravel(), minlength=8)[1:].tolist()


def _labels(chain):
    labels = np.zeros_like(neck().segmentation)
    for piece, level in zip(chain.pieces, chain.levels, strict=True):
        labels[tuple(piece.voxels.T)] = level
    return labels


def _repaired(labels):
    prediction = prediction_of(labels)
    return repaired_chain(vertebra_pieces(prediction), prediction)


def _spine(said, scale=1.0, sure=0.9, places=None):
    """Return pieces with the usual distances, of which the network says these levels."""
    heights = -np.concatenate([[0.0], np.cumsum(STEPS_MM)]) * scale
    made = []
    for index, level in zip(places or range(len(said)), said, strict=True):
        means = np.full(7, (1 - sure) / 6)
        means[level - 1] = sure
        centre = np.array([0.0, 0.0, heights[index]])
        made.append(Piece(np.zeros((1, 3), int), np.eye(7)[level - 1], means, centre, 9000.0))
    return made


def test_every_vertebra_is_a_piece(pieces):
    assert _counts(pieces) == _sizes()
    for level, piece in enumerate(pieces):
        assert piece.votes.tolist() == np.eye(7)[level].tolist()
        assert piece.means[level] == pytest.approx(0.9, abs=1e-3)
        assert piece.volume_mm3 == pytest.approx(len(piece.voxels) * SPACING_MM**3)
        assert not piece.is_cut


def test_island_is_dropped_and_crumb_goes_to_its_vertebra():
    labels = neck().segmentation.copy()
    labels[2:5, 2:5, 40:43] = 4
    crumb = np.argwhere(labels == 2)[:9]
    labels[tuple(crumb.T)] = 6
    found = vertebra_pieces(prediction_of(labels))
    assert _counts(found) == _sizes()
    assert 0.99 < found[1].votes[1] < 1.0


def test_scan_without_bone_has_no_piece():
    assert vertebra_pieces(prediction_of(np.zeros_like(neck().segmentation))) == []
    assert level_chain([]).pieces == []


def test_expected_distance_is_the_sum_of_the_steps():
    assert expected_mm(1, 2) == STEPS_MM[0]
    assert expected_mm(2, 5) == pytest.approx(sum(STEPS_MM[1:4]))


@pytest.mark.parametrize(
    ("said", "levels"),
    [
        ((1, 2, 3, 4, 5, 6, 7), [1, 2, 3, 4, 5, 6, 7]),
        ((1, 2, 3, 5, 4, 6, 7), [1, 2, 3, 4, 5, 6, 7]),
        ((1, 2, 3, 4, 4, 6, 7), [1, 2, 3, 4, 5, 6, 7]),
        ((3, 4, 5, 6), [3, 4, 5, 6]),
        ((5, 6, 7, 7, 7), [5, 6, 7, 8, 9]),
    ],
)
def test_levels_follow_each_other(said, levels):
    places = [level - 1 for level in levels]
    chain = level_chain(_spine(said, places=places))
    assert chain.levels == levels and not chain.dropped
    assert chain.piece(levels[0]) is chain.pieces[0]
    assert chain.piece(levels[0] - 1) is None


def test_left_out_level_stays_out():
    chain = level_chain(_spine((1, 2, 3, 5, 6, 7), places=(0, 1, 2, 4, 5, 6)))
    assert chain.levels == [1, 2, 3, 5, 6, 7] and chain.piece(4) is None


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.15])
def test_size_of_the_neck_is_found(scale):
    chain = level_chain(_spine((1, 2, 3, 4, 5, 6, 7), scale))
    assert chain.levels == [1, 2, 3, 4, 5, 6, 7]
    assert chain.scale == pytest.approx(scale, rel=0.06)


def test_piece_that_fits_nowhere_is_dropped():
    spine = _spine((1, 2, 3, 4, 5, 6, 7))
    extra = dataclasses.replace(spine[2], centroid_mm=spine[2].centroid_mm - (0.0, 0.0, 3.0))
    chain = level_chain([*spine[:3], extra, *spine[3:]])
    assert chain.levels == [1, 2, 3, 4, 5, 6, 7]
    assert len(chain.dropped) == 1 and any(chain.dropped[0] is each for each in (spine[2], extra))
    assert stray_pieces(chain) == chain.dropped
    small = dataclasses.replace(extra, volume_mm3=500.0)
    assert stray_pieces(dataclasses.replace(chain, dropped=[small])) == []


@pytest.mark.parametrize(("is_cut", "height_mm", "is_stray"), CUT_PIECES)
def test_rest_of_the_next_vertebra_at_the_border_is_no_stray_piece(is_cut, height_mm, is_stray):
    chain = level_chain(_spine((3, 4, 5, 6), places=(2, 3, 4, 5)))
    place = chain.pieces[0].centroid_mm + np.array([10.0, 0.0, height_mm])
    rest = dataclasses.replace(chain.pieces[0], centroid_mm=place, is_cut=is_cut)
    assert bool(stray_pieces(dataclasses.replace(chain, dropped=[rest]))) is is_stray


def test_clean_neck_stays_as_it_is(pieces):
    chain = repaired_chain(pieces, prediction_of(neck().segmentation))
    assert chain.levels == [1, 2, 3, 4, 5, 6, 7]
    assert all(one is other for one, other in zip(chain.pieces, pieces, strict=True))


@pytest.mark.parametrize(("level", "other"), [(5, 2), (4, 7), (6, 3)])
def test_halves_of_two_classes_are_joined(level, other):
    labels = neck().segmentation.copy()
    labels[upper_part(level, 0.6)] = other
    assert len(vertebra_pieces(prediction_of(labels))) == 8
    np.testing.assert_array_equal(_labels(_repaired(labels)), neck().segmentation)


@pytest.mark.parametrize(("level", "other"), [(6, 7), (5, 6), (4, 3)])
def test_two_vertebrae_of_one_class_are_not_taken_for_one(level, other):
    labels = relabelled({level: other})
    assert len(vertebra_pieces(prediction_of(labels))) == 6
    chain = _repaired(labels)
    assert unusual_volumes(chain) or stray_pieces(chain)


def test_vertebrae_cut_out_of_one_piece_are_marked():
    labels, hu = one_piece_of_two()
    prediction = prediction_of(labels, hu)
    pieces = vertebra_pieces(prediction)
    assert [piece.is_part for piece in pieces] == [False] * 3
    chain = repaired_chain(pieces, prediction)
    assert chain.levels == [3, 4, 5, 6]
    assert [piece.is_part for piece in chain.pieces] == [False, True, True, False]
    # The thin bridge between them goes to either.
    assert _counts(chain.pieces) == pytest.approx([288, 288, 288, 288], abs=8)


def test_only_c1_and_c2_have_a_dens(pieces):
    told = [
        has_dens(upper, lower, pieces[index + 2 :], SPACING_MM)
        for index, (upper, lower) in enumerate(itertools.pairwise(pieces))
    ]
    assert told == [True, False, False, False, False, False]


def test_c2_without_its_dens_is_no_c2(pieces):
    voxels = pieces[1].voxels
    lower = dataclasses.replace(pieces[1], voxels=voxels[voxels[:, 2] < voxels[:, 2].mean()])
    assert not has_dens(pieces[0], lower, pieces[2:], SPACING_MM)


@pytest.fixture
def chain(pieces):
    return level_chain(pieces)


def _with(chain, index, **fields):
    changed = list(chain.pieces)
    changed[index] = dataclasses.replace(changed[index], **fields)
    return dataclasses.replace(chain, pieces=changed)


def test_unusual_volume_is_told(chain):
    assert unusual_volumes(chain) == []
    doubled = {"volume_mm3": 2.0 * chain.pieces[4].volume_mm3}
    told = unusual_volumes(_with(chain, 4, **doubled))
    assert [text[:26] for text in told] == [
        "the volumes of C4 and C5 d",
        "the volumes of C5 and C6 d",
    ]
    # A cut vertebra has no size.
    assert unusual_volumes(_with(chain, 4, is_cut=True, **doubled)) == []


def test_unusual_distance_is_told(chain):
    assert unusual_distances(chain) == []
    moved = {"centroid_mm": chain.pieces[6].centroid_mm - (0.0, 0.0, 14.0)}
    (told,) = unusual_distances(_with(chain, 6, **moved))
    assert told.startswith("the distance between C6 and C7 is unusual (")
    assert unusual_distances(_with(chain, 6, is_cut=True, **moved)) == []
