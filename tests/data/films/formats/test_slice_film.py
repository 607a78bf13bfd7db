"""Films as NIfTI, NRRD and MetaImage: which file is read, and how its header turns it."""

import errno
import gzip
import os
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from tests.hostile.volume_files import nifti
from xctrs_tf.data import checked_file
from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.errors import UserError

# [horizontal, vertical], as read.
FILM = np.random.default_rng(0).integers(0, 4000, (12, 12)).astype(np.int16)
LEFT, POSTERIOR, SUPERIOR = np.eye(3)


def check(path, film=FILM, view="ap"):
    np.testing.assert_allclose(read_film(path, view, 12), normalise_film(film), atol=1e-6)


def write_image(path, film=FILM, columns=LEFT, rows=POSTERIOR, slice_axis=2):
    """Write a film whose two indices run along directions of the patient (LPS)."""
    array, vectors = film, [columns, rows]
    array = np.expand_dims(array, slice_axis)
    vectors.insert(slice_axis, np.cross(columns, rows))
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetDirection(np.column_stack(vectors).ravel().tolist())
    image.SetSpacing((0.5, 0.5, 0.5))
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_every_format_that_itk_writes_is_read(tmp_path, suffix):
    check(write_image(tmp_path / f"film{suffix}"))
    image = sitk.ReadImage(str(tmp_path / f"film{suffix}"))
    sitk.WriteImage(image, str(tmp_path / f"packed{suffix}"), useCompression=True)
    check(tmp_path / f"packed{suffix}")


def test_suffixes_in_capitals(tmp_path):
    for suffix in (".nii", ".nii.gz", ".nrrd", ".mha"):
        path = write_image(tmp_path / f"film{suffix}")
        check(path.rename(tmp_path / f"FILM{suffix.upper()}"))


def test_the_file_that_was_named_is_read_and_not_its_neighbour(tmp_path):
    write_image(tmp_path / "film.nii.gz")
    write_image(tmp_path / "film.nii", FILM[::-1])
    check(tmp_path / "film.nii.gz")
    check(tmp_path / "film.nii", FILM[::-1])


def test_gzip_is_recognised_by_its_contents(tmp_path):
    packed = write_image(tmp_path / "film.nii.gz").read_bytes()
    (tmp_path / "other.nii").write_bytes(packed)
    check(tmp_path / "other.nii")
    (tmp_path / "third.nii.gz").write_bytes(gzip.decompress(packed))
    check(tmp_path / "third.nii.gz")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize(
    ("view", "columns", "rows", "read"),
    [
        ("ap", LEFT, SUPERIOR, FILM),
        ("ap", -LEFT, SUPERIOR, FILM[::-1]),
        ("ap", LEFT, -SUPERIOR, FILM[:, ::-1]),
        ("la", POSTERIOR, SUPERIOR, FILM),
        ("la", -POSTERIOR, -SUPERIOR, FILM[::-1, ::-1]),
    ],
)
def test_a_slice_that_stands_in_the_patient_is_turned_by_its_header(
    tmp_path, caplog, suffix, view, columns, rows, read
):
    path = write_image(tmp_path / f"film{suffix}", columns=columns, rows=rows)
    check(path, read, view)
    turned = "the header asks to exchange "
    assert [turned in line for line in caplog.messages] == ([] if read is FILM else [True])


@pytest.mark.parametrize("columns", [LEFT, -LEFT])
@pytest.mark.parametrize("rows", [POSTERIOR, -POSTERIOR])
def test_a_slice_that_lies_across_the_patient_has_its_top_row_last(tmp_path, columns, rows):
    check(write_image(tmp_path / "film.nii.gz", columns=columns, rows=rows))


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_the_slice_may_be_along_any_axis(tmp_path, slice_axis):
    check(write_image(tmp_path / "film.nii.gz", rows=SUPERIOR, slice_axis=slice_axis))


@pytest.mark.parametrize(
    ("view", "columns", "rows", "message"),
    [
        ("ap", POSTERIOR, SUPERIOR, "its columns do not run to left .* not an upright AP"),
        ("la", LEFT, SUPERIOR, "its columns do not run to posterior .* not an upright LA"),
        ("ap", SUPERIOR, LEFT, "its columns do not run to left"),
    ],
)
def test_a_header_of_another_view_is_refused(tmp_path, view, columns, rows, message):
    path = write_image(tmp_path / "film.nii.gz", columns=columns, rows=rows)
    with pytest.raises(UserError, match=rf"film\.nii\.gz: {message}"):
        read_film(path, view, 12)


@pytest.mark.parametrize("name", ["data file", "Data File", "datafile"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_nrrd_reads_no_other_file(tmp_path, name, end):
    secret = tmp_path / "secret"
    secret.write_bytes(FILM.tobytes())
    lines = ["NRRD0004", "type: int16", "dimension: 2", "sizes: 12 12", "endian: little"]
    lines += ["encoding: raw", f"{name}: {secret}", "", ""]
    path = tmp_path / "film.nrrd"
    path.write_bytes(end.join(lines).encode())
    words = "its pixels are in another file|line ends|damaged, .*its header does not end"
    with pytest.raises(UserError, match=rf"film\.nrrd: ({words})"):
        read_film(path, "ap", 12)


@pytest.mark.parametrize("data_file", ["secret", "LIST", "%d.raw 1 2 1", "local.raw"])
def test_a_meta_image_reads_no_other_file(tmp_path, data_file):
    (tmp_path / "secret").write_bytes(FILM.tobytes())
    path = tmp_path / "film.mha"
    path.write_text(
        "ObjectType = Image\nNDims = 2\nDimSize = 12 12\nElementType = MET_SHORT\n"
        f"ElementDataFile = {data_file}\n{tmp_path / 'secret'}\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError, match=r"film\.mha: its pixels are in another file"):
        read_film(path, "ap", 12)


def test_a_header_that_is_shifted_against_its_pixels_is_refused(tmp_path):
    content = write_image(tmp_path / "film.nii").read_bytes()
    for damaged in (content[:352] + b"\7" + content[352:], content + b"\1\2"):
        (tmp_path / "film.nii").write_bytes(damaged)
        with pytest.raises(UserError, match="more than its header says; fetch the file again"):
            read_film(tmp_path / "film.nii", "ap", 12)
    (tmp_path / "film.nii").write_bytes(content + bytes(100))
    check(tmp_path / "film.nii")


@pytest.mark.parametrize("pixel_mm", [1e-20, 143.0, 1e160, 0.001])
def test_pixels_of_a_size_that_no_film_has_are_refused(tmp_path, pixel_mm):
    path = tmp_path / "film.nii"
    header = bytearray(nifti((2, 32, 32), pixdim=(0.5, 0.5, 1.0)))
    struct.pack_into("<2f", header, 80, *[min(pixel_mm, 3e38)] * 2)
    path.write_bytes(header)
    with pytest.raises(UserError, match=r"film\.nii: .* mm"):
        read_film(path, "ap", 32)


@pytest.mark.parametrize("suffix", [".nii", ".png", ".tif", ".dcm", ".mha"])
def test_a_file_without_permission_is_not_called_damaged(tmp_path, suffix, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    path = tmp_path / f"film{suffix}"
    path.write_bytes(b"")
    # Permissions do not keep root away.
    monkeypatch.setattr(checked_file, "open", refuse, raising=False)
    with pytest.raises(UserError, match=r"film\..*: cannot be read \(Permission denied\)"):
        read_film(path, "ap", 12)


@pytest.mark.parametrize("suffix", [".nii", ".png", ".tif", ".dcm", ".mha"])
def test_pipes_and_devices_are_not_opened(tmp_path, suffix):
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"endless{suffix}").symlink_to("/dev/zero")
    for name in ("pipe", "endless"):
        with pytest.raises(UserError, match="a pipe or a device; name a file"):
            read_film(tmp_path / f"{name}{suffix}", "ap", 12)
