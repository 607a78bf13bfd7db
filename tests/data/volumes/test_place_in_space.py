"""Headers that mirror, shear, contradict themselves or have lost their sizes."""

import gzip
import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from tests.data.niftis import lps_to_ras, nifti_bytes, write_nifti
from xctrs_tf.data.label_placing import on_one_grid
from xctrs_tf.data.sources.pairs import read_ct_and_labels
from xctrs_tf.data.volumes.volume import read_ct, read_labels, read_volume
from xctrs_tf.errors import UserError

SPACING = (1.5, 2.0, 2.5)
ORIGIN = (10.0, -20.0, 30.0)
ARRAY = np.random.default_rng(0).integers(-1000, 1500, (6, 7, 8)).astype(np.int16)
AFFINE = lps_to_ras(SPACING, ORIGIN)


def turned(degrees):
    """Return the direction of a grid that is tilted about x."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def mirrored_y(affine):
    return affine * np.array([1, -1, 1, 1])


def assert_upright(path):
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, ARRAY)
    np.testing.assert_allclose(volume.spacing_mm, SPACING, rtol=1e-6)
    np.testing.assert_allclose(volume.origin_mm, ORIGIN, rtol=1e-6)


@pytest.mark.parametrize("forms", [(AFFINE, None), (None, AFFINE), (AFFINE, AFFINE)])
def test_sform_qform_or_both(tmp_path, forms):
    assert_upright(write_nifti(tmp_path / "ct.nii.gz", ARRAY, *forms))


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("axes", itertools.permutations(range(3)))
def test_every_order_of_axes_is_where_simpleitk_says(tmp_path, suffix, axes):
    # Tilted by 20 degrees and with one axis reversed.
    direction = (turned(20) @ np.diag([1, -1, 1]))[:, axes]
    image = sitk.GetImageFromArray(np.ascontiguousarray(ARRAY.transpose(axes).T))
    image.SetSpacing(np.array(SPACING)[list(axes)].tolist())
    image.SetOrigin(ORIGIN)
    image.SetDirection(direction.ravel().tolist())
    sitk.WriteImage(image, tmp_path / f"ct{suffix}")
    volume = read_volume(tmp_path / f"ct{suffix}")
    expected = sitk.DICOMOrient(sitk.ReadImage(tmp_path / f"ct{suffix}"), "LPS")
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(expected).T)
    np.testing.assert_allclose(volume.direction.ravel(), expected.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(volume.origin_mm, expected.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(volume.spacing_mm, expected.GetSpacing(), rtol=1e-6)


@pytest.mark.parametrize(
    ("space", "signs"),
    [("right-anterior-superior", (-1, -1, 1)), ("RAS", (-1, -1, 1)), ("LAS", (1, -1, 1))],
)
def test_spaces_of_nrrd_files(tmp_path, space, signs):
    header = f"""NRRD0004
type: int16
dimension: 3
sizes: 6 7 8
space: {space}
space directions: ({signs[0] * 1.5},0,0) (0,{signs[1] * 2.0},0) (0,0,{signs[2] * 2.5})
space origin: ({signs[0] * 10.0},{signs[1] * -20.0},{signs[2] * 30.0})
kinds: domain domain domain
endian: little
encoding: raw

"""
    (tmp_path / "ct.nrrd").write_bytes(header.encode() + ARRAY.tobytes(order="F"))
    assert_upright(tmp_path / "ct.nrrd")
    (tmp_path / "ct.nrrd").write_bytes(
        header.replace(space, "scanner-xyz").encode() + ARRAY.tobytes(order="F")
    )
    with pytest.raises(UserError, match="no orientation in its header"):
        read_volume(tmp_path / "ct.nrrd")


def test_a_header_without_an_orientation(tmp_path):
    write_nifti(tmp_path / "ct.nii.gz", ARRAY, pixdim=SPACING)
    image = sitk.GetImageFromArray(ARRAY.T)
    sitk.WriteImage(image, tmp_path / "ct.nrrd")
    content = (tmp_path / "ct.nrrd").read_bytes()
    lines = content.split(b"\n")
    kept = [line for line in lines if not line.startswith(b"space: ")]
    (tmp_path / "ct.nrrd").write_bytes(b"\n".join(kept))
    sitk.WriteImage(image, tmp_path / "ct.mha")
    content = (tmp_path / "ct.mha").read_bytes()
    (tmp_path / "ct.mha").write_bytes(content.replace(b"TransformMatrix", b"Comment"))
    for name in ("ct.nii.gz", "ct.nrrd", "ct.mha"):
        with pytest.raises(UserError, match=f"{name}: no orientation in its header"):
            read_volume(tmp_path / name)


@pytest.mark.parametrize("signs", [(-1, 1, 1), (1, -1, 1), (-1, -1, -1)])
def test_a_negative_pixdim_mirrors_nothing(tmp_path, signs):
    pixdim = np.array(signs) * SPACING
    for forms in ((AFFINE, AFFINE), (AFFINE, None)):
        assert_upright(write_nifti(tmp_path / "ct.nii", ARRAY, *forms, pixdim=pixdim))
    path = write_nifti(tmp_path / "ct.nii", ARRAY, None, AFFINE, pixdim=pixdim)
    with pytest.raises(UserError, match=r"ct\.nii: a negative pixdim and no sform"):
        read_volume(path)


def test_a_negative_spacing_in_a_metaimage(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(ARRAY.T), tmp_path / "ct.mha")
    content = (tmp_path / "ct.mha").read_bytes()
    changed = content.replace(b"ElementSpacing = 1 1", b"ElementSpacing = 1 -1")
    (tmp_path / "ct.mha").write_bytes(changed)
    with pytest.raises(UserError, match=r"ct\.mha: a negative ElementSpacing"):
        read_volume(tmp_path / "ct.mha")


@pytest.mark.parametrize(
    ("qform", "said"),
    [
        (mirrored_y(AFFINE), "180 degrees along axis 2"),
        (lps_to_ras(SPACING, ORIGIN, turned(30)), "30 degrees along axis 2"),
    ],
)
def test_sform_and_qform_that_contradict_each_other(tmp_path, qform, said):
    path = write_nifti(tmp_path / "ct.nii", ARRAY, AFFINE, qform)
    with pytest.raises(UserError, match=f"its sform and qform differ by {said}"):
        read_volume(path)


def test_sform_and_pixdim_of_two_sizes(tmp_path):
    path = write_nifti(tmp_path / "ct.nii", ARRAY, AFFINE, AFFINE, pixdim=(1.5, 1.0, 2.5))
    with pytest.raises(UserError, match="its sform has voxels of 2 mm along axis 2, its pixdim of"):
        read_volume(path)


@pytest.mark.parametrize("unit", [1, 3])
def test_the_unit_of_length_is_applied(tmp_path, unit):
    factor = {1: 1000.0, 3: 0.001}[unit]
    small = AFFINE / factor
    assert_upright(write_nifti(tmp_path / "ct.nii", ARRAY, small, small, unit=unit))
    # Sizes in mm, said to be in another unit.
    path = write_nifti(tmp_path / "ct.nii", ARRAY, AFFINE, AFFINE, unit=unit)
    with pytest.raises(UserError, match=r"a voxel size of \S+ mm, where CTs have 0.02 to 20 mm"):
        read_volume(path)


@pytest.mark.parametrize("edge", [1e-20, 1e-6, 1e6, 1e38])
def test_voxels_that_no_ct_has_are_refused(tmp_path, edge):
    affine = lps_to_ras((edge, 1.0, 1.0), ORIGIN)
    with pytest.raises(UserError, match="a voxel size of"):
        read_volume(write_nifti(tmp_path / "ct.nii", ARRAY, affine))


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_sizes_of_other_formats_are_looked_at_too(tmp_path, suffix):
    image = sitk.GetImageFromArray(ARRAY.T)
    image.SetSpacing((1e160, 1.0, 1.0))
    sitk.WriteImage(image, tmp_path / f"ct{suffix}")
    with pytest.raises(UserError, match="a voxel size of 1e"):
        read_volume(tmp_path / f"ct{suffix}")


def test_a_position_beyond_every_table(tmp_path):
    path = write_nifti(tmp_path / "ct.nii", ARRAY, lps_to_ras(SPACING, (1e9, 0, 0)))
    with pytest.raises(UserError, match=r"it begins 1e\+06 m from the scanner's centre"):
        read_volume(path)


def test_a_slight_shear_is_made_right_angled(tmp_path):
    sheared = AFFINE.copy()
    sheared[1, 0] = 3e-4 * SPACING[0]
    volume = read_volume(write_nifti(tmp_path / "ct.nii", ARRAY, sheared))
    np.testing.assert_array_equal(volume.array, ARRAY)
    np.testing.assert_allclose(volume.origin_mm, ORIGIN, atol=0.01)


def test_a_shear_is_refused_with_its_angle(tmp_path):
    sheared = AFFINE.copy()
    sheared[1, 0] = 0.02 * SPACING[0]
    with pytest.raises(UserError, match=r"its axes are 1\.1 degrees off a right angle"):
        read_volume(write_nifti(tmp_path / "ct.nii", ARRAY, sheared))


def pair(tmp_path, ct_affine, labels_affine):
    labels = np.clip(ARRAY, 0, 7)
    return (
        write_nifti(tmp_path / "ct.nii.gz", ARRAY, ct_affine, ct_affine),
        write_nifti(tmp_path / "seg.nii.gz", labels, labels_affine, labels_affine, kind="u1"),
    )


@pytest.mark.parametrize("degrees", [0, 8, 60])
def test_labels_whose_header_differs_by_rounding_lie_on_their_ct(tmp_path, degrees):
    affine = lps_to_ras(SPACING, ORIGIN, turned(degrees))
    rounded = affine.copy()
    rounded[:3, :3] += np.random.default_rng(0).uniform(-1e-4, 1e-4, (3, 3))
    ct, labels = read_ct_and_labels(*pair(tmp_path, affine, rounded))
    assert ct.array.shape == labels.array.shape
    assert (ct.spacing_mm, ct.origin_mm) == (labels.spacing_mm, labels.origin_mm)


def test_labels_of_an_upright_ct_may_be_tilted_by_rounding_and_no_more(tmp_path):
    for degrees, fits in ((0.01, True), (3.0, False)):
        files = pair(tmp_path, AFFINE, lps_to_ras(SPACING, ORIGIN, turned(degrees)))
        ct, grid = read_ct(files[0])
        labels = read_labels(files[1], grid)
        fit = ct.array.shape == labels.array.shape and on_one_grid(ct, labels)
        assert fit == fits


def test_labels_half_a_voxel_away_are_on_another_grid(tmp_path):
    moved = lps_to_ras(SPACING, ORIGIN + np.array([0.75, 0, 0]))
    with pytest.raises(UserError, match="not on the grid of its CT"):
        read_ct_and_labels(*pair(tmp_path, AFFINE, moved))


def test_the_file_that_is_named_is_read_and_not_its_neighbour(tmp_path):
    other = np.zeros_like(ARRAY)
    write_nifti(tmp_path / "ct.nii.gz", ARRAY, AFFINE)
    write_nifti(tmp_path / "ct.nii", other, AFFINE)
    np.testing.assert_array_equal(read_volume(tmp_path / "ct.nii.gz").array, ARRAY)
    np.testing.assert_array_equal(read_volume(tmp_path / "ct.nii").array, other)


@pytest.mark.parametrize("name", ["ct.nii.gz", "CT.NII.GZ", "ct.nii"])
def test_packed_or_not_whatever_the_name(tmp_path, name):
    for content in (nifti_bytes(ARRAY, AFFINE), gzip.compress(nifti_bytes(ARRAY, AFFINE))):
        (tmp_path / name).write_bytes(content)
        assert_upright(tmp_path / name)


def test_a_path_that_is_not_utf8(tmp_path):
    path = tmp_path / b"b\xe9.nii".decode("utf-8", "surrogateescape")
    assert_upright(write_nifti(path, ARRAY, AFFINE))


def test_padding_of_a_ct_is_air(tmp_path):
    padded = ARRAY.copy()
    padded[0], padded[1, 0, 0] = -3024, -1024
    ct, _ = read_ct(write_nifti(tmp_path / "ct.nii", padded, AFFINE))
    assert (ct.array[0] == -1000).all() and ct.array[1, 0, 0] == -1024
    np.testing.assert_array_equal(ct.array[2:], ARRAY[2:])


def test_padding_read_as_unsigned_is_refused(tmp_path):
    padded = ARRAY.astype(np.int32)
    padded[0] = 62512
    with pytest.raises(UserError, match="values up to 62512, which are no CT numbers"):
        read_ct(write_nifti(tmp_path / "ct.nii", padded, AFFINE, kind="i4"))
