import dataclasses

import numpy as np
import pytest

from tests.data.necks import make_neck
from xctrs_tf.data.dataset import sanity
from xctrs_tf.data.dataset.header_correction import correct_header
from xctrs_tf.data.dataset.preparation import crop_patient
from xctrs_tf.data.phantom import make_phantom
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.data.volumes.volume import Volume


class OneScan(PatientSource):
    """Source of one neck that a function changes."""

    def __init__(self, change):
        self.ids = ["a"]
        self.change = change

    def record(self, scan):
        return {"source": "test", "source_file": "a.nii"}

    def load(self, scan):
        return RawPatient(scan, *self.change(*make_neck()))


def reasons_for(change, spacing_mm=3.0):
    return crop_patient(OneScan(change), "a", 32, spacing_mm)[1]


def in_other_numbers(function):
    def change(ct, labels):
        return dataclasses.replace(ct, array=function(ct.array.astype(np.float32))), labels

    return change


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda hu: hu + 1024, "no air (CT numbers 24 to 1631); the CT is not in HU"),
        (lambda hu: (hu + 1000) / 2600, "no air (CT numbers 0 to 0.618"),
        (lambda hu: np.clip((hu + 1000) / 10, 0, 255), "no air (CT numbers 0 to 160"),
        (lambda hu: np.clip(hu, -200, 3000), "no air"),
        (lambda hu: np.full_like(hu, 40), "the CT is 40 everywhere"),
        (lambda hu: -hu, "a median of -60"),
        (lambda hu: np.where(hu > 500, -900, hu), "a median of -89"),
        (lambda hu: hu / 10, "no air"),
        (lambda hu: hu * 2, "HU in C1 to C7 (100 to 1000 are possible)"),
        # The padding of a scan of another scale passes for air.
        (lambda hu: np.where(hu < -900, -1000, hu + 1024), "HU in C1 to C7 (100 to 1000 are"),
        (lambda hu: np.where(hu < -900, -1000, hu / 1000), "HU in C1 to C7 (100 to 1000 are"),
        # As a neck of other bones.
        (lambda hu: np.roll(hu, 8, axis=1), "C1 to C7 do not lie on the bones"),
    ],
)
def test_a_ct_of_another_scale_is_refused(function, message):
    (reason,) = reasons_for(in_other_numbers(function))
    assert reason.startswith("a.nii: ") and message in reason


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ((0.001,) * 3, "0.075 mm from C1 to C7 (60 to 150 are possible); correct the voxel size"),
        ((0.1,) * 3, "7.5 mm from C1 to C7"),
        ((25.4,) * 3, "mm from C1 to C7"),
        ((1, 1, 0.4), "30 mm from C1 to C7"),
        ((0.5, 1, 1), "C1 to C7 are 21 mm wide along x (40 to 130 are possible)"),
        ((1, 0.5, 1), "C1 to C7 are 18 mm wide along y (30 to 160 are possible)"),
    ],
)
def test_a_voxel_size_that_was_lost_or_has_another_unit_is_refused(factors, message):
    def change(*volumes):
        return [
            Volume(each.array, tuple(np.multiply(each.spacing_mm, factors)), each.origin_mm)
            for each in volumes
        ]

    (reason,) = reasons_for(change)
    assert message in reason


def with_bodies(ct, labels):
    """Return a neck whose vertebrae are thick in front and thin behind."""
    for array, empty in ((ct.array, 40), (labels.array, 0)):
        for bottom in range(5, 40, 5):
            array[6:15, 15:33, bottom : bottom + 4] = empty
            array[17:27, 15:33, bottom : bottom + 4] = empty
    return ct, labels


@pytest.mark.parametrize(
    ("correction", "found", "words"),
    [
        ("rotate180x", "rotate180x", "C1 to C7 follow each other upwards and the spinous"),
        ("rotate180y", "rotate180y", "a.nii: C1 to C7 follow each other upwards, so"),
        ("rotate180z", "rotate180z", "a.nii: the spinous processes of C2 to C7 point to the front"),
        # Left and right look alike.
        ("mirror_y", "rotate180z", "point to the front, so its header contradicts the scan"),
        ("mirror_z", "rotate180y", "follow each other upwards"),
    ],
)
def test_a_header_that_turns_both_files_is_noticed(correction, found, words):
    def turned(*volumes):
        return [correct_header(each, correction, (0.0, 0.0, 0.0)) for each in with_bodies(*volumes)]

    assert reasons_for(with_bodies) == []
    (reason,) = reasons_for(turned)
    assert words in reason and reason.endswith(f"--header=a:{found}")


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("correction", [None, "rotate180x", "rotate180y", "rotate180z"])
def test_phantoms_face_to_the_front_and_turned_ones_do_not(size, correction):
    # Number 47 has the thickest parts of its vertebrae in the arches, in voxels of 4 mm.
    for seed in (1, 47):
        phantom = make_phantom(seed, size=size, spacing_mm=128 / size)
        labels = Volume(phantom.segmentation, (phantom.spacing_mm,) * 3, (0.0,) * 3)
        if correction is None:
            assert sanity.check_direction(labels) is None
            assert sanity.facing_mm(labels) > 4
        else:
            turned = correct_header(labels, correction, (0.0,) * 3)
            assert sanity.check_direction(turned)[1] == correction


def without_dens(ct, labels):
    """Return a neck whose second vertebra stays below the first, as C3 below C2."""
    labels.array[:, :, 35:][labels.array[:, :, 35:] == 2] = 1
    return ct, labels


def test_a_neck_without_a_dens_is_perhaps_one_level_off():
    (reason,) = reasons_for(without_dens)
    assert reason.startswith("a.nii: the second vertebra does not rise into the first as C2 does")
    assert "perhaps one level off; look at them, and correct" in reason


@pytest.mark.parametrize(("size", "spacing_mm"), [(32, 5.0), (64, 2.0)])
def test_phantoms_have_a_dens_and_phantoms_one_level_off_have_none(size, spacing_mm):
    for seed in (1, 47):
        segmentation = make_phantom(seed, size=size, spacing_mm=spacing_mm).segmentation
        labels = Volume(segmentation, (spacing_mm,) * 3, (0.0,) * 3)
        assert sanity.check_levels(labels) is None and sanity.dens_rise_mm(labels) > 4
        # C2 has the number of C1, and so on; which number C7 has makes no difference.
        moved = dataclasses.replace(labels, array=np.maximum(segmentation, 1) - 1)
        assert sanity.dens_rise_mm(moved) < -5
        assert "perhaps one level off" in sanity.check_levels(moved)


@pytest.mark.parametrize("missing", [1, 2])
def test_the_dens_is_not_asked_for_where_c1_or_c2_is_missing(missing):
    labels = make_neck()[1]
    labels.array[labels.array == missing] = 0
    assert np.isnan(sanity.dens_rise_mm(labels)) and sanity.check_levels(labels) is None


def test_vertebrae_lost_in_large_voxels_are_named():
    ct, labels = make_neck()
    labels.array[labels.array == 3] = 0
    reason = sanity.check_crop(ct, labels)
    assert reason == "label C3 lost in voxels of 2 mm; take smaller"


@pytest.mark.parametrize("value", [0.0, 4.5, np.nan])
def test_blank_films_are_noticed(value):
    film = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert sanity.check_films({"ap": film, "la": film}) is None
    blank = {"ap": film, "la": np.full_like(film, value)}
    assert sanity.check_films(blank) == "nothing is to be seen on the LA film"
