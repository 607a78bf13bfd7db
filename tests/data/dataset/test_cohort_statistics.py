import dataclasses

import numpy as np
import pytest

from tests.data.cases import make_case
from xctrs_tf.data.dataset.cohort_statistics import (
    OUTLIER_Z,
    find_outliers,
    histogram,
    measure_case,
    robust_z,
)


def boxes():
    """Return a case of 2 mm voxels whose vertebra k has k + 1 voxels at height 8 - k."""
    case = make_case("p", size=10)
    labels = np.zeros((10,) * 3, np.uint8)
    ct = np.full((10,) * 3, -1000, np.int16)
    ct[:, :, 9] = 40
    for number in range(1, 8):
        labels[: number + 1, 0, 8 - number] = number
        ct[: number + 1, 0, 8 - number] = 100 * number
    return dataclasses.replace(case, ct=ct, segmentation=labels, spacing_mm=2.0)


def test_measures_of_boxes():
    measures = measure_case(boxes())
    assert measures["C1 (ml)"] == pytest.approx(2 * 0.008)
    assert measures["C7 (ml)"] == pytest.approx(8 * 0.008)
    assert measures["C1 to C7 (mm)"] == 12.0
    # 35 voxels of 2, 3, ..., 8 times 100, 200, ..., 700 HU: the 18th is of C5.
    assert measures["vertebrae (HU)"] == 500
    assert measures["soft tissue (HU)"] == 40
    assert measures["air (%)"] == pytest.approx(100 * (1000 - 100 - 35) / 1000)
    assert measures["voxel (mm)"] == 2.0


def test_a_patient_without_labels_has_measures_too():
    case = dataclasses.replace(boxes(), segmentation=np.zeros((10,) * 3, np.uint8))
    assert np.isnan(measure_case(case)["C1 to C7 (mm)"]) and measure_case(case)["C3 (ml)"] == 0


def test_every_voxel_is_in_one_bin():
    case = boxes()
    case.ct[0, 0, 9], case.ct[0, 1, 9] = 3000, -1024
    counts = histogram(case)
    assert counts.sum() == 1000 and len(counts) == 50
    # Bins of 50 HU from -1000: 40 HU is in bin 20, 3000 HU in the last.
    assert counts[20] == 98 and counts[-1] == 1 and counts[0] == 866


def test_robust_z_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(5.0, 2.0, 20001)
    np.testing.assert_allclose(robust_z(values).std(), 1.0, atol=0.02)
    # Median 3, median absolute deviation 1.
    np.testing.assert_allclose(robust_z([1, 2, 3, 4, 100]), 0.6745 * np.array([-2, -1, 0, 1, 97]))


def test_any_other_value_among_equal_ones_is_an_outlier():
    assert robust_z([2.0, 2.0, 2.0]).tolist() == [0.0, 0.0, 0.0]
    assert robust_z([2.0, 2.0, 3.0]).tolist() == [0.0, 0.0, np.inf]


def test_outliers_are_found_and_the_furthest_comes_first():
    measures = {f"p{number}": {"a": number % 5, "b": 1.0} for number in range(20)}
    measures["p7"] = {"a": 11.0, "b": 1.0}
    measures["p8"] = {"a": -20.0, "b": 1.0}
    found = find_outliers(measures)
    assert [(patient, name, value) for patient, name, value, *_ in found] == [
        ("p8", "a", -20.0),
        ("p7", "a", 11.0),
    ]
    assert all(abs(z) > OUTLIER_Z and median == 2.0 for *_, median, z in found)


def test_a_patient_whose_measure_is_missing_is_an_outlier():
    measures = {"a": {"m": 1.0}, "b": {"m": float("nan")}, "c": {"m": 1.0}}
    assert [patient for patient, *_ in find_outliers(measures)] == ["b"]
