import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from xctrs_tf.data.volumes.nifti_check import check_nifti
from xctrs_tf.errors import UserError


@pytest.fixture(params=[".nii", ".nii.gz"])
def path(request, tmp_path):
    array = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(array), tmp_path / f"ct{request.param}")
    return tmp_path / f"ct{request.param}"


def rewrite(path, change):
    """Replace the uncompressed contents of a file by a function of them."""
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))
    else:
        path.write_bytes(change(path.read_bytes()))


def test_a_whole_file_passes(path):
    check_nifti(path)


def test_a_file_that_ends_one_byte_early(path):
    rewrite(path, lambda content: content[:-1])
    with pytest.raises(UserError, match=r"ct\.nii(\.gz)?: ends before its last voxel"):
        check_nifti(path)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_last_voxel_that_is_not_finite(path, value):
    rewrite(path, lambda content: content[:-4] + np.float32(value).tobytes())
    with pytest.raises(UserError, match=r"ct\.nii(\.gz)?: holds NaN or infinite values"):
        check_nifti(path)


def test_whole_numbers_are_not_taken_for_floats(path):
    # The bytes of these integers would be NaN as float32.
    image = sitk.GetImageFromArray(np.full((3, 4, 5), -1, np.int32))
    sitk.WriteImage(image, path)
    check_nifti(path)


def test_the_other_byte_order_and_the_second_version_of_the_header(tmp_path):
    values = np.arange(24, dtype=">f4")
    first = np.zeros(352, np.uint8)
    first[:4] = np.frombuffer(np.array(348, ">i4").tobytes(), np.uint8)
    first[40:48] = np.frombuffer(np.array([3, 2, 3, 4], ">i2").tobytes(), np.uint8)
    first[70:74] = np.frombuffer(np.array([16, 32], ">i2").tobytes(), np.uint8)
    first[76:92] = np.frombuffer(np.array([1, 2, 3, 4], ">f4").tobytes(), np.uint8)
    first[108:112] = np.frombuffer(np.array(352, ">f4").tobytes(), np.uint8)
    second = np.zeros(544, np.uint8)
    second[:4] = np.frombuffer(np.array(540, ">i4").tobytes(), np.uint8)
    second[12:16] = np.frombuffer(np.array([16, 32], ">i2").tobytes(), np.uint8)
    second[16:48] = np.frombuffer(np.array([3, 2, 3, 4], ">i8").tobytes(), np.uint8)
    second[104:136] = np.frombuffer(np.array([1, 2, 3, 4], ">f8").tobytes(), np.uint8)
    second[168:176] = np.frombuffer(np.array(544, ">i8").tobytes(), np.uint8)
    for header in (first, second):
        file = tmp_path / "ct.nii"
        file.write_bytes(header.tobytes() + values.tobytes())
        check_nifti(file)
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(UserError, match="ends before its last voxel"):
            check_nifti(file)


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize(("edge", "said"), [(0.0, "0"), (np.nan, "nan"), (np.inf, "inf")])
def test_a_voxel_without_size(path, axis, edge, said):
    offset = 76 + 4 * axis
    field = np.float32(edge).tobytes()
    rewrite(path, lambda content: content[:offset] + field + content[offset + 4 :])
    with pytest.raises(UserError, match=rf"ct\.nii(\.gz)?: a voxel size of {said} mm; correct its"):
        check_nifti(path)


def test_an_axis_of_one_voxel_needs_no_size(tmp_path):
    path = tmp_path / "film.nii"
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((1, 4, 5), np.float32)), path)
    rewrite(path, lambda content: content[:88] + bytes(4) + content[92:])
    check_nifti(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x5c\x01\x00\x00short"])
def test_a_file_that_is_no_nifti(tmp_path, content):
    (tmp_path / "ct.nii").write_bytes(content)
    with pytest.raises(UserError, match=r"ct\.nii: damaged, or not a NIfTI file"):
        check_nifti(tmp_path / "ct.nii")


@pytest.mark.parametrize(("offset", "value"), [(40, 0), (40, 8), (42, -3), (42, 0), (72, 0)])
def test_a_damaged_header(path, offset, value):
    field = np.int16(value).tobytes()
    rewrite(path, lambda content: content[:offset] + field + content[offset + 2 :])
    with pytest.raises(UserError, match=r"ct\.nii(\.gz)?: damaged, or not a NIfTI file"):
        check_nifti(path)


def test_a_damaged_gzip(tmp_path):
    path = tmp_path / "ct.nii.gz"
    content = gzip.compress(bytes(1000) + b"some more")
    wrong_checksum = content[:-8] + b"12345678"
    flipped = content[:20] + bytes([content[20] ^ 255]) + content[21:]
    for damaged in (content[:-12], b"hello", wrong_checksum, flipped):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"ct\.nii\.gz: damaged gzip; fetch the file again"):
            check_nifti(path)
