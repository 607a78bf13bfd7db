import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from tests.data.stream.test_augmentation import blob_case
from xctrs_tf.data.dataset import network_arrays
from xctrs_tf.data.stream import random_cubes
from xctrs_tf.data.stream.augmentation import augmented_arrays
from xctrs_tf.data.volumes.intensity import AIR_HU, denormalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.training.config import TrainingConfig

STILL = {
    "ROTATION_DEG": 0.0,
    "SCALE": (1.0, 1.0),
    "COARSE": 0.0,
    "NOISE_HU": 0.0,
    "OFFSET_HU": 0.0,
    "GAIN": 0.0,
    "METAL": 0.0,
    "CUT": 0.0,
}


@pytest.fixture
def still(monkeypatch):
    """Switch off every change but the place of the cube."""
    for name, value in STILL.items():
        monkeypatch.setattr(random_cubes, name, value)
    return monkeypatch


def draw(case, seed=0):
    cube = random_cubes.random_cube(case, np.random.default_rng(seed))
    return denormalise_hu(cube["ct"][..., 0]).astype(float), cube["segmentation"]


def with_scan(case, before=(10, 6, 8), after=(4, 9, 12)):
    """Return a patient whose scan is larger than the crop and not air outside of it."""
    scan = np.pad(case.ct, tuple(zip(before, after, strict=True)), constant_values=-700)
    return dataclasses.replace(case, scan=scan, scan_start=tuple(-n for n in before))


def test_ct_and_labels_of_a_cube_stay_together(still):
    still.setattr(random_cubes, "ROTATION_DEG", 15.0)
    still.setattr(random_cubes, "SCALE", (0.85, 1.15))
    still.setattr(random_cubes, "ANYWHERE", 0.0)
    places = []
    for seed in range(12):
        ct, labels = draw(blob_case(), seed)
        inside = np.pad(labels, 2)[1:-1, 1:-1, 1:-1]
        if inside[0].any() or inside[-1].any() or labels.sum() < 5:
            continue
        place = ndimage.center_of_mass(ct - AIR_HU)
        np.testing.assert_allclose(ndimage.center_of_mass(labels > 0), place, atol=0.6)
        places.append(place)
    assert len(places) > 3 and np.ptp(places, axis=0).max() > 2


def test_cubes_come_from_the_whole_scan(still):
    still.setattr(random_cubes, "ANYWHERE", 1.0)
    case = with_scan(blob_case())
    beyond = 0
    for seed in range(20):
        ct, labels = draw(case, seed)
        # What is around the crop is -700 HU; what is around the scan is air.
        beyond += bool((np.abs(ct + 700) < 2).any())
        assert ct.min() >= AIR_HU and labels.shape == case.ct.shape
    assert beyond > 10
    assert any((draw(case, seed)[0] == AIR_HU).all(axis=(1, 2)).any() for seed in range(20))


def test_a_cube_may_hold_the_end_of_the_scan_and_no_label_beyond_it(still):
    still.setattr(random_cubes, "CUT", 1.0)
    still.setattr(random_cubes, "ANYWHERE", 0.0)
    solid = dataclasses.replace(
        blob_case(), ct=np.full((24,) * 3, 50, np.int16), segmentation=np.ones((24,) * 3, np.uint8)
    )
    cut = 0
    for seed in range(10):
        ct, labels = draw(with_scan(solid), seed)
        assert not labels[ct == AIR_HU].any()
        cut += bool((ct == AIR_HU).any())
    assert cut >= 7


def test_metal_is_brighter_than_bone_and_has_streaks():
    water = np.zeros((24,) * 3, np.float32)
    with_metal = random_cubes.add_metal(water, np.random.default_rng(3))
    metal = with_metal == random_cubes.METAL_HU
    assert 0 < metal.sum() < 500 and not water.any()
    streaks = with_metal[~metal]
    assert streaks.min() < -20 and streaks.max() > 20
    nothing = np.full((8,) * 3, AIR_HU, np.float32)
    same = random_cubes.add_metal(nothing, np.random.default_rng(3))
    np.testing.assert_array_equal(same, nothing)


def test_coarse_voxels_blur_along_their_longest_edge(still):
    case = blob_case()
    sharp = draw(case)[0]
    still.setattr(random_cubes, "COARSE", 1.0)
    still.setattr(random_cubes, "COARSEST", 3.0)
    blurred = draw(case)[0]
    assert np.abs(np.diff(blurred, axis=0)).max() < 0.9 * np.abs(np.diff(sharp, axis=0)).max()
    assert blurred.mean() == pytest.approx(sharp.mean(), abs=3)


def test_samples_with_cubes_keep_their_share_and_the_types_of_the_others():
    case = with_scan(blob_case())
    plain = network_arrays(case)
    changed = 0
    for index in range(20):
        arrays = augmented_arrays(case, ("cubes:0.5",), 7, index)
        for name, expected in plain.items():
            assert arrays[name].dtype == expected.dtype and arrays[name].shape == expected.shape
        changed += not np.array_equal(arrays["ct"], plain["ct"])
    assert 4 <= changed <= 16


def test_a_cube_is_mirrored_with_its_labels(still):
    still.setattr(random_cubes, "ANYWHERE", 0.0)
    straight = augmented_arrays(blob_case(), ("cubes",), 7, 5)
    both = augmented_arrays(blob_case(), ("mirror:1", "cubes"), 7, 5)
    for name in ("ct", "segmentation"):
        np.testing.assert_array_equal(both[name], straight[name][::-1])


def test_networks_that_get_films_cannot_learn_from_cubes():
    with pytest.raises(UserError, match="--augment=cubes: changes the CT alone"):
        TrainingConfig(data="d", augment="mirror,cubes").check()
    TrainingConfig(data="d", augment="cubes", reconstruction="none", rsc_weight=0.0).check()
