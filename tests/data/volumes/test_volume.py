import os

import numpy as np
import pytest
import SimpleITK as sitk

from tests.full_disk import largest_file
from xctrs_tf.data.volumes import volume as volume_module
from xctrs_tf.data.volumes.volume import (
    Volume,
    read_stored_image,
    read_volume,
    resample,
    write_volume,
)
from xctrs_tf.errors import UserError

SPACING = (1.5, 2.0, 2.5)
ORIGIN = (10.0, -20.0, 30.0)
UPRIGHT = np.eye(3)


def random_volume(seed=0):
    array = np.random.default_rng(seed).integers(-1000, 1500, (4, 5, 6)).astype(np.int16)
    return Volume(array, SPACING, ORIGIN)


def save(path, array, direction=UPRIGHT, spacing=SPACING, origin=ORIGIN):
    """Write an ``[i, j, k]`` array as an image with any direction; return the path."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(np.asarray(direction, float).ravel().tolist())
    sitk.WriteImage(image, path)
    return path


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_written_volume_reads_back(tmp_path, suffix):
    volume = random_volume()
    path = tmp_path / f"ct{suffix}"
    write_volume(path, volume.array, SPACING, ORIGIN)
    read = read_volume(path)
    np.testing.assert_array_equal(read.array, volume.array)
    assert read.array.dtype == np.int16
    np.testing.assert_allclose(read.spacing_mm, SPACING, atol=1e-6)
    np.testing.assert_allclose(read.origin_mm, ORIGIN, atol=1e-5)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_axes_are_brought_to_lps_by_their_position_in_space(tmp_path):
    # Index axes run to superior, to the right and to anterior.
    direction = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]])
    stored = random_volume().array
    path = save(tmp_path / "ct.nii.gz", stored, direction)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, stored.transpose(1, 2, 0)[::-1, ::-1])
    np.testing.assert_allclose(volume.spacing_mm, (2.0, 2.5, 1.5), atol=1e-6)
    # The first voxel is now the one farthest to the right and anterior.
    np.testing.assert_allclose(volume.origin_mm, (10.0 - 4 * 2.0, -20.0 - 5 * 2.5, 30.0), atol=1e-5)
    np.testing.assert_array_equal(read_stored_image(path).array, stored)


def test_an_oblique_scan_keeps_its_voxels_where_they_were(tmp_path):
    # Tilted by 20 degrees about x.
    angle = np.deg2rad(20)
    direction = np.array(
        [
            [1, 0, 0],
            [0, np.cos(angle), -np.sin(angle)],
            [0, np.sin(angle), np.cos(angle)],
        ]
    )
    array = random_volume().array
    volume = read_volume(save(tmp_path / "ct.nii.gz", array, direction))
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.direction, direction, atol=1e-6)
    np.testing.assert_allclose(volume.origin_mm, ORIGIN, atol=1e-5)
    # A cube of 2 mm about a voxel, sampled along LPS.
    place = np.array(ORIGIN) + direction @ (np.array([2, 2, 3]) * SPACING)
    around = resample(volume, 3, 2.0, place - 2.0, fill=-5.0).array
    np.testing.assert_allclose(around[1, 1, 1], array[2, 2, 3], atol=1)


def test_a_header_off_by_rounding_is_upright(tmp_path):
    angle = 1e-5
    direction = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    array = random_volume().array
    read = read_volume(save(tmp_path / "ct.mha", array, direction))
    assert read.direction is None
    np.testing.assert_array_equal(read.array, array)


def test_resampling_samples_positions_in_space():
    # The value of a voxel is a linear function of its position.
    volume = random_volume()
    position = [
        ORIGIN[axis] + SPACING[axis] * index for axis, index in enumerate(np.indices((4, 5, 6)))
    ]
    ramp = Volume(position[0] + 10 * position[1] + 100 * position[2], SPACING, ORIGIN)
    sampled = resample(ramp, (2, 3, 4), (1.0, 1.5, 2.0), (11.0, -19.0, 33.0), fill=-7)
    x, y, z = np.indices((2, 3, 4))
    expected = (11 + x) + 10 * (-19 + 1.5 * y) + 100 * (33 + 2 * z)
    np.testing.assert_allclose(sampled.array, expected, rtol=1e-6)
    assert sampled.spacing_mm == (1.0, 1.5, 2.0) and sampled.origin_mm == (11.0, -19.0, 33.0)

    outside = resample(volume, 3, 1.0, (100.0, 0.0, 0.0), fill=-1000)
    assert (outside.array == -1000).all() and outside.array.dtype == np.int16
    same = resample(volume, (4, 5, 6), SPACING, ORIGIN)
    np.testing.assert_array_equal(same.array, volume.array)


def test_a_full_memory_is_no_fault_of_the_volume(monkeypatch):
    def fail(*_):
        raise RuntimeError("itk::ERROR: Failed to allocate memory for image.")

    monkeypatch.setattr(sitk, "Resample", fail)
    with pytest.raises(MemoryError, match="allocate memory"):
        resample(Volume(np.zeros((4, 4, 4)), (1.0,) * 3, (0.0,) * 3), 4, 1.0, (0.0,) * 3)


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match=r"ct\.nii\.gz: no such file"):
        read_volume(tmp_path / "ct.nii.gz")


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_a_file_that_is_no_volume(tmp_path, suffix):
    (tmp_path / f"ct{suffix}").write_bytes(b"hello")
    with pytest.raises(UserError, match=r"ct\.\w+: damaged, or not a NIfTI"):
        read_volume(tmp_path / f"ct{suffix}")


@pytest.mark.parametrize(("shape", "said"), [((5, 4), "5 x 4"), ((5, 4, 1), "5 x 4 x 1")])
def test_an_image_is_no_volume(tmp_path, shape, said):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros(shape).T), tmp_path / "ct.nii.gz")
    with pytest.raises(UserError, match=f"{said} values; a volume of three axes is needed"):
        read_volume(tmp_path / "ct.nii.gz")


def test_a_time_series_is_no_volume(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((2, 5, 4, 3)), isVector=False)
    sitk.WriteImage(image, tmp_path / "ct.nii.gz")
    with pytest.raises(UserError, match="3 x 4 x 5 x 2 values; a volume of three axes is needed"):
        read_volume(tmp_path / "ct.nii.gz")


def test_a_vector_image_is_no_volume(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((5, 4, 3, 2)), isVector=True)
    sitk.WriteImage(image, tmp_path / "ct.nrrd")
    with pytest.raises(UserError, match=r"ct\.nrrd: several values a voxel"):
        read_volume(tmp_path / "ct.nrrd")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_volume_with_nan(tmp_path, suffix, kind):
    array = np.zeros((3, 4, 5), kind)
    array[1, 2, 3] = np.nan
    with pytest.raises(UserError, match=r"ct\.[\w.]+: holds NaN or infinite values"):
        read_volume(save(tmp_path / f"ct{suffix}", array))


def test_a_writer_that_fails_says_why(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("Write: no\n  room left")

    monkeypatch.setattr(sitk, "WriteImage", fail)
    with pytest.raises(UserError, match=r"ct\.mha: cannot be written \(Write: no room left\)"):
        write_volume(tmp_path / "ct.mha", np.zeros((2, 2, 2), np.int16), 1.0, (0.0, 0.0, 0.0))
    assert not any(tmp_path.iterdir())


def test_where_nothing_can_be_written(tmp_path):
    array = random_volume().array
    with pytest.raises(UserError, match="absent: no such folder; make it first"):
        write_volume(tmp_path / "absent" / "ct.nii.gz", array, 1.0, ORIGIN)
    with pytest.raises(UserError, match=r"ct\.doc: unknown kind of volume; name it \.nii"):
        write_volume(tmp_path / "ct.doc", array, 1.0, ORIGIN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_a_path_that_is_not_utf8_is_written_and_read(tmp_path, suffix):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    array = random_volume().array
    write_volume(folder / f"ct{suffix}", array, SPACING, ORIGIN)
    np.testing.assert_array_equal(read_volume(folder / f"ct{suffix}").array, array)
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("known_before", [True, False])
@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "nrrd", "mha"])
def test_a_volume_that_was_cut_short_is_an_error(tmp_path, monkeypatch, suffix, known_before):
    array = np.random.default_rng(0).integers(-1000, 1500, (16, 16, 16), np.int16)
    if not known_before:
        monkeypatch.setattr(volume_module, "require_space", lambda *_: None)
    with largest_file(4000), pytest.raises(Exception, match=f"ct.{suffix}|File too large"):
        write_volume(tmp_path / f"ct.{suffix}", array, 2.0, (0, 0, 0))
    assert list(tmp_path.iterdir()) == []
    write_volume(tmp_path / f"ct.{suffix}", array, 2.0, (0, 0, 0))
