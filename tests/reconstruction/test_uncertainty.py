import numpy as np
import pytest

from xctrs_tf.reconstruction.uncertainty import combine

# Three models, four voxels: agreement, two to one, three different labels, background.
LABELS = np.array([[2, 2, 3, 0], [2, 2, 0, 0], [2, 3, 4, 0]], np.uint8).reshape(3, 1, 2, 2)
CT = np.array([[10, 0, -5, 7], [10, 3, -5, 7], [10, 6, -4, 7]], np.int16).reshape(3, 1, 2, 2)


def test_mean_vote_and_spread():
    result = combine(CT, LABELS, 2.0)
    np.testing.assert_array_equal(result.ct_hu.ravel(), [10, 3, -5, 7])
    assert result.ct_hu.dtype == np.int16
    np.testing.assert_array_equal(result.segmentation.ravel(), [2, 2, 0, 0])
    np.testing.assert_allclose(result.spread_hu.ravel(), [0, 3, np.sqrt(1 / 3), 0], atol=1e-6)
    np.testing.assert_allclose(result.agreement.ravel(), [1, 2 / 3, 1 / 3, 1], atol=1e-6)


def test_summary_of_a_vertebra():
    summary = combine(CT, LABELS, 2.0).summary
    assert summary["C2"]["spread_hu"] == pytest.approx(1.5)
    assert summary["C2"]["agreement"] == pytest.approx(5 / 6)
    # Two, two and one voxels of 8 mm3.
    assert summary["C2"]["volume_mm3"] == pytest.approx(40 / 3)
    assert summary["C2"]["volume_deviation_mm3"] == pytest.approx(8 / np.sqrt(3))
    assert summary["C7"]["spread_hu"] is None


def test_a_tie_goes_to_the_lowest_label():
    labels = np.array([4, 3], np.uint8).reshape(2, 1, 1, 1)
    assert combine(CT[:2, :, :1, :1], labels, 1.0).segmentation.item() == 3


def test_models_that_do_not_segment():
    result = combine(CT, None, 1.0)
    assert result.segmentation is None and result.agreement is None and result.summary == {}


def test_one_model_has_no_spread():
    with pytest.raises(ValueError, match="at least two"):
        combine(CT[:1], LABELS[:1], 1.0)
