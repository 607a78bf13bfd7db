import dataclasses

import numpy as np
import pytest

from tests.evaluation.patients import MemoryDataset, make_case
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.evaluation.mean_volume import mean_volume


def patients(labels, hu=(0, 500, 1000)):
    cases = []
    for index, label in enumerate(labels):
        case = make_case(f"p{index}")
        segmentation = case.segmentation.copy()
        segmentation[1, 2, 3] = label
        ct = np.full_like(case.ct, hu[index])
        cases.append(dataclasses.replace(case, segmentation=segmentation, ct=ct))
    return MemoryDataset(cases)


def test_mean_volume():
    dataset = patients([0, 0, 0])
    baseline = mean_volume(dataset, ["p0", "p1"])
    assert baseline.ct.dtype == np.float32
    np.testing.assert_allclose(baseline.ct, (1000 + 1500) / 2 / 2500, atol=1e-6)


def test_mean_is_of_clipped_intensities():
    dataset = patients([0, 0, 0], hu=(3000, -1000, 0))
    assert mean_volume(dataset, ["p0", "p1"]).ct == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("votes", "winner"), [([5, 5, 2], 5), ([0, 3, 3], 3), ([6, 0, 4], 0), ([7, 2, 6], 2)]
)
def test_majority_of_the_labels(votes, winner):
    dataset = patients(votes)
    labels = mean_volume(dataset, dataset.ids).labels
    assert labels.dtype == np.uint8
    assert labels[1, 2, 3] == winner
    assert labels[10, 12, 25] == 1


def test_only_the_patients_named_are_read():
    dataset = patients([1, 1, 2])
    del dataset.cases["p2"]
    baseline = mean_volume(dataset, ["p0", "p1"])
    assert baseline.labels[1, 2, 3] == 1


def test_scores_perfectly_on_itself():
    dataset = patients([3])
    baseline = mean_volume(dataset, ["p0"])
    np.testing.assert_array_equal(baseline.ct, normalise_hu(dataset.load("p0").ct))
    np.testing.assert_array_equal(baseline.labels, dataset.load("p0").segmentation)
