import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from tests.data.niftis import lps_to_ras, nifti_bytes, write_nifti
from xctrs_tf.data.volumes.nifti_file import read_nifti
from xctrs_tf.errors import UserError

AFFINE = lps_to_ras((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


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


def test_a_whole_file_is_read(path):
    expected = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32).T
    np.testing.assert_array_equal(read_nifti(path).array, expected)


def test_a_file_that_ends_one_byte_early(path):
    rewrite(path, lambda content: content[:-1])
    with pytest.raises(UserError, match=r"ct\.nii(\.gz)?: ends before its last voxel"):
        read_nifti(path)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_last_voxel_that_is_not_finite(path, value):
    rewrite(path, lambda content: content[:-4] + np.float32(value).tobytes())
    with pytest.raises(UserError, match=r"ct\.nii(\.gz)?: holds NaN or infinite values"):
        read_nifti(path)


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_every_type_of_voxel_is_read_as_simpleitk_wrote_it(path, kind):
    # The bytes of some of these integers would be NaN as float32.
    array = np.full((3, 4, 5), np.array(-1).astype(kind))
    sitk.WriteImage(sitk.GetImageFromArray(array), path)
    read = read_nifti(path).array
    np.testing.assert_array_equal(read, array.T)
    assert read.dtype == array.dtype


def test_the_other_byte_order_and_the_second_version_of_the_header(tmp_path):
    values = np.arange(24, dtype=">f4")
    first = np.zeros(352, np.uint8)
    first[:4] = np.frombuffer(np.array(348, ">i4").tobytes(), np.uint8)
    first[40:48] = np.frombuffer(np.array([3, 2, 3, 4], ">i2").tobytes(), np.uint8)
    first[70:74] = np.frombuffer(np.array([16, 32], ">i2").tobytes(), np.uint8)
    first[76:92] = np.frombuffer(np.array([1, 2, 3, 4], ">f4").tobytes(), np.uint8)
    first[108:112] = np.frombuffer(np.array(352, ">f4").tobytes(), np.uint8)
    first[344:347] = np.frombuffer(b"n+1", np.uint8)
    second = np.zeros(544, np.uint8)
    second[:4] = np.frombuffer(np.array(540, ">i4").tobytes(), np.uint8)
    second[4:7] = np.frombuffer(b"n+2", np.uint8)
    second[12:16] = np.frombuffer(np.array([16, 32], ">i2").tobytes(), np.uint8)
    second[16:48] = np.frombuffer(np.array([3, 2, 3, 4], ">i8").tobytes(), np.uint8)
    second[104:136] = np.frombuffer(np.array([1, 2, 3, 4], ">f8").tobytes(), np.uint8)
    second[168:176] = np.frombuffer(np.array(544, ">i8").tobytes(), np.uint8)
    for header in (first, second):
        file = tmp_path / "ct.nii"
        file.write_bytes(header.tobytes() + values.tobytes())
        image = read_nifti(file)
        np.testing.assert_array_equal(image.array, np.arange(24).reshape(2, 3, 4, order="F"))
        assert image.spacing_mm == (2.0, 3.0, 4.0)
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(UserError, match="ends before its last voxel"):
            read_nifti(file)


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize(("edge", "said"), [(0.0, "0"), (np.nan, "nan"), (np.inf, "inf")])
def test_a_voxel_without_size(path, axis, edge, said):
    offset = 76 + 4 * axis
    field = np.float32(edge).tobytes()
    rewrite(path, lambda content: content[:offset] + field + content[offset + 4 :])
    with pytest.raises(UserError, match=rf"ct\.nii(\.gz)?: a voxel size of {said} mm; correct its"):
        read_nifti(path)


def test_an_axis_of_one_voxel_needs_no_size(tmp_path):
    path = tmp_path / "film.nii"
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((1, 4, 5), np.float32)), path)
    rewrite(path, lambda content: content[:88] + bytes(4) + content[92:])
    read_nifti(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x5c\x01\x00\x00short"])
def test_a_file_that_is_no_nifti(tmp_path, content):
    (tmp_path / "ct.nii").write_bytes(content)
    with pytest.raises(UserError, match=r"ct\.nii: damaged, or not a NIfTI file"):
        read_nifti(tmp_path / "ct.nii")


@pytest.mark.parametrize(
    ("offset", "value"), [(40, 0), (40, 8), (42, -3), (42, 0), (72, 0), (72, 1), (72, 64)]
)
def test_a_damaged_header(path, offset, value):
    field = np.int16(value).tobytes()
    rewrite(path, lambda content: content[:offset] + field + content[offset + 2 :])
    with pytest.raises(UserError, match=r"ct\.nii(\.gz)?: damaged, or not a NIfTI file"):
        read_nifti(path)


def test_a_damaged_gzip(tmp_path):
    path = tmp_path / "ct.nii.gz"
    content = gzip.compress(nifti_bytes(np.zeros((8, 8, 8)), AFFINE))
    wrong_checksum = content[:-8] + b"12345678"
    flipped = content[:20] + bytes([content[20] ^ 255]) + content[21:]
    for damaged in (content[:-12], wrong_checksum, flipped):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"ct\.nii\.gz: damaged"):
            read_nifti(path)


def test_a_large_file_is_refused_before_its_voxels_are_unpacked(tmp_path, monkeypatch):
    # 2^34 voxels by the header, and a stream that unpacks to more than its header says.
    monkeypatch.setattr("xctrs_tf.data.volumes.nifti_file._SLACK_BYTES", 1000)
    array = np.zeros((4, 4, 4))
    claims = nifti_bytes(array, AFFINE, shape=(4096, 4096, 1024))
    (tmp_path / "claims.nii.gz").write_bytes(gzip.compress(claims))
    (tmp_path / "bomb.nii.gz").write_bytes(
        gzip.compress(nifti_bytes(array, AFFINE) + bytes(100_000))
    )
    with pytest.raises(UserError, match="4096 x 4096 x 1024 voxels are over 1074 MB; cut out"):
        read_nifti(tmp_path / "claims.nii.gz")
    with pytest.raises(UserError, match="unpacks to over 0 MB"):
        read_nifti(tmp_path / "bomb.nii.gz")


def test_a_pair_of_header_and_voxels_in_two_files_is_refused(tmp_path):
    path = write_nifti(tmp_path / "ct.nii", np.zeros((4, 4, 4)), AFFINE, magic=b"ni1\0")
    with pytest.raises(UserError, match="its voxels are in another file"):
        read_nifti(path)


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"),
    [
        (0, 9, 7),
        (np.nan, np.nan, 7),
        (1, 0, 7),
        (2, -1024, -1010),
        (1, np.nan, 7),
        (0.5, -1000, -996.5),
        (10_000, 0, 70_000),
        (-1, 0, -7),
    ],
)
def test_slope_and_intercept(tmp_path, slope, intercept, expected):
    array = np.full((4, 4, 4), 7)
    path = write_nifti(tmp_path / "ct.nii", array, AFFINE, slope=slope, intercept=intercept)
    assert (read_nifti(path).array == expected).all()


def test_an_intercept_that_makes_signed_numbers_of_unsigned_ones(tmp_path):
    array = np.full((4, 4, 4), -32_000, np.int16)
    path = write_nifti(tmp_path / "ct.nii", array, AFFINE, slope=1, intercept=32_768)
    scaled = read_nifti(path).array
    assert scaled.dtype == np.int16
    assert (scaled == 768).all()


def test_a_slope_beyond_all_numbers(tmp_path):
    path = write_nifti(tmp_path / "ct.nii", np.full((4, 4, 4), 7), AFFINE, slope=np.inf)
    with pytest.raises(UserError, match="its scl_slope is inf"):
        read_nifti(path)
