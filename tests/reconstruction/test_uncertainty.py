import weakref

import numpy as np
import pytest

from xctrs_tf.reconstruction.uncertainty import combine

# Labels of three models alone in four voxels, and CT numbers.
LABELS = np.array([[2, 2, 3, 0], [2, 2, 0, 0], [2, 3, 4, 0]], np.uint8).reshape(3, 1, 2, 2)
CT = np.array([[10, 0, -5, 7], [10, 3, -5, 7], [10, 6, -4, 7]], np.int16).reshape(3, 1, 2, 2)


def certain(labels):
    """Return the probabilities of a model that is sure of its labels."""
    return np.eye(8, dtype=np.float32)[labels]


def members(ct=CT, labels=LABELS):
    return zip(ct, map(certain, labels), strict=True)


def test_mean_and_spread_of_models_that_are_sure():
    result = combine(members(), 2.0)
    np.testing.assert_array_equal(result.ct_hu.ravel(), [10, 3, -5, 7])
    assert result.ct_hu.dtype == np.int16
    np.testing.assert_array_equal(result.segmentation.ravel(), [2, 2, 0, 0])
    assert result.segmentation.dtype == np.uint8
    np.testing.assert_allclose(result.spread_hu.ravel(), [0, 3, np.sqrt(1 / 3), 0], atol=1e-6)


def test_summary_of_a_vertebra():
    summary = combine(members(), 2.0).summary
    assert summary["C2"]["spread_hu"] == pytest.approx(1.5)
    assert summary["C2"]["agreement"] == pytest.approx(5 / 6)
    # Two, two and one voxels of 8 mm3.
    assert summary["C2"]["volume_mm3"] == pytest.approx(40 / 3)
    assert summary["C2"]["volume_deviation_mm3"] == pytest.approx(8 / np.sqrt(3))
    assert summary["C7"]["spread_hu"] is None


def test_the_mean_probability_decides_and_not_the_number_of_models():
    # In the first voxel two models are nearly undecided, and one is sure of C4; in the
    # second one of the models alone would give background.
    classes = np.zeros((3, 1, 1, 2, 8), np.float32)
    classes[:, 0, 0, 0, [0, 4]] = [[0.55, 0.45], [0.55, 0.45], [0.0, 1.0]]
    classes[:, 0, 0, 1, [0, 6]] = [[0.6, 0.4], [0.2, 0.8], [0.2, 0.8]]
    result = combine(zip(CT[:, :, :1], classes, strict=True), 1.0)
    assert result.segmentation.ravel().tolist() == [4, 6]
    assert result.summary["C4"]["agreement"] == pytest.approx(1 / 3)
    assert result.summary["C6"]["agreement"] == pytest.approx(2 / 3)


def test_two_models_give_more_than_what_both_of_them_give():
    classes = np.zeros((2, 1, 1, 1, 8), np.float32)
    classes[:, 0, 0, 0, [0, 3]] = [[0.6, 0.4], [0.1, 0.9]]
    assert combine(zip(CT[:2, :, :1, :1], classes, strict=True), 1.0).segmentation.item() == 3


def test_of_equal_probabilities_the_lowest_label_is_taken():
    labels = np.array([4, 3], np.uint8).reshape(2, 1, 1, 1)
    assert combine(members(CT[:2, :, :1, :1], labels), 1.0).segmentation.item() == 3


def test_the_probabilities_of_all_models_are_never_kept_together():
    kept = []

    def outputs():
        for _ in range(4):
            classes = certain(LABELS[0])
            kept.append(weakref.ref(classes))
            # Those of one model before this one may still be in use.
            assert sum(each() is not None for each in kept) <= 2
            yield CT[0], classes
            del classes

    combine(outputs(), 1.0)
    assert len(kept) == 4


def test_models_that_do_not_segment():
    result = combine([(ct, None) for ct in CT], 1.0)
    assert result.segmentation is None and result.summary == {}
