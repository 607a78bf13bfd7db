import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.data.necks import make_neck, write_neck
from tests.experiments.preparing import nifti_flags, prepare
from tests.programs import assert_refused
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.header_correction import (
    CORRECTIONS,
    CorrectedSource,
    centre_of,
    correct_header,
    parse_corrections,
)
from xctrs_tf.data.sources.nifti import NiftiSource
from xctrs_tf.data.volumes.volume import Volume, write_volume
from xctrs_tf.errors import UserError

IDS = ["a", "b b", "c"]


@pytest.mark.parametrize(
    ("texts", "corrections"),
    [
        ([], {}),
        (["rotate180z"], dict.fromkeys(IDS, "rotate180z")),
        (["b b:mirror_x"], {"b b": "mirror_x"}),
        (["c:none", "rotate180x", "a:mirror_z"], {"a": "mirror_z", "b b": "rotate180x"}),
    ],
)
def test_corrections_of_all_and_of_one(texts, corrections):
    assert parse_corrections(texts, IDS) == corrections


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["rotate90z"], "--header=rotate90z: must be one of rotate180x, .*, none, or ID: and one"),
        (["d:rotate180z"], "--header=d:rotate180z: no patient 'd' in --input"),
        (["a:none", "a:mirror_y"], "--header=a:mirror_y: the second one of it"),
        (["mirror_y", "mirror_x"], "--header=mirror_x: the second one of all"),
    ],
)
def test_mistakes(texts, message):
    with pytest.raises(UserError, match=message):
        parse_corrections(texts, IDS)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_a_point_moves_to_the_opposite_side_of_the_centre(correction):
    array = np.zeros((3, 4, 5), np.int16)
    array[0, 1, 2] = 7
    centre_mm = np.array([12.0, -15.0, 33.0])
    signs = np.where(np.isin(range(3), CORRECTIONS[correction]), -1, 1)
    tilt = Rotation.from_euler("xy", (20, 10), degrees=True).as_matrix()
    for direction in (None, tilt):
        volume = Volume(array, (1.0, 2.0, 3.0), (10.0, -20.0, 30.0), direction)
        turned = correct_header(volume, correction, centre_mm)
        assert (turned.direction is None) == (direction is None)
        before, after = (
            place_of(each, np.argwhere(each.array == 7)[0]) for each in (volume, turned)
        )
        np.testing.assert_allclose(after - centre_mm, signs * (before - centre_mm))
        # The axes stay as near to LPS as they were.
        np.testing.assert_allclose(np.diag(turned.grid.direction), np.diag(volume.grid.direction))


def test_the_centre_of_an_oblique_scan():
    tilt = Rotation.from_euler("x", 20, degrees=True).as_matrix()
    volume = Volume(np.zeros((3, 5, 7)), (1.0, 2.0, 3.0), (10.0, -20.0, 30.0), tilt)
    np.testing.assert_allclose(centre_of(volume), place_of(volume, (1, 2, 3)))


def place_of(volume, index):
    """Return the LPS position of a voxel in mm."""
    grid = volume.grid
    return grid.origin_mm + grid.direction @ (np.array(index) * grid.spacing_mm)


def test_only_named_patients_are_corrected_and_their_records_say_so(tmp_path):
    for name in ("p1", "p2"):
        write_neck(tmp_path, name)
    source = CorrectedSource(NiftiSource(tmp_path), {"p2": "rotate180z"})
    first, second = (source.scans(patient)[0] for patient in source.ids)
    assert "header" not in source.record(first)
    assert source.record(second)["header"] == "rotate180z"
    ct, labels = make_neck()
    np.testing.assert_array_equal(source.load(first).ct.array, ct.array)
    turned = source.load(second)
    np.testing.assert_array_equal(turned.ct.array, ct.array[::-1, ::-1])
    np.testing.assert_array_equal(turned.labels.array, labels.array[::-1, ::-1])
    np.testing.assert_allclose(turned.ct.origin_mm, ct.origin_mm)


def write_facing_neck(folder, name, turned=False):
    """Write a neck with bodies in front; turned by 180 degrees about z in both files."""
    for volume, suffix, empty in zip(make_neck(), ("ct", "seg"), (40, 0), strict=True):
        array = volume.array
        for bottom in range(5, 40, 5):
            array[6:15, 15:33, bottom : bottom + 4] = empty
            array[17:27, 15:33, bottom : bottom + 4] = empty
        # Another patient than the one that is not turned.
        array[:, :, 45] = array[:, :, 45] - turned * (suffix == "ct")
        array = array[::-1, ::-1] if turned else array
        write_volume(folder / f"{name}_{suffix}.nii.gz", array, volume.spacing_mm, volume.origin_mm)


def test_prepare_names_a_turned_scan_and_corrects_it_in_the_same_folder(tmp_path):
    (tmp_path / "in").mkdir()
    write_facing_neck(tmp_path / "in", "sound")
    write_facing_neck(tmp_path / "in", "turned", turned=True)
    flags = (*nifti_flags(tmp_path), "--spacing_mm=3")
    first = prepare(*flags)
    assert first.returncode == 1
    assert "rejected turned: turned_ct.nii.gz: the spinous processes" in first.stdout
    assert "correct it with --header=turned:rotate180z" in first.stdout
    second = prepare(*flags, "--header=turned:rotate180z")
    assert second.returncode == 0, second.stdout + second.stderr
    dataset = open_dataset(tmp_path / "out")
    sound, corrected = dataset.load("sound"), dataset.load("turned")
    np.testing.assert_array_equal(corrected.segmentation, sound.segmentation)
    assert [record.get("header") for record in dataset.manifest["patients"]] == [None, "rotate180z"]
    # The same flag for all turns the sound scan, which is said too.
    third = prepare(*flags, "--header=rotate180z")
    assert "rejected sound: sound_ct.nii.gz: the spinous processes" in third.stdout
    assert (
        "although --header corrected it as rotate180z; change that, or leave it out" in third.stdout
    )
    assert open_dataset(tmp_path / "out").ids == ["turned"]


def test_an_unknown_patient_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "in").mkdir()
    write_neck(tmp_path / "in", "p1")
    result = prepare(*nifti_flags(tmp_path), "--header=p2:rotate180z")
    assert_refused(result, "--header=p2:rotate180z: no patient 'p2'", tmp_path / "out")
