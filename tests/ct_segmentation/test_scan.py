import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from tests.data.dicoms import write_dicom, write_series
from tests.data.niftis import lps_to_ras, write_nifti
from xctrs_tf.ct_segmentation import scan as scan_module
from xctrs_tf.ct_segmentation.scan import read_scan, scan_of, write_on_own_grid
from xctrs_tf.data.volumes.volume import Volume, read_on_grid, write_volume
from xctrs_tf.errors import UserError

SPACING_MM = (0.5, 0.7, 1.3)
ORIGIN_MM = (-20.5, 31.25, 900.0)
SIGNED = [
    np.eye(3)[:, list(axes)] * signs
    for axes, signs in zip(
        itertools.cycle(itertools.permutations(range(3))),
        itertools.product((1, -1), repeat=3),
        strict=False,
    )
]
TURNED = Rotation.from_euler("xyz", (20, -10, 30), degrees=True).as_matrix()


def make_array(shape=(5, 6, 7)):
    return np.random.default_rng(0).integers(-1000, 1500, shape, np.int16)


def positions(grid):
    """Return the LPS position of each voxel, ``[i, j, k, axis]``."""
    indices = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    return grid.origin_mm + indices * grid.spacing_mm @ grid.direction.T


@pytest.mark.parametrize("direction", [*SIGNED, TURNED, TURNED @ SIGNED[3]], ids=str)
def test_voxels_keep_their_values_and_places_in_any_direction(tmp_path, direction):
    array = make_array()
    file = write_nifti(tmp_path / "a.nii", array, lps_to_ras(SPACING_MM, ORIGIN_MM, direction))
    scan = read_scan(file)
    assert (np.diag(scan.grid.direction) > 0.5).all()
    np.testing.assert_array_equal(scan.to_stored(scan.hu), array)
    np.testing.assert_allclose(
        scan.to_stored(positions(scan.grid).transpose(0, 1, 2, 3)[..., 0]),
        positions(scan.stored)[..., 0],
        atol=1e-4,
    )
    np.testing.assert_allclose(scan.stored.origin_mm, ORIGIN_MM, rtol=1e-6)
    np.testing.assert_allclose(scan.stored.direction, direction, atol=1e-6)


@pytest.mark.parametrize("direction", [*SIGNED, TURNED, TURNED @ SIGNED[3]], ids=str)
def test_labels_are_written_on_the_grid_of_the_file(tmp_path, direction):
    file = write_nifti(
        tmp_path / "ct.nii", make_array(), lps_to_ras(SPACING_MM, ORIGIN_MM, direction)
    )
    scan = read_scan(file)
    write_on_own_grid(tmp_path / "seg.nii.gz", (scan.hu > 700).astype(np.uint8), scan)
    array, grid = read_on_grid(tmp_path / "seg.nii.gz")
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, read_on_grid(file)[0] > 700)
    assert grid.is_at(scan.stored, 1e-4)
    np.testing.assert_allclose(grid.direction, direction, atol=1e-6)


@pytest.mark.parametrize(
    "direction", [np.eye(3), [[0, 1, 0], [0, 0, -1], [-1, 0, 0]], TURNED.T], ids=str
)
def test_a_series_has_the_grid_that_simpleitk_gives_it(tmp_path, direction):
    direction = np.linalg.qr(direction)[0] if direction is TURNED.T else np.array(direction)
    write_series(tmp_path, Volume(make_array(), SPACING_MM, ORIGIN_MM), direction=direction)
    scan = read_scan(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    # It does not take along which way the slices follow each other from the directions of rows
    # and columns alone, but ours do, as for any right-handed grid.
    np.testing.assert_allclose(scan.stored.spacing_mm, image.GetSpacing(), rtol=1e-4)
    np.testing.assert_allclose(scan.stored.origin_mm, image.GetOrigin(), atol=1e-3)
    ours = scan.stored.direction.ravel()
    np.testing.assert_allclose(ours, image.GetDirection(), atol=1e-4)
    np.testing.assert_array_equal(scan.to_stored(scan.hu), sitk.GetArrayFromImage(image).T)


def test_a_file_stands_for_its_series(tmp_path):
    first, second = make_array((4, 5, 6)), make_array((4, 5, 3))
    write_series(tmp_path, Volume(first, SPACING_MM, ORIGIN_MM), series="1")
    write_series(tmp_path, Volume(second, SPACING_MM, ORIGIN_MM), series="2")
    np.testing.assert_array_equal(read_scan(tmp_path / "2-002.dcm").hu, second)
    with pytest.raises(UserError, match="2 series; keep each in a folder of its own"):
        read_scan(tmp_path)


@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "i2"])
def test_ct_numbers_become_whole_and_padding_air(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(scan_module, "_PART_VOXELS", 40)
    array = make_array().astype(kind)
    array[2, 3, 4], array[0, 0, 0] = -3024, -1024
    if kind[0] == "f":
        array[1, 1, 1] = 20.6
    file = write_nifti(tmp_path / "a.nii.gz", array, lps_to_ras(SPACING_MM, ORIGIN_MM), kind=kind)
    hu = read_scan(file).hu
    expected = np.rint(array)
    expected[2, 3, 4] = -1000
    assert hu.dtype == np.int16
    np.testing.assert_array_equal(hu, expected)


@pytest.mark.parametrize(("shift", "told"), [(0, False), (1024, True)])
def test_a_scan_that_is_not_in_hu_is_told(tmp_path, caplog, shift, told):
    file = tmp_path / "ct.nii.gz"
    write_volume(file, make_array() + np.int16(shift), SPACING_MM[0], ORIGIN_MM)
    read_scan(file)
    words = "ct.nii.gz: no air (CT numbers"
    assert (words in "".join(caplog.messages)) is told


def test_a_volume_in_memory_is_not_changed():
    array = make_array()
    array[0, 0, 0] = -2000
    before = array.copy()
    scan = scan_of(Volume(array, SPACING_MM, ORIGIN_MM), "mine")
    np.testing.assert_array_equal(array, before)
    assert scan.name == "mine"
    assert scan.hu[0, 0, 0] == -1000
    np.testing.assert_array_equal(scan.hu[1:], array[1:])
    np.testing.assert_array_equal(scan.to_stored(scan.hu), scan.hu)


def test_bad_input(tmp_path):
    volume = Volume(make_array(), SPACING_MM, ORIGIN_MM)
    (tmp_path / "niftis").mkdir()
    write_volume(tmp_path / "niftis" / "b.nii.gz", *vars(volume).values())
    with pytest.raises(UserError, match=r"no DICOM series, but volumes such as b\.nii\.gz; name"):
        read_scan(tmp_path / "niftis")
    with pytest.raises(UserError, match=r"absent\.nii: no such file"):
        read_scan(tmp_path / "absent.nii")
    with pytest.raises(UserError, match="modality DX; CT is needed"):
        read_scan(write_dicom(tmp_path / "film.dcm"))
    (tmp_path / "text.nii").write_text("hello", encoding="utf-8")
    with pytest.raises(UserError, match=r"text\.nii: damaged, or not a NIfTI file"):
        read_scan(tmp_path / "text.nii")
    with pytest.raises(UserError, match="no CT numbers"):
        scan_of(Volume(np.full((2, 2, 2), 64000, np.int32), SPACING_MM, ORIGIN_MM), "mine")
    write_nifti(tmp_path / "a.nii", volume.array)
    with pytest.raises(UserError, match="no orientation in its header"):
        read_scan(tmp_path / "a.nii")
