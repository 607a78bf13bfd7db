import dataclasses

import numpy as np
import pytest

from tests.ct_segmentation.anatomy.phantom_predictions import (
    NAMES,
    SPACING_MM,
    SURE,
    heights_of,
    neck,
    one_piece_of_two,
    prediction_of,
    relabelled,
    seen_from,
    upper_part,
)
from xctrs_tf.ct_segmentation.findings import (
    BOTTOM_ANCHOR,
    TOP_ANCHOR,
    UNCERTAIN,
    NoCervicalSpine,
    find_vertebrae,
)
from xctrs_tf.errors import UserError


def _find(labels, hu=None):
    return find_vertebrae(prediction_of(labels, hu), "neck.nii.gz")


@pytest.fixture(scope="module")
def whole():
    """Findings of the whole neck with two islands: in the air, and in the muscles behind C5."""
    labels = neck().segmentation.copy()
    for place, level in (((2, 2, 40), 3), ((24, 45, 40), 5)):
        labels[tuple(slice(start, start + 2) for start in place)] = level
    assert (labels != neck().segmentation).sum() == 16
    return _find(labels)


def test_whole_neck_comes_out_unchanged_and_without_islands(whole):
    np.testing.assert_array_equal(whole.labels, neck().segmentation)
    assert whole.labels.dtype == np.uint8
    assert (whole.levels, whole.reasons, whole.missing) == (TOP_ANCHOR, (), ())
    assert whole.is_anchored and whole.is_certain


def test_every_vertebra_is_described(whole):
    assert tuple(each.name for each in whole.vertebrae) == NAMES
    assert tuple(each.likely_level for each in whole.vertebrae) == NAMES
    for vertebra in whole.vertebrae:
        voxels = np.argwhere(neck().segmentation == vertebra.label)
        centroid = np.array(neck().origin_mm) + voxels.mean(axis=0) * SPACING_MM
        np.testing.assert_allclose(vertebra.centroid_mm, centroid, atol=1e-6)
        assert vertebra.volume_mm3 == pytest.approx(len(voxels) * SPACING_MM**3)
        assert vertebra.confidence == pytest.approx(SURE, abs=1e-3)
        assert not vertebra.cut and not vertebra.problems
        # All of it lies in its box, but for the corners of its voxels.
        inside = (centroid + (voxels - voxels.mean(axis=0)) * SPACING_MM) - vertebra.box.centre_mm
        inside = np.abs(inside @ vertebra.box.axes)
        assert (inside <= np.array(vertebra.box.size_mm) / 2 + 1e-6).all()


def test_level_shift_in_the_lower_half_is_not_certain():
    findings = _find(relabelled({5: 4, 6: 5, 7: 6}))
    assert findings.levels == UNCERTAIN and not findings.is_certain
    assert any("by the first ribs, C7 lies 1 level higher" in text for text in findings.reasons)
    assert not set(np.unique(findings.labels)) & set(range(1, 8))


def test_swapped_levels_are_put_in_order_and_told():
    findings = _find(relabelled({4: 5, 5: 4}))
    np.testing.assert_array_equal(findings.labels, neck().segmentation)
    assert not findings.is_certain
    assert "C4: the network takes most of it for C5" in findings.reasons


def test_vertebra_in_two_classes_is_joined_and_told():
    labels = neck().segmentation.copy()
    labels[upper_part(5, 0.5)] = 2
    assert ((labels == 2) & (neck().segmentation == 5)).sum() > 150
    findings = _find(labels)
    np.testing.assert_array_equal(findings.labels, neck().segmentation)
    assert findings.levels == TOP_ANCHOR and not findings.is_certain
    assert any(text.startswith("C5: the network takes") for text in findings.reasons)


@pytest.mark.parametrize(
    ("level", "taken_for", "told"),
    [
        (5, 4, "C5 is small beside its neighbours (6.3 ml; 9.3 ml are usual)"),
        (7, 6, "C6 is large beside its neighbours (11.6 ml; 7.9 ml are usual)"),
        (5, 2, "a piece of 2.0 ml beside the spine is like a vertebra and fits nowhere"),
    ],
)
def test_quarter_of_a_vertebra_under_another_level_is_told(level, taken_for, told):
    labels = neck().segmentation.copy()
    labels[upper_part(level, 0.3)] = taken_for
    findings = _find(labels)
    assert findings.problems == (told,) and not findings.is_certain


def test_levels_are_uncertain_where_the_scan_shows_c3_to_c6_only():
    labels, hu = seen_from(heights_of(6)[0] - 3, heights_of(3)[1] + 4)
    labels[~np.isin(labels, (3, 4, 5, 6))] = 0
    findings = _find(labels, hu)
    assert findings.levels == UNCERTAIN and not findings.is_anchored
    assert findings.missing == ()
    assert [each.name for each in findings.vertebrae] == ["V1", "V2", "V3", "V4"]
    assert [each.label for each in findings.vertebrae] == [101, 102, 103, 104]
    assert [each.likely_level for each in findings.vertebrae] == ["C3", "C4", "C5", "C6"]
    written = np.where(labels > 0, labels + 98, 0)
    np.testing.assert_array_equal(findings.labels, written)


def test_cut_atlas_is_no_anchor_and_not_certain():
    low, high = heights_of(1)
    findings = _find(*seen_from(0, (low + high + 1) // 2))
    # The first ribs still tell the levels.
    assert findings.levels == BOTTOM_ANCHOR and not findings.is_certain
    assert findings.vertebrae[0].name == "C1" and findings.vertebrae[0].cut
    assert "C1: it is cut by the border of the scan" in findings.reasons
    assert not findings.vertebrae[-1].cut


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (0, "it is cut by the border of the scan"),
        (1, "it ends so near to the border of the scan that it may be cut"),
        (3, None),
    ],
)
def test_atlas_below_the_end_of_the_scan_is_found(missing, told):
    findings = _find(*seen_from(0, heights_of(1)[1] + 1 + missing))
    atlas = findings.vertebrae[0]
    assert atlas.name == "C1" and atlas.problems == ((told,) if told else ())
    assert findings.is_anchored and findings.is_certain is (told is None)


def test_missing_vertebra_is_named():
    findings = _find(relabelled({4: 0}))
    assert findings.missing == ("C4",) and not findings.is_certain
    assert "none found between C3 and C5" in findings.problems
    assert [each.label for each in findings.vertebrae] == [1, 2, 3, 5, 6, 7]


def test_missing_c7_is_named():
    findings = _find(relabelled({7: 0}))
    assert findings.missing == ("C7",) and not findings.is_certain
    assert findings.vertebrae[-1].name == "C6"


def test_vertebrae_of_one_piece_are_told():
    findings = _find(*one_piece_of_two())
    told = "the network labelled it and a neighbour as one vertebra"
    assert [told in each.problems for each in findings.vertebrae] == [False, True, True, False]
    assert not findings.is_certain


def test_unsure_vertebra_is_told():
    prediction = prediction_of(neck().segmentation)
    unsure = prediction_of(neck().segmentation, sure=0.45).probabilities
    of_c4 = neck().segmentation == 4
    prediction.probabilities[of_c4] = unsure[of_c4]
    findings = find_vertebrae(prediction, "neck.nii.gz")
    assert findings.reasons == ("C4: the network is not sure (confidence 0.45)",)
    assert findings.levels == TOP_ANCHOR and not findings.is_certain


@pytest.mark.parametrize("kept", [(), (5,)])
def test_scan_without_two_vertebrae_has_no_cervical_spine(kept):
    labels = np.where(np.isin(neck().segmentation, kept), neck().segmentation, 0)
    told = r"^neck\.nii\.gz: no cervical spine found \(fewer than two vertebrae\); give [^\n]*$"
    with pytest.raises(NoCervicalSpine, match=told) as error:
        _find(labels)
    assert isinstance(error.value, UserError)


def test_vertebrae_between_lungs_are_none_of_the_neck():
    hu = np.where(neck().segmentation > 0, neck().ct, -800)
    with pytest.raises(NoCervicalSpine, match="vertebrae of the chest only"):
        _find(neck().segmentation, hu)


def test_unsure_vertebrae_without_an_anchor_are_no_neck():
    labels = np.where(neck().segmentation < 3, 0, neck().segmentation)
    labels[labels > 6] = 0
    prediction = prediction_of(labels)
    unsure = prediction.probabilities.copy()
    bone = labels > 0
    # Still likelier than background, as what a network sees in a lumbar spine.
    unsure[bone] = 0.58 * unsure[bone] + np.float16(0.42 / 8)
    unsure = dataclasses.replace(prediction, probabilities=unsure)
    with pytest.raises(NoCervicalSpine, match=r"no cervical spine found \(mean confidence 0\.5"):
        find_vertebrae(unsure, "lumbar.nii.gz")
    assert find_vertebrae(prediction, "neck.nii.gz").levels == UNCERTAIN


def test_vertebrae_without_an_anchor_in_a_trunk_are_no_neck():
    labels = np.where(neck().segmentation < 3, 0, neck().segmentation)
    labels[labels > 6] = 0
    hu = neck().ct.astype(np.float32)
    assert _find(labels, hu).levels == UNCERTAIN
    # As wide as shoulders: all of the plane is body, on a wider grid.
    prediction = prediction_of(labels, np.maximum(hu, 0))
    wide = ((40, 40), (40, 40), (0, 0))
    probabilities = np.pad(prediction.probabilities, (*wide, (0, 0)))
    probabilities[..., 0] = 1 - probabilities[..., 1:].sum(axis=-1)
    shift = 40 * prediction.spacing_mm
    trunk = dataclasses.replace(
        prediction,
        probabilities=probabilities,
        hu=np.pad(prediction.hu, wide),
        origin_mm=tuple(np.array(prediction.origin_mm) - (shift, shift, 0)),
    )
    with pytest.raises(NoCervicalSpine, match="the body has 1024 cm2 at the highest vertebra"):
        find_vertebrae(trunk, "chest.nii.gz")
